//! What `deny.toml` says of licences, sources and unwanted crates, checked without cargo-deny.
//!
//! cargo-deny reads the same file and also knows advisories; this check needs no tool and no network.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::finding::Finding;
use super::metadata::{Metadata, Package};
use super::spdx;
use crate::workspace;

/// The licence of everything in this repository.
const OURS: &str = "Apache-2.0";
/// The one registry that packages may come from, as its index is called.
const INDEX: &str = concat!("/crates", ".io-index");

#[derive(Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

pub(crate) fn check(metadata: &Metadata) -> Result<Vec<Finding>> {
    let text = std::fs::read_to_string(workspace::root().join("deny.toml")).context("deny.toml cannot be read")?;
    let rules: Rules = toml::from_str(&text).context("deny.toml is not of the form that tidy knows")?;
    Ok(metadata
        .packages
        .iter()
        .flat_map(|package| judge(package, &rules))
        .collect())
}

fn judge(package: &Package, rules: &Rules) -> Vec<Finding> {
    let Some(source) = package.source.as_deref() else {
        let stated = package.license.as_deref() == Some(OURS);
        let missing = || Finding::in_file(&package.manifest(), format!("its licence is not stated as {OURS}"));
        return (!stated).then(missing).into_iter().collect();
    };
    let name = format!("{} {}", package.name, package.version);
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::in_file("Cargo.lock", what));
    let licence = package.license.as_deref().unwrap_or_default();
    if !spdx::satisfied(licence, &rules.licenses.allow) {
        find(format!(
            "{name} has the licence {licence:?}, which deny.toml does not allow"
        ));
    }
    if !(source.starts_with("registry+") && source.ends_with(INDEX)) {
        find(format!(
            "{name} comes from {source}: only the public registry is allowed"
        ));
    }
    if let Some(ban) = rules.bans.deny.iter().find(|ban| ban.name == package.name) {
        find(format!("{name} is not wanted: {}", ban.reason));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, license: &str, source: Option<&str>) -> usize {
        let rules: Rules = toml::from_str(
            "[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ crate = \"openssl\", reason = \"one TLS\" }]\n",
        )
        .unwrap();
        let package = Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: Some(license.to_owned()),
            source: source.map(str::to_owned),
            manifest_path: "Cargo.toml".to_owned(),
            dependencies: Vec::new(),
        };
        judge(&package, &rules).len()
    }

    #[test]
    fn licences_sources_and_bans_are_judged() {
        let registry = format!("registry+https://example.com{INDEX}");
        assert_eq!(findings("fine", "MIT", Some(&registry)), 0);
        assert_eq!(findings("fine", "GPL-3.0", Some(&registry)), 1);
        assert_eq!(findings("fine", "MIT", Some("git+https://example.com/x")), 1);
        assert_eq!(findings("openssl", "MIT", Some(&registry)), 1);
    }

    #[test]
    fn our_own_packages_state_their_licence() {
        assert_eq!(findings("muster-x", "Apache-2.0", None), 0);
        assert_eq!(findings("muster-x", "MIT", None), 1);
    }
}
