//! What goes wrong, in one line: the error word where there is one, what is wrong, where, and what to do.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use async_nats::ConnectErrorKind;
use muster_boot::{BusError, NatsSettings};
use muster_wire::{Failure, aws_json};
use tonic::Status;

use crate::exit::Exit;
use crate::trust::TrustError;
use crate::up::UpError;

/// Why a verb did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Complaint {
    /// Nobody said where the server is.
    #[error("no server is known: {} does not exist", .looked_at.display())]
    NoServer {
        /// Where `muster up` would have said so.
        looked_at: PathBuf,
    },
    /// What `muster up` wrote cannot be used.
    #[error("{} does not say where the server is", .path.display())]
    Ready {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody listens there.
    #[error("the server at {url} does not answer")]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server does not take who asks.
    #[error("the server at {url} refuses {}", who(.creds))]
    Refused {
        /// The address.
        url: String,
        /// The file; empty: none was given.
        creds: PathBuf,
    },
    /// The caller's credentials are none.
    #[error("the connection cannot be tried")]
    Credentials(#[source] BusError),
    /// The connection broke, and what was asked for needs it.
    #[error("the connection to the server broke")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// The server answered with an error.
    #[error("{}", described(.operation, .status))]
    Answered {
        /// `RunCommand.SendCommand`.
        operation: String,
        /// The answer.
        status: Box<Status>,
    },
    /// What the caller wrote is wrong, and only now it shows.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// Ctrl-C, or another signal that ends programs, where the person at the terminal was asked for something.
    #[error("broken off")]
    Interrupted,
    /// A file of the caller's.
    #[error("{path} cannot be read")]
    Read {
        /// The file, or "the standard input".
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody reads what we write, or it cannot be written.
    #[error("the output cannot be written")]
    Output(#[source] io::Error),
    /// The operating system refuses what the program needs to run at all.
    #[error("the operating system refuses {what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something on this machine, or in the tables that the caller named.
    #[error("{what}")]
    Local {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The audit log is not what was written.
    #[error("the audit log is not what was written: {what}")]
    Fault {
        /// Where and how.
        what: String,
    },
    /// `muster up` ended.
    #[error(transparent)]
    Up(#[from] UpError),
    /// The folder of keys and credentials.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

fn who(creds: &Path) -> String {
    match creds.as_os_str().is_empty() {
        true => "whoever has no credentials".to_owned(),
        false => format!("the credentials in {}", creds.display()),
    }
}

impl Complaint {
    /// The server's answer to an operation.
    pub(crate) fn answered(operation: &str, status: Status) -> Self {
        Self::Answered {
            operation: operation.to_owned(),
            status: Box::new(status),
        }
    }

    /// A connection that did not come about.
    pub(crate) fn unreachable(settings: NatsSettings, error: BusError) -> Self {
        let NatsSettings { url, credentials, .. } = settings;
        match error {
            BusError::Connect(source) => match source.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => Self::Refused {
                    url,
                    creds: credentials,
                },
                _ => Self::Unreachable { url, source },
            },
            error @ BusError::Credentials { .. } => Self::Credentials(error),
            error @ BusError::Address { .. } => Self::Usage {
                what: chain(&error),
                hint: "name the server as tls://HOST:PORT or wss://HOST".to_owned(),
            },
            BusError::InClear(server) => Self::Usage {
                what: format!("{server} is not encrypted, and whoever is on the way could read everything"),
                hint: "use tls:// or wss://, or give --ca with the server's authority; --insecure if the network is private \
                       in itself"
                    .to_owned(),
            },
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NoServer { .. }
            | Self::Ready { .. }
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Broken(_) => Exit::Unreachable,
            Self::Answered { status, .. } => match Failure::from_status(status) {
                Failure::Unavailable { .. } | Failure::Deadline => Exit::Unreachable,
                _ => Exit::Failed,
            },
            Self::Usage { .. } => Exit::Usage,
            Self::Interrupted => Exit::Interrupted,
            Self::Read { .. }
            | Self::Output(_)
            | Self::System { .. }
            | Self::Local { .. }
            | Self::Fault { .. }
            | Self::Up(_)
            | Self::Trust(_)
            | Self::Credentials(_) => Exit::Failed,
        }
    }

    /// Whether the reader of our output went away, as `head` does: nobody wants to hear of it.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    fn hint(&self) -> Option<&str> {
        match self {
            Self::NoServer { .. } => {
                Some("start one with `muster up`, or name one with --server nats://HOST:PORT or MUSTER_SERVER")
            }
            Self::Ready { .. } | Self::Unreachable { .. } => {
                Some("start it with `muster up`, or name another with --server or MUSTER_SERVER")
            }
            Self::Answered { status, .. } => match Failure::from_status(status) {
                Failure::Unavailable { .. } => Some("is the service running?"),
                Failure::Deadline => Some("try again; the request may have been carried out"),
                Failure::Internal(_) => Some("the service's log has more"),
                _ => None,
            },
            Self::Usage { hint, .. } => Some(hint),
            Self::Refused { .. } | Self::Credentials(_) => {
                Some("name a .creds file with --creds or MUSTER_CREDS; `muster init` and `muster up` make one")
            }
            Self::Up(error) => error.hint(),
            Self::Trust(error) => error.hint(),
            _ => None,
        }
    }

    /// The whole complaint: text, causes, what to do.
    pub(crate) fn line(&self) -> String {
        let mut line = chain(self);
        if let Some(hint) = self.hint().filter(|hint| !hint.is_empty()) {
            line.push_str("; ");
            line.push_str(hint);
        }
        line
    }
}

/// An error with its causes in one line; a cause that only repeats what was said is left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

fn described(operation: &str, status: &Status) -> String {
    let failure = Failure::from_status(status);
    let (word, _) = aws_json::word_and_status(&failure);
    let text = match failure {
        Failure::Refused(refusal) => refusal.message,
        // The message holds the id under which the log has the cause; gRPC's rendering of a status helps nobody.
        Failure::Internal(_) | Failure::Unavailable { .. } => status.message().to_owned(),
        other => other.to_string(),
    };
    match text.is_empty() {
        true => format!("{word} ({operation})"),
        false => format!("{word}: {text} ({operation})"),
    }
}

#[cfg(test)]
mod tests {
    use muster_wire::{Reason, Refusal};

    use super::*;

    #[test]
    fn a_refusal_is_its_word_its_text_and_its_operation() {
        let refusal = Refusal::new(Reason::InvalidDocument, "document Nope does not exist");
        let complaint = Complaint::answered("RunCommand.SendCommand", refusal.into());
        assert_eq!(
            complaint.line(),
            "InvalidDocument: document Nope does not exist (RunCommand.SendCommand)"
        );
        assert_eq!(complaint.exit(), Exit::Failed);
    }

    #[test]
    fn a_service_that_is_away_is_unreachable() {
        let complaint = Complaint::answered("Fleet.X", Status::unavailable("nobody serves muster.v1.api.Fleet.X"));
        assert_eq!(
            complaint.line(),
            "ServiceUnavailable: nobody serves muster.v1.api.Fleet.X (Fleet.X); is the service running?"
        );
        assert_eq!(complaint.exit(), Exit::Unreachable);
    }

    #[test]
    fn an_internal_error_shows_the_id_and_no_grpc_words() {
        let complaint = Complaint::answered("A.B", Status::internal("internal error 17"));
        assert_eq!(
            complaint.line(),
            "InternalServerError: internal error 17 (A.B); the service's log has more"
        );
    }

    #[test]
    fn a_server_that_is_not_known_says_how_to_name_one() {
        let complaint = Complaint::NoServer {
            looked_at: "data/ready.json".into(),
        };
        let line = complaint.line();
        assert!(
            line.contains("data/ready.json") && line.contains("muster up") && line.contains("--server"),
            "{line}"
        );
        assert_eq!(complaint.exit(), Exit::Unreachable);
    }

    #[test]
    fn only_a_broken_pipe_is_silent() {
        assert!(Complaint::Output(io::ErrorKind::BrokenPipe.into()).is_silent());
        assert!(!Complaint::Output(io::ErrorKind::StorageFull.into()).is_silent());
    }
}
