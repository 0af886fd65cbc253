//! The layers of the configuration, put over one another.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{NotFitting, SettingsError};

/// Variables that override keys begin like this; two underscores go one level down.
const PREFIX: &str = "MUSTER_AGENT__";

/// One file.
pub(super) fn file(path: &Path) -> Result<Table, SettingsError> {
    let text = fs::read_to_string(path).map_err(|source| SettingsError::Read {
        path: path.to_owned(),
        source,
    })?;
    text.parse().map_err(|error| SettingsError::Syntax {
        path: path.to_owned(),
        source: NotFitting::of(&error, &text),
    })
}

/// The file, the folder beside it, the environment.
pub(super) fn all(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Table, SettingsError> {
    let mut table = file(path)?;
    for addition in additions(path)? {
        lay_over(&mut table, file(&addition)?);
    }
    override_with(&mut table, environment);
    Ok(table)
}

/// The files of `<path>.d`, by name; a folder that is not there has none.
fn additions(path: &Path) -> Result<Vec<PathBuf>, SettingsError> {
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let refused = |source| SettingsError::Read {
        path: folder.clone(),
        source,
    };
    let listing = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(refused)?,
    };
    let mut files = listing
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<PathBuf>>>()
        .map_err(refused)?;
    files.retain(|file| file.extension() == Some(OsStr::new("toml")));
    files.sort();
    Ok(files)
}

/// Puts the variables among `environment` that begin with the prefix over `table`.
/// A value is read as TOML if it is any, and is a text otherwise.
pub(super) fn override_with(table: &mut Table, environment: impl IntoIterator<Item = (String, String)>) {
    for (name, text) in environment {
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        let mut words: Vec<&str> = key.split("__").collect();
        // Names of variables for scripts and of tags are taken as they are; keys of ours are in lower case.
        let is_ours = !["environment", "tags"]
            .iter()
            .any(|map| words[0].eq_ignore_ascii_case(map));
        let last = words.pop().unwrap_or_default();
        let last = if is_ours { last.to_lowercase() } else { last.to_owned() };
        let value = text.parse::<Value>().unwrap_or(Value::String(text));
        let mut layer = Table::from_iter([(last, value)]);
        for word in words.into_iter().rev() {
            layer = Table::from_iter([(word.to_lowercase(), Value::Table(layer))]);
        }
        lay_over(table, layer);
    }
}

/// Tables are put together key by key; anything else is replaced.
fn lay_over(lower: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                lower.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn later_layers_win_key_by_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        fs::write(
            &path,
            "concurrency = 2\nregion = \"a\"\n[environment]\nA = \"1\"\nB = \"1\"",
        )
        .unwrap();
        let folder = dir.path().join("agent.toml.d");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("20-late.toml"), "region = \"c\"").unwrap();
        fs::write(folder.join("10-early.toml"), "region = \"b\"\n[environment]\nB = \"2\"").unwrap();
        fs::write(folder.join("ignored.bak"), "region =").unwrap();
        let environment = [
            ("MUSTER_AGENT__CONCURRENCY", "7"),
            ("MUSTER_AGENT__RUN_AS_ALLOWED", "[\"web\"]"),
            ("MUSTER_AGENT__LIMITS__PROCESSES", "99"),
            ("MUSTER_AGENT__ENVIRONMENT__Mixed_Case", "hello there"),
            ("OTHER", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::load_layers(&path, environment).unwrap();
        assert_eq!(
            (
                settings.concurrency,
                settings.region.as_str(),
                settings.limits.processes
            ),
            (7, "c", Some(99))
        );
        assert_eq!(settings.run_as_allowed, ["web"]);
        let variables: Vec<(&str, &str)> = settings
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(variables, [("A", "1"), ("B", "2"), ("Mixed_Case", "hello there")]);

        fs::write(folder.join("30-bad.toml"), "no_such_key = 1").unwrap();
        assert!(Settings::load_layers(&path, []).is_err());
    }
}
