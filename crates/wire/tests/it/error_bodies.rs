//! Every error word, with the casing that its public shape has (aws-json-gateway 2).

use muster_proto::aws::v1::Reason;
use muster_proto::{Word, facts};
use muster_wire::{Failure, Refusal, aws_json};
use serde_json::{Map, Value};

/// Modelled too, but answered by the surface itself, whose errors all say `message`.
const OF_THE_SURFACE: [&str; 3] = ["AccessDeniedException", "ThrottlingException", "ValidationException"];

/// The public model's facts of errors: the member that carries the text, and whose fault it is.
fn public_errors() -> Map<String, Value> {
    let facts: Value =
        serde_json::from_str(include_str!("../../../../proto/tests/public_api_facts.json")).expect("JSON");
    facts["errors"].as_object().expect("errors by word").clone()
}

fn answer(word: &str) -> (Value, u16) {
    let reason = facts::reason(word).unwrap_or_else(|| panic!("{word} is a word"));
    let failure = Failure::from(Refusal::new(reason, "why"));
    let (said, status) = aws_json::word_and_status(&failure);
    assert_eq!(said, word);
    let body = serde_json::from_slice(&aws_json::error_body(&failure)).expect("JSON");
    (body, status)
}

#[test]
fn every_modelled_error_has_the_member_of_its_shape() {
    for (word, public) in public_errors() {
        let (body, status) = answer(&word);
        // Where the public shape has no member, Muster sends its text all the same.
        let member = match public["member"].as_str().expect("a name") {
            "" => "message",
            _ if OF_THE_SURFACE.contains(&word.as_str()) => "message",
            member => member,
        };
        assert_eq!(body, serde_json::json!({"__type": word, member: "why"}));
        let expected = if public["fault"] == true { 500 } else { 400 };
        assert_eq!(status, expected, "{word}");
    }
}

#[test]
fn every_word_has_a_body_and_a_status() {
    for word in Reason::WORDS {
        let (body, status) = answer(word);
        assert_eq!(body["__type"], *word);
        let members = body.as_object().expect("an object");
        assert_eq!(members.len(), 2, "{word}");
        assert!(members.values().all(Value::is_string), "{word}");
        let expected = match *word {
            "InternalServerError" => 500,
            "ServiceUnavailable" => 503,
            "RequestEntityTooLargeException" => 413,
            "NoSuchEntity" => 404,
            "DeleteConflict" | "EntityAlreadyExists" | "LimitExceeded" | "UnmodifiableEntity" => 409,
            _ => 400,
        };
        assert_eq!(status, expected, "{word}");
    }
}
