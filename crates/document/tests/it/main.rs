//! What documents mean, seen from outside: tables of input and expectation.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod automation;
mod bodies;
mod creation;
mod definitions;
mod flow;
mod format;
mod interpolation;
mod parameters;
mod planning;
mod platforms;
mod practice;
mod samples;
mod scripts;
mod stored;
mod timeouts;

use std::collections::BTreeMap;

use muster_document::{
    Document, DocumentType, Finding, Findings, Format, Parameters, Plan, Platform, Severity, check_parameters, plan,
};
use serde_json::{Value, json};

/// Reads a document given as a value.
fn read(content: &Value, document_type: DocumentType) -> Result<Document, Findings> {
    Document::parse(&content.to_string(), Format::Json, document_type)
}

/// A Command document that must be acceptable.
fn command(content: &Value) -> Document {
    read(content, DocumentType::Command).unwrap_or_else(|findings| panic!("{findings}"))
}

/// A 2.2 document with these parameters and steps.
fn document_2_2(parameters: &Value, steps: &Value) -> Value {
    json!({"schemaVersion": "2.2", "parameters": parameters, "mainSteps": steps})
}

/// A 2.2 shell step.
fn shell(name: &str, lines: &Value) -> Value {
    json!({"action": "aws:runShellScript", "name": name, "inputs": {"runCommand": lines}})
}

/// Values as a caller gives them.
fn given(values: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    values
        .iter()
        .map(|(name, values)| ((*name).to_owned(), owned(values)))
        .collect()
}

/// The checked values for a document.
fn bind(document: &Document, values: &[(&str, &[&str])]) -> Parameters {
    check_parameters(document, &given(values)).unwrap_or_else(|error| panic!("{error}"))
}

/// The plan of a document on Linux.
fn plan_on_linux(document: &Document, values: &[(&str, &[&str])]) -> Plan {
    plan(document, &bind(document, values), Platform::Linux).unwrap_or_else(|error| panic!("{error}"))
}

/// A step that can do no harm.
fn ok_step() -> Value {
    shell("ok", &json!(["true"]))
}

/// Expects these findings, each as `severity /path: words`, in this order; no error among them means accepted.
fn check(content: &Value, document_type: DocumentType, expected: &[&str]) {
    let found = match read(content, document_type) {
        Ok(document) => lines(document.warnings()),
        Err(findings) => lines(findings.all()),
    };
    let matches = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, start)| found.starts_with(start));
    assert!(matches, "{content}\nfound {found:#?}\nexpected {expected:#?}");
}

fn check_command(content: &Value, expected: &[&str]) {
    check(content, DocumentType::Command, expected);
}

/// The findings as lines: `error /path: message`.
fn lines(findings: &[Finding]) -> Vec<String> {
    let word = |finding: &Finding| match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    findings
        .iter()
        .map(|finding| format!("{} {finding}", word(finding)))
        .collect()
}
