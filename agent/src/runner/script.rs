//! A step's script: its file, its interpreter, its working directory (agent.md B4).
//!
//! The interpreter always reads the file, also when the first line is `#!`: that works where the state directory is
//! mounted noexec, and means the same as when the kernel does it.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use muster_document::action::Language;

use super::environment::SEARCH_PATH;
use crate::settings::Settings;
use crate::state::make_private_directory;

/// Why a script cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScriptError {
    #[error("cannot write the script: {0}")]
    Write(#[source] io::Error),
    #[error("{0:?} is not installed on this machine")]
    NoInterpreter(String),
    #[error(
        "PowerShell is not installed on this machine: there is no program {0:?}; install it, or name it with powershell \
         in the agent's configuration"
    )]
    NoPowerShell(String),
    #[error("the working directory {0:?} does not exist")]
    NoDirectory(PathBuf),
    #[error("the working directory {0:?} leaves the run's downloads directory")]
    Outside(PathBuf),
    #[error("cannot make the working directory: {0}")]
    MakeDirectory(#[source] io::Error),
    #[error(transparent)]
    Account(#[from] super::account::AccountError),
}

/// A program with the arguments that make it read a script file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

/// Writes the script, mode 0700 in a directory of the same mode.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        make_private_directory(directory)?;
    }
    fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o700)
        .open(path)?
        .write_all(text.as_bytes())
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), ScriptError> {
    let file = fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(ScriptError::Write)
}

/// Chooses who reads the script. `wanted` is the step's `shell` input and wins over a `#!` line, because somebody
/// asked for it; the node's default comes last.
pub(crate) fn interpreter(
    language: Language,
    wanted: Option<&str>,
    settings: &Settings,
    text: &str,
) -> Result<Interpreter, ScriptError> {
    if language == Language::PowerShell {
        let program = find(&settings.powershell).map_err(|_| ScriptError::NoPowerShell(settings.powershell.clone()))?;
        return Ok(Interpreter {
            program,
            arguments: powershell_arguments(),
        });
    }
    if let Some(wanted) = wanted {
        return named(wanted);
    }
    match text.lines().next().and_then(shebang) {
        Some((program, argument)) => Ok(Interpreter {
            program: find(program)?,
            arguments: argument.map(OsString::from).into_iter().collect(),
        }),
        None => named(&settings.default_shell),
    }
}

fn named(name: &str) -> Result<Interpreter, ScriptError> {
    let program = find(name)?;
    let is_powershell = program.file_stem().is_some_and(|stem| stem == "pwsh");
    let arguments = match is_powershell {
        true => powershell_arguments(),
        false => Vec::new(),
    };
    Ok(Interpreter { program, arguments })
}

/// No greeting, no profile of a user, no questions; the file comes after them.
fn powershell_arguments() -> Vec<OsString> {
    ["-NoLogo", "-NoProfile", "-NonInteractive", "-File"]
        .map(OsString::from)
        .to_vec()
}

/// Program and optional argument of a `#!` line, split as the kernel does: everything after the program is one.
fn shebang(line: &str) -> Option<(&str, Option<&str>)> {
    let line = line.strip_prefix("#!")?.trim();
    let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let argument = argument.trim();
    (!program.is_empty()).then_some((program, (!argument.is_empty()).then_some(argument)))
}

/// An executable by name or by absolute path.
pub(crate) fn find(name: &str) -> Result<PathBuf, ScriptError> {
    let is_program =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|about| about.is_file() && about.mode() & 0o111 != 0);
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![PathBuf::from(name)]
            .into_iter()
            .filter(|path| path.is_absolute())
            .collect()
    } else {
        SEARCH_PATH
            .split(':')
            .map(|directory| Path::new(directory).join(name))
            .collect()
    };
    candidates
        .into_iter()
        .find(is_program)
        .ok_or_else(|| ScriptError::NoInterpreter(name.to_owned()))
}

/// Where the step runs: an absolute input is taken, a relative one lies below the run's downloads directory,
/// none means `home`.
pub(crate) fn working_directory(
    input: Option<&str>,
    downloads: &Path,
    home: impl FnOnce() -> PathBuf,
) -> Result<PathBuf, ScriptError> {
    let Some(input) = input.filter(|input| !input.trim().is_empty()) else {
        return Ok(home());
    };
    let input = Path::new(input);
    if input.is_absolute() {
        return match input.is_dir() {
            true => Ok(input.to_owned()),
            false => Err(ScriptError::NoDirectory(input.to_owned())),
        };
    }
    let mut depth = 0i32;
    for component in input.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return Err(ScriptError::Outside(input.to_owned()));
        }
    }
    make_private_directory(downloads).map_err(ScriptError::MakeDirectory)?;
    let directory = downloads.join(input);
    // The real path is looked at again: a link inside may lead out.
    let real = directory
        .canonicalize()
        .map_err(|_| ScriptError::NoDirectory(input.to_owned()))?;
    let base = downloads.canonicalize().map_err(ScriptError::MakeDirectory)?;
    match (real.starts_with(base), real.is_dir()) {
        (false, _) => Err(ScriptError::Outside(input.to_owned())),
        (true, false) => Err(ScriptError::NoDirectory(input.to_owned())),
        (true, true) => Ok(real),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/step.sh");
        write(&path, "echo a\necho b\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "echo a\necho b\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_first_line_names_the_interpreter_unless_the_step_does() {
        let script = "#!/bin/sh -e\ntrue\n";
        let settings = Settings::default();
        let chosen = interpreter(Language::Sh, None, &settings, script).unwrap();
        assert_eq!(chosen.program, Path::new("/bin/sh"));
        assert_eq!(chosen.arguments, ["-e"]);

        let chosen = interpreter(Language::Sh, Some("sh"), &settings, script).unwrap();
        assert!(chosen.arguments.is_empty());

        let error = interpreter(Language::Sh, Some("no-such-shell"), &settings, script).unwrap_err();
        assert_eq!(error.to_string(), "\"no-such-shell\" is not installed on this machine");
        assert!(interpreter(Language::Sh, Some("./sh"), &settings, script).is_err());
    }

    #[test]
    fn first_lines_are_split_as_the_kernel_does() {
        assert_eq!(
            shebang("#!/usr/bin/env python3 -u"),
            Some(("/usr/bin/env", Some("python3 -u")))
        );
        assert_eq!(shebang("#! /bin/sh\r"), Some(("/bin/sh", None)));
        assert_eq!(shebang("#!"), None);
        assert_eq!(shebang("echo"), None);
    }

    #[test]
    fn a_relative_directory_stays_below_the_downloads() {
        let dir = tempfile::tempdir().unwrap();
        let downloads = dir.path().join("downloads");
        fs::create_dir_all(downloads.join("a/b")).unwrap();
        std::os::unix::fs::symlink("/", downloads.join("out")).unwrap();
        let at = |input: &str| working_directory(Some(input), &downloads, || "/home".into());

        assert_eq!(at("").unwrap(), Path::new("/home"));
        assert_eq!(at("/").unwrap(), Path::new("/"));
        assert_eq!(at("a/b").unwrap(), downloads.join("a/b").canonicalize().unwrap());
        assert!(matches!(at("../x"), Err(ScriptError::Outside(_))));
        assert!(matches!(at("a/../../x"), Err(ScriptError::Outside(_))));
        assert!(matches!(at("out"), Err(ScriptError::Outside(_))));
        assert!(matches!(at("none"), Err(ScriptError::NoDirectory(_))));
        assert!(matches!(at("/no/such"), Err(ScriptError::NoDirectory(_))));
    }
}
