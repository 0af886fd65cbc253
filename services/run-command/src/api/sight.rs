//! Whose commands a caller sees.

use muster_boot::Rights;
use muster_wire::{Caller, Failure};
use tonic::Request;

use crate::domain::sight::Sight;

/// Who may do this sees everybody's commands although others see only their own.
const ALL: &str = "muster:ReadAllCommands";

/// Finds out whose commands callers see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sights {
    /// The setting `own_commands_only`.
    pub(crate) own_only: bool,
}

impl Sights {
    /// What the caller of a request sees.
    pub(super) fn of<T>(self, request: &Request<T>) -> Result<Sight, Failure> {
        match !self.own_only || Rights::of(request)?.may(ALL, "*")? {
            true => Ok(Sight::All),
            false => Ok(Sight::Own(Caller::of(request)?.principal.clone())),
        }
    }
}
