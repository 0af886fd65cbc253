//! The files that belong to the project.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// A text file of the working copy.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root of the working copy, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.has_extension(&["rs"])
    }

    pub(crate) fn has_extension(&self, extensions: &[&str]) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    /// Its lines, numbered from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// All text files that git tracks or would track: what a developer is about to add is checked too.
pub(crate) fn read() -> Result<Vec<Source>> {
    let list = process::output(Command::new("git").current_dir(workspace::root()).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))
    .context("tidy asks git for the files of the project")?;
    let mut sources = Vec::new();
    for path in list.split_terminator('\0') {
        // A tracked file that was just deleted, and files that are not text, are nobody's concern here.
        if let Ok(text) = std::fs::read_to_string(workspace::root().join(path)) {
            let path = path.to_owned();
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

#[cfg(test)]
pub(crate) fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}
