//! How this service's troubles become failures of a call.

use muster_store::StoreError;
use muster_wire::Failure;

/// A store that does not answer, or a conflict with another replica, can be tried again; everything else is our fault.
pub(crate) fn from_store(error: StoreError) -> Failure {
    let unavailable = Failure::Unavailable {
        what: "the database of fleet".to_owned(),
    };
    match error {
        StoreError::Unavailable(cause) => {
            tracing::warn!(error = &cause as &dyn std::error::Error, "the database does not answer");
            unavailable
        }
        error @ StoreError::Conflict { .. } => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a write met another one");
            unavailable
        }
        other => Failure::internal(other),
    }
}

/// The same for each of many callers of one transaction: the cause is logged once, not once for each of a thousand.
pub(crate) fn from_store_for_each(error: StoreError) -> impl FnMut() -> Failure {
    let again = matches!(error, StoreError::Unavailable(_) | StoreError::Conflict { .. });
    let mut first = Some(from_store(error));
    move || {
        first.take().unwrap_or_else(|| match again {
            true => Failure::Unavailable {
                what: "the database of fleet".to_owned(),
            },
            false => Failure::internal("the transaction of the whole group failed"),
        })
    }
}
