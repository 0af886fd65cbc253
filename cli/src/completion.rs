//! `muster completion`: a script for the shell.

use clap::{CommandFactory, ValueEnum};
use clap_complete::aot;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell. Load the script with `source <(muster completion bash)`, or put it where the shell looks.
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run<C: CommandFactory>(arguments: &Arguments) -> Result<Exit, Complaint> {
    print::data(&script::<C>(arguments.shell))?;
    Ok(Exit::Success)
}

fn script<C: CommandFactory>(shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
    };
    let mut script = Vec::new();
    aot::generate(shell, &mut C::command(), "muster", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;

    #[test]
    fn every_shell_learns_every_verb() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script::<Cli>(shell);
            for verb in [
                "up",
                "run",
                "nodes",
                "commands",
                "documents",
                "parameters",
                "call",
                "package",
            ] {
                assert!(script.contains(verb), "{shell:?} does not know {verb}");
            }
        }
    }
}
