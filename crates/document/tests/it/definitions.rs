//! How parameters are declared: documents.md 3.

use muster_document::DocumentType;
use serde_json::{Value, json};

use super::{check_command, command, document_2_2, ok_step, read};

fn check_parameter(definition: &Value, expected: &[&str]) {
    check_command(&document_2_2(&json!({"p": definition}), &json!([ok_step()])), expected);
}

#[test]
fn parameter_types_depend_on_the_schema() {
    for (word, allowed) in [
        ("String", &["1.2", "2.0", "2.2", "0.3", "1.0"][..]),
        ("StringList", &["1.2", "2.0", "2.2", "0.3", "1.0"]),
        ("Boolean", &["2.0", "2.2", "0.3", "1.0"]),
        ("Integer", &["2.0", "2.2", "0.3"]),
        ("StringMap", &["2.0", "2.2", "0.3"]),
        ("MapList", &["2.0", "2.2", "0.3"]),
        ("AWS::EC2::Instance::Id", &["0.3"]),
        ("List<AWS::EC2::Instance::Id>", &["0.3"]),
        ("AWS::IAM::Role::Arn", &["0.3"]),
        ("List<String>", &[]),
        ("string", &[]),
    ] {
        for version in ["1.2", "2.0", "2.2", "0.3", "1.0"] {
            let mut content = match version {
                "1.2" => json!({"runtimeConfig": {"aws:runShellScript": {"properties": [{"runCommand": ["true"]}]}}}),
                "0.3" => json!({"mainSteps": [{"name": "s", "action": "aws:pause", "inputs": {}}]}),
                "1.0" => json!({"sessionType": "Port"}),
                _ => json!({"mainSteps": [ok_step()]}),
            };
            content["schemaVersion"] = json!(version);
            content["parameters"] = json!({"p": {"type": word}});
            let document_type = match version {
                "0.3" => DocumentType::Automation,
                "1.0" => DocumentType::Session,
                _ => DocumentType::Command,
            };
            assert_eq!(
                read(&content, document_type).is_ok(),
                allowed.contains(&version),
                "{word} in {version}"
            );
        }
    }
}

#[test]
fn parameter_definitions_are_checked() {
    for (definition, expected) in [
        (json!({"type": "String"}), &[][..]),
        (
            json!({"type": "String", "description": "d", "displayType": "textarea", "default": "", "minChars": 0, "maxChars": "9"}),
            &[],
        ),
        (json!({}), &["error /parameters/p: the parameter has no type"]),
        (
            json!("String"),
            &["error /parameters/p: a parameter's definition must be a map"],
        ),
        (json!({"type": 1}), &["error /parameters/p/type: type must be a text"]),
        (
            json!({"type": "String", "description": 1}),
            &["error /parameters/p/description: description must be a text"],
        ),
        (
            json!({"type": "String", "displayType": "box"}),
            &["warning /parameters/p/displayType: "],
        ),
        (
            json!({"type": "String", "defualt": "x"}),
            &["warning /parameters/p/defualt: unknown attribute"],
        ),
        // Defaults have the declared type.
        (
            json!({"type": "String", "default": 5}),
            &["error /parameters/p/default: the default is not of type String"],
        ),
        (
            json!({"type": "String", "default": null}),
            &["error /parameters/p/default: "],
        ),
        (
            json!({"type": "String", "default": ["a"]}),
            &["error /parameters/p/default: "],
        ),
        (json!({"type": "StringList", "default": ["a", "b"]}), &[]),
        (json!({"type": "StringList", "default": "[\"a\", \"b\"]"}), &[]),
        (json!({"type": "StringList", "default": "{{ ssm:lines }}"}), &[]),
        (
            json!({"type": "StringList", "default": "a"}),
            &["error /parameters/p/default: "],
        ),
        (
            json!({"type": "StringList", "default": ["a", 1]}),
            &["error /parameters/p/default: "],
        ),
        (json!({"type": "Boolean", "default": true}), &[]),
        (json!({"type": "Boolean", "default": "True"}), &[]),
        (
            json!({"type": "Boolean", "default": "yes"}),
            &["error /parameters/p/default: "],
        ),
        (json!({"type": "Integer", "default": 3}), &[]),
        (json!({"type": "Integer", "default": "-3"}), &[]),
        (
            json!({"type": "Integer", "default": 3.5}),
            &["error /parameters/p/default: "],
        ),
        (json!({"type": "StringMap", "default": {"a": {"b": 1}}}), &[]),
        (json!({"type": "StringMap", "default": "{}"}), &[]),
        (
            json!({"type": "StringMap", "default": "[]"}),
            &["error /parameters/p/default: "],
        ),
        (
            json!({"type": "StringMap", "default": []}),
            &["error /parameters/p/default: "],
        ),
        (json!({"type": "MapList", "default": [{"a": 1}]}), &[]),
        (json!({"type": "MapList", "default": "[{\"a\": 1}]"}), &[]),
        (
            json!({"type": "MapList", "default": ["a"]}),
            &["error /parameters/p/default: "],
        ),
        // Allowed values have it too, and the default is one of them.
        (
            json!({"type": "String", "allowedValues": ["a", "b"], "default": "b"}),
            &[],
        ),
        (
            json!({"type": "String", "allowedValues": ["a", "b"], "default": "B"}),
            &["error /parameters/p/default: the default is not among allowedValues"],
        ),
        (
            json!({"type": "String", "allowedValues": "a"}),
            &["error /parameters/p/allowedValues: allowedValues must be a list"],
        ),
        (
            json!({"type": "String", "allowedValues": [["a"]]}),
            &["error /parameters/p/allowedValues/0: is not of type String"],
        ),
        (
            json!({"type": "String", "allowedValues": ["a", true], "default": "true"}),
            &["warning /parameters/p/allowedValues/1: "],
        ),
        (
            json!({"type": "Boolean", "allowedValues": [true, false], "default": "false"}),
            &[],
        ),
        (
            json!({"type": "Boolean", "allowedValues": ["true"], "default": false}),
            &["error /parameters/p/default: "],
        ),
        (
            json!({"type": "StringList", "allowedValues": ["a", "b"], "default": ["a", "b", "a"]}),
            &[],
        ),
        (
            json!({"type": "StringList", "allowedValues": ["a"], "default": ["a", "c"]}),
            &["error /parameters/p/default: "],
        ),
        // Patterns compile and match the default.
        (
            json!({"type": "String", "allowedPattern": "^(?=.*a)[ab]+$", "default": "ba"}),
            &[],
        ),
        (
            json!({"type": "String", "allowedPattern": "^(?=.*a)[ab]+$", "default": "bb"}),
            &["error /parameters/p/default: the default does not match allowedPattern"],
        ),
        (
            json!({"type": "String", "allowedPattern": "^[a-z]+$", "default": ""}),
            &["error /parameters/p/default: "],
        ),
        (
            json!({"type": "String", "allowedPattern": "(^$)|^[a-z]+$", "default": ""}),
            &[],
        ),
        (
            json!({"type": "String", "allowedPattern": "^.{0,4096}$", "default": "é".repeat(4096)}),
            &[],
        ),
        (
            json!({"type": "String", "allowedPattern": r"^(?!x)[\s\S]{0,4096}$", "default": "a".repeat(4097)}),
            &["error /parameters/p/default: the default does not match allowedPattern"],
        ),
        (
            json!({"type": "String", "allowedPattern": "^.{0,4096}$", "default": "a".repeat(8193)}),
            &["error /parameters/p/default: allowedPattern cannot be matched in reasonable time"],
        ),
        (
            json!({"type": "String", "allowedPattern": "(a"}),
            &["error /parameters/p/allowedPattern: allowedPattern is not a usable"],
        ),
        (
            json!({"type": "String", "allowedPattern": 1}),
            &["error /parameters/p/allowedPattern: allowedPattern must be a text"],
        ),
        (
            json!({"type": "StringList", "allowedPattern": "^a", "default": ["ab", "b"]}),
            &["error /parameters/p/default: "],
        ),
        (
            json!({"type": "Boolean", "allowedPattern": "^a"}),
            &["warning /parameters/p/allowedPattern: has no effect"],
        ),
        (
            json!({"type": "String", "allowedPattern": "^a$", "default": "{{ssm:name}}"}),
            &[],
        ),
        // Bounds.
        (
            json!({"type": "StringList", "minItems": 2, "maxItems": 1}),
            &["error /parameters/p: minItems is greater than maxItems"],
        ),
        (
            json!({"type": "String", "minChars": 2, "maxChars": 1}),
            &["error /parameters/p: minChars is greater than maxChars"],
        ),
        (
            json!({"type": "String", "maxChars": -1}),
            &["error /parameters/p/maxChars: maxChars must be a whole number"],
        ),
        (
            json!({"type": "String", "minItems": 1}),
            &["warning /parameters/p/minItems: has no effect"],
        ),
        (
            json!({"type": "String", "maxChars": 1, "default": "ab"}),
            &["warning /parameters/p/default: the default is outside minChars"],
        ),
        (
            json!({"type": "StringList", "minItems": 1, "default": []}),
            &["warning /parameters/p/default: the default is outside minItems"],
        ),
        // Environment variables.
        (json!({"type": "String", "interpolationType": "ENV_VAR"}), &[]),
        (
            json!({"type": "String", "interpolationType": "env_var"}),
            &["error /parameters/p/interpolationType: interpolationType must be"],
        ),
        (
            json!({"type": "StringList", "interpolationType": "ENV_VAR"}),
            &["error /parameters/p/interpolationType: ENV_VAR is for"],
        ),
    ] {
        check_parameter(&definition, expected);
    }
    check_command(
        &document_2_2(&json!([]), &json!([ok_step()])),
        &["error /parameters: parameters must be a map"],
    );
}

#[test]
fn parameter_names_have_letters_and_digits() {
    for (name, expected) in [
        ("abcXYZ019", true),
        ("", false),
        ("a b", false),
        ("a_b", false),
        ("a.b", false),
        ("é", false),
    ] {
        let accepted = read(
            &document_2_2(&json!({name: {"type": "String"}}), &json!([ok_step()])),
            DocumentType::Command,
        )
        .is_ok();
        assert_eq!(accepted, expected, "{name:?}");
    }
}

#[test]
fn env_var_needs_schema_2_2() {
    let content = json!({"schemaVersion": "2.0", "parameters": {"p": {"type": "String", "interpolationType": "ENV_VAR"}}, "mainSteps": [ok_step()]});
    check_command(
        &content,
        &["error /parameters/p/interpolationType: ENV_VAR needs schemaVersion 2.2"],
    );
}

#[test]
fn parameters_are_described_as_aws_shows_them() {
    let document = command(&document_2_2(
        &json!({
            "z": {"type": "String", "description": "first", "default": "5"},
            "a": {"type": "StringList", "default": ["x", "y"]},
            "m": {"type": "StringMap", "default": {"k": 1}},
            "b": {"type": "Boolean", "default": true},
            "r": {"type": "String"},
        }),
        &json!([ok_step()]),
    ));
    let described: Vec<_> = document
        .parameters()
        .iter()
        .map(|p| {
            (
                p.name(),
                p.kind().as_str().to_owned(),
                p.description(),
                p.default_text(),
            )
        })
        .collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        described,
        [
            ("z", "String".to_owned(), Some("first"), text("5")),
            ("a", "StringList".to_owned(), None, text(r#"["x","y"]"#)),
            ("m", "StringMap".to_owned(), None, text(r#"{"k":1}"#)),
            ("b", "Boolean".to_owned(), None, text("true")),
            ("r", "String".to_owned(), None, None),
        ]
    );
}

#[test]
fn a_document_has_few_big_patterns() {
    let big = |count: usize| -> Value {
        let parameters = (0..count).map(|n| {
            let pattern = format!("^.{{0,{}}}$", 4000 + n);
            (format!("p{n}"), json!({"type": "String", "allowedPattern": pattern}))
        });
        parameters.collect::<serde_json::Map<_, _>>().into()
    };
    check_command(&document_2_2(&big(4), &json!([ok_step()])), &[]);
    check_command(
        &document_2_2(&big(6), &json!([ok_step()])),
        &[
            "error /parameters/p4/allowedPattern: allowedPattern is not a usable",
            "error /parameters/p5/allowedPattern: allowedPattern is not a usable",
        ],
    );
}
