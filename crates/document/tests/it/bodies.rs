//! What documents do: steps, plugins, preconditions and sessions, documents.md 2, 4 and 5.

use muster_document::DocumentType;
use serde_json::{Value, json};

use super::{check, check_command, document_2_2, ok_step, read, shell};

fn check_steps(steps: &Value, expected: &[&str]) {
    check_command(
        &document_2_2(&json!({"p": {"type": "String", "default": ""}}), steps),
        expected,
    );
}

#[test]
fn steps_are_checked() {
    let step = |extra: Value| {
        let mut step = ok_step();
        for (key, value) in extra.as_object().unwrap() {
            step[key] = value.clone();
        }
        step
    };
    for (steps, expected) in [
        (json!(["x"]), &["error /mainSteps/0: a step is a map"][..]),
        (
            json!([{"name": "a", "inputs": {}}]),
            &["error /mainSteps/0: the step has no action"],
        ),
        (
            json!([{"name": "a", "action": 1, "inputs": {}}]),
            &["error /mainSteps/0/action: an action is a text"],
        ),
        (
            json!([{"action": "aws:runShellScript", "inputs": {"runCommand": []}}]),
            &["error /mainSteps/0: the step has no name"],
        ),
        (
            json!([step(json!({"name": "a b"}))]),
            &["error /mainSteps/0/name: a step's name has letters"],
        ),
        (
            json!([step(json!({"name": "x".repeat(129)}))]),
            &["error /mainSteps/0/name: "],
        ),
        (json!([step(json!({"name": "../x"}))]), &["error /mainSteps/0/name: "]),
        (json!([step(json!({"name": "A-b_9"}))]), &[]),
        (
            json!([{"name": "a", "action": "aws:runShellScript"}]),
            &["error /mainSteps/0: the step has no inputs"],
        ),
        (
            json!([{"name": "a", "action": "aws:runShellScript", "inputs": [{"runCommand": ["x"]}]}]),
            &["error /mainSteps/0/inputs: inputs must be a map"],
        ),
        (
            json!([{"name": "a", "action": "aws:cloudWatch", "settings": {"startType": "On"}}]),
            &["error /mainSteps/0/settings/startType: must be one of Enabled, Disabled"],
        ),
        (
            json!([{"name": "a", "action": "aws:cloudWatch", "inputs": {"settings": {"startType": "On"}}}]),
            &["error /mainSteps/0/inputs/settings/startType: must be one of"],
        ),
        (
            json!([{"name": "a", "action": "aws:cloudWatch", "settings": {"startType": "Enabled"}}]),
            &[],
        ),
        (
            json!([step(json!({"settings": {}}))]),
            &["warning /mainSteps/0/settings: unknown key"],
        ),
        (
            json!([step(
                json!({"description": "d", "maxAttempts": 3, "timeoutSeconds": 10})
            )]),
            &[],
        ),
        (
            json!([step(json!({"onFailure": "Abort"}))]),
            &["warning /mainSteps/0/onFailure: has no effect here"],
        ),
        (
            json!([step(
                json!({"inputs": {"runCommand": ["x"], "id": "0.x", "surprise": {"a": 1}}})
            )]),
            &[],
        ),
        (
            json!([step(json!({"interpolationType": "ENV_VAR"}))]),
            &["warning /mainSteps/0/interpolationType: "],
        ),
        (
            json!([step(
                json!({"inputs": {"runCommand": ["x"], "interpolationType": "ENV_VAR"}})
            )]),
            &["warning /mainSteps/0/inputs/interpolationType: "],
        ),
        // Required and enumerated inputs.
        (
            json!([step(json!({"inputs": {}}))]),
            &["error /mainSteps/0/inputs: aws:runShellScript needs the input runCommand"],
        ),
        (json!([step(json!({"inputs": {"runCommand": "x"}}))]), &[]),
        (
            json!([step(json!({"inputs": {"runCommand": 5}}))]),
            &["error /mainSteps/0/inputs/runCommand: must be a text or a list"],
        ),
        (
            json!([step(json!({"inputs": {"runCommand": ["x", true]}}))]),
            &["warning /mainSteps/0/inputs/runCommand/1: is taken as text"],
        ),
        (
            json!([step(json!({"inputs": {"runCommand": ["x", {}]}}))]),
            &["error /mainSteps/0/inputs/runCommand/1: must be a text"],
        ),
        (json!([step(json!({"inputs": {"runCommand": "{{ p }}"}}))]), &[]),
        (
            json!([{"name": "a", "action": "aws:configureDocker", "inputs": {"action": "Install"}}]),
            &[],
        ),
        (
            json!([{"name": "a", "action": "aws:configureDocker", "inputs": {"action": "install"}}]),
            &["error /mainSteps/0/inputs/action: must be one of Install, Uninstall"],
        ),
        (
            json!([{"name": "a", "action": "aws:configureDocker", "inputs": {"action": "{{ p }}"}}]),
            &[],
        ),
        (
            json!([{"name": "a", "action": "aws:downloadContent", "inputs": {"sourceType": "S3", "sourceInfo": "{\"path\":\"x\"}"}}]),
            &[],
        ),
        (
            json!([{"name": "a", "action": "aws:downloadContent", "inputs": {"sourceType": "S3", "sourceInfo": {"path": "x"}}}]),
            &[],
        ),
        (
            json!([{"name": "a", "action": "aws:downloadContent", "inputs": {"sourceType": "FTP"}}]),
            &[
                "error /mainSteps/0/inputs/sourceType: must be one of",
                "error /mainSteps/0/inputs: aws:downloadContent needs the input sourceInfo",
            ],
        ),
        // References.
        (
            json!([shell("a", &json!(["echo {{ p }} {{ q }} {{.State}} {{ssm:x}}"]))]),
            &["warning /mainSteps/0/inputs/runCommand/0: no parameter \"q\""],
        ),
        // Flow.
        (
            json!([step(
                json!({"inputs": {"runCommand": ["x"], "onFailure": "exit", "onSuccess": "exit", "finallyStep": true}})
            )]),
            &[],
        ),
        (
            json!([step(
                json!({"inputs": {"runCommand": ["x"], "onFailure": "successAndExit", "finallyStep": "true"}})
            )]),
            &[],
        ),
        (
            json!([step(json!({"inputs": {"runCommand": ["x"], "onFailure": "stop"}}))]),
            &["error /mainSteps/0/inputs/onFailure: onFailure must be exit or successAndExit"],
        ),
        (
            json!([step(
                json!({"inputs": {"runCommand": ["x"], "onSuccess": "successAndExit"}})
            )]),
            &["error /mainSteps/0/inputs/onSuccess: onSuccess must be exit"],
        ),
        (
            json!([step(json!({"inputs": {"runCommand": ["x"], "finallyStep": "maybe"}}))]),
            &["error /mainSteps/0/inputs/finallyStep: finallyStep must be"],
        ),
        (
            json!([
                step(json!({"inputs": {"runCommand": ["x"], "finallyStep": true}})),
                shell("b", &json!("x"))
            ]),
            &["error /mainSteps/0/inputs/finallyStep: only the last step"],
        ),
    ] {
        check_steps(&steps, expected);
    }
}

#[test]
fn actions_depend_on_the_schema() {
    let command = |version: &str, action: &str, inputs: Value| match version {
        "1.2" => json!({"schemaVersion": "1.2", "runtimeConfig": {action: {"properties": [inputs]}}}),
        _ => json!({"schemaVersion": version, "mainSteps": [{"name": "a", "action": action, "inputs": inputs}]}),
    };
    for (action, inputs, in_1_2) in [
        ("aws:runShellScript", json!({"runCommand": "x"}), true),
        ("aws:runPowerShellScript", json!({"runCommand": "x"}), true),
        ("aws:psModule", json!({}), true),
        ("aws:applications", json!({"action": "Repair", "source": "x.msi"}), true),
        (
            "aws:domainJoin",
            json!({"directoryId": "d", "directoryName": "n"}),
            true,
        ),
        ("aws:cloudWatch", json!({}), true),
        ("aws:updateAgent", json!({}), true),
        ("aws:updateSsmAgent", json!({}), true),
        ("aws:configureDaemon", json!({}), true),
        ("aws:softwareInventory", json!({"applications": "Enabled"}), false),
        ("aws:refreshAssociation", json!({"associationIds": []}), false),
        (
            "aws:configurePackage",
            json!({"name": "n", "action": "Install", "installationType": "In-place update"}),
            false,
        ),
        ("aws:configureDocker", json!({"action": "Install"}), false),
        ("aws:runDockerAction", json!({"action": "Ps"}), false),
        (
            "aws:downloadContent",
            json!({"sourceType": "S3", "sourceInfo": {}}),
            false,
        ),
        (
            "aws:runDocument",
            json!({"documentType": "LocalPath", "documentPath": "x"}),
            false,
        ),
    ] {
        for (version, expected) in [("1.2", in_1_2), ("2.0", true), ("2.2", true)] {
            let accepted = read(&command(version, action, inputs.clone()), DocumentType::Command);
            assert_eq!(accepted.is_ok(), expected, "{action} in {version}: {accepted:?}");
        }
    }
    for action in ["aws:sleep", "aws:runShellscript", "runShellScript", ""] {
        assert!(
            read(&command("2.2", action, json!({})), DocumentType::Command).is_err(),
            "{action}"
        );
    }
}

#[test]
fn runtime_config_is_checked() {
    let check_plugin = |plugin: Value, expected: &[&str]| {
        check_command(
            &json!({"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": plugin}}),
            expected,
        );
    };
    check_plugin(json!({"properties": {"runCommand": "x"}}), &[]);
    check_plugin(
        json!({"properties": [{"id": "0.aws:runShellScript", "runCommand": ["x"]}]}),
        &[],
    );
    check_plugin(
        json!([]),
        &["error /runtimeConfig/aws:runShellScript: a plugin is a map"],
    );
    check_plugin(
        json!({}),
        &["error /runtimeConfig/aws:runShellScript/properties: the plugin has no properties"],
    );
    check_plugin(
        json!({"properties": []}),
        &["error /runtimeConfig/aws:runShellScript/properties: properties must be"],
    );
    check_plugin(
        json!({"properties": ["x"]}),
        &["error /runtimeConfig/aws:runShellScript/properties/0: properties are maps"],
    );
    check_plugin(
        json!({"properties": [{}]}),
        &["error /runtimeConfig/aws:runShellScript/properties/0: aws:runShellScript needs the input"],
    );
    check_plugin(
        json!({"properties": [{"id": "a", "runCommand": "x"}, {"id": "a", "runCommand": "y"}]}),
        &["warning /runtimeConfig/aws:runShellScript/properties/1/id: another set"],
    );
    let cloud_watch = json!({"settings": {"startType": "{{ status }}"}, "properties": "{{ properties }}"});
    check_command(
        &json!({"schemaVersion": "1.2", "runtimeConfig": {"aws:cloudWatch": cloud_watch}}),
        &[],
    );
}

#[test]
fn preconditions_are_checked() {
    for (precondition, expected) in [
        (json!({"StringEquals": ["platformType", "Linux"]}), &[][..]),
        (json!({"StringEquals": ["linux", "platformType"]}), &[]),
        (json!({"StringEquals": ["{{ p }}", "x"]}), &[]),
        (json!({"StringEquals": ["platformType", "{{ p }}"]}), &[]),
        (
            json!({"StringEquals": ["platformType", "Solaris"]}),
            &[
                "warning /mainSteps/0/precondition/StringEquals: no platform",
                "warning /mainSteps/0: no platform has this action",
            ],
        ),
        (
            json!({"StringEquals": ["platformType", "Windows"]}),
            &["warning /mainSteps/0: no platform has this action"],
        ),
        (json!([]), &["error /mainSteps/0/precondition: a precondition is a map"]),
        (
            json!({}),
            &["error /mainSteps/0/precondition: a precondition has exactly one operator"],
        ),
        (
            json!({"StringEquals": ["platformType", "Linux"], "x": []}),
            &["error /mainSteps/0/precondition: a precondition has exactly one"],
        ),
        (
            json!({"StringNotEquals": ["platformType", "Linux"]}),
            &["error /mainSteps/0/precondition/StringNotEquals: unknown operator"],
        ),
        (
            json!({"StringEquals": ["platformType"]}),
            &["error /mainSteps/0/precondition/StringEquals: StringEquals takes"],
        ),
        (
            json!({"StringEquals": ["platformType", "Linux", "MacOS"]}),
            &["error /mainSteps/0/precondition/StringEquals: StringEquals takes"],
        ),
        (
            json!({"StringEquals": ["platformType", 5]}),
            &["error /mainSteps/0/precondition/StringEquals: StringEquals takes"],
        ),
        (
            json!({"StringEquals": "platformType"}),
            &["error /mainSteps/0/precondition/StringEquals: StringEquals takes"],
        ),
        (
            json!({"StringEquals": ["a", "a"]}),
            &["error /mainSteps/0/precondition/StringEquals: the two operands are the same"],
        ),
        (
            json!({"StringEquals": ["platformType", "platformType"]}),
            &["error /mainSteps/0/precondition/StringEquals: the two operands are the same"],
        ),
        (
            json!({"StringEquals": ["a", "b"]}),
            &["error /mainSteps/0/precondition/StringEquals: one operand must be"],
        ),
        (
            json!({"StringEquals": ["{{ platformType }}", "Linux"]}),
            &["error /mainSteps/0/precondition/StringEquals: one operand must be"],
        ),
        (
            json!({"StringEquals": ["{{ unknown }}", "x"]}),
            &["error /mainSteps/0/precondition/StringEquals: one operand must be"],
        ),
        (
            json!({"StringEquals": ["{{ssm:os}}", "platformType"]}),
            &["error /mainSteps/0/precondition/StringEquals: a precondition cannot refer"],
        ),
    ] {
        let mut step = ok_step();
        step["precondition"] = precondition;
        check_steps(&json!([step]), expected);
    }
    let mut step = ok_step();
    step["precondition"] = json!({"StringEquals": ["platformType", "Linux"]});
    check_command(
        &json!({"schemaVersion": "2.0", "mainSteps": [step]}),
        &["error /mainSteps/0/precondition: a precondition needs schemaVersion 2.2"],
    );
}

#[test]
fn session_documents_are_checked_for_their_type() {
    let check_session = |content: Value, expected: &[&str]| check(&content, DocumentType::Session, expected);
    for word in [
        "Standard_Stream",
        "InteractiveCommands",
        "NonInteractiveCommands",
        "Port",
    ] {
        check_session(
            json!({"schemaVersion": "1.0", "sessionType": word, "inputs": {}, "properties": {}}),
            &[],
        );
    }
    check_session(
        json!({"schemaVersion": "1.0"}),
        &["error /sessionType: sessionType is missing"],
    );
    check_session(
        json!({"schemaVersion": "1.0", "sessionType": "port"}),
        &["error /sessionType: sessionType must be one of"],
    );
    check_session(
        json!({"schemaVersion": "1.0", "sessionType": "Port", "inputs": []}),
        &["error /inputs: inputs must be a map"],
    );
    check_session(
        json!({"schemaVersion": "1.0", "sessionType": "Port", "mainSteps": []}),
        &["error /mainSteps: unknown key"],
    );
}
