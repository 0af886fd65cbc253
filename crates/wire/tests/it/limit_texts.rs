//! The texts of violations, for every kind of limit (aws-json-gateway 4).

use muster_proto::pool;
use muster_wire::{Reason, Refusal, aws_json, limits};
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};

/// The refusal of a request: what the text shows and what the message shows, as one answer.
fn refusal(message: &str, request: &Value) -> Option<Refusal> {
    let of = pool().get_message_by_name(message).expect(message);
    let decoded = aws_json::decode(request.to_string().as_bytes(), of).expect("readable");
    let mut violations = decoded.violations;
    violations.extend(limits::check(&decoded.message));
    (!violations.is_empty()).then(|| limits::refuse(&violations))
}

fn text(message: &str, request: &Value) -> String {
    let Some(refusal) = refusal(message, request) else {
        return String::new();
    };
    assert_eq!(refusal.reason, Reason::ValidationException);
    refusal.message
}

fn check(message: &str, request: Value, expected: &str) {
    assert_eq!(text(message, &request), expected, "{request}");
}

const SEND: &str = "muster.runcommand.v1.SendCommandRequest";
const LIST: &str = "muster.runcommand.v1.ListCommandsRequest";
const TAGS: &str = "muster.aws.v1.AddTagsToResourceRequest";
const LABEL: &str = "muster.parameterstore.v1.LabelParameterVersionRequest";

fn send(more: Value) -> Value {
    let mut request = json!({"DocumentName": "AWS-RunShellScript"});
    let members = request.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    request
}

#[test]
fn a_request_within_all_limits_has_no_text() {
    check(SEND, send(json!({"MaxConcurrency": "10%", "Comment": ""})), "");
    check(LIST, json!({}), "");
}

#[test]
fn a_required_member_is_missing() {
    check(
        SEND,
        json!({}),
        "1 validation error detected: Value null at 'documentName' failed to satisfy constraint: Member must not be null",
    );
    check(
        SEND,
        send(json!({"AlarmConfiguration": {"Alarms": [{}]}})),
        "1 validation error detected: Value null at 'alarmConfiguration.alarms.1.member.name' failed to satisfy \
         constraint: Member must not be null",
    );
}

#[test]
fn numbers_are_quoted_too() {
    check(
        LIST,
        json!({"MaxResults": 51}),
        "1 validation error detected: Value '51' at 'maxResults' failed to satisfy constraint: \
         Member must have value less than or equal to 50",
    );
    check(
        SEND,
        send(json!({"TimeoutSeconds": 29})),
        "1 validation error detected: Value '29' at 'timeoutSeconds' failed to satisfy constraint: \
         Member must have value greater than or equal to 30",
    );
}

#[test]
fn two_limits_of_one_value_are_two_items() {
    check(
        SEND,
        send(json!({"MaxErrors": "12345678x"})),
        "2 validation errors detected: Value '12345678x' at 'maxErrors' failed to satisfy constraint: \
         Member must have length less than or equal to 7; \
         Value '12345678x' at 'maxErrors' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: ^([1-9][0-9]*|[0]|[1-9][0-9]%|[0-9]%|100%)$",
    );
}

#[test]
fn items_stand_in_the_order_of_the_members() {
    let text = text(
        SEND,
        &send(json!({"MaxErrors": "x", "OutputS3BucketName": "b", "DocumentVersion": "0"})),
    );
    let at = |member: &str| text.find(member).unwrap_or_else(|| panic!("{member} in {text}"));
    assert!(at("'documentVersion'") < at("'outputS3BucketName'"));
    assert!(at("'outputS3BucketName'") < at("'maxErrors'"));
    assert!(text.starts_with("3 validation errors detected: "));
}

#[test]
fn lengths_are_counted_in_characters() {
    check(SEND, send(json!({"Comment": "é".repeat(100)})), "");
    let text = text(SEND, &send(json!({"Comment": "é".repeat(101)})));
    assert!(
        text.ends_with("at 'comment' failed to satisfy constraint: Member must have length less than or equal to 100")
    );
}

#[test]
fn elements_of_a_simple_list_share_one_item() {
    check(
        SEND,
        send(json!({"InstanceIds": ["i-1", "mi-0123456789abcdef0", "x"]})),
        "1 validation error detected: Value '[i-1, mi-0123456789abcdef0, x]' at 'instanceIds' failed to satisfy \
         constraint: Member must satisfy constraint: [Member must satisfy regular expression pattern: \
         (^i-(\\w{8}|\\w{17})$)|(^mi-\\w{17}$)]",
    );
    check(
        "muster.aws.v1.RemoveTagsFromResourceRequest",
        json!({"ResourceType": "ManagedInstance", "ResourceId": "mi-1", "TagKeys": ["a", ""]}),
        "1 validation error detected: Value '[a, ]' at 'tagKeys' failed to satisfy constraint: Member must satisfy \
         constraint: [Member must have length less than or equal to 128, Member must have length greater than or \
         equal to 1, Member must satisfy regular expression pattern: ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$]",
    );
}

#[test]
fn elements_that_are_structures_have_a_path() {
    let text = text(
        SEND,
        &send(json!({"Targets": [{"Key": "tag:a", "Values": []}, {"Key": "?"}]})),
    );
    assert!(text.contains("Value '?' at 'targets.2.member.key' failed"), "{text}");
    assert!(text.starts_with("1 validation error detected: "));
}

#[test]
fn lists_have_lengths() {
    let ids = vec!["mi-0123456789abcdef0"; 51];
    let text = text(SEND, &send(json!({"InstanceIds": ids})));
    assert!(
        text.starts_with("1 validation error detected: Value '[mi-0123456789abcdef0, mi-"),
        "{text}"
    );
    assert!(text.ends_with(
        "...' at 'instanceIds' failed to satisfy constraint: Member must have length less than or equal to 50"
    ));
}

#[test]
fn an_empty_list_is_not_an_absent_one() {
    check(
        LIST,
        json!({"Filters": []}),
        "1 validation error detected: Value '[]' at 'filters' failed to satisfy constraint: \
         Member must have length greater than or equal to 1",
    );
    check(
        SEND,
        send(json!({"AlarmConfiguration": {"Alarms": []}})),
        "1 validation error detected: Value '[]' at 'alarmConfiguration.alarms' failed to satisfy constraint: \
         Member must have length greater than or equal to 1",
    );
    // Required, and empty is allowed: only its absence is refused.
    check(
        TAGS,
        json!({"ResourceType": "ManagedInstance", "ResourceId": "mi-1", "Tags": []}),
        "",
    );
    check(
        TAGS,
        json!({"ResourceType": "ManagedInstance", "ResourceId": "mi-1"}),
        "1 validation error detected: Value null at 'tags' failed to satisfy constraint: Member must not be null",
    );
}

#[test]
fn null_in_a_list_is_named() {
    check(
        SEND,
        send(json!({"Targets": [null]})),
        "1 validation error detected: Value null at 'targets.1.member' failed to satisfy constraint: \
         Member must not be null",
    );
}

#[test]
fn an_enum_may_have_a_word_of_its_own_for_what_it_does_not_know() {
    let refused = refusal(LIST, &json!({"Filters": [{"key": "State", "value": "x"}]})).unwrap();
    assert_eq!(refused.reason, Reason::InvalidFilterKey);
    assert!(refused.message.contains("'filters.1.member.key'") && refused.message.contains("InvokedAfter"));
}

#[test]
fn an_unknown_word_is_answered_with_the_words() {
    check(
        SEND,
        send(json!({"DocumentHashType": "Md5"})),
        "1 validation error detected: Value 'Md5' at 'documentHashType' failed to satisfy constraint: \
         Member must satisfy enum value set: [Sha256, Sha1]",
    );
    // The member is required: that it could not be read does not make it absent.
    check(
        LIST,
        json!({"MaxResults": 0, "Filters": [{"key": "State", "value": "x"}]}),
        "2 validation errors detected: Value 'State' at 'filters.1.member.key' failed to satisfy constraint: \
         Member must satisfy enum value set: [InvokedAfter, InvokedBefore, Status, ExecutionStage, DocumentName]; \
         Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1",
    );
    check(
        SEND,
        send(json!({"NotificationConfig": {"NotificationEvents": ["All", "Never", "Failed", "Soon"]}})),
        "1 validation error detected: Value '[All, Never, Failed, Soon]' at 'notificationConfig.notificationEvents' \
         failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: \
         [All, InProgress, Success, TimedOut, Cancelled, Failed]]",
    );
}

#[test]
fn an_unknown_number_is_answered_like_an_unknown_word() {
    let of = pool().get_message_by_name(SEND).expect(SEND);
    let mut message = DynamicMessage::new(of);
    message.set_field_by_name(
        "document_name",
        prost_reflect::Value::String("AWS-RunShellScript".to_owned()),
    );
    for number in [0, 77] {
        message.set_field_by_name("document_hash_type", prost_reflect::Value::EnumNumber(number));
        assert_eq!(
            limits::message(&limits::check(&message)),
            format!(
                "1 validation error detected: Value '{number}' at 'documentHashType' failed to satisfy constraint: \
                 Member must satisfy enum value set: [Sha256, Sha1]"
            )
        );
    }
}

#[test]
fn words_and_other_limits_are_one_answer() {
    let text = text(SEND, &json!({"DocumentHashType": "Md5", "TimeoutSeconds": 1}));
    assert!(text.starts_with("3 validation errors detected: "), "{text}");
    for path in ["documentHashType", "documentName", "timeoutSeconds"] {
        assert_eq!(text.matches(&format!("'{path}'")).count(), 1, "{text}");
    }
}

#[test]
fn a_sensitive_value_is_never_shown() {
    check(
        "muster.maintenancewindows.v1.CreateMaintenanceWindowRequest",
        json!({"Name": "abc", "Schedule": "rate(1 day)", "Duration": 2, "Cutoff": 1, "AllowUnassociatedTargets": true,
               "Description": "hunter2".repeat(30)}),
        "1 validation error detected: Value at 'description' failed to satisfy constraint: \
         Member must have length less than or equal to 128",
    );
    let text = text(
        "muster.maintenancewindows.v1.RegisterTaskWithMaintenanceWindowRequest",
        &json!({"WindowId": "mw-0123456789abcdef0", "TaskArn": "AWS-RunShellScript", "TaskType": "RUN_COMMAND",
                "TaskParameters": {"hunter2": {"Values": ["hunter2".repeat(50)]}}}),
    );
    assert!(text.contains("at 'taskParameters.hunter2.member.values'"), "{text}");
    assert!(!text.contains("hunter2hunter2"), "{text}");
}

#[test]
fn keys_and_values_of_maps_are_checked() {
    let put = |context: Value| {
        json!({"InstanceId": "mi-0123456789abcdef0", "Items": [
            {"TypeName": "AWS:Application", "SchemaVersion": "1.0", "CaptureTime": "2024-01-11T00:00:00Z", "Context": context}]})
    };
    let inventory = "muster.inventory.v1.PutInventoryRequest";
    check(inventory, put(json!({"a": "b"})), "");
    check(
        inventory,
        put(json!({"": "b"})),
        "1 validation error detected: Value '{=b}' at 'items.1.member.context' failed to satisfy constraint: \
         Map keys must satisfy constraint: [Member must have length less than or equal to 64, \
         Member must have length greater than or equal to 1]",
    );
    let text = text(inventory, &put(json!({"a": "x".repeat(4097)})));
    assert!(
        text.ends_with("Map value must satisfy constraint: [Member must have length less than or equal to 4096]"),
        "{text}"
    );
}

#[test]
fn lists_in_maps_share_the_map_s_item() {
    check(
        "muster.automation.v1.StartAutomationExecutionRequest",
        json!({"DocumentName": "AWS-RestartEC2Instance", "Parameters": {"InstanceId": ["a", ""]}}),
        "1 validation error detected: Value '{InstanceId=[a, ]}' at 'parameters' failed to satisfy constraint: \
         Map value must satisfy constraint: [Member must have length less than or equal to 50, Member must satisfy \
         constraint: [Member must have length less than or equal to 512, Member must have length greater than or \
         equal to 1]]",
    );
}

#[test]
fn a_long_answer_is_cut() {
    let targets: Vec<Value> = (0..5)
        .map(|_| json!({"Key": "?".repeat(400), "Values": vec!["v"; 51]}))
        .collect();
    let request = send(json!({"Targets": targets, "MaxErrors": "y".repeat(100_000)}));
    let text = text(SEND, &request);
    assert!(text.len() < 6000, "{}", text.len());
    assert!(text.contains("???...' at 'targets.1.member.key'"), "{text}");
    assert!(text.ends_with(" more"), "{text}");

    let targets = json!({"Targets": vec![json!({"Key": "?"}); 10_000]});
    let of = pool().get_message_by_name(SEND).expect(SEND);
    let decoded = aws_json::decode(send(targets).to_string().as_bytes(), of).expect("readable");
    assert_eq!(limits::check(&decoded.message).len(), 100);
}

#[test]
fn null_among_structures_moves_none_of_them() {
    check(
        SEND,
        send(json!({"Targets": [null, {"Key": "?"}]})),
        "2 validation errors detected: Value null at 'targets.1.member' failed to satisfy constraint: Member must not \
         be null; Value '?' at 'targets.2.member.key' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: ^[\\p{L}\\p{Z}\\p{N}_.:/=\\-@]*$|resource-groups:ResourceTypeFilters|resource-groups:Name",
    );
    check(
        LIST,
        json!({"Filters": [null]}),
        "1 validation error detected: Value null at 'filters.1.member' failed to satisfy constraint: \
         Member must not be null",
    );
}

#[test]
fn null_among_simple_values_is_one_item_for_the_list() {
    let long = "x".repeat(101);
    let all = "[Member must have length less than or equal to 100, Member must have length greater than or equal to 1, \
               Member must not be null]";
    for (labels, shown) in [
        (json!([null]), "[null]".to_owned()),
        (json!(["a", null, "b"]), "[a, null, b]".to_owned()),
        (json!([long, null]), format!("[{long}, null]")),
    ] {
        check(
            LABEL,
            json!({"Name": "x", "Labels": labels}),
            &format!(
                "1 validation error detected: Value '{shown}' at 'labels' failed to satisfy constraint: Member must \
                 satisfy constraint: {all}"
            ),
        );
    }
}

#[test]
fn a_required_list_that_is_taken_back_is_missing() {
    let twice = |labels: &str| {
        let text = format!(r#"{{"Name": "x", {labels}}}"#);
        let decoded = aws_json::decode(text.as_bytes(), pool().get_message_by_name(LABEL).expect(LABEL));
        let decoded = decoded.expect("readable");
        let mut violations = decoded.violations;
        violations.extend(limits::check(&decoded.message));
        limits::message(&violations)
    };
    let missing = twice(r#""Labels": [], "Labels": null"#);
    assert!(missing.contains("Value null at 'labels'"), "{missing}");
    let good = twice(r#""Labels": null, "Labels": ["a"]"#);
    assert!(good.starts_with("0 validation errors"), "{good}");
}
