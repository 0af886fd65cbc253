//! What goes on beside the calls.

mod acceptor;
pub(crate) mod alarms;
pub(crate) mod departures;
mod dispatcher;
mod follow;
pub(crate) mod log_keeper;
mod log_streams;
mod news;
mod notifier;
mod offer;
pub(crate) mod sweeper;
mod tags_of;
mod web;
mod webhook;

pub(crate) use acceptor::Acceptor;
pub(crate) use alarms::Alarms;
pub(crate) use dispatcher::Dispatcher;
pub(crate) use follow::Followers;
pub(crate) use log_streams::LogStreams;
pub(crate) use news::News;
pub(crate) use notifier::Notifier;
pub(crate) use offer::Offer;
pub(crate) use tags_of::TagsOf;
