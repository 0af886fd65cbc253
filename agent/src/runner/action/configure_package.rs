//! `aws:configurePackage`: a package is installed, updated or removed (docs/operate/packages.md).
//!
//! What is going on is written down before it begins, so that a step that was interrupted, and is carried out again, knows
//! where it stands.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;

use muster_document::Outcome;
use muster_document::action::Language;
use serde_json::Value;

use super::package_source::{Source, Wanted};
use super::{Bench, End, Trouble};
use crate::package::{self, Installed, Limits, Machine, Manifest, Phase, Shelf};
use crate::runner::guise::Guise;
use crate::runner::process::Launch;
use crate::runner::script;

/// Longest text of `additionalArguments`.
const ARGUMENTS: usize = 4096;
/// Longest script of a package, in bytes.
const SCRIPT: u64 = 1024 * 1024;

/// A package under change.
struct Job<'a> {
    wanted: &'a Wanted,
    name: &'a str,
    shelf: Shelf,
    /// As whom its scripts run.
    guise: Guise,
    /// Variables for its scripts.
    variables: Vec<(String, String)>,
}

/// Brings the package into the state that is asked for.
pub(super) fn perform(bench: &mut Bench<'_, '_>) -> Result<End, Trouble> {
    let wanted = Wanted::read(&bench.text("name").unwrap_or_default())?;
    let name = wanted.name.as_str();
    let job = Job {
        wanted: &wanted,
        name,
        shelf: Shelf::at(&bench.workshop.state.packages(), name),
        guise: bench.guise()?,
        variables: variables(bench.part.inputs().get("additionalArguments"))?,
    };
    let held = job.shelf.lock().map_err(disk)?;
    if held.is_none() {
        return Err(Trouble::Failed(format!(
            "the package {name} is being changed by another run"
        )));
    }
    let installed = job.shelf.read().map_err(disk)?;
    match bench.text("action").unwrap_or_default().as_str() {
        "Install" => job.install(bench, installed),
        "Uninstall" => job.uninstall(bench, installed),
        other => Err(Trouble::NeverRan(format!(
            "action {other:?} is neither Install nor Uninstall"
        ))),
    }
}

impl Job<'_> {
    fn install(&self, bench: &mut Bench<'_, '_>, installed: Option<Installed>) -> Result<End, Trouble> {
        let wanted = bench
            .text("version")
            .filter(|version| !version.eq_ignore_ascii_case("latest"));
        // A version that is named and here needs no store.
        if let Some(wanted) = &wanted
            && is_there(installed.as_ref(), wanted)
        {
            return Ok(self.already(bench, wanted));
        }
        let (source, manifest) = Source::find(bench, self.wanted, wanted.as_deref())?;
        let version = manifest.version.clone();
        if is_there(installed.as_ref(), &version) {
            return Ok(self.already(bench, &version));
        }
        if let Some(left) = installed
            .as_ref()
            .filter(|installed| installed.phase != Phase::Installed)
        {
            bench.note(format!(
                "an earlier change of {} to {} did not come to its end; it is repaired",
                self.name, left.version
            ));
        }
        self.bring(bench, &source, &manifest)?;
        let is_in_place = bench
            .text("installationType")
            .is_some_and(|kind| kind.eq_ignore_ascii_case("In-place update"));
        match installed {
            // Going on where it was interrupted, or after the reboot that its script asked for.
            Some(left) if left.version == version && left.phase == Phase::Installing => {
                self.put_in(bench, &version, left.previous)
            }
            Some(before) if is_in_place && before.phase != Phase::Uninstalling => {
                self.change_in_place(bench, &version, before)
            }
            Some(before) => self.replace(bench, &version, before),
            None => self.put_in(bench, &version, None),
        }
    }

    fn already(&self, bench: &mut Bench<'_, '_>, version: &str) -> End {
        bench.print(&format!("{} {version} is already installed", self.name));
        End::Exited(0)
    }

    /// Fetches, checks and unpacks a version.
    fn bring(&self, bench: &mut Bench<'_, '_>, source: &Source, manifest: &Manifest) -> Result<(), Trouble> {
        let version = &manifest.version;
        let chosen = manifest.choose(&Machine::here());
        let (file, facts) =
            chosen.map_err(|error| Trouble::Failed(format!("{} {version} cannot be installed: {error}", self.name)))?;
        bench.print(&format!(
            "fetching {} {version} ({file}) from {}",
            self.name,
            source.words()
        ));
        unpack_from(bench, file, &self.shelf.version(version), |bench, archive| {
            source.fetch(bench, [self.name, version, file], facts, archive)
        })
    }

    /// Installs what was brought. `previous` comes back if that fails.
    fn put_in(&self, bench: &mut Bench<'_, '_>, version: &str, previous: Option<String>) -> Result<End, Trouble> {
        let mut state = Installed {
            version: version.to_owned(),
            phase: Phase::Installing,
            previous,
        };
        self.shelf.write(&state).map_err(disk)?;
        let end = self.script(bench, version, "install.sh")?;
        let end = end.ok_or_else(|| Trouble::Failed(format!("{} {version} has no install.sh", self.name)))?;
        if self.interruption(bench, &end) {
            return Ok(end);
        }
        if end == End::Exited(0) {
            return self.done(bench, version);
        }
        state.phase = Phase::Failed;
        self.shelf.write(&state).map_err(disk)?;
        bench.note(format!("{} {version} could not be installed", self.name));
        if let Some(previous) = state.previous {
            self.restore(bench, &previous)?;
        }
        Ok(end)
    }

    /// The version before is removed, then the new one installed.
    fn replace(&self, bench: &mut Bench<'_, '_>, version: &str, before: Installed) -> Result<End, Trouble> {
        let was_whole = before.phase == Phase::Installed;
        let previous = match before.phase {
            Phase::Installed => Some(before.version.clone()),
            // Its removal was interrupted.
            Phase::Uninstalling => before.previous.clone(),
            _ => None,
        };
        let state = Installed {
            version: before.version.clone(),
            phase: Phase::Uninstalling,
            previous: previous.clone(),
        };
        self.shelf.write(&state).map_err(disk)?;
        match self.script(bench, &before.version, "uninstall.sh")? {
            None => bench.note(format!("{} {} has no uninstall.sh", self.name, before.version)),
            Some(End::Exited(0)) => {}
            Some(end) if self.interruption(bench, &end) => return Ok(end),
            Some(end) if was_whole => {
                self.mark_failed(before)?;
                bench.note("the version that is installed could not be removed; nothing else was changed");
                return Ok(end);
            }
            // Of a version that was never whole there may be nothing to remove.
            Some(_) => bench.note(format!("what is left of {} could not be removed", before.version)),
        }
        self.put_in(bench, version, previous)
    }

    fn change_in_place(&self, bench: &mut Bench<'_, '_>, version: &str, before: Installed) -> Result<End, Trouble> {
        let previous = match before.phase {
            Phase::Installed => Some(before.version.clone()),
            _ => before.previous.clone(),
        };
        let state = Installed {
            version: version.to_owned(),
            phase: Phase::Updating,
            previous,
        };
        self.shelf.write(&state).map_err(disk)?;
        let Some(end) = self.script(bench, version, "update.sh")? else {
            self.shelf.write(&before).map_err(disk)?;
            return Err(Trouble::Failed(format!(
                "{} {version} has no update.sh; it can only be installed with the installationType Uninstall and reinstall",
                self.name
            )));
        };
        if self.interruption(bench, &end) {
            return Ok(end);
        }
        match end {
            End::Exited(0) => self.done(bench, version),
            end => {
                self.mark_failed(state)?;
                bench.note(format!("{} could not be updated to {version}", self.name));
                Ok(end)
            }
        }
    }

    fn done(&self, bench: &mut Bench<'_, '_>, version: &str) -> Result<End, Trouble> {
        self.shelf
            .write(&Installed {
                version: version.to_owned(),
                phase: Phase::Installed,
                previous: None,
            })
            .map_err(disk)?;
        self.shelf.keep_only(&[version]).map_err(disk)?;
        bench.print(&format!("{} {version} is installed", self.name));
        Ok(End::Exited(0))
    }

    /// Installs the version before once more.
    fn restore(&self, bench: &mut Bench<'_, '_>, previous: &str) -> Result<(), Trouble> {
        if let Some(End::Exited(0)) = self.script(bench, previous, "install.sh")? {
            self.shelf
                .write(&Installed {
                    version: previous.to_owned(),
                    phase: Phase::Installed,
                    previous: None,
                })
                .map_err(disk)?;
            self.shelf.keep_only(&[previous]).map_err(disk)?;
            bench.note(format!("{} {previous} is back", self.name));
        } else {
            bench.note(format!("{} {previous} could not be brought back", self.name));
        }
        Ok(())
    }

    fn uninstall(&self, bench: &mut Bench<'_, '_>, installed: Option<Installed>) -> Result<End, Trouble> {
        let Some(installed) = installed else {
            bench.print(&format!("{} is not installed", self.name));
            return Ok(End::Exited(0));
        };
        if let Some(version) = bench.text("version").filter(|version| *version != installed.version) {
            bench.print(&format!(
                "{} {version} is not installed; {} is",
                self.name, installed.version
            ));
            return Ok(End::Exited(0));
        }
        let state = Installed {
            phase: Phase::Uninstalling,
            ..installed
        };
        self.shelf.write(&state).map_err(disk)?;
        match self.script(bench, &state.version, "uninstall.sh")? {
            None => bench.note(format!("{} {} has no uninstall.sh", self.name, state.version)),
            Some(End::Exited(0)) => {}
            Some(end) => {
                if self.interruption(bench, &end) {
                    return Ok(end);
                }
                self.mark_failed(state)?;
                return Ok(end);
            }
        }
        self.shelf.clear().map_err(disk)?;
        bench.print(&format!("{} {} is removed", self.name, state.version));
        Ok(End::Exited(0))
    }

    fn mark_failed(&self, state: Installed) -> Result<(), Trouble> {
        let phase = Phase::Failed;
        self.shelf.write(&Installed { phase, ..state }).map_err(disk)
    }

    /// An end that is none of the script's own: what was begun stays written down as begun. So it does when the script
    /// asks for a reboot, after which it runs again; where nobody may ask, that is a failure like any other.
    fn interruption(&self, bench: &Bench<'_, '_>, end: &End) -> bool {
        let workshop = bench.workshop;
        match end {
            End::Stopped(_) => true,
            End::Exited(code) => {
                Outcome::of_exit_code(*code, workshop.platform) == Outcome::SuccessAndReboot
                    && workshop.nesting.may_reboot()
            }
            _ => false,
        }
    }

    /// Runs a script of a version in the directory of its files. `None`: it has no such script.
    fn script(&self, bench: &mut Bench<'_, '_>, version: &str, file: &str) -> Result<Option<End>, Trouble> {
        let directory = self.shelf.version(version);
        let path = directory.join(file);
        let length = match fs::symlink_metadata(&path) {
            Ok(about) if about.is_file() => about.len(),
            _ => return Ok(None),
        };
        if length > SCRIPT {
            return Err(Trouble::Failed(format!(
                "{file} of {version} is longer than {SCRIPT} bytes"
            )));
        }
        let text = String::from_utf8_lossy(&fs::read(&path).map_err(disk)?).into_owned();
        let interpreter = script::interpreter(Language::Sh, None, bench.workshop.settings, &text)?;
        // It stays ours, also while it is another user's script: somebody else may run it the next time.
        self.guise.show(&directory, bench.workshop.state.root()).map_err(disk)?;
        let mut arguments = interpreter.arguments;
        arguments.push(path.into_os_string());
        let launch = Launch {
            program: interpreter.program,
            arguments,
            environment: bench.environment(&self.guise.account, &self.variables),
            directory,
        };
        bench.print(&format!("running {file} of {} {version}", self.name));
        bench.run(&launch, &self.guise).map(Some)
    }
}

/// Fetches an archive and unpacks it into a directory, which is either complete or not there.
pub(super) fn unpack_from(
    bench: &mut Bench<'_, '_>,
    file: &str,
    into: &Path,
    fetch: impl FnOnce(&mut Bench<'_, '_>, &Path) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let archive = bench.file("zip");
    let fetched = fetch(bench, &archive);
    let mut draft = OsString::from(".");
    draft.push(into.file_name().unwrap_or_default());
    draft.push(".new");
    let draft = into.with_file_name(draft);
    let unpacked = fetched.and_then(|()| {
        remove_directory(&draft)?;
        let file_of = File::open(&archive).map_err(disk)?;
        package::unpack(file_of, &draft, Limits::default()).map_err(|error| Trouble::Failed(format!("{file}: {error}")))
    });
    let _ = fs::remove_file(&archive);
    if unpacked.is_err() {
        remove_directory(&draft)?;
    }
    unpacked?;
    remove_directory(into)?;
    fs::rename(&draft, into).map_err(disk)
}

fn remove_directory(path: &Path) -> Result<(), Trouble> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(disk(error)),
        _ => Ok(()),
    }
}

fn is_there(installed: Option<&Installed>, version: &str) -> bool {
    installed.is_some_and(|installed| installed.phase == Phase::Installed && installed.version == version)
}

fn disk(error: std::io::Error) -> Trouble {
    Trouble::Failed(format!("the package's state cannot be kept: {error}"))
}

/// The `additionalArguments` input, a map or its JSON text, as `SSM_<key>`.
fn variables(input: Option<&Value>) -> Result<Vec<(String, String)>, Trouble> {
    let bad = |why: &str| Trouble::NeverRan(format!("additionalArguments {why}"));
    let parsed;
    let map = match input {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(Vec::new()),
        Some(Value::String(text)) if text.len() > ARGUMENTS => {
            return Err(bad(&format!("is longer than {ARGUMENTS} bytes")));
        }
        Some(Value::String(text)) => {
            parsed = serde_json::from_str::<Value>(text).map_err(|_| bad("is no JSON"))?;
            parsed.as_object()
        }
        Some(value) => value.as_object(),
    };
    let map = map.ok_or_else(|| bad("is no map"))?;
    map.iter()
        .map(|(name, value)| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_plain) {
                return Err(bad(&format!("has the name {name:?}: letters, digits and _ only")));
            }
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Ok((format!("SSM_{name}"), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn additional_arguments_become_variables() {
        let expected = vec![
            ("SSM_port".to_owned(), "80".to_owned()),
            ("SSM_NAME".to_owned(), "a b".to_owned()),
        ];
        assert_eq!(variables(Some(&json!({"port": 80, "NAME": "a b"}))).unwrap(), expected);
        assert_eq!(
            variables(Some(&json!("{\"port\": 80, \"NAME\": \"a b\"}"))).unwrap(),
            expected
        );
        assert!(variables(Some(&json!(""))).unwrap().is_empty());
        for bad in [
            json!("no json"),
            json!([1]),
            json!({"a-b": "x"}),
            json!("[]"),
            json!(format!("{{\"a\":\"{}\"}}", "x".repeat(5_000))),
        ] {
            assert!(variables(Some(&bad)).is_err(), "{bad}");
        }
    }
}
