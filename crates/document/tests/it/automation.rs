//! Automation documents: documents.md 3.2 and 6.

use muster_document::DocumentType;
use serde_json::{Value, json};

use super::read;

fn check_document(content: &Value, expected: &[&str]) {
    super::check(content, DocumentType::Automation, expected);
}

fn check(steps: Value, expected: &[&str]) {
    let parameters =
        json!({"Id": {"type": "String"}, "Instance_Ids": {"type": "List<AWS::EC2::Instance::Id>", "default": []}});
    let variables = json!({"count": {"type": "Integer", "default": 0}});
    check_document(
        &json!({"schemaVersion": "0.3", "parameters": parameters, "variables": variables, "mainSteps": steps}),
        expected,
    );
}

fn sleep(name: &str) -> Value {
    json!({"name": name, "action": "aws:sleep", "inputs": {"Duration": "PT1S"}})
}

fn with(name: &str, extra: Value) -> Value {
    let mut step = sleep(name);
    for (key, value) in extra.as_object().unwrap() {
        step[key] = value.clone();
    }
    step
}

/// A step that uses these references.
fn using(name: &str, text: &str) -> Value {
    json!({"name": name, "action": "aws:runCommand", "inputs": {"DocumentName": "x", "Parameters": {"commands": [text]}}})
}

#[test]
fn every_action_of_the_schema_is_known() {
    for action in [
        "approve",
        "assertAwsResourceProperty",
        "branch",
        "changeInstanceState",
        "copyImage",
        "createImage",
        "createStack",
        "createTags",
        "deleteImage",
        "deleteStack",
        "executeAutomation",
        "executeAwsApi",
        "executeScript",
        "executeStateMachine",
        "invokeLambdaFunction",
        "invokeWebhook",
        "pause",
        "runCommand",
        "runInstances",
        "sleep",
        "updateVariable",
        "waitForAwsResourceProperty",
    ] {
        check(
            json!([{"name": "a", "action": format!("aws:{action}"), "inputs": {}}]),
            &[],
        );
    }
    check(
        json!([{"name": "a", "action": "aws:loop", "inputs": {"Iterators": ["x"], "Steps": [sleep("b")]}}]),
        &[],
    );
    check(
        json!([{"name": "a", "action": "aws:runShellScript", "inputs": {}}]),
        &["error /mainSteps/0/action: schema 0.3 has no action"],
    );
}

#[test]
fn step_attributes_are_checked() {
    for (extra, expected) in [
        (
            json!({"name": "a b"}),
            &["error /mainSteps/0/name: a step's name has letters, digits and _"][..],
        ),
        (json!({"name": "a-b"}), &["error /mainSteps/0/name: "]),
        (json!({"name": "A_9"}), &[]),
        (
            json!({"inputs": []}),
            &["error /mainSteps/0/inputs: inputs must be a map"],
        ),
        (json!({"onFailure": "Abort"}), &[]),
        (json!({"onFailure": "Continue", "onCancel": "Abort"}), &[]),
        (
            json!({"onFailure": "continue"}),
            &["error /mainSteps/0/onFailure: onFailure must be Abort, Continue or step:<name>"],
        ),
        (
            json!({"onCancel": "Continue"}),
            &["error /mainSteps/0/onCancel: onCancel must be Abort or"],
        ),
        (
            json!({"onFailure": "step:nowhere"}),
            &["error /mainSteps/0/onFailure: there is no step \"nowhere\""],
        ),
        (
            json!({"onCancel": "step:nowhere"}),
            &["error /mainSteps/0/onCancel: there is no step \"nowhere\""],
        ),
        (
            json!({"nextStep": "nowhere"}),
            &["error /mainSteps/0/nextStep: there is no step \"nowhere\""],
        ),
        (
            json!({"nextStep": 1}),
            &["error /mainSteps/0/nextStep: nextStep must be"],
        ),
        (json!({"maxAttempts": 3, "timeoutSeconds": "60"}), &[]),
        (json!({"maxAttempts": "3", "timeoutSeconds": "{{ Id }}"}), &[]),
        (
            json!({"maxAttempts": 0}),
            &["error /mainSteps/0/maxAttempts: maxAttempts must be"],
        ),
        (
            json!({"timeoutSeconds": "PT1M"}),
            &["error /mainSteps/0/timeoutSeconds: timeoutSeconds must be"],
        ),
        (json!({"isCritical": "false", "isEnd": true}), &[]),
        (
            json!({"isCritical": "no"}),
            &["error /mainSteps/0/isCritical: isCritical must be true or false"],
        ),
        (
            json!({"isEnd": 1}),
            &["error /mainSteps/0/isEnd: isEnd must be true or false"],
        ),
        (
            json!({"outputs": [{"Name": "x", "Selector": "$.a", "Type": "String"}, {"Name": "y", "Selector": "b"}]}),
            &[],
        ),
        (json!({"outputs": {"Name": "x", "Selector": "$.a"}}), &[]),
        (
            json!({"outputs": ["x"]}),
            &["error /mainSteps/0/outputs/0: an output is a map"],
        ),
        (
            json!({"outputs": [{"Selector": "x"}]}),
            &["error /mainSteps/0/outputs/0: the output has no Name"],
        ),
        (
            json!({"outputs": [{"Name": "n", "Selector": "x", "Type": "Text"}]}),
            &["error /mainSteps/0/outputs/0/Type: a type is one of"],
        ),
        (
            json!({"precondition": {}}),
            &["warning /mainSteps/0/precondition: unknown key"],
        ),
        (
            json!({"description": 1}),
            &["error /mainSteps/0/description: description must be a text"],
        ),
    ] {
        check(json!([with("a", extra)]), expected);
    }
    check(
        json!([sleep("a"), sleep("a")]),
        &["error /mainSteps/1/name: there is more than one step \"a\""],
    );
    check(
        json!([{"action": "aws:sleep"}]),
        &[
            "error /mainSteps/0: the step has no name",
            "error /mainSteps/0: the step has no inputs",
        ],
    );
}

#[test]
fn jumps_lead_to_steps_of_the_same_list() {
    let branch = |next: &str, default: &str| {
        json!({"name": "b", "action": "aws:branch", "inputs": {
            "Choices": [{"NextStep": next, "Variable": "{{ Id }}", "StringEquals": "x"}], "Default": default,
        }})
    };
    check(json!([branch("c", "d"), sleep("c"), sleep("d")]), &[]);
    check(
        json!([branch("x", "y"), sleep("c")]),
        &[
            "error /mainSteps/0/inputs/Default: there is no step \"y\"",
            "error /mainSteps/0/inputs/Choices/0/NextStep: there is no step \"x\"",
        ],
    );
    let looped =
        |inner: Value| json!({"name": "l", "action": "aws:loop", "inputs": {"Iterators": ["x"], "Steps": inner}});
    check(
        json!([with("a", json!({"nextStep": "inner"})), looped(json!([sleep("inner")]))]),
        &["error /mainSteps/0/nextStep: "],
    );
    check(
        json!([looped(json!([with("x", json!({"nextStep": "y"})), sleep("y")]))]),
        &[],
    );
    check(
        json!([looped(json!([sleep("l")]))]),
        &["error /mainSteps/0/inputs/Steps/0/name: there is more than one step"],
    );
    check(
        json!([looped(json!([]))]),
        &["error /mainSteps/0/inputs/Steps: a loop has a list"],
    );
    check(
        json!([looped(json!([looped(json!([sleep("x")]))]))]),
        &["error /mainSteps/0/inputs/Steps: a loop cannot stand in a loop"],
    );
    // Unreachable steps are allowed.
    check(json!([with("a", json!({"isEnd": true})), sleep("b")]), &[]);
}

#[test]
fn references_must_be_known() {
    for (text, expected) in [
        ("{{ Id }} {{Instance_Ids}} {{ RESOURCE_ID }}", &[][..]),
        (
            "{{ Nope }}",
            &["error /mainSteps/1/inputs/Parameters/commands/0: there is no parameter \"Nope\""],
        ),
        ("{{ first.Output }} {{ first.Payload.a[0].b }}", &[]),
        (
            "{{ nowhere.Output }}",
            &["error /mainSteps/1/inputs/Parameters/commands/0: there is no step or parameter \"nowhere\""],
        ),
        (
            "{{ first }}",
            &["error /mainSteps/1/inputs/Parameters/commands/0: there is no parameter \"first\""],
        ),
        (
            "{{ global:DATE }} {{global:DATE_TIME}} {{global:REGION}} {{global:ACCOUNT_ID}} {{automation:EXECUTION_ID}}",
            &[],
        ),
        (
            "{{ global:TIME }}",
            &["error /mainSteps/1/inputs/Parameters/commands/0: there is no system variable"],
        ),
        ("{{ variable:count }}", &[]),
        (
            "{{ variable:nope }}",
            &["error /mainSteps/1/inputs/Parameters/commands/0: there is no variable \"nope\""],
        ),
        ("{{ ssm-secure:x }} {{ssm:}}", &[]),
        ("{{.State}} {{ item | upper }} {{ \"x\" }} {{}} {{ a b }} {% if %}", &[]),
    ] {
        check(json!([sleep("first"), using("second", text)]), expected);
    }
}

#[test]
fn the_parameter_store_is_read_by_parameters_only() {
    let refused = |at: &str, reference: &str| {
        format!("error {at}: {{{{{reference}}}}} cannot stand in a step's inputs: make it the value or the default")
    };
    check(
        json!([using("a", "echo {{ ssm:/a/b:3 }} {{ssm:x}}")]),
        &[&refused("/mainSteps/0/inputs/Parameters/commands/0", "ssm:/a/b:3")],
    );
    let looped = json!({"name": "l", "action": "aws:loop", "inputs": {"Iterators": ["{{ssm:i}}"], "Steps": [
        with("b", json!({"description": "not as {{ssm:x}}", "inputs": {"Duration": "{{ssm:pause}}"}})),
    ]}});
    check(
        json!([looped]),
        &[
            &refused("/mainSteps/0/inputs/Iterators/0", "ssm:i"),
            &refused("/mainSteps/0/inputs/Steps/0/inputs/Duration", "ssm:pause"),
        ],
    );
    let steps = json!([using("a", "{{ p }}")]);
    let parameters = json!({"p": {"type": "String", "default": "{{ssm:x}}"}});
    check_document(
        &json!({"schemaVersion": "0.3", "parameters": parameters, "mainSteps": steps}),
        &[],
    );
    check_document(
        &json!({"schemaVersion": "0.3", "assumeRole": "{{ssm:role}}", "parameters": parameters, "mainSteps": steps}),
        &["error /assumeRole: {{ssm:role}} cannot stand in assumeRole"],
    );
}

#[test]
fn a_step_can_only_use_what_has_run() {
    let too_early =
        "error /mainSteps/0/inputs/Parameters/commands/0: the step \"later\" cannot have run before this one";
    check(json!([using("a", "{{ later.Output }}"), sleep("later")]), &[too_early]);
    check(
        json!([using("a", "{{ a.Output }}")]),
        &["error /mainSteps/0/inputs/Parameters/commands/0: the step \"a\" cannot have run before this one"],
    );
    // A way back makes later earlier.
    check(
        json!([
            using("a", "{{ later.Output }}"),
            with("later", json!({"nextStep": "a"}))
        ]),
        &[],
    );
    check(
        json!([
            using("a", "{{ later.Output }}"),
            with("later", json!({"onFailure": "step:a"}))
        ]),
        &[],
    );
    // A step behind an end is reached by jumps only.
    check(
        json!([with("end", json!({"isEnd": "true"})), using("b", "{{ end.Output }}")]),
        &["error /mainSteps/1/inputs/Parameters/commands/0: the step \"end\" cannot have run"],
    );
    check(
        json!([
            with("end", json!({"isEnd": true, "onFailure": "step:b"})),
            using("b", "{{ end.Output }}")
        ]),
        &[],
    );
    check(
        json!([
            with("a", json!({"nextStep": "c"})),
            sleep("b"),
            using("c", "{{ a.Output }} {{ b.Output }}")
        ]),
        &[],
    );
    let looped = json!({"name": "l", "action": "aws:loop", "inputs": {"Iterators": ["x"], "Steps": [
        using("i", "{{ l.CurrentIteratorValue }} {{ j.Output }} {{ before.Output }}"), sleep("j"),
    ]}});
    check(
        json!([
            sleep("before"),
            looped,
            using("after", "{{ i.Output }} {{ l.CurrentIteration }}")
        ]),
        &[],
    );
    check(
        json!([using("before", "{{ i.Output }}"), {"name": "l", "action": "aws:loop", "inputs": {"Iterators": ["x"], "Steps": [sleep("i")]}}]),
        &["error /mainSteps/0/inputs/Parameters/commands/0: the step \"i\" cannot have run"],
    );
}

#[test]
fn the_top_level_is_checked() {
    let with_key = |key: &str, value: Value| {
        let mut content = json!({"schemaVersion": "0.3", "parameters": {"Role": {"type": "AWS::IAM::Role::Arn", "default": ""}}, "mainSteps": [sleep("a")]});
        content[key] = value;
        content
    };
    check_document(&with_key("assumeRole", json!("{{ Role }}")), &[]);
    check_document(
        &with_key("assumeRole", json!("{{ Rolle }}")),
        &["error /assumeRole: there is no parameter \"Rolle\""],
    );
    check_document(
        &with_key("assumeRole", json!(["x"])),
        &["error /assumeRole: assumeRole must be a text"],
    );
    check_document(&with_key("outputs", json!(["a.Output", "Role", "{{ a.Output }}"])), &[]);
    check_document(
        &with_key("outputs", json!(["b.Output"])),
        &["error /outputs/0: there is no step or parameter \"b\""],
    );
    check_document(
        &with_key("outputs", json!("a.Output")),
        &["error /outputs: outputs must be a list of texts"],
    );
    check_document(
        &with_key(
            "files",
            json!({"x.zip": {"checksums": {"sha256": "0a".repeat(32)}, "size": 7}}),
        ),
        &[],
    );
    check_document(
        &with_key("files", json!({"x.zip": {"checksums": {"sha256": "00"}}})),
        &["error /files/x.zip/checksums/sha256: a SHA-256 has 64"],
    );
    check_document(&with_key("files", json!([])), &["error /files: files must be a map"]);
    check_document(
        &with_key(
            "variables",
            json!({"my_v": {"type": "String"}, "a-b": {"type": "String"}}),
        ),
        &["error /variables/a-b: a variable's name has letters, digits and _ only"],
    );
    check_document(
        &with_key("variables", json!({"v": {"type": "AWS::X"}})),
        &["error /variables/v: a variable has a type"],
    );
    check_document(
        &with_key("runtimeConfig", json!({})),
        &["error /runtimeConfig: unknown key"],
    );
}

#[test]
fn a_default_that_the_execution_fills_in_is_not_held_to_its_pattern() {
    let with_default = |text: &str| {
        let role = json!({"type": "String", "allowedPattern": "^arn:aws:iam::[0-9]{12}:role/.+$", "default": text});
        json!({"schemaVersion": "0.3", "parameters": {"Role": role}, "mainSteps": [sleep("a")]})
    };
    check_document(&with_default("arn:aws:iam::{{global:ACCOUNT_ID}}:role/x"), &[]);
    check_document(
        &with_default("x"),
        &["error /parameters/Role/default: the default does not match"],
    );
}

#[test]
fn a_runbook_tells_its_steps() {
    let content = json!({"schemaVersion": "0.3", "mainSteps": [
        sleep("a"), {"name": "l", "action": "aws:loop", "inputs": {"Iterators": ["x"], "Steps": [sleep("i")]}},
    ]});
    let document = read(&content, DocumentType::Automation).unwrap();
    let steps = document.runbook().unwrap().steps();
    assert_eq!((steps[0].name(), steps[0].action()), ("a", "aws:sleep"));
    assert_eq!(steps[1].inner()[0].name(), "i");
    assert!(document.steps().is_empty());
}
