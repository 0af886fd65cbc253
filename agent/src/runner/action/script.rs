//! `aws:runShellScript`, `aws:runPowerShellScript`: a script in a process of its own.

use muster_document::action::Language;
use serde_json::Value;

use super::{Bench, End, Trouble};
use crate::runner::guise::{self, Guise};
use crate::runner::process::{Launch, Outfit};
use crate::runner::script::{self, ScriptError};

/// Writes the script and runs it.
pub(super) fn perform(bench: &mut Bench<'_, '_>) -> Result<End, Trouble> {
    let (launch, outfit) = prepare(bench)?;
    let is_for_all = guise::ends_orphans(bench.part, bench.workshop.settings);
    bench.run_in(&launch, outfit, is_for_all)
}

fn prepare(bench: &Bench<'_, '_>) -> Result<(Launch, Outfit), Trouble> {
    let (workshop, part) = (bench.workshop, bench.part);
    let language = part.language().unwrap_or(Language::Sh);
    let text = part.script().unwrap_or_default();
    let ending = match language {
        Language::Sh => "sh",
        Language::PowerShell => "ps1",
    };
    let run = workshop.directory.file_name().unwrap_or_default().to_string_lossy();
    let group = format!("{run}.{}", workshop.stem(part));
    let guise =
        Guise::of(part, &group, workshop.settings, workshop.policy, &workshop.account).map_err(ScriptError::from)?;
    let file = guise
        .script_file(bench.file(ending), workshop.state.root())
        .map_err(ScriptError::Write)?;
    script::write(&file, &text)?;
    guise.hand_over(&file).map_err(ScriptError::Write)?;
    let wanted = part.text("shell");
    let interpreter = script::interpreter(language, wanted.as_deref(), &workshop.settings.default_shell, &text)?;
    let downloads = bench.downloads();
    // What a step before this one downloaded is where a step without a directory of its own looks first
    // (AWS-RunRemoteScript stands on that).
    let usual = || match downloads.is_dir() {
        true => downloads.clone(),
        false => guise.account.directory(),
    };
    let directory = script::working_directory(part.text("workingDirectory").as_deref(), &downloads, usual)?;
    guise.show(&downloads).map_err(ScriptError::MakeDirectory)?;
    let mut arguments = interpreter.arguments;
    arguments.push(file.into_os_string());
    let environment = bench.environment_of(&guise.account, &variables(part.inputs().get("environment")));
    let launch = Launch {
        program: interpreter.program,
        arguments,
        environment,
        directory,
    };
    Ok((launch, guise.outfit))
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
