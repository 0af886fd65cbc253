//! What happens beside the operations: news of what they changed.

pub(crate) mod lender;
mod news;

pub(crate) use news::News;
