//! What goes on beside the calls.

pub(crate) mod greeter;
pub(crate) mod heartbeats;
mod pulse;
mod registrar;

pub(crate) use pulse::Pulse;
pub(crate) use registrar::Registrar;
