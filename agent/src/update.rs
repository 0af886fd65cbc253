//! Replacing the agent's own program (agent.md B10, A8; docs/operate/agent-update.md).
//!
//! ```text
//! versions/base.json              the program that the machine's owner installed, and its version
//! versions/<version>/muster-agent programs that came as updates
//! versions/current                a link to the version that runs; without it the base does
//! versions/update.json            the update that goes on, or went last
//! versions/lock                   held by the runner that updates
//! ```
//!
//! The owner's program is what the service unit starts, always; it hands over to `current` before it does anything else.
//! An update is carried out and watched by the runner of the command that asked for it, which is a process of the old
//! version: it switches the link, asks the agent to begin anew, and takes everything back if the new version does not
//! reach its service in time. Should the runner be lost too, the count of starts takes it back.
//! Here is what lies on the disk and what it means; who acts on it is `runner::action::update_agent` and the daemon.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::journal::RunId;
use crate::state::{make_private_directory, read_json, replace_file, take_lock};

/// The agent's name as a package.
pub(crate) const PACKAGE: &str = "muster-agent";
/// The program in the package.
pub(crate) const PROGRAM: &str = "muster-agent";
/// What is said on the notify socket to make the agent begin anew.
pub(crate) const RESTART: &[u8] = b"restart";
/// How often a version may be started on trial before it is given up, should nobody watch it.
const STARTS: u32 = 5;

/// The program that the machine's owner installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Base {
    pub(crate) version: String,
    pub(crate) program: PathBuf,
}

/// One update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Update {
    /// The run that asked for it.
    pub(crate) run: RunId,
    pub(crate) from: String,
    pub(crate) to: String,
    /// Where `current` led before; nothing: to the base.
    pub(crate) previous: Option<String>,
    pub(crate) phase: Phase,
    /// How often the new version was started on trial.
    #[serde(default)]
    pub(crate) starts: u32,
}

/// How far an update has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// The new version is to show that it reaches its service.
    Trial,
    /// It did.
    Confirmed,
    /// It did not, and the previous one is back; why.
    TakenBack(String),
}

/// The place of versions.
#[derive(Debug, Clone)]
pub(crate) struct Versions {
    root: PathBuf,
}

impl Versions {
    /// The place below a state directory.
    pub(crate) fn at(state: &Path) -> Self {
        Self {
            root: state.join("versions"),
        }
    }

    /// The directory of a version.
    pub(crate) fn version(&self, version: &str) -> PathBuf {
        self.root.join(version)
    }

    /// The program of a version.
    pub(crate) fn program(&self, version: &str) -> PathBuf {
        self.version(version).join(PROGRAM)
    }

    /// Takes the right to update. `None`: another run has it.
    pub(crate) fn lock(&self) -> io::Result<Option<File>> {
        self.prepare()?;
        take_lock(&self.root.join("lock"))
    }

    /// The owner's program, where the agent was started as one.
    pub(crate) fn base(&self) -> io::Result<Option<Base>> {
        self.read("base.json")
    }

    /// The update that goes on, or went last.
    pub(crate) fn update(&self) -> io::Result<Option<Update>> {
        self.read("update.json")
    }

    /// Remembers how far an update has come; it survives a power cut.
    pub(crate) fn set_update(&self, update: &Update) -> io::Result<()> {
        self.write("update.json", update)
    }

    /// The version that `current` leads to.
    pub(crate) fn current(&self) -> Option<String> {
        let target = fs::read_link(self.root.join("current")).ok()?;
        target.to_str().map(str::to_owned)
    }

    /// Makes `current` lead to a version, or to none: then the base runs.
    pub(crate) fn set_current(&self, version: Option<&str>) -> io::Result<()> {
        let (link, draft) = (self.root.join("current"), self.root.join("current.new"));
        remove_if_there(&draft)?;
        match version {
            Some(version) => {
                symlink(version, &draft)?;
                fs::rename(&draft, &link)?;
            }
            None => remove_if_there(&link)?,
        }
        File::open(&self.root)?.sync_all()
    }

    /// Removes the programs of all versions but these.
    pub(crate) fn keep_only(&self, versions: &[&str]) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let is_kept = versions.iter().any(|version| entry.file_name() == *version);
            if entry.file_type()?.is_dir() && !is_kept {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Takes an update back: the previous version is the one that runs at the next start.
    pub(crate) fn take_back(&self, update: &Update, why: &str) -> io::Result<()> {
        // The link first: whoever reads the word must find the deed done.
        self.set_current(update.previous.as_deref())?;
        self.set_update(&Update {
            phase: Phase::TakenBack(why.to_owned()),
            ..update.clone()
        })
    }

    /// Says that the new version reaches its service, if it is on trial and `version` is it.
    pub(crate) fn confirm(&self, version: &str) -> io::Result<bool> {
        match self.update()? {
            Some(update) if update.phase == Phase::Trial && update.to == version => {
                self.set_update(&Update {
                    phase: Phase::Confirmed,
                    ..update
                })?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The program that should run instead of `me`, whose version is `version`; called at each start.
    pub(crate) fn hand_over(&self, me: &Path, version: &str) -> io::Result<Option<PathBuf>> {
        self.prepare()?;
        if !me.starts_with(fs::canonicalize(&self.root)?) {
            self.introduce(me, version)?;
        }
        if let Some(update) = self.update()?
            && update.phase == Phase::Trial
        {
            // Only who hands over counts, so that a start is not counted twice.
            let is_new = fs::canonicalize(self.program(&update.to)).is_ok_and(|new| new == me);
            match update.starts {
                _ if is_new => {}
                STARTS.. => {
                    self.take_back(
                        &update,
                        &format!("it was started {STARTS} times without reaching its service"),
                    )?;
                }
                starts => self.set_update(&Update {
                    starts: starts + 1,
                    ..update
                })?,
            }
        }
        Ok(self.successor()?.filter(|program| program != me))
    }

    /// The program that should run now.
    pub(crate) fn successor(&self) -> io::Result<Option<PathBuf>> {
        let current = self.current().map(|version| self.program(&version));
        match current.and_then(|program| fs::canonicalize(program).ok()) {
            Some(program) => Ok(Some(program)),
            None => Ok(self.base()?.map(|base| base.program)),
        }
    }

    /// Remembers the owner's program. If the owner has put another version there, that one is meant to run.
    fn introduce(&self, me: &Path, version: &str) -> io::Result<()> {
        let known = self.base()?;
        if known.as_ref().is_some_and(|known| known.version != version) {
            self.set_current(None)?;
        }
        let base = Base {
            version: version.to_owned(),
            program: me.to_owned(),
        };
        match known.as_ref() == Some(&base) {
            true => Ok(()),
            false => self.write("base.json", &base),
        }
    }

    fn prepare(&self) -> io::Result<()> {
        make_private_directory(&self.root)
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, name: &str) -> io::Result<Option<T>> {
        read_json(&self.root.join(name))
    }

    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        replace_file(&self.root, name, &serde_json::to_vec_pretty(value)?)
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Versions, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let canonical = fs::canonicalize(root.path()).unwrap();
        let versions = Versions::at(&canonical);
        for version in ["1.1.0", "1.2.0"] {
            fs::create_dir_all(versions.version(version)).unwrap();
            fs::write(versions.program(version), "").unwrap();
        }
        (root, versions, canonical.join("usr-bin-muster-agent"))
    }

    fn trial(versions: &Versions, to: &str, previous: Option<&str>) -> Update {
        let update = Update {
            run: RunId::random(),
            from: "1.0.0".into(),
            to: to.into(),
            previous: previous.map(str::to_owned),
            phase: Phase::Trial,
            starts: 0,
        };
        versions.set_update(&update).unwrap();
        versions.set_current(Some(to)).unwrap();
        update
    }

    #[test]
    fn the_owners_program_hands_over_to_the_current_version() {
        let (_root, versions, base) = place();
        assert_eq!(versions.hand_over(&base, "1.0.0").unwrap(), None);
        trial(&versions, "1.1.0", None);
        let new = versions.program("1.1.0");
        assert_eq!(versions.hand_over(&base, "1.0.0").unwrap(), Some(new.clone()));
        assert_eq!(versions.hand_over(&new, "1.1.0").unwrap(), None);
        assert!(versions.confirm("1.1.0").unwrap());
        assert!(!versions.confirm("1.1.0").unwrap());
        assert_eq!(versions.hand_over(&base, "1.0.0").unwrap(), Some(new));
    }

    #[test]
    fn another_program_of_the_owner_ends_what_updates_did() {
        let (_root, versions, base) = place();
        versions.hand_over(&base, "1.0.0").unwrap();
        versions.set_current(Some("1.1.0")).unwrap();
        assert_eq!(versions.hand_over(&base, "2.0.0").unwrap(), None);
        assert_eq!(versions.current(), None);
    }

    #[test]
    fn what_is_taken_back_leads_to_what_was_there_before() {
        let (_root, versions, base) = place();
        versions.hand_over(&base, "1.0.0").unwrap();
        versions.set_current(Some("1.1.0")).unwrap();
        let update = trial(&versions, "1.2.0", Some("1.1.0"));
        versions.take_back(&update, "no answer").unwrap();
        assert_eq!(versions.successor().unwrap(), Some(versions.program("1.1.0")));
        assert!(!versions.confirm("1.2.0").unwrap());
        let update = trial(&versions, "1.2.0", None);
        versions.take_back(&update, "no answer").unwrap();
        assert_eq!(versions.successor().unwrap(), Some(base));
    }

    #[test]
    fn a_version_that_never_gets_anywhere_is_given_up_even_if_nobody_watches() {
        let (_root, versions, base) = place();
        versions.hand_over(&base, "1.0.0").unwrap();
        trial(&versions, "1.1.0", None);
        for _ in 0..STARTS {
            assert!(versions.hand_over(&base, "1.0.0").unwrap().is_some());
        }
        assert_eq!(versions.hand_over(&base, "1.0.0").unwrap(), None);
        assert!(matches!(versions.update().unwrap().unwrap().phase, Phase::TakenBack(_)));
    }

    #[test]
    fn one_run_updates_at_a_time() {
        let (_root, versions, _) = place();
        let held = versions.lock().unwrap();
        assert!(held.is_some() && versions.lock().unwrap().is_none());
    }
}
