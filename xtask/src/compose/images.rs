//! The base images that the Dockerfile begins from.
//!
//! They are taken as they are where they are present or can be pulled. Where there is no registry, a stand-in of the
//! same name is made here: a minimal Debian by debootstrap, and for the building image this machine's own toolchain on
//! top of one. This machine's additional certificate authorities go into both, since whoever has no registry often has
//! a gate in between.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::engine::Engine;
use crate::{process, workspace};

/// Certificate authorities that the owner of a Debian machine added.
const OWN_AUTHORITIES: &str = "/usr/local/share/ca-certificates";

/// The default of `ARG <name>=` in the Dockerfile.
pub(crate) fn base_image(name: &str) -> Result<String> {
    let text =
        std::fs::read_to_string(workspace::root().join("Dockerfile")).context("the Dockerfile cannot be read")?;
    default_of(&text, name).with_context(|| format!("the Dockerfile has no default for ARG {name}"))
}

fn default_of(dockerfile: &str, name: &str) -> Option<String> {
    let prefix = format!("ARG {name}=");
    let line = dockerfile.lines().find_map(|line| line.strip_prefix(&prefix))?;
    Some(line.trim().to_owned())
}

/// Makes sure that the image is there.
pub(crate) fn ensure(engine: Engine, image: &str) -> Result<()> {
    if process::succeeds(engine.docker().args(["image", "inspect", image]))
        || process::succeeds(engine.docker().args(["pull", "--quiet", image]))
    {
        return Ok(());
    }
    process::timed(&format!("{image} cannot be pulled; making a stand-in"), || {
        stand_in(engine, image)
    })
    .with_context(|| format!("no stand-in for {image} can be made here"))
}

/// What a stand-in is made of, as its name tells.
#[derive(Debug, PartialEq, Eq)]
struct Recipe {
    suite: String,
    packages: &'static str,
    toolchain: bool,
}

impl Recipe {
    /// `debian:<suite>-slim` and `rust:<version>-<suite>`.
    fn of(image: &str) -> Option<Self> {
        let (name, tag) = image.split_once(':')?;
        match name {
            "debian" => Some(Self {
                suite: tag.trim_end_matches("-slim").to_owned(),
                packages: "",
                toolchain: false,
            }),
            "rust" => Some(Self {
                suite: tag.rsplit_once('-')?.1.to_owned(),
                packages: "ca-certificates,gcc,libc6-dev",
                toolchain: true,
            }),
            _ => None,
        }
    }
}

fn stand_in(engine: Engine, image: &str) -> Result<()> {
    let recipe = Recipe::of(image).context("only images of Debian and Rust have stand-ins")?;
    install_debootstrap()?;
    let folder = TemporaryRoot::new()?;
    let root = folder.0.as_path();
    let mut bootstrap = Command::new("debootstrap");
    bootstrap.arg("--variant=minbase");
    if !recipe.packages.is_empty() {
        bootstrap.arg(format!("--include={}", recipe.packages));
    }
    process::output(bootstrap.arg(&recipe.suite).arg(root)).context("debootstrap needs root and Debian's packages")?;
    copy_authorities(root)?;
    if recipe.toolchain {
        copy_toolchain(root)?;
    }
    import(engine, root, image)
}

fn install_debootstrap() -> Result<()> {
    if process::succeeds(Command::new("debootstrap").arg("--version")) {
        return Ok(());
    }
    process::output(Command::new("apt-get").args(["update", "--quiet"]))
        .and_then(|_| process::output(Command::new("apt-get").args(["install", "--yes", "--quiet", "debootstrap"])))
        .context("debootstrap is not installed and apt-get cannot install it")?;
    Ok(())
}

fn copy_authorities(root: &Path) -> Result<()> {
    if !Path::new(OWN_AUTHORITIES).is_dir() {
        return Ok(());
    }
    let target = root.join(OWN_AUTHORITIES.trim_start_matches('/'));
    std::fs::create_dir_all(&target)?;
    process::output(Command::new("cp").arg("-aT").arg(OWN_AUTHORITIES).arg(&target))?;
    // Where the package is missing, its installation will find the files.
    if root.join("usr/sbin/update-ca-certificates").exists() {
        process::output(Command::new("chroot").arg(root).arg("update-ca-certificates"))?;
    }
    Ok(())
}

/// The compiler, cargo and the standard library, as the working copy uses them, into `/usr/local`.
fn copy_toolchain(root: &Path) -> Result<()> {
    let sysroot = process::output(
        Command::new("rustc")
            .current_dir(workspace::root())
            .args(["--print", "sysroot"]),
    )?;
    let sysroot = Path::new(sysroot.trim());
    let target = root.join("usr/local");
    for part in ["bin/cargo", "bin/rustc", "lib"] {
        let from = sysroot.join(part);
        process::output(Command::new("cp").arg("-aT").arg(from).arg(target.join(part)))?;
    }
    Ok(())
}

fn import(engine: Engine, root: &Path, image: &str) -> Result<()> {
    let mut pack = Command::new("tar")
        .arg("-C")
        .arg(root)
        .args([
            "--exclude=./var/cache/apt/archives/*.deb",
            "--exclude=./var/lib/apt/lists/*",
            "-c",
            ".",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .context("tar cannot be started")?;
    let packed = pack.stdout.take().context("tar has no output")?;
    let imported = engine
        .docker()
        .args(["import", "--change", "CMD [\"bash\"]", "-", image])
        .stdin(packed)
        .stdout(Stdio::null())
        .status()
        .context("docker cannot be started")?;
    if !pack.wait()?.success() || !imported.success() {
        bail!("the packed files were not imported");
    }
    Ok(())
}

/// A folder for the files of an image; deleted when dropped.
struct TemporaryRoot(PathBuf);

impl TemporaryRoot {
    fn new() -> Result<Self> {
        let path = process::output(Command::new("mktemp").args(["-d", "-t", "muster-image-XXXXXX"]))?;
        Ok(Self(PathBuf::from(path.trim())))
    }
}

impl Drop for TemporaryRoot {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("xtask: {} stays behind: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_tell_what_stands_in_for_them() {
        let slim = Recipe::of("debian:bookworm-slim").unwrap();
        assert_eq!((slim.suite.as_str(), slim.toolchain), ("bookworm", false));
        let rust = Recipe::of("rust:1.95-bookworm").unwrap();
        assert_eq!((rust.suite.as_str(), rust.toolchain), ("bookworm", true));
        assert_eq!(Recipe::of("postgres:17"), None);
    }

    #[test]
    fn base_images_are_read_from_the_dockerfile() {
        let text = "# a comment\nARG DEBIAN=debian:x-slim\nFROM ${DEBIAN}\n";
        assert_eq!(default_of(text, "DEBIAN").as_deref(), Some("debian:x-slim"));
        assert_eq!(default_of(text, "BUILDER"), None);
    }
}
