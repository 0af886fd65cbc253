//! `cargo xtask tidy`: what compilers do not check. One line per finding, with the place and the reason.

mod allowed;
mod arrows;
mod finding;
mod licences;
mod metadata;
mod names;
mod readme;
mod sources;
mod spdx;
mod words;

use anyhow::{Result, bail};

use metadata::Metadata;

/// Runs all checks on the working copy.
pub(crate) fn run() -> Result<()> {
    let metadata = Metadata::read()?;
    let sources = sources::read()?;
    let mut findings = Vec::new();
    findings.extend(arrows::check(&metadata));
    findings.extend(licences::check(&metadata)?);
    for source in &sources {
        findings.extend(names::check(source));
        findings.extend(words::check(source));
        findings.extend(allowed::check(source));
    }
    findings.extend(readme::check(&sources));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    println!(
        "xtask: tidy: {} files and {} packages are in order",
        sources.len(),
        metadata.packages.len()
    );
    Ok(())
}
