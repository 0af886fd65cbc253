//! Names of files and modules, and how long a file may be.

use super::finding::Finding;
use super::sources::Source;

/// More than this and a reader no longer holds the file in the head; split it by noun.
const LONGEST: usize = 500;

/// Files that may be longer, each with the reason.
const LONGER: &[(&str, &str)] = &[];

/// Names that say nothing: what has only such a name has no home yet.
const EMPTY_NAMES: &[&str] = &["common", "util", "utils", "helper", "helpers", "misc"];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(length(source));
    findings.extend(empty_name(source));
    if source.is_rust() {
        findings.extend(
            source
                .lines()
                .filter_map(|(line, text)| inline_module(source, line, text)),
        );
    }
    findings
}

fn length(source: &Source) -> Option<Finding> {
    let judged = source.has_extension(&["rs", "py", "sh", "sql", "yml"]);
    let excused = LONGER.iter().any(|(path, _)| source.path == *path);
    let lines = source.text.lines().count();
    (judged && !excused && lines > LONGEST).then(|| {
        Finding::in_file(
            &source.path,
            format!("{lines} lines, at most {LONGEST}: split it by noun"),
        )
    })
}

fn empty_name(source: &Source) -> Option<Finding> {
    let word = source.path.split('/').find_map(|part| {
        let stem = part.split('.').next().unwrap_or(part);
        EMPTY_NAMES.iter().find(|word| stem == **word)
    })?;
    Some(Finding::in_file(
        &source.path,
        format!("{word} is no name: what is in it tells where it belongs"),
    ))
}

fn inline_module(source: &Source, line: usize, text: &str) -> Option<Finding> {
    let rest = text.trim_start();
    let rest = rest.split_once("mod ").filter(|(before, _)| {
        before.is_empty() || before.trim_end() == "pub" || (before.starts_with("pub(") && before.ends_with(") "))
    })?;
    let name: &str = rest.1.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    EMPTY_NAMES
        .contains(&name)
        .then(|| Finding::at(&source.path, line, format!("module {name}: that is no name")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::sources::source;

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(check(&source("a/b.rs", &"x\n".repeat(500))).len(), 0);
        assert_eq!(check(&source("a/b.rs", &"x\n".repeat(501))).len(), 1);
        assert_eq!(check(&source("a/b.json", &"x\n".repeat(501))).len(), 0);
    }

    #[test]
    fn empty_names_are_found_wherever_they_stand() {
        assert_eq!(check(&source("crates/common/src/lib.rs", "")).len(), 1);
        assert_eq!(check(&source("crates/wire/src/utils.rs", "")).len(), 1);
        assert_eq!(
            check(&source("crates/wire/src/lib.rs", "pub(crate) mod helpers {\n")).len(),
            1
        );
        assert_eq!(
            check(&source("crates/wire/src/commonwealth.rs", "// a mod utils\n")).len(),
            0
        );
    }
}
