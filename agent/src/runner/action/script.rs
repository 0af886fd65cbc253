//! `aws:runShellScript`, `aws:runPowerShellScript`: a script in a process of its own.

use muster_document::action::Language;
use serde_json::Value;

use super::{Bench, End, Trouble};
use crate::runner::guise::Guise;
use crate::runner::process::Launch;
use crate::runner::script::{self, ScriptError};

/// Writes the script and runs it.
pub(super) fn perform(bench: &mut Bench<'_, '_>) -> Result<End, Trouble> {
    let guise = bench.guise()?;
    let launch = prepare(bench, &guise)?;
    bench.run(&launch, &guise)
}

fn prepare(bench: &Bench<'_, '_>, guise: &Guise) -> Result<Launch, Trouble> {
    let (workshop, part) = (bench.workshop, bench.part);
    let language = part.language().unwrap_or(Language::Sh);
    let text = part.script().unwrap_or_default();
    let ending = match language {
        Language::Sh => "sh",
        Language::PowerShell => "ps1",
    };
    let state = workshop.state.root();
    let wanted = part.text("shell");
    let interpreter = script::interpreter(language, wanted.as_deref(), workshop.settings, &text)?;
    let file = guise
        .write(bench.file(ending), &text, state)
        .map_err(ScriptError::Write)?;
    let downloads = bench.downloads();
    // What a step before this one downloaded is where a step without a directory of its own looks first
    // (AWS-RunRemoteScript stands on that).
    let usual = || match downloads.is_dir() {
        true => downloads.clone(),
        false => guise.account.directory(),
    };
    let directory = script::working_directory(part.text("workingDirectory").as_deref(), &downloads, usual)?;
    guise.show(&downloads, state).map_err(ScriptError::MakeDirectory)?;
    let mut arguments = interpreter.arguments;
    arguments.push(file.into_os_string());
    Ok(Launch {
        program: interpreter.program,
        arguments,
        environment: bench.environment(&guise.account, &variables(part.inputs().get("environment"))),
        directory,
    })
}

/// The `environment` input: a map, or the JSON text of one.
fn variables(input: Option<&Value>) -> Vec<(String, String)> {
    let parsed;
    let map = match input {
        Some(Value::Object(map)) => map,
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Object(map)) => {
                parsed = map;
                &parsed
            }
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    map.iter()
        .map(|(name, value)| {
            (
                name.clone(),
                value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_come_as_a_map_or_as_its_text() {
        let expected = vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())];
        assert_eq!(variables(Some(&json!({"A": "1", "B": 2}))), expected);
        assert_eq!(variables(Some(&json!("{\"A\": \"1\", \"B\": 2}"))), expected);
        assert!(variables(Some(&json!(["A"]))).is_empty());
        assert!(variables(Some(&json!("no map"))).is_empty());
        assert!(variables(None).is_empty());
    }
}
