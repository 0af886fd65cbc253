//! How this service's troubles become failures of a call.

use muster_model::RolloutId;
use muster_store::StoreError;
use muster_wire::{Failure, Reason, Refusal};

/// A store that does not answer can be tried again; everything else is our fault.
pub(crate) fn from_store(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable(cause) => {
            tracing::warn!(error = &cause as &dyn std::error::Error, "the database does not answer");
            unavailable("the database of fan-out")
        }
        other => Failure::internal(other),
    }
}

/// Something that will answer again.
pub(crate) fn unavailable(what: &str) -> Failure {
    Failure::Unavailable { what: what.to_owned() }
}

/// No rollout has this id, or not any more.
pub(crate) fn no_such_rollout(id: RolloutId) -> Failure {
    Refusal::new(Reason::DoesNotExistException, format!("there is no rollout {id}")).into()
}
