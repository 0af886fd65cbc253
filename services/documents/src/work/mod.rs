//! What happens beside the operations: news of what they changed.

mod news;

pub(crate) use news::News;
