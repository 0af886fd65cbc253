//! What happens beside the operations: reads and puts go in groups, events are published, policies have their say, data
//! keys are wrapped anew, nodes are given what their runs refer to.

mod groups;
mod key_uses;
pub(crate) mod lender;
mod publisher;
pub(crate) mod rewrapper;
pub(crate) mod timers;
mod together;
pub(crate) mod witness;

pub(crate) use groups::Groups;
pub(crate) use publisher::Publisher;
