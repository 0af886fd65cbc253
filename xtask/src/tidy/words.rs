//! Words that must not stand in the files of the project.

use super::finding::Finding;
use super::sources::Source;

/// Loose ends, in Rust. Put together here so that this file does not find itself.
const LOOSE_ENDS: &[(&str, &str)] = &[
    (
        concat!("to", "do!("),
        "what is not there yet answers with a clear error",
    ),
    (
        concat!("unimple", "mented!("),
        "what is not there yet answers with a clear error",
    ),
    (concat!("TO", "DO"), "an issue holds what is to be done"),
    (concat!("FIX", "ME"), "an issue holds what is to be mended"),
    (concat!("#[ig", "nore"), "a test runs or goes"),
    (concat!("thread::", "sleep"), "wait for a condition, not for a while"),
    (concat!("dbg", "!("), "it is for one afternoon"),
];

/// Folders of one machine.
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/tmp/mus", "ter/"),
    concat!("/ro", "ot/"),
];

/// Hosts of package and image registries: the tools know where to look, and users have their own.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("deb.debian", ".org"),
    concat!("security.debian", ".org"),
    concat!("docker", ".io"),
    concat!("docker", ".com"),
    concat!("ghcr", ".io"),
    concat!("quay", ".io"),
    concat!("gcr", ".io"),
    concat!("npmjs", ".org"),
    concat!("public.ecr", ".aws"),
];

/// Written by cargo, which puts the registry beside each package.
const WRITTEN_BY_TOOLS: &[&str] = &["Cargo.lock"];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    if WRITTEN_BY_TOOLS.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (line, text) in source.lines() {
        let mut find = |what: String| findings.push(Finding::at(&source.path, line, what));
        if source.is_rust() {
            for (word, why) in LOOSE_ENDS.iter().filter(|(word, _)| stands_alone(text, word)) {
                find(format!("{word}: {why}"));
            }
        }
        for folder in MACHINE_FOLDERS.iter().filter(|folder| begins_a_path(text, folder)) {
            find(format!("{folder} is a folder of one machine"));
        }
        for host in REGISTRY_HOSTS.iter().filter(|host| stands_alone(text, host)) {
            find(format!(
                "{host} is the host of a registry: name packages, not where they lie"
            ));
        }
    }
    findings
}

/// Whether the word is there and is not a part of a longer one.
fn stands_alone(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let continues_before = text[..at].chars().next_back().is_some_and(is_part);
        let continues_after = word.ends_with(is_part) && text[at + word.len()..].chars().next().is_some_and(is_part);
        !continues_before && !continues_after
    })
}

/// Whether a path begins with the folder, and not `services/x/src` + folder.
fn begins_a_path(text: &str, folder: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || "_-.>})*".contains(c);
    text.match_indices(folder)
        .any(|(at, _)| !text[..at].chars().next_back().is_some_and(continues))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::sources::source;

    #[test]
    fn loose_ends_are_found_in_rust_only() {
        let text = concat!("// TO", "DO: later\n");
        assert_eq!(check(&source("a.rs", text)).len(), 1);
        assert_eq!(check(&source("a.md", text)).len(), 0);
        assert_eq!(check(&source("a.rs", concat!("// TO", "DOS is fine\n"))).len(), 0);
        assert_eq!(check(&source("a.rs", concat!("std::thread::", "sleep(x);\n"))).len(), 1);
    }

    #[test]
    fn folders_of_a_machine_are_found_but_not_folders_of_the_project() {
        assert_eq!(check(&source("a.md", concat!("see `/wo", "rk/main`"))).len(), 1);
        assert_eq!(check(&source("a.md", "services/fleet/src/work/sweeper.rs")).len(), 0);
        assert_eq!(check(&source("a.md", "`src/work/<what>.rs`")).len(), 0);
    }

    #[test]
    fn registries_are_not_named() {
        assert_eq!(
            check(&source("Dockerfile", concat!("RUN curl https://pypi", ".org/x"))).len(),
            1
        );
        assert_eq!(check(&source("Cargo.lock", concat!("crates", ".io-index"))).len(), 0);
        assert_eq!(check(&source("a.yml", "label=com.docker.compose.project")).len(), 0);
    }
}
