//! How far a command is: a bar on a terminal, lines elsewhere. On stderr only.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use muster_proto::runcommand::v1::Command;

use crate::print;

#[derive(Debug)]
pub(super) struct Progress {
    /// None: not a terminal.
    bar: Option<ProgressBar>,
    last_said: String,
}

impl Progress {
    pub(super) fn new(command: &Command) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let length = u64::try_from(command.target_count()).unwrap_or(0);
            let style = ProgressStyle::with_template("{bar:30} {pos} of {len} done{msg}, {elapsed}")
                .expect("the template is a constant")
                .progress_chars("=> ");
            ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr()).with_style(style)
        });
        Self {
            bar,
            last_said: String::new(),
        }
    }

    /// The command as it stands now.
    pub(super) fn show(&mut self, command: &Command) {
        if let Some(bar) = &self.bar {
            bar.set_length(u64::try_from(command.target_count()).unwrap_or(0));
            bar.set_position(u64::try_from(command.completed_count()).unwrap_or(0));
            bar.set_message(errors(command));
        }
    }

    /// Called about once a second: draws the time, or says a line if there is something new to say.
    pub(super) fn tick(&mut self, command: &Command) {
        match &self.bar {
            Some(bar) => bar.tick(),
            None => {
                let line = line(command);
                if line != self.last_said && command.completed_count() > 0 {
                    print::say(&line);
                    self.last_said = line;
                }
            }
        }
    }

    /// Prints something while the bar steps aside.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn errors(command: &Command) -> String {
    match command.error_count() {
        0 => String::new(),
        count => format!(", {count} with errors"),
    }
}

fn line(command: &Command) -> String {
    format!(
        "{} of {} done{}",
        command.completed_count(),
        command.target_count(),
        errors(command)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_named_only_if_there_are_some() {
        let mut command = Command {
            target_count: Some(40),
            completed_count: Some(12),
            ..Command::default()
        };
        assert_eq!(line(&command), "12 of 40 done");
        command.error_count = Some(2);
        assert_eq!(line(&command), "12 of 40 done, 2 with errors");
    }
}
