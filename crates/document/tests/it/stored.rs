//! What the parameter store holds, put into a run: run-command 8.2, parameter-store 11.

use muster_document::stored::{Stored, StoredError, StoredType, StoredValues, plan_with_stored, whole};
use muster_document::{ParameterRule, Plan, Platform, Verdict};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{command, document_2_2, given, shell};

fn store() -> StoredValues {
    let entry = |reference: &str, kind, value: &str| {
        let value = Zeroizing::new(value.to_owned());
        (reference.to_owned(), Stored { kind, value })
    };
    StoredValues::from([
        entry("ssm:host", StoredType::String, "db.example"),
        entry("ssm:/a/port:2", StoredType::String, "5432"),
        entry("ssm:nested", StoredType::String, "{{ p }} {{ssm:host}}"),
        entry("ssm:lines", StoredType::StringList, "one,two,,\"x\""),
        entry("ssm:secret", StoredType::SecureString, "hunter2"),
        entry("ssm-secure:secret", StoredType::SecureString, "hunter2"),
        entry("ssm-secure:host", StoredType::String, "db.example"),
    ])
}

/// What comes of these definitions, steps and values.
fn planned(definitions: &Value, steps: &Value, values: &[(&str, &[&str])]) -> Result<Plan, StoredError> {
    let document = command(&document_2_2(definitions, steps));
    plan_with_stored(&document, &given(values), Platform::Linux, &store())
}

fn inputs(plan: &Plan) -> Map<String, Value> {
    match plan.steps()[0].verdict() {
        Verdict::Run(parts) => parts[0].inputs().clone(),
        other => panic!("{other:?}"),
    }
}

fn lines(plan: &Plan) -> Value {
    inputs(plan)["runCommand"].clone()
}

#[test]
fn references_are_put_into_parameters_and_inputs() {
    let definitions = json!({
        "host": {"type": "String", "default": "{{ssm:host}}"},
        "port": {"type": "Integer"},
        "all": {"type": "StringList", "default": "{{ ssm:lines }}"},
        "map": {"type": "StringMap", "default": {"k": "{{ssm:host}}"}},
    });
    let steps = json!([shell(
        "a",
        &json!([
            "echo {{ host }}:{{ port }} {{ssm:host}}",
            "{{ all }}",
            "{{ssm:lines}}",
            "{{ map }}"
        ])
    )]);
    let plan = planned(&definitions, &steps, &[("port", &["{{ ssm:/a/port:2 }}"])]).unwrap();
    let expected = json!([
        "echo db.example:5432 db.example",
        "one",
        "two",
        "",
        "\"x\"",
        "one",
        "two",
        "",
        "\"x\"",
        "{\"k\":\"db.example\"}"
    ]);
    assert_eq!(lines(&plan), expected);
}

#[test]
fn what_was_found_is_not_looked_at_again() {
    let definitions = json!({"p": {"type": "String", "default": "x"}});
    let plan = planned(
        &definitions,
        &json!([shell("a", &json!(["{{ssm:nested}} {{ p }}"]))]),
        &[],
    )
    .unwrap();
    assert_eq!(lines(&plan), json!(["{{ p }} {{ssm:host}} x"]));
}

#[test]
fn a_name_that_is_composed_is_looked_up_as_it_is_then() {
    let definitions = json!({"which": {"type": "String"}});
    let steps = json!([shell("a", &json!(["echo {{ssm:{{ which }}}}"]))]);
    let plan = planned(&definitions, &steps, &[("which", &["host"])]).unwrap();
    assert_eq!(lines(&plan), json!(["echo db.example"]));
}

#[test]
fn the_rules_of_a_parameter_hold_for_what_was_found() {
    let steps = json!([shell("a", &json!(["echo {{ p }}"]))]);
    for (definition, rule) in [
        (
            json!({"type": "String", "allowedValues": ["other"]}),
            ParameterRule::AllowedValues,
        ),
        (
            json!({"type": "String", "allowedPattern": "^[0-9]+$"}),
            ParameterRule::AllowedPattern,
        ),
        (json!({"type": "String", "maxChars": 3}), ParameterRule::MaxChars(3)),
        (
            json!({"type": "Boolean"}),
            ParameterRule::Type(muster_document::ParameterType::Boolean),
        ),
    ] {
        match planned(&json!({"p": definition}), &steps, &[("p", &["{{ssm:host}}"])]) {
            Err(StoredError::Parameter(error)) => assert_eq!((error.name.as_str(), error.rule), ("p", rule)),
            other => panic!("{other:?}"),
        }
    }
    let list = json!({"p": {"type": "StringList", "maxItems": 3}});
    match planned(&list, &steps, &[("p", &["{{ssm:lines}}"])]) {
        Err(StoredError::Parameter(error)) => assert_eq!(error.rule, ParameterRule::MaxItems(3)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_put_in_is_named_and_nothing_else_is() {
    let steps = |line: &str| json!([shell("a", &json!([line]))]);
    let definitions = json!({"p": {"type": "String", "default": ""}});
    for (line, expected) in [
        (
            "{{ssm:no}} {{ssm:host}} {{ssm:neither:3}}",
            "Input contains invalid parameters [neither:3, no]",
        ),
        (
            "{{ssm:secret}}",
            "Parameters [secret] of type SecureString are not supported",
        ),
        ("x {{ssm:lines}}", "lines is a StringList"),
        (
            "{{ssm-secure:secret}}",
            "{{ssm-secure:secret}} stands where the secret would be written down",
        ),
    ] {
        let error = planned(&definitions, &steps(line), &[]).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let variable = json!({"p": {"type": "String", "interpolationType": "ENV_VAR"}});
    let error = planned(&variable, &steps("true"), &[("p", &["{{ssm-secure:host}}"])]).unwrap_err();
    assert_eq!(error, StoredError::NotSecure(vec!["host".to_owned()]));
}

#[test]
fn a_secret_goes_into_an_environment_variable_and_nowhere_else() {
    let variable = json!({"p": {"type": "String", "interpolationType": "ENV_VAR", "allowedPattern": "^pg://.*$"}});
    let values: &[(&str, &[&str])] = &[("p", &["pg://me:{{ ssm-secure:secret }}@{{ssm:host}}"])];
    let plan = planned(&variable, &json!([shell("a", &json!(["connect"]))]), values).unwrap();
    assert_eq!(plan.environment()["SSM_p"], "pg://me:hunter2@db.example");
    assert!(!format!("{plan:?}").contains("hunter2"));
    // In a script it is the variable; as the text of another input it would be an argument.
    let plan = planned(&variable, &json!([shell("a", &json!(["echo {{ p }}"]))]), values).unwrap();
    assert!(!lines(&plan).to_string().contains("hunter2") && lines(&plan).to_string().contains("SSM_p"));
    let step = json!([{"action": "aws:runShellScript", "name": "a", "inputs": {"runCommand": ["true"], "workingDirectory": "{{ p }}"}}]);
    let error = planned(&variable, &step, values).unwrap_err();
    assert!(matches!(error, StoredError::Place(_)), "{error}");
    let text = json!({"p": {"type": "String"}});
    let error = planned(&text, &json!([shell("a", &json!(["echo {{ p }}"]))]), values).unwrap_err();
    assert!(matches!(error, StoredError::Place(_)), "{error}");
}

#[test]
fn the_secrets_of_a_download_stay_references_until_it_runs() {
    let step = |info: Value| json!([{"action": "aws:downloadContent", "name": "a", "inputs": {"sourceType": "GitHub", "sourceInfo": info}}]);
    let info = json!({"owner": "me", "path": "{{ssm:host}}", "tokenInfo": "{{ ssm-secure:secret }}"});
    for info in [info.clone(), Value::String(info.to_string())] {
        let plan = planned(&json!({}), &step(info), &[]).unwrap();
        let found = inputs(&plan)["sourceInfo"].clone();
        let found = found
            .as_str()
            .map_or(found.clone(), |text| serde_json::from_str(text).unwrap());
        assert_eq!(
            found,
            json!({"owner": "me", "path": "db.example", "tokenInfo": "{{ ssm-secure:secret }}"})
        );
    }
    for info in [
        json!({"owner": "{{ssm-secure:secret}}"}),
        json!({"tokenInfo": "x {{ssm-secure:secret}}"}),
        json!("no json {{ssm-secure:secret}}"),
    ] {
        let error = planned(&json!({}), &step(info), &[]).unwrap_err();
        assert!(matches!(error, StoredError::Place(_)), "{error}");
    }
}

#[test]
fn a_whole_reference_is_nothing_but_one() {
    assert_eq!(whole("{{ ssm-secure:a/b }}"), Some("ssm-secure:a/b"));
    for text in ["", "a", " {{ssm:a}}", "{{ssm:a}}{{ssm:b}}", "{{ssm:a}} ", "{{ a }}"] {
        assert_eq!(whole(text), None, "{text}");
    }
}
