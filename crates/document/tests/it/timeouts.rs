//! The execution part of a command's `ExpiresAfter`: run-command.md 6.

use muster_document::execution_seconds;
use serde_json::{Value, json};

use super::{bind, command, document_2_2, shell};

fn timed(name: &str, timeout: Value) -> Value {
    let mut step = shell(name, &json!("x"));
    step["inputs"]["timeoutSeconds"] = timeout;
    step
}

fn seconds(parameters: Value, steps: Value, values: &[(&str, &[&str])]) -> u64 {
    let document = command(&document_2_2(&parameters, &steps));
    execution_seconds(&document, &bind(&document, values))
}

#[test]
fn the_parameter_decides_where_there_is_one() {
    let parameter = || json!({"executionTimeout": {"type": "String", "default": "3600"}});
    let steps = || json!([timed("a", json!("{{ executionTimeout }}"))]);
    for (given, expected) in [
        ("60", 60),
        ("5", 5),
        ("1", 5),
        ("172800", 172_800),
        ("999999", 172_800),
        ("", 3600),
        ("soon", 3600),
    ] {
        assert_eq!(
            seconds(parameter(), steps(), &[("executionTimeout", &[given])]),
            expected,
            "{given:?}"
        );
    }
    assert_eq!(seconds(parameter(), steps(), &[]), 3600);
    assert_eq!(
        seconds(
            parameter(),
            json!([shell("a", &json!("x"))]),
            &[("executionTimeout", &["60"])]
        ),
        60
    );
}

#[test]
fn without_it_an_hour_is_added() {
    assert_eq!(
        seconds(
            json!({}),
            json!([shell("a", &json!("x")), shell("b", &json!("x"))]),
            &[]
        ),
        3600
    );
    assert_eq!(
        seconds(json!({}), json!([timed("a", json!(60)), timed("b", json!("60"))]), &[]),
        3600
    );
}

#[test]
fn steps_that_say_they_take_longer_get_their_time() {
    assert_eq!(seconds(json!({}), json!([timed("a", json!(7200))]), &[]), 7200);
    assert_eq!(
        seconds(
            json!({}),
            json!([
                timed("a", json!(3000)),
                timed("b", json!("3000")),
                shell("c", &json!("x"))
            ]),
            &[]
        ),
        6000
    );
    assert_eq!(seconds(json!({}), json!([timed("a", json!(999_999))]), &[]), 172_800);
    let parameter = json!({"executionTimeout": {"type": "String", "default": "60"}});
    assert_eq!(
        seconds(
            parameter,
            json!([timed("a", json!("{{ executionTimeout }}")), timed("b", json!(600))]),
            &[]
        ),
        660
    );
}

#[test]
fn steps_for_different_platforms_do_not_add_up() {
    let for_platform = |name: &str, action: &str, platform: &str| {
        json!({
            "action": action, "name": name, "precondition": {"StringEquals": ["platformType", platform]},
            "inputs": {"runCommand": "x", "timeoutSeconds": "{{ executionTimeout }}"},
        })
    };
    let steps = json!([
        for_platform("w", "aws:runPowerShellScript", "Windows"),
        for_platform("l", "aws:runShellScript", "Linux"),
        for_platform("m", "aws:runShellScript", "MacOS"),
    ]);
    let parameter = json!({"executionTimeout": {"type": "String", "default": "7200"}});
    assert_eq!(seconds(parameter, steps, &[]), 7200);
}

#[test]
fn an_action_counts_on_its_own_platforms_only() {
    let module = json!({"action": "aws:psModule", "name": "b", "inputs": {"timeoutSeconds": 3000}});
    assert_eq!(seconds(json!({}), json!([timed("a", json!(3000)), module]), &[]), 3600);
}

#[test]
fn the_sets_of_properties_of_a_plugin_add_up() {
    let content = json!({"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": [
        {"runCommand": "x", "timeoutSeconds": 3000}, {"runCommand": "y", "timeoutSeconds": "3000"},
    ]}}});
    let document = command(&content);
    assert_eq!(execution_seconds(&document, &bind(&document, &[])), 6000);
}
