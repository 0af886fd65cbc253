//! Where a value comes from: a file, the standard input, or a person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;

/// Reads a file; `-` is the standard input. A line end at the end of it does not belong to the value.
pub(super) fn from_file(file: &str) -> Result<String, Complaint> {
    let (path, text) = match file {
        "-" => {
            let mut text = String::new();
            let read = io::stdin().read_to_string(&mut text);
            ("the standard input", read.map(|_| text))
        }
        file => (file, std::fs::read_to_string(file)),
    };
    let mut text = text.map_err(|source| Complaint::Read {
        path: path.to_owned(),
        source,
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Whether there is a person at a terminal.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks the person at the terminal, and shows nothing of what is typed.
pub(super) async fn asked(name: &str) -> Result<String, Complaint> {
    let first = hidden(&format!("Value of {name}: ")).await?;
    match hidden("The same again: ").await? == first {
        true => Ok(first),
        false => Err(Complaint::Usage {
            what: "the two values differ".to_owned(),
            hint: "try again, or give the value with --file".to_owned(),
        }),
    }
}

/// Does something that asks the person at the terminal. Ctrl-C, and whatever else ends programs, breaks it off in order, so
/// that the terminal is left as it was.
pub(super) async fn unless_broken_off(work: impl Future<Output = Result<Exit, Complaint>>) -> Result<Exit, Complaint> {
    // From here on the signals do not end the program by themselves.
    let mut interrupted = signal(SignalKind::interrupt()).map_err(no_terminal)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(no_terminal)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(no_terminal)?;
    tokio::select! {
        done = work => done,
        _ = interrupted.recv() => Err(Complaint::Interrupted),
        _ = terminated.recv() => Err(Complaint::Interrupted),
        _ = hung_up.recv() => Err(Complaint::Interrupted),
    }
}

async fn hidden(prompt: &str) -> Result<String, Complaint> {
    let quiet = Quiet::begin().map_err(no_terminal)?;
    let _ = write!(io::stderr(), "{prompt}").and_then(|()| io::stderr().flush());
    let (answer, answered) = oneshot::channel();
    // A thread that nobody waits for: the end of the program does not hang on a line that never comes.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        let _ = answer.send(read.map(|_| line));
    });
    let line = answered
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()));
    drop(quiet);
    Ok(line.map_err(no_terminal)?.trim_end_matches(['\n', '\r']).to_owned())
}

fn no_terminal(source: io::Error) -> Complaint {
    Complaint::Read {
        path: "the terminal".to_owned(),
        source,
    }
}

/// A terminal that shows nothing, until it is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // There is nobody to tell when the terminal is gone.
        // What was typed and not read is not for the shell.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
        print::say("");
    }
}
