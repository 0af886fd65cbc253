//! What goes on beside the calls.

mod identity_providers;
mod last_used;
mod recorder;
mod retention;
mod teller;

pub(crate) use identity_providers::{IdentityProviders, WebIdentityError};
pub(crate) use last_used::LastUsed;
pub(crate) use recorder::Recorder;
pub(crate) use retention::Retention;
pub(crate) use teller::Teller;
