//! What a document must be to be stored, at its top: documents.md 1, 2 and 9.

use muster_document::{Document, DocumentType, Format, Kind, MAX_BYTES};
use serde_json::json;

use super::{check_command, document_2_2, ok_step, read, shell};

fn kind(content: &str, format: Format, document_type: DocumentType) -> Option<Kind> {
    Document::parse(content, format, document_type)
        .err()
        .map(|findings| findings.kind())
}

#[test]
fn each_type_has_its_schemas() {
    let body = |version: &str| match version {
        "1.2" => {
            json!({"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": [{"runCommand": ["true"]}]}}})
        }
        "0.3" => {
            json!({"schemaVersion": "0.3", "mainSteps": [{"name": "s", "action": "aws:sleep", "inputs": {"Duration": "PT1S"}}]})
        }
        "1.0" => json!({"schemaVersion": "1.0", "sessionType": "Standard_Stream"}),
        other => json!({"schemaVersion": other, "mainSteps": [ok_step()]}),
    };
    for (document_type, allowed) in [
        (DocumentType::Command, &["1.2", "2.0", "2.2"][..]),
        (DocumentType::Policy, &["2.0", "2.2"]),
        (DocumentType::Automation, &["0.3"]),
        (DocumentType::Session, &["1.0"]),
    ] {
        for version in [
            "0.3", "1.0", "1.1", "1.2", "2.0", "2.0.1", "2.1", "2.2", "2.20", "3.0", "", "v2.2",
        ] {
            let answer = kind(&body(version).to_string(), Format::Json, document_type);
            let expected = (!allowed.contains(&version)).then_some(Kind::SchemaVersion);
            assert_eq!(answer, expected, "{document_type} {version}");
        }
    }
}

#[test]
fn a_schema_version_is_a_text() {
    check_command(
        &json!({"schemaVersion": 2.2, "mainSteps": [ok_step()]}),
        &["error /schemaVersion: schemaVersion should be String"],
    );
    check_command(
        &json!({"mainSteps": [ok_step()]}),
        &["error /schemaVersion: schemaVersion is missing"],
    );
    let unquoted =
        "schemaVersion: 2.2\nmainSteps:\n- action: aws:runShellScript\n  name: a\n  inputs: {runCommand: ['true']}\n";
    assert_eq!(kind(unquoted, Format::Yaml, DocumentType::Command), Some(Kind::Content));
    assert_eq!(
        kind(&unquoted.replace("2.2", "'2.2'"), Format::Yaml, DocumentType::Command),
        None
    );
}

#[test]
fn there_is_no_falling_back_to_another_format() {
    let yaml = "schemaVersion: '2.2'\nmainSteps: []";
    let findings = Document::parse(yaml, Format::Json, DocumentType::Command).unwrap_err();
    assert!(
        findings
            .to_string()
            .starts_with("JSON not well-formed. at Line: 1, Column: 1"),
        "{findings}"
    );
    assert_eq!(kind("{}", Format::Text, DocumentType::Command), Some(Kind::Content));
    for content in ["[]", "\"x\"", "1", "null"] {
        let findings = Document::parse(content, Format::Json, DocumentType::Command).unwrap_err();
        assert_eq!(findings.to_string(), "the document is not a map", "{content}");
    }
}

#[test]
fn the_size_comes_before_everything_else() {
    assert_eq!(
        kind(&"x".repeat(MAX_BYTES + 1), Format::Json, DocumentType::Command),
        Some(Kind::TooLarge)
    );
    assert_eq!(
        kind(
            &"é".repeat(MAX_BYTES / 2 + 1),
            Format::Text,
            DocumentType::ChangeCalendar
        ),
        Some(Kind::TooLarge)
    );
    let mut content = document_2_2(&json!({}), &json!([ok_step()]));
    let room = MAX_BYTES - content.to_string().len() - r#""description":"","#.len();
    content["description"] = json!("x".repeat(room));
    assert_eq!(content.to_string().len(), MAX_BYTES);
    assert_eq!(kind(&content.to_string(), Format::Json, DocumentType::Command), None);
}

#[test]
fn what_is_not_understood_is_held_to_its_format_and_size() {
    for (content, format, document_type, expected) in [
        (
            "BEGIN:VCALENDAR\r\nEND:VCALENDAR",
            Format::Text,
            DocumentType::ChangeCalendar,
            None,
        ),
        ("[1, 2]", Format::Json, DocumentType::ApplicationConfiguration, None),
        ("a: 1", Format::Yaml, DocumentType::CloudFormation, None),
        ("a: 1", Format::Json, DocumentType::CloudFormation, Some(Kind::Content)),
        ("{", Format::Json, DocumentType::QuickSetup, Some(Kind::Content)),
    ] {
        assert_eq!(
            kind(content, format, document_type),
            expected,
            "{document_type} {content}"
        );
    }
    let template = Document::parse(
        r#"{"schemaVersion":"2.0","description":"d"}"#,
        Format::Json,
        DocumentType::CloudFormation,
    )
    .unwrap();
    assert_eq!((template.schema(), template.description()), (None, Some("d")));
}

#[test]
fn a_document_type_has_its_word() {
    for document_type in DocumentType::ALL {
        assert_eq!(document_type.as_str().parse(), Ok(*document_type));
    }
    assert!("command".parse::<DocumentType>().is_err());
    assert_eq!(DocumentType::ChangeTemplate.as_str(), "Automation.ChangeTemplate");
}

#[test]
fn unknown_top_level_keys_are_named() {
    let mut content = document_2_2(&json!({}), &json!([ok_step()]));
    content["mainStep"] = json!([]);
    content["outputs"] = json!([]);
    content["description"] = json!(5);
    check_command(
        &content,
        &[
            "error /mainStep: unknown key \"mainStep\"",
            "error /outputs: unknown key",
            "error /description: description must be a text",
        ],
    );
}

#[test]
fn a_body_belongs_to_its_schema() {
    let steps = json!([ok_step()]);
    let plugins = json!({"aws:runShellScript": {"properties": {"runCommand": "true"}}});
    check_command(
        &json!({"schemaVersion": "2.2", "mainSteps": steps, "runtimeConfig": plugins}),
        &["error /runtimeConfig: unknown key"],
    );
    check_command(
        &json!({"schemaVersion": "1.2", "mainSteps": steps, "runtimeConfig": plugins}),
        &["error /mainSteps: unknown key"],
    );
    check_command(
        &json!({"schemaVersion": "2.0"}),
        &["error /mainSteps: mainSteps is missing"],
    );
    check_command(
        &json!({"schemaVersion": "2.0", "mainSteps": []}),
        &["error /mainSteps: there must be at least one step"],
    );
    check_command(
        &json!({"schemaVersion": "2.0", "mainSteps": {}}),
        &["error /mainSteps: mainSteps must be a list"],
    );
    check_command(
        &json!({"schemaVersion": "1.2"}),
        &["error /runtimeConfig: runtimeConfig is missing"],
    );
    check_command(
        &json!({"schemaVersion": "1.2", "runtimeConfig": {}}),
        &["error /runtimeConfig: there must be at least one plugin"],
    );
    check_command(
        &json!({"schemaVersion": "1.2", "runtimeConfig": []}),
        &["error /runtimeConfig: runtimeConfig must be a map"],
    );
}

#[test]
fn every_mistake_is_reported_at_once_and_in_order() {
    let content = json!({
        "schemaVersion": "2.2", "extra": 1,
        "parameters": {"a-b": {"type": "String"}, "n": {"type": "Strin"}},
        "mainSteps": [
            {"action": "aws:runShelScript", "name": "s", "inputs": {}, "precondition": {"StringEquals": ["a", "a"]}},
            {"action": "aws:runShellScript", "name": "s", "inputs": [], "precondition": {"StringEquals": ["a", "b"]}},
        ],
    });
    check_command(
        &content,
        &[
            "error /extra: unknown key",
            "error /parameters/a-b: a parameter's name has letters and digits only",
            "error /parameters/n/type: unknown parameter type",
            "error /mainSteps/0/action: schema 2.2 has no action \"aws:runShelScript\"",
            "error /mainSteps/1/name: there is more than one step \"s\"",
            "error /mainSteps/1/inputs: inputs must be a map",
            "error /mainSteps/0/precondition/StringEquals: the two operands are the same",
            "error /mainSteps/1/precondition/StringEquals: one operand must be",
        ],
    );
    let message = read(&content, DocumentType::Command).unwrap_err().to_string();
    assert!(
        message.starts_with("/extra: unknown key") && message.contains("; /mainSteps/1/name:"),
        "{message}"
    );
}

#[test]
fn a_warning_never_blocks_and_a_value_is_never_shown() {
    let content = json!({
        "schemaVersion": "2.2",
        "parameters": {"p": {"type": "String", "default": "hunter2", "allowedPattern": "^x$", "allowedValues": ["y"]}},
        "mainSteps": [ok_step()],
    });
    let findings = read(&content, DocumentType::Command).unwrap_err();
    assert!(!findings.to_string().contains("hunter2"), "{findings}");
    let document = read(
        &document_2_2(
            &json!({"p": {"type": "String", "default": "hunter2"}}),
            &json!([shell("a", &json!(["echo {{ q }}"]))]),
        ),
        DocumentType::Command,
    )
    .unwrap();
    assert_eq!(document.warnings().len(), 1);
    assert!(!format!("{document:?}").contains("hunter2") && !format!("{document:?}").contains("echo"));
}

#[test]
fn a_package_names_a_file_for_each_system() {
    let manifest = |packages: serde_json::Value, files: serde_json::Value| json!({"schemaVersion": "2.0", "version": "1.0", "publisher": "us", "packages": packages, "files": files});
    let good =
        json!({"linux": {"_any": {"x86_64": {"file": "a.zip"}}}, "windows": {"10": {"_any": {"file": "b.zip"}}}});
    let sum = json!({"checksums": {"sha256": "AB".repeat(32)}, "size": 12});
    let files = json!({"a.zip": sum, "b.zip": {"checksums": {"sha256": "cd".repeat(32)}}});
    let check = |content: &serde_json::Value, expected: &[&str]| super::check(content, DocumentType::Package, expected);
    check(&manifest(good.clone(), files.clone()), &[]);
    let read = super::read(&manifest(good.clone(), files), DocumentType::Package).unwrap();
    let shown: Vec<_> = read.files().iter().map(|f| (f.name(), f.sha256(), f.size())).collect();
    let (ab, cd) = ("ab".repeat(32), "cd".repeat(32));
    assert_eq!(
        shown,
        [
            ("a.zip", Some(ab.as_str()), Some(12)),
            ("b.zip", Some(cd.as_str()), None)
        ]
    );
    check(
        &manifest(good, json!({"a.zip": sum})),
        &["error /packages/windows/10/_any/file: files has no file of this name"],
    );
    check(
        &manifest(json!({"linux": {"_any": {"x86_64": {}}}}), json!({})),
        &["error /packages/linux/_any/x86_64: the package names no file"],
    );
    check(
        &manifest(json!({}), json!({})),
        &["error /packages: there must be at least one platform"],
    );
    check(
        &manifest(json!({"linux": []}), json!([])),
        &[
            "error /files: files must be a map",
            "error /packages/linux: must be a map of versions",
        ],
    );
    check(
        &json!({"schemaVersion": "2.2"}),
        &["error /schemaVersion: a Package document has schemaVersion 2.0"],
    );
    check(
        &json!({"schemaVersion": "2.0"}),
        &["error /packages: packages is missing"],
    );
}

#[test]
fn a_parameters_key_with_nothing_behind_it_declares_none() {
    let empty = "schemaVersion: '2.2'\nparameters:\nmainSteps:\n- action: aws:runShellScript\n  name: a\n  inputs: {runCommand: ['true']}\n";
    let document = Document::parse(empty, Format::Yaml, DocumentType::Command).unwrap();
    assert!(document.parameters().is_empty() && document.warnings().is_empty());
}
