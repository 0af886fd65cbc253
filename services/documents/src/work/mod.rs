//! What happens beside the operations: files are fetched, nodes get documents, news of what changed.

pub(crate) mod fetcher;
pub(crate) mod lender;
mod news;
mod web;

pub(crate) use news::News;
