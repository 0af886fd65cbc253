//! Interpolation into scripts: lines of a template, then a value, with a byte 1 between them.
//!
//! The secret of this target: a parameter that travels as an environment variable must never be in a script, whatever
//! the quotes, comments and here-documents around its token.

use std::collections::BTreeMap;

use muster_document::{Document, DocumentType, Format, Parameters, Platform, Verdict, check_parameters, plan};
use serde_json::json;

/// No template and no other value has it.
const SECRET: &str = "\u{3}secret $(touch /tmp/x) '\"\u{3}";

/// Puts values into the lines of a shell script and of a PowerShell script.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (template, value) = text.split_once('\u{1}').unwrap_or((text, "value"));
    if template.contains('\u{3}') || value.contains('\u{3}') {
        return;
    }
    let lines: Vec<&str> = template.split('\u{2}').collect();
    let step = |action: &str| {
        json!({"action": action, "name": action.replace(':', "_"),
            "inputs": {"runCommand": lines, "workingDirectory": template, "environment": {"A": template}}})
    };
    let content = json!({"schemaVersion": "2.2", "parameters": {
        "text": {"type": "String"}, "lines": {"type": "StringList"}, "map": {"type": "StringMap", "default": {"k": "v"}},
        "secret": {"type": "String", "interpolationType": "ENV_VAR"}},
        "mainSteps": [step("aws:runShellScript"), step("aws:runPowerShellScript")]})
    .to_string();
    let Ok(document) = Document::parse(&content, Format::Json, DocumentType::Command) else {
        return;
    };
    let given = BTreeMap::from([
        ("text".to_owned(), vec![value.to_owned()]),
        ("lines".to_owned(), value.split('\u{2}').map(str::to_owned).collect()),
        ("secret".to_owned(), vec![SECRET.to_owned()]),
    ]);
    let Ok(parameters) = check_parameters(&document, &given) else {
        return;
    };
    check(&document, &parameters, template, &lines);
}

fn check(document: &Document, parameters: &Parameters, template: &str, lines: &[&str]) {
    let Ok(plan) = plan(document, parameters, Platform::Linux) else {
        return;
    };
    assert_eq!(plan.environment().get("SSM_secret").map(String::as_str), Some(SECRET));
    for step in plan.steps() {
        let Verdict::Run(parts) = step.verdict() else { continue };
        for part in parts {
            let script = part.script().expect("there is a runCommand");
            assert!(!script.contains('\u{3}'), "the secret is in the script");
            assert!(script.ends_with('\n'));
            if !template.contains("{{") {
                let mut plain = lines.join("\n");
                if !plain.ends_with('\n') {
                    plain.push('\n');
                }
                assert_eq!(script, plain, "a script without tokens stays as it is");
            }
        }
    }
}
