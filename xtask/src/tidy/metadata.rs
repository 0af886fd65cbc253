//! What cargo knows of the packages, as far as the checks ask.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{process, workspace};

#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// Where it comes from; nothing for a package of this workspace.
    pub(crate) source: Option<String>,
    pub(crate) manifest_path: String,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Nothing for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Metadata {
    pub(crate) fn read() -> Result<Self> {
        let text = process::output(&mut workspace::cargo(&[
            "metadata",
            "--format-version",
            "1",
            "--locked",
        ]))
        .context("tidy needs an up-to-date Cargo.lock")?;
        serde_json::from_str(&text).context("cargo metadata is not of the form that tidy knows")
    }

    /// The packages of this workspace.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.source.is_none())
    }
}

impl Package {
    /// Its manifest from the root of the working copy.
    pub(crate) fn manifest(&self) -> String {
        let path = Path::new(&self.manifest_path);
        path.strip_prefix(workspace::root())
            .unwrap_or(path)
            .display()
            .to_string()
    }
}
