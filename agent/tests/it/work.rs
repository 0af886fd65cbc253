//! Work items for tests.

use muster_agent::journal::RunId;
use muster_proto::agent::v1::{Values, WorkItem};
use serde_json::{Value, json};

/// A run of a document.
pub(crate) fn of(document: &Value) -> WorkItem {
    let run = RunId::random();
    WorkItem {
        run_id: run.to_string(),
        time_to_live_ms: 3_600_000,
        command_id: run.to_string(),
        document_name: "Test".into(),
        document_version: "1".into(),
        document_content: document.to_string(),
        document_format: "JSON".into(),
        attempt: 1,
        ..WorkItem::default()
    }
}

/// One shell script.
pub(crate) fn script(lines: &[&str]) -> WorkItem {
    with_inputs(json!({"runCommand": lines}))
}

/// One shell step with these inputs.
pub(crate) fn with_inputs(inputs: Value) -> WorkItem {
    of(&json!({"schemaVersion": "2.2", "mainSteps": [step("only", inputs)]}))
}

/// Several shell steps.
pub(crate) fn steps(steps: &[Value]) -> WorkItem {
    of(&json!({"schemaVersion": "2.2", "mainSteps": steps}))
}

pub(crate) fn step(name: &str, inputs: Value) -> Value {
    json!({"action": "aws:runShellScript", "name": name, "inputs": inputs})
}

pub(crate) fn parameter(work: &mut WorkItem, name: &str, value: &str) {
    work.parameters.insert(
        name.to_owned(),
        Values {
            items: vec![value.to_owned()],
        },
    );
}

/// A script line that waits until a file exists.
pub(crate) fn wait_for(file: &std::path::Path) -> String {
    format!("while [ ! -e '{}' ]; do sleep 0.02; done", file.display())
}
