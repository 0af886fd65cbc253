//! What happens beside the operations: puts are written in groups, events are published, policies have their say, data
//! keys are wrapped anew, nodes are given what their runs refer to.

mod key_uses;
pub(crate) mod lender;
mod publisher;
pub(crate) mod rewrapper;
pub(crate) mod timers;
pub(crate) mod witness;
mod writer;

pub(crate) use publisher::Publisher;
pub(crate) use writer::Writer;
