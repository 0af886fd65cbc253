//! What goes on beside the calls.

mod acceptor;
mod dispatcher;
mod news;
pub(crate) mod sweeper;

pub(crate) use acceptor::Acceptor;
pub(crate) use dispatcher::Dispatcher;
pub(crate) use news::News;
