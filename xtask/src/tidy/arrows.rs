//! Who may depend on whom (ARCHITECTURE.md, "Map"): arrows point only down, and services do not know each other.

use super::finding::Finding;
use super::metadata::{Metadata, Package};

/// What a package of ours may depend on, of our packages.
enum Reach {
    Only(&'static [&'static str]),
    /// Bundles and tests the whole.
    All,
}

const BELOW_SERVICES: &[&str] = &[
    "muster-boot",
    "muster-store",
    "muster-wire",
    "muster-document",
    "muster-credential",
    "muster-proto",
    "muster-model",
];

/// What tests of any package may use besides; it is never part of the product.
const TEST_GROUND: &[&str] = &["muster-harness", "muster-agent-sim"];

/// Packages that must stay free of these crates, because their purpose says so.
const FREE_OF: &[(&str, &[&str], &str)] = &[
    (
        "muster-model",
        &["tokio", "prost", "tonic", "sqlx", "async-nats"],
        "the model does no IO and knows no wire",
    ),
    (
        "muster-document",
        &["tokio", "sqlx", "async-nats"],
        "documents are judged without IO",
    ),
    (
        "muster-credential",
        &["tokio", "async-nats", "sqlx"],
        "keys and claims are made and judged without IO",
    ),
    ("muster-agent", &["sqlx"], "the agent keeps a journal, not a database"),
];

fn reach(package: &Package, manifest: &str) -> Option<Reach> {
    if manifest.starts_with("services/") {
        return Some(Reach::Only(BELOW_SERVICES));
    }
    Some(match package.name.as_str() {
        "muster-proto" | "muster-model" | "muster-credential" | "xtask" => Reach::Only(&[]),
        "muster-wire" | "muster-store" | "muster-document" => Reach::Only(&["muster-proto", "muster-model"]),
        "muster-boot" => Reach::Only(&[
            "muster-store",
            "muster-wire",
            "muster-credential",
            "muster-proto",
            "muster-model",
        ]),
        "muster-agent" => Reach::Only(&[
            "muster-document",
            "muster-wire",
            "muster-credential",
            "muster-proto",
            "muster-model",
        ]),
        "muster-agent-sim" => Reach::Only(&[
            "muster-agent",
            "muster-document",
            "muster-wire",
            "muster-credential",
            "muster-proto",
            "muster-model",
        ]),
        "muster-fuzz" => Reach::Only(&["muster-document", "muster-wire", "muster-proto"]),
        "muster" | "muster-harness" | "muster-tests" | "muster-bench" => Reach::All,
        _ => return None,
    })
}

pub(crate) fn check(metadata: &Metadata) -> Vec<Finding> {
    let names: Vec<&str> = metadata.ours().map(|package| package.name.as_str()).collect();
    metadata
        .ours()
        .flat_map(|package| check_package(package, &names))
        .collect()
}

fn check_package(package: &Package, ours: &[&str]) -> Vec<Finding> {
    let manifest = package.manifest();
    let name = &package.name;
    let Some(reach) = reach(package, &manifest) else {
        let what = format!("{name} has no place among the arrows: give it one in xtask/src/tidy/arrows.rs");
        return vec![Finding::in_file(&manifest, what)];
    };
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let target = dependency.name.as_str();
        if ours.contains(&target) {
            let in_tests = dependency.kind.as_deref() == Some("dev");
            if let Some(why) = refusal(name, &reach, target, in_tests) {
                findings.push(Finding::in_file(
                    &manifest,
                    format!("{name} must not depend on {target}: {why}"),
                ));
            }
        }
        for (bound, banned, why) in FREE_OF {
            if name == bound && banned.contains(&target) && dependency.kind.is_none() {
                findings.push(Finding::in_file(
                    &manifest,
                    format!("{name} must not depend on {target}: {why}"),
                ));
            }
        }
    }
    findings
}

fn refusal(name: &str, reach: &Reach, target: &str, in_tests: bool) -> Option<&'static str> {
    if target == "muster-harness" {
        let for_tests = in_tests || matches!(name, "muster-tests" | "muster-bench");
        return (!for_tests).then_some("the harness is a dev-dependency only");
    }
    if in_tests && TEST_GROUND.contains(&target) {
        return None;
    }
    match reach {
        Reach::All => None,
        Reach::Only(allowed) if allowed.contains(&target) => None,
        Reach::Only(_) if BELOW_SERVICES.contains(&target) => Some("the arrows of the workspace do not go there"),
        Reach::Only(_) => Some("it is reached over the bus and the contract"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::metadata::Dependency;

    fn findings(name: &str, folder: &str, dependency: &str, kind: Option<&str>) -> usize {
        let package = Package {
            name: name.to_owned(),
            version: String::new(),
            license: None,
            source: None,
            manifest_path: format!("{folder}/Cargo.toml"),
            dependencies: vec![Dependency {
                name: dependency.to_owned(),
                kind: kind.map(str::to_owned),
            }],
        };
        let ours = [
            "muster-fleet",
            "muster-store",
            "muster-harness",
            "muster-model",
            "muster-agent-sim",
        ];
        check_package(&package, &ours).len()
    }

    #[test]
    fn a_service_knows_no_other_service() {
        assert_eq!(
            findings("muster-documents", "services/documents", "muster-fleet", None),
            1
        );
        assert_eq!(
            findings("muster-documents", "services/documents", "muster-fleet", Some("dev")),
            1
        );
        assert_eq!(
            findings("muster-documents", "services/documents", "muster-store", None),
            0
        );
        assert_eq!(findings("muster", "cli", "muster-fleet", None), 0);
    }

    #[test]
    fn an_agent_has_no_database() {
        assert_eq!(findings("muster-agent", "agent", "muster-store", None), 1);
        assert_eq!(findings("muster-agent", "agent", "sqlx", None), 1);
    }

    #[test]
    fn the_harness_is_for_tests() {
        assert_eq!(
            findings("muster-store", "crates/store", "muster-harness", Some("dev")),
            0
        );
        assert_eq!(findings("muster-store", "crates/store", "muster-harness", None), 1);
        assert_eq!(findings("muster-tests", "tests", "muster-harness", None), 0);
    }

    #[test]
    fn a_package_without_a_place_is_found() {
        assert_eq!(findings("muster-novelty", "crates/novelty", "muster-model", None), 1);
    }
}
