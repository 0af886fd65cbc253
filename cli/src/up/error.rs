//! Why `muster up` does not start, or ends.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use muster_boot::{BootError, BoxError, SettingsError};

use crate::trust::TrustError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    #[error("{} cannot be used", .path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is in use by another muster up{}", .path.display(), of_process(*.process))]
    InUse { path: PathBuf, process: Option<u32> },
    #[error("there is no {what}: looked for {}", paths(.looked_for))]
    NotFound {
        what: &'static str,
        looked_for: Vec<PathBuf>,
        hint: &'static str,
    },
    #[error("{what} cannot be started")]
    Spawn {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("{what} ended at once ({status}){}", said(.last_words))]
    Ended {
        what: String,
        status: ExitStatus,
        last_words: String,
    },
    #[error("nats-server {version} is too old: 2.10 or newer is needed")]
    NatsTooOld { version: String },
    #[error("the bus does not answer")]
    Bus(#[source] BoxError),
    #[error("the keys and credentials of the bus cannot be used")]
    Trust(#[from] TrustError),
    #[error("agent {name} gets no credentials")]
    Node {
        name: String,
        #[source]
        source: BoxError,
    },
    #[error("logging cannot be started")]
    Telemetry(#[source] BoxError),
    #[error("the settings of {service} cannot be used")]
    Settings {
        service: &'static str,
        #[source]
        source: SettingsError,
    },
    #[error("{service} cannot be started")]
    Parts {
        service: &'static str,
        #[source]
        source: BootError,
    },
    #[error("{service} cannot be started")]
    Service {
        service: &'static str,
        #[source]
        source: BoxError,
    },
    #[error("{service} failed (see {})", .log.display())]
    Died {
        service: &'static str,
        #[source]
        source: BoxError,
        log: PathBuf,
    },
    #[error("{seconds} seconds have passed and {missing}; the logs in {} may say why", .logs.display())]
    NotReady {
        seconds: u64,
        missing: String,
        logs: PathBuf,
    },
}

impl UpError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::InUse { .. } => Some("stop it, or give this one a folder of its own with --data-dir"),
            Self::NotFound { hint, .. } => Some(hint),
            Self::NatsTooOld { .. } => Some("name another with --nats-server or MUSTER_NATS_SERVER"),
            Self::Parts {
                source: BootError::Listen { .. },
                ..
            } => Some("choose another address with --listen; port 0 takes any that is free"),
            Self::Trust(error) => error.hint(),
            _ => None,
        }
    }
}

fn of_process(process: Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" (process {process})"))
}

fn paths(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

fn said(words: &str) -> String {
    match words.is_empty() {
        true => String::new(),
        false => format!(": {words}"),
    }
}
