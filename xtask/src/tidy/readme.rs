//! Each service has one page that says what an operator asks first.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::sources::Source;

/// A word for each thing that a heading of the page must announce.
const SECTIONS: &[(&str, &str)] = &[
    ("owns", "what it decides and keeps"),
    ("subjects", "where it listens and what it publishes"),
    ("tables", "what it stores"),
    ("settings", "what can be set"),
    ("metrics", "what it counts"),
    ("down", "what happens while something it needs is down"),
];

pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let services: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| {
            source
                .path
                .strip_prefix("services/")?
                .split_once('/')
                .map(|(name, _)| name)
        })
        .collect();
    services.into_iter().flat_map(|name| page(name, sources)).collect()
}

fn page(name: &str, sources: &[Source]) -> Vec<Finding> {
    let path = format!("services/{name}/README.md");
    let Some(page) = sources.iter().find(|source| source.path == path) else {
        return vec![Finding::in_file(&path, "missing: each service has one page")];
    };
    let headings: String = page
        .text
        .lines()
        .filter(|line| line.starts_with("##"))
        .map(|line| line.to_lowercase() + "\n")
        .collect();
    let migrations = format!("services/{name}/migrations/");
    let has_tables = sources.iter().any(|source| source.path.starts_with(&migrations));
    SECTIONS
        .iter()
        .filter(|(word, _)| *word != "tables" || has_tables)
        .filter(|(word, _)| !headings.contains(word))
        .map(|(word, what)| Finding::in_file(&path, format!("no heading says \"{word}\": {what}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::sources::source;

    #[test]
    fn a_service_without_its_page_is_found() {
        let found = check(&[source("services/fleet/src/lib.rs", "")]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn each_missing_heading_is_found() {
        let text = "# fleet\n## What it owns\n## Subjects, tables, settings\n## When something is down\nMetrics\n";
        let found = check(&[source("services/fleet/README.md", text)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains("metrics"));
    }

    #[test]
    fn tables_are_asked_of_those_that_have_some() {
        let page = || {
            source(
                "services/fleet/README.md",
                "## It owns subjects, settings, metrics, down\n",
            )
        };
        assert_eq!(check(&[page()]).len(), 0);
        assert_eq!(
            check(&[page(), source("services/fleet/migrations/0001_nodes.sql", "")]).len(),
            1
        );
    }
}
