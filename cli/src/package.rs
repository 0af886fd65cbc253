//! `muster package`: keys that sign packages, and packages for a store (docs/operate/packages.md).
//!
//! It writes files and talks to nobody: a store is a directory that is then copied to where machines can read it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use muster_agent::package::{Order, SigningKey, build};

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key that signs packages, and print the public key for the machines' configuration.
    Key {
        /// Where the signing key goes; a file that is there stays, and its public key is printed.
        file: PathBuf,
    },
    /// Pack a directory with an install.sh, add it to a store, and sign it.
    Build(BuildArguments),
}

#[derive(Debug, clap::Args)]
struct BuildArguments {
    /// The directory with install.sh, uninstall.sh, update.sh and what they need; for muster-agent, with the program.
    directory: PathBuf,
    /// The package's name.
    #[arg(long)]
    name: String,
    /// Its version.
    #[arg(long)]
    version: String,
    /// The store, a directory; made if it is not there.
    #[arg(long)]
    store: PathBuf,
    /// The signing key; without it the package is unsigned, and machines refuse it unless they are told not to.
    #[arg(long)]
    sign: Option<PathBuf>,
    /// For which platform: the ID of os-release, or any.
    #[arg(long, default_value = "_any")]
    platform: String,
    /// For which version of the platform: 12, 12.*, or any.
    #[arg(long, default_value = "_any")]
    platform_version: String,
    /// For which architecture: x86_64, arm64, or any.
    #[arg(long, default_value = "_any")]
    arch: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Complaint> {
    match &arguments.verb {
        Verb::Key { file } => key(file),
        Verb::Build(arguments) => pack(arguments),
    }
}

fn key(path: &Path) -> Result<Exit, Complaint> {
    let made = File::options().create_new(true).write(true).mode(0o600).open(path);
    let key = match made {
        Ok(mut file) => {
            let key = SigningKey::generate().map_err(|error| usage(error.to_string(), "try again"))?;
            writeln!(file, "{}", key.to_text()).map_err(Complaint::Output)?;
            print::say(&format!(
                "{}: keep it secret; machines need only the public key",
                path.display()
            ));
            key
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_key(path)?,
        Err(error) => {
            return Err(usage(
                format!("{}: {error}", path.display()),
                "name a file that can be made",
            ));
        }
    };
    print::data(&format!("{}\n", key.public()))?;
    Ok(Exit::Success)
}

fn pack(arguments: &BuildArguments) -> Result<Exit, Complaint> {
    let key = arguments.sign.as_deref().map(read_key).transpose()?;
    let order = Order {
        name: &arguments.name,
        version: &arguments.version,
        platform: &arguments.platform,
        platform_version: &arguments.platform_version,
        architecture: &arguments.arch,
        directory: &arguments.directory,
        store: &arguments.store,
    };
    let manifest = build(&order, key.as_ref()).map_err(|error| {
        usage(
            error.to_string(),
            "see `muster package build --help` and docs/operate/packages.md",
        )
    })?;
    if key.is_none() {
        print::say("not signed: machines refuse it unless allow_unsigned is set in their configuration");
    }
    let place = arguments.store.join(&arguments.name).join(&arguments.version);
    let files = manifest.files.iter().map(|(file, facts)| {
        let sha256 = facts.sha256().unwrap_or_default();
        format!("{sha256}  {}\n", place.join(file).display())
    });
    print::data(&files.collect::<String>())?;
    Ok(Exit::Success)
}

fn read_key(path: &Path) -> Result<SigningKey, Complaint> {
    let text = std::fs::read_to_string(path).map_err(|source| Complaint::Read {
        path: path.display().to_string(),
        source,
    })?;
    SigningKey::from_text(&text).map_err(|error| {
        usage(
            format!("{}: {error}", path.display()),
            "make one with `muster package key FILE`",
        )
    })
}

fn usage(what: String, hint: &str) -> Complaint {
    Complaint::Usage {
        what,
        hint: hint.to_owned(),
    }
}
