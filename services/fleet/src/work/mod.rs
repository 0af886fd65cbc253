//! What goes on beside the calls.

pub(crate) mod greeter;
mod metrics;
mod news;
pub(crate) mod pulse;
mod registrar;

pub(crate) use metrics::Metrics;
pub(crate) use news::News;
pub(crate) use pulse::Pulse;
pub(crate) use registrar::Registrar;
