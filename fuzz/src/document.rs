//! The document parser: a byte that chooses the type, then the text.
//!
//! A text that is read keeps its meaning in the other format, and a document that is accepted can be planned.

use std::collections::BTreeMap;

use muster_document::{
    Document, DocumentType, Format, Parameters, Platform, check_parameters, execution_seconds, parse, plan,
    platform_types, render,
};

/// Reads the input as JSON.
pub fn json(bytes: &[u8]) {
    read(bytes, Format::Json, Format::Yaml);
}

/// Reads the input as YAML.
pub fn yaml(bytes: &[u8]) {
    read(bytes, Format::Yaml, Format::Json);
}

fn read(bytes: &[u8], format: Format, other: Format) {
    let Some((chosen, text)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(value) = parse(text, format) {
        let written = render(&value, other).expect("JSON and YAML say the same");
        let again = parse(&written, other);
        assert_eq!(again.as_ref(), Ok(&value), "{written}");
    }
    let all = DocumentType::ALL;
    let document_type = all[usize::from(*chosen) % all.len()];
    match Document::parse(text, format, document_type) {
        Ok(document) => use_it(&document),
        Err(findings) => {
            assert!(findings.errors().next().is_some());
            assert!(!findings.to_string().is_empty());
        }
    }
}

/// What services and agents do with a document that was accepted.
fn use_it(document: &Document) {
    let shown: Vec<_> = document.parameters().iter().map(|p| p.default_text()).collect();
    assert_eq!(shown.len(), document.parameters().len());
    let platforms = platform_types(document);
    for warning in document.warnings() {
        assert!(!warning.message.is_empty());
    }
    if let Ok(parameters) = check_parameters(document, &BTreeMap::new()) {
        plan_it(document, &parameters);
    }
    assert!(platforms.len() <= 3);
}

/// Plans a run on each platform and looks at all that a runner would.
pub(crate) fn plan_it(document: &Document, parameters: &Parameters) {
    let _ = execution_seconds(document, parameters);
    for platform in Platform::ALL {
        let Ok(plan) = plan(document, parameters, platform) else {
            continue;
        };
        let _ = (plan.next(&[]), plan.references(), plan.environment().len());
        for step in plan.steps() {
            if let muster_document::Verdict::Run(parts) = step.verdict() {
                for part in parts {
                    let seconds = part.timeout_seconds();
                    assert!((5..=172_800).contains(&seconds), "{seconds}");
                    assert_eq!(part.directory().split('/').count(), 2, "{}", part.directory());
                    let _ = (part.script(), part.text("workingDirectory"), part.notes());
                }
            }
        }
    }
}
