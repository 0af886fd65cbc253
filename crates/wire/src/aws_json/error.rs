//! How a failure looks in AWS JSON (aws-json-gateway 2).

use muster_proto::{Word as _, facts};
use serde_json::{Map, Value};

use crate::{Failure, Reason};

/// The reason that a failure is answered with.
fn reason(failure: &Failure) -> Reason {
    match failure {
        Failure::Refused(refusal) if refusal.reason != Reason::Unset => refusal.reason,
        Failure::Unsupported { .. } => Reason::UnsupportedOperationException,
        // A deadline is no verdict: the caller may ask again, and repeats of what must not run twice are caught.
        Failure::Unavailable { .. } | Failure::Deadline => Reason::ServiceUnavailable,
        Failure::Internal(_) | Failure::Refused(_) => Reason::InternalServerError,
    }
}

/// The error word of a failure and its HTTP status.
#[must_use]
pub fn word_and_status(failure: &Failure) -> (String, u16) {
    let reason = reason(failure);
    let status = u16::try_from(facts::error(reason).status).unwrap_or(500);
    (reason.word().to_owned(), status)
}

/// The body of an error: `__type`, and the text under the member that the public shape has for it.
///
/// Some public shapes have no such member; Muster sends `message` anyway, which clients read without knowing the
/// shape. A failure without text has no such member at all: `null` would be printed as `None`.
#[must_use]
pub fn error_body(failure: &Failure) -> Vec<u8> {
    let reason = reason(failure);
    let text = match failure {
        Failure::Refused(refusal) => refusal.message.clone(),
        other => other.to_string(),
    };
    let mut body = Map::new();
    body.insert("__type".to_owned(), Value::from(reason.word()));
    if !text.is_empty() {
        let member = match facts::error(reason).member.as_str() {
            "" => "message",
            member => member,
        };
        body.insert(member.to_owned(), Value::from(text));
    }
    Value::Object(body).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;

    fn body(failure: impl Into<Failure>) -> String {
        String::from_utf8(error_body(&failure.into())).unwrap()
    }

    #[test]
    fn the_member_is_the_shape_s_own() {
        let refusal = |reason| Refusal::new(reason, "no");
        assert_eq!(
            body(refusal(Reason::InvalidDocument)),
            r#"{"__type":"InvalidDocument","Message":"no"}"#
        );
        assert_eq!(
            body(refusal(Reason::ValidationException)),
            r#"{"__type":"ValidationException","message":"no"}"#
        );
        assert_eq!(
            body(refusal(Reason::InvocationDoesNotExist)),
            r#"{"__type":"InvocationDoesNotExist","message":"no"}"#
        );
    }

    #[test]
    fn without_text_there_is_no_member() {
        assert_eq!(
            body(Refusal::new(Reason::SerializationException, "")),
            r#"{"__type":"SerializationException"}"#
        );
    }

    #[test]
    fn failures_without_a_reason_have_a_word_and_a_status() {
        let check = |failure: Failure, word: &str, status: u16| {
            assert_eq!(word_and_status(&failure), (word.to_owned(), status));
        };
        let unsupported = Failure::Unsupported {
            operation: "StartSession".to_owned(),
        };
        assert!(
            body(Failure::Unsupported {
                operation: "StartSession".to_owned()
            })
            .contains("StartSession")
        );
        check(unsupported, "UnsupportedOperationException", 400);
        let what = "the document service".to_owned();
        check(Failure::Unavailable { what }, "ServiceUnavailable", 503);
        check(Failure::Deadline, "ServiceUnavailable", 503);
        check(Failure::internal("disk full"), "InternalServerError", 500);
        assert!(!body(Failure::internal("disk full")).contains("disk"));
    }
}
