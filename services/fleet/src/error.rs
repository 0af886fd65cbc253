//! How this service's troubles become failures of a call.

use muster_store::StoreError;
use muster_wire::Failure;

/// A store that does not answer can be tried again; everything else is our fault.
pub(crate) fn from_store(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable(cause) => {
            tracing::warn!(error = &cause as &dyn std::error::Error, "the database does not answer");
            Failure::Unavailable {
                what: "the database of fleet".to_owned(),
            }
        }
        other => Failure::internal(other),
    }
}
