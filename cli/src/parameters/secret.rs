//! Where a value comes from: a file, the standard input, or a person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::complaint::Complaint;
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

/// Asks the person at the terminal, and shows nothing of what is typed; without a terminal, reads the standard input.
pub(super) fn asked(name: &str) -> Result<String, Complaint> {
    if !io::stdin().is_terminal() {
        return from_file("-");
    }
    let first = hidden(&format!("Value of {name}: "))?;
    match hidden("The same again: ")? == first {
        true => Ok(first),
        false => Err(Complaint::Usage {
            what: "the two values differ".to_owned(),
            hint: "try again, or give the value with --file".to_owned(),
        }),
    }
}

fn hidden(prompt: &str) -> Result<String, Complaint> {
    let failed = |source: io::Error| Complaint::Read {
        path: "the terminal".to_owned(),
        source,
    };
    let _ = write!(io::stderr(), "{prompt}").and_then(|()| io::stderr().flush());
    let quiet = Quiet::begin().map_err(failed)?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    drop(quiet);
    print::say("");
    read.map_err(failed)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
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
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
