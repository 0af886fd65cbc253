//! Complete outputs on their way to the object store (run-command.md 8.3, agent.md B5).
//!
//! When a step ends, each stream that is not empty is noted in the state directory and then stored. A store that does
//! not take it within a few seconds does not hold up the run: the note stays, and `store_leftovers` tries again for a
//! day. What could not be stored is said in the run's trace, and what became of it later too.
//! The file itself stays where it is: if the disk's quota removes it before it is stored, that is said as well.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use muster_document::{PlannedPart, PlannedStep};
use muster_model::{Clock, SystemClock, Timestamp};
use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{ObjectStore, OutputStored, WorkItem};
use serde::{Deserialize, Serialize};

use super::log_streams;
use super::record::Recorder;
use super::step::Workshop;
use crate::journal::{self, Log, RunId};
use crate::objects::{Encoding, ObjectsError};
use crate::settings::Settings;
use crate::state::{StateDir, make_private_directory, replace_file};

/// How long a run waits for the object store, all its steps together.
const RUN_PATIENCE: Duration = Duration::from_secs(5);
/// How long a later attempt waits for it.
const LATER_PATIENCE: Duration = Duration::from_secs(60);
/// An output that could not be stored for so long is given up.
pub(super) const LIMIT_US: i64 = 24 * 60 * 60 * 1_000_000;

/// One stream that is to be stored; lies as JSON in the state directory until it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Upload {
    run: String,
    /// The step's position in the document.
    index: u32,
    step: String,
    /// `stdout` or `stderr`.
    stream: String,
    bucket: String,
    region: String,
    key: String,
    file: PathBuf,
    /// When the step ended, in microseconds since 1970.
    since_us: i64,
}

/// A note on the disk.
#[derive(Debug)]
pub(super) struct Noted {
    upload: Upload,
    path: PathBuf,
}

/// Where the outputs of one run go.
pub(super) struct Outputs<'a> {
    state: &'a StateDir,
    settings: &'a Settings,
    run: RunId,
    work: &'a WorkItem,
    store: &'a ObjectStore,
    left: Duration,
    /// What could not be stored so far, for the trace.
    pub(super) unstored: Vec<String>,
}

impl<'a> Outputs<'a> {
    /// `None`: they stay on the node.
    pub(super) fn of(state: &'a StateDir, settings: &'a Settings, run: RunId, work: &'a WorkItem) -> Option<Self> {
        let store = work.output_store.as_ref().filter(|store| !store.bucket.is_empty())?;
        Some(Self {
            state,
            settings,
            run,
            work,
            store,
            left: RUN_PATIENCE,
            unstored: Vec::new(),
        })
    }

    /// Writes down what a step has printed and where it goes, so that it is not forgotten if this process dies.
    pub(super) fn note(
        &self,
        step: &PlannedStep,
        parts: &[PlannedPart],
        workshop: &Workshop<'_>,
        now: Timestamp,
    ) -> io::Result<Vec<Noted>> {
        let mut noted = Vec::new();
        for part in parts {
            for stream in ["stdout", "stderr"] {
                let file = workshop.file(part, stream);
                if fs::metadata(&file).map_or(0, |about| about.len()) == 0 {
                    continue;
                }
                let upload = Upload {
                    run: self.run.to_string(),
                    index: u32::try_from(step.index()).unwrap_or(u32::MAX),
                    step: step.name().to_owned(),
                    stream: stream.to_owned(),
                    bucket: self.store.bucket.clone(),
                    region: self.store.region.clone(),
                    key: key(
                        &self.store.key_prefix,
                        &self.work.command_id,
                        &self.work.node_id,
                        part.directory(),
                        stream,
                    ),
                    file,
                    since_us: now.as_microsecond(),
                };
                let folder = self.state.uploads();
                make_private_directory(&folder)?;
                let name = format!("{}.{}.{stream}.json", self.run, part.directory().replace('/', "."));
                // A note that is torn is worse than none.
                replace_file(&folder, &name, &serde_json::to_vec(&upload)?)?;
                let path = folder.join(name);
                noted.push(Noted { upload, path });
            }
        }
        Ok(noted)
    }

    /// Stores what was noted, as far as the run's patience goes.
    pub(super) fn deliver(&mut self, noted: Vec<Noted>) {
        for Noted { upload, path } in noted {
            let begun = Instant::now();
            let outcome = match self.left {
                Duration::ZERO => Err("the object store has not answered".to_owned()),
                left => store(self.state, self.settings, &upload, left),
            };
            self.left = self.left.saturating_sub(begun.elapsed());
            match outcome {
                // Should the note stay, the object is written once more.
                Ok(()) => drop(fs::remove_file(path)),
                Err(why) => self.unstored.push(format!(
                    "{}: {} is not in bucket {} yet: {why}; it is tried again for 24 hours",
                    upload.step, upload.stream, upload.bucket
                )),
            }
        }
    }
}

/// `[prefix/]<command>/<node>/<plugin>/<step>/<stream>`; `directory` is plugin and step.
fn key(prefix: &str, command: &str, node: &str, directory: &str, stream: &str) -> String {
    let rest = format!("{command}/{node}/{directory}/{stream}");
    match prefix.trim_matches('/') {
        "" => rest,
        prefix => format!("{prefix}/{rest}"),
    }
}

fn store(state: &StateDir, settings: &Settings, upload: &Upload, patience: Duration) -> Result<(), String> {
    let words = |error: ObjectsError| error.to_string();
    let encoding = match settings.gzip_outputs {
        true => Encoding::Gzip,
        false => Encoding::Plain,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let outcome = runtime.block_on(async {
        let bucket = settings
            .objects
            .bucket(state.root(), &upload.bucket, &upload.region, None, patience)
            .map_err(words)?;
        match tokio::time::timeout(patience, bucket.put_file(&upload.key, &upload.file, encoding)).await {
            Ok(outcome) => outcome.map_err(words),
            Err(_) => Err("the object store has not answered".to_owned()),
        }
    });
    runtime.shutdown_background();
    outcome
}

/// Tries everything again that could not be stored; whether nothing is left.
///
/// # Errors
/// If the notes cannot be listed.
pub fn store_leftovers(root: &Path) -> io::Result<bool> {
    let state = StateDir::at(root);
    let settings = state.settings();
    let mut is_done = true;
    for path in state.pending_uploads()? {
        if log_streams::is_note(&path) {
            is_done &= log_streams::send_leftovers(&state, &path)?;
            continue;
        }
        let upload = fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice::<Upload>(&text).ok());
        let Some((upload, run)) = upload.and_then(|upload| {
            let run: RunId = upload.run.parse().ok()?;
            Some((upload, run))
        }) else {
            // Nobody knows what it was for.
            fs::remove_file(&path)?;
            continue;
        };
        if journal::is_locked(&state.journal().open_log(run)).unwrap_or(false) {
            // Its runner is at work, and may be storing this very output.
            is_done = false;
            continue;
        }
        let is_late = SystemClock.now().as_microsecond() - upload.since_us > LIMIT_US;
        let trouble = match store(&state, &settings, &upload, LATER_PATIENCE) {
            Ok(()) => String::new(),
            Err(_) if !upload.file.exists() => "the disk's quota removed it before it could be stored".to_owned(),
            Err(why) if is_late => format!("given up after 24 hours: {why}"),
            Err(_) => {
                is_done = false;
                continue;
            }
        };
        // Without a log there is nobody who could be told.
        let fate = OutputStored {
            index: upload.index,
            name: upload.step.clone(),
            stream: upload.stream.clone(),
            trouble,
            is_log_stream: false,
        };
        if tell(&state, run, fate).is_err() && upload.file.exists() {
            is_done = false;
            continue;
        }
        fs::remove_file(&path)?;
    }
    Ok(is_done)
}

/// Adds what became of an output to the log of a run that is over, and lets the agent send it.
pub(super) fn tell(state: &StateDir, run: RunId, fate: OutputStored) -> io::Result<()> {
    state.journal().reopen(run)?;
    let Some((log, history)) = Log::lock(&state.journal().open_log(run))? else {
        return Err(io::ErrorKind::WouldBlock.into());
    };
    if !history.is_finished() {
        return Ok(());
    }
    let clock = SystemClock;
    let mut recorder = Recorder::new(run, log, history.last_sequence(), &clock, state.notify_socket());
    recorder.add(News::OutputStored(fate));
    recorder.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_specification() {
        assert_eq!(
            key("", "c", "mi-1", "awsrunShellScript/run", "stdout"),
            "c/mi-1/awsrunShellScript/run/stdout"
        );
        assert_eq!(
            key("/a/b/", "c", "mi-1", "awsrunShellScript/0.awsrunShellScript", "stderr"),
            "a/b/c/mi-1/awsrunShellScript/0.awsrunShellScript/stderr"
        );
    }
}
