//! What goes in comes out: JSON → message → JSON, and message → protobuf → message.

use muster_proto::pool;
use muster_wire::aws_json::{DecodeError, decode, encode};
use muster_wire::{Reason, Refusal};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any};
use proptest::test_runner::{TestCaseError, TestRunner};
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};

use crate::documents::{Choices, document, messages};

const SEND_COMMAND: &str = "muster.runcommand.v1.SendCommandRequest";

fn message(name: &str) -> MessageDescriptor {
    pool().get_message_by_name(name).expect("a message of the contract")
}

fn read(name: &str, text: &Value) -> DynamicMessage {
    decode(text.to_string().as_bytes(), message(name))
        .expect("readable")
        .message
}

/// What comes out when this goes in.
fn through(name: &str, text: &Value) -> Value {
    serde_json::from_slice(&encode(&read(name, text))).expect("JSON")
}

fn refused(name: &str, text: &str) -> String {
    let error = decode(text.as_bytes(), message(name)).expect_err(text);
    let refusal = Refusal::from(error);
    assert_eq!(refusal.reason, Reason::SerializationException);
    refusal.message
}

#[test]
fn every_message_survives_json_and_protobuf() {
    for of in messages() {
        let config = ProptestConfig {
            cases: 24,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let outcome = TestRunner::new(config).run(&vec(any::<u8>(), 0..600), |bytes| {
            let text = document(&of, &mut Choices::new(&bytes), 0);
            let read = decode(text.to_string().as_bytes(), of.clone())
                .map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
            let written: Value = serde_json::from_slice(&encode(&read.message)).expect("JSON");
            proptest::prop_assert_eq!(&written, &text);
            let bytes = read.message.encode_to_vec();
            let again = DynamicMessage::decode(of.clone(), bytes.as_slice()).expect("protobuf");
            proptest::prop_assert_eq!(again, read.message);
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{}: {error}", of.full_name());
        }
    }
}

#[test]
fn the_generated_types_read_the_same() {
    let text = json!({
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["uptime", "id"]},
        "Targets": [{"Key": "tag:Role", "Values": ["web"]}],
        "TimeoutSeconds": 60,
        "DocumentHashType": "Sha256",
    });
    let bytes = read(SEND_COMMAND, &text).encode_to_vec();
    let request = muster_proto::runcommand::v1::SendCommandRequest::decode(bytes.as_slice()).expect("protobuf");
    assert_eq!(request.document_name.as_deref(), Some("AWS-RunShellScript"));
    assert_eq!(request.parameters["commands"].items, ["uptime", "id"]);
    assert_eq!(request.targets[0].values, ["web"]);
    assert_eq!(request.timeout_seconds, Some(60));
    assert_eq!(
        request.document_hash_type(),
        muster_proto::aws::v1::DocumentHashType::Sha256
    );
}

#[test]
fn no_text_is_an_empty_object() {
    assert_eq!(
        decode(b"", message(SEND_COMMAND))
            .expect("readable")
            .message
            .fields()
            .count(),
        0
    );
}

#[test]
fn unknown_members_and_null_are_ignored_and_the_last_of_two_wins() {
    let text = r#"{"Comment":"a","Later":{"x":[1,{"y":null}]},"comment":"b","Comment":"c","TimeoutSeconds":60,"TimeoutSeconds":null,
                   "MaxErrors":null,"Targets":[{"Key":"x"}],"Targets":[],"InstanceIds":null}"#;
    let decoded = decode(text.as_bytes(), message(SEND_COMMAND)).expect("readable");
    assert_eq!(
        String::from_utf8(encode(&decoded.message)).expect("text"),
        r#"{"Comment":"c"}"#
    );
    assert_eq!(decoded.violations, []);
}

#[test]
fn the_last_of_two_members_takes_the_faults_of_the_first_with_it() {
    let text = r#"{"DocumentHashType":"Md5","DocumentHashType":"Sha1"}"#;
    assert_eq!(
        decode(text.as_bytes(), message(SEND_COMMAND))
            .expect("readable")
            .violations,
        []
    );
}

#[test]
fn what_is_no_object_is_malformed() {
    for text in [
        "[]",
        "1",
        "null",
        "\"x\"",
        "{",
        "{}}",
        "{\"a\":}",
        "nonsense",
        "{\"Comment\":\"\\ud800\"}",
        "\u{feff}{}",
    ] {
        assert_eq!(
            decode(text.as_bytes(), message(SEND_COMMAND)).expect_err(text),
            DecodeError::Malformed,
            "{text}"
        );
        assert_eq!(refused(SEND_COMMAND, text), "");
    }
    assert!(decode(b"{\"Comment\":\"\xff\"}", message(SEND_COMMAND)).is_err());
}

#[test]
fn depth_is_bounded() {
    for opening in ["[", "{\"a\":"] {
        let text = format!("{{\"Parameters\":{}", opening.repeat(100_000));
        assert!(decode(text.as_bytes(), message(SEND_COMMAND)).is_err());
        let text = format!("{{\"Unknown\":{}", opening.repeat(100_000));
        assert!(decode(text.as_bytes(), message(SEND_COMMAND)).is_err());
    }
}

#[test]
fn wrong_types_are_named_as_aws_names_them() {
    let check = |text: &str, expected: &str| assert_eq!(refused(SEND_COMMAND, text), expected, "{text}");
    check(
        r#"{"Comment":true}"#,
        "class java.lang.Boolean can not be converted to an String (at 'comment')",
    );
    check(
        r#"{"Comment":1}"#,
        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String (at 'comment')",
    );
    check(
        r#"{"Comment":{"a":1}}"#,
        "Start of structure or map found where not expected. (at 'comment')",
    );
    check(
        r#"{"Comment":[]}"#,
        "Start of list found where not expected. (at 'comment')",
    );
    check(
        r#"{"TimeoutSeconds":"60"}"#,
        "class java.lang.String can not be converted to an Integer (at 'timeoutSeconds')",
    );
    check(r#"{"InstanceIds":"i-1"}"#, "Expected list or null (at 'instanceIds')");
    check(
        r#"{"InstanceIds":{"a":1}}"#,
        "Start of structure or map found where not expected. (at 'instanceIds')",
    );
    check(r#"{"Parameters":[1]}"#, "Expected map or null (at 'parameters')");
    check(
        r#"{"Parameters":{"commands":"x"}}"#,
        "Expected list or null (at 'parameters.commands.member')",
    );
    check(
        r#"{"Targets":[{"Key":"a"},5]}"#,
        "Expected structure or null (at 'targets.2.member')",
    );
    check(
        r#"{"Targets":[{"Key":"a"},{"Values":[false]}]}"#,
        "class java.lang.Boolean can not be converted to an String (at 'targets.2.member.values.1.member')",
    );
}

#[test]
fn whole_numbers_may_have_a_fraction_of_zero() {
    assert_eq!(
        through(SEND_COMMAND, &json!({"TimeoutSeconds": 60.0})),
        json!({"TimeoutSeconds": 60})
    );
    for bad in ["60.5", "1e10", "-3000000000", "1e300"] {
        let text = refused(SEND_COMMAND, &format!("{{\"TimeoutSeconds\":{bad}}}"));
        assert!(text.contains("Integer"), "{text}");
    }
}

#[test]
fn times_may_be_numbers_or_text_and_come_out_as_numbers() {
    let activation = "muster.fleet.v1.CreateActivationRequest";
    for time in [json!(1_700_000_000), json!(1.7e9), json!("2023-11-14T22:13:20Z")] {
        assert_eq!(
            through(activation, &json!({"ExpirationDate": time})),
            json!({"ExpirationDate": 1_700_000_000})
        );
    }
    for bad in ["\"soon\"", "true", "1e15", "{}"] {
        refused(activation, &format!("{{\"ExpirationDate\":{bad}}}"));
    }
}

#[test]
fn lists_that_must_show_are_there_when_empty() {
    let result = DynamicMessage::new(message("muster.runcommand.v1.ListCommandsResult"));
    assert_eq!(encode(&result), br#"{"Commands":[]}"#);
}

#[test]
fn a_notification_type_that_was_not_given_is_an_empty_text() {
    let mut config = DynamicMessage::new(message("muster.aws.v1.NotificationConfig"));
    assert_eq!(encode(&config), br#"{"NotificationEvents":[]}"#);
    config.set_field_by_name("notification_type", prost_reflect::Value::EnumNumber(0));
    assert_eq!(encode(&config), br#"{"NotificationEvents":[],"NotificationType":""}"#);
}

#[test]
fn words_that_the_contract_does_not_know_are_not_said() {
    let mut plugin = DynamicMessage::new(message("muster.runcommand.v1.CommandPlugin"));
    for number in [0, 999] {
        plugin.set_field_by_name("status", prost_reflect::Value::EnumNumber(number));
        assert_eq!(encode(&plugin), b"{}");
    }
}

#[test]
fn the_last_of_two_equal_members_wins_whatever_the_first_was() {
    let list = "muster.runcommand.v1.ListCommandsRequest";
    for first in [r#""x""#, "true", "[1]", r#"{"a": [null]}"#, "1.5", "null"] {
        let text = format!(r#"{{"MaxResults": {first}, "MaxResults": 5}}"#);
        let decoded = decode(text.as_bytes(), message(list)).expect(&text);
        assert_eq!(
            serde_json::from_slice::<Value>(&encode(&decoded.message)).expect("JSON"),
            json!({"MaxResults": 5})
        );
    }
    assert!(refused(list, r#"{"MaxResults": 5, "MaxResults": "x"}"#).contains("(at 'maxResults')"));
    // What stands first is named.
    let both = refused(list, r#"{"MaxResults": "x", "NextToken": 1}"#);
    assert!(both.contains("(at 'maxResults')"), "{both}");
    let broken = decode(br#"{"MaxResults": "x""#, message(list));
    assert!(broken.is_err());
}
