//! How a call fails, and the only place where that becomes a gRPC status and back.

use std::collections::HashMap;
use std::error::Error as StdError;

use muster_proto::aws::v1::Reason;
use muster_proto::{Word, facts};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain that Muster's error details carry.
const DOMAIN: &str = "muster";

/// A refusal: the caller asked for something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", reason.word())]
pub struct Refusal {
    /// The word that programs match on.
    pub reason: Reason,
    /// What is wrong, where, and what to do, for a person.
    pub message: String,
}

impl Refusal {
    /// A refusal with this word and this text.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// A request that breaks a rule of shape or meaning.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(Reason::ValidationException, message)
    }
}

/// How a call fails.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request was refused; repeating it does not help.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The operation is described but nobody serves it yet.
    #[error("{operation} is not supported yet")]
    Unsupported {
        /// The operation's name.
        operation: String,
    },
    /// Something that is needed does not answer; try again later.
    #[error("{what} is unavailable")]
    Unavailable {
        /// What is needed, for the caller.
        what: String,
    },
    /// The answer did not come in time.
    #[error("the answer did not come in time")]
    Deadline,
    /// A fault of ours. The caller gets an id, the log gets the cause.
    #[error("internal error")]
    Internal(#[source] Box<dyn StdError + Send + Sync>),
}

impl Failure {
    /// A fault of ours, with its cause.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// What failed at the other end of a call.
    #[must_use]
    pub fn from_status(status: &Status) -> Self {
        if let Some(info) = status.get_details_error_info()
            && info.domain == DOMAIN
            && let Some(reason) = facts::reason(&info.reason)
            && reason != Reason::InternalServerError
        {
            return Self::Refused(Refusal::new(reason, status.message()));
        }
        match status.code() {
            Code::Unimplemented => Self::Unsupported {
                operation: status.message().to_owned(),
            },
            Code::Unavailable => Self::Unavailable {
                what: status.message().to_owned(),
            },
            Code::DeadlineExceeded | Code::Cancelled => Self::Deadline,
            _ => Self::Internal(Box::new(status.clone())),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::from_status(&status)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let word = refusal.reason.word();
        let details = ErrorDetails::with_error_info(word, DOMAIN, HashMap::new());
        Self::with_error_details(code_of(word), refusal.message, details)
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Unsupported { operation } => Self::unimplemented(operation),
            Failure::Unavailable { what } => Self::unavailable(what),
            Failure::Deadline => Self::deadline_exceeded("the answer did not come in time"),
            Failure::Internal(cause) => {
                // Logged here because here it is handled: beyond this point only the id is left.
                let id = muster_model::CommandId::random();
                tracing::error!(error.id = %id, error = &*cause as &dyn StdError, "internal error");
                let word = Reason::InternalServerError.word();
                let details = ErrorDetails::with_error_info(word, DOMAIN, HashMap::new());
                Self::with_error_details(Code::Internal, format!("internal error {id}"), details)
            }
        }
    }
}

/// The gRPC code that is nearest to a word, for callers who know gRPC only.
fn code_of(word: &str) -> Code {
    let has = |part: &str| word.contains(part);
    match word {
        "AccessDeniedException" => Code::PermissionDenied,
        "ThrottlingException" => Code::ResourceExhausted,
        "ServiceUnavailable" => Code::Unavailable,
        "UnsupportedOperationException" => Code::Unimplemented,
        "InternalServerError" => Code::Internal,
        _ if has("AlreadyExists") || has("Duplicate") => Code::AlreadyExists,
        _ if has("LimitExceeded") || has("TooMany") => Code::ResourceExhausted,
        _ if has("NotFound") || has("DoesNotExist") || has("NoSuch") => Code::NotFound,
        "DeleteConflict" | "UnmodifiableEntity" => Code::FailedPrecondition,
        _ => Code::InvalidArgument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_way_to_the_caller() {
        let refusal = Refusal::new(Reason::InvalidDocument, "document X does not exist");
        let status = Status::from(refusal.clone());
        match Failure::from_status(&status) {
            Failure::Refused(back) => assert_eq!(back, refusal),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_cause_of_an_internal_error_stays_here() {
        let status = Status::from(Failure::internal("password=hunter2"));
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("hunter2"));
        assert!(matches!(Failure::from_status(&status), Failure::Internal(_)));
    }
}
