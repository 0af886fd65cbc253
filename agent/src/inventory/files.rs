//! Files somebody wants to be told about: `AWS:File` 1.0.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use muster_model::Timestamp;
use serde::Deserialize;

use super::{Entry, time};

/// Most files over all paths.
const FILES: usize = 500;
/// Most directories looked into for one path.
const DIRECTORIES: usize = 5_000;

/// One element of the `files` input.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Wanted {
    path: String,
    #[serde(default)]
    pattern: Vec<String>,
    #[serde(default)]
    recursive: bool,
    #[serde(default)]
    dir_scan_limit: Option<usize>,
}

/// Why files cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("files is no list of {{Path, Pattern, Recursive, DirScanLimit}}: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("File Count Limit Exceeded: more than {FILES} files match")]
    TooMany,
    #[error("Directory Scan Limit Exceeded: more than {limit} directories in {path:?}")]
    TooWide { path: PathBuf, limit: usize },
    #[error("cannot look into {path:?}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
}

/// What is told about files, and lines about what is not.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) entries: Vec<Entry>,
    pub(crate) notes: Vec<String>,
}

/// Looks for the files that the `files` input names. `variable` gives the value of an environment variable.
pub(crate) fn find(input: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Found, FilesError> {
    let wanted: Vec<Wanted> = serde_json::from_str(input)?;
    let (mut files, mut found) = (BTreeSet::new(), Found::default());
    for one in &wanted {
        let path = PathBuf::from(expand(&one.path.replace('\\', "/"), variable));
        if !path.is_dir() {
            found
                .notes
                .push(format!("files: {path:?} is no directory here; it is left out"));
            continue;
        }
        walk(&path, one, &mut files)?;
    }
    for file in files {
        match fs::symlink_metadata(&file) {
            Ok(about) => found.entries.push(entry(&file, &about)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(FilesError::Unreadable { path: file, source }),
        }
    }
    Ok(found)
}

fn walk(root: &Path, wanted: &Wanted, files: &mut BTreeSet<PathBuf>) -> Result<(), FilesError> {
    let limit = wanted.dir_scan_limit.unwrap_or(DIRECTORIES).min(DIRECTORIES);
    let (mut directories, mut scanned) = (vec![root.to_owned()], 0);
    while let Some(directory) = directories.pop() {
        scanned += 1;
        if scanned > limit {
            let path = root.to_owned();
            return Err(FilesError::TooWide { path, limit });
        }
        let listing = match fs::read_dir(&directory) {
            Ok(listing) => listing,
            // It vanished while we were on our way.
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory != root => continue,
            Err(source) => {
                return Err(FilesError::Unreadable {
                    path: directory,
                    source,
                });
            }
        };
        for file in listing.flatten() {
            let Ok(kind) = file.file_type() else { continue };
            if kind.is_dir() {
                if wanted.recursive {
                    directories.push(file.path());
                }
                continue;
            }
            let name = file.file_name();
            let name = name.to_string_lossy();
            if wanted.pattern.iter().any(|pattern| matches(pattern, &name)) {
                files.insert(file.path());
                if files.len() > FILES {
                    return Err(FilesError::TooMany);
                }
            }
        }
    }
    Ok(())
}

fn entry(path: &Path, about: &fs::Metadata) -> Entry {
    let text = |name: Option<&std::ffi::OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
    let moment = |at: io::Result<std::time::SystemTime>| {
        let at = at.ok().and_then(|at| Timestamp::try_from(at).ok());
        at.map(time).unwrap_or_default()
    };
    let mut entry = Entry::default();
    entry.set("Name", &text(path.file_name()));
    entry.set("Size", &about.len().to_string());
    entry.set("ModificationTime", &moment(about.modified()));
    entry.set("LastAccessTime", &moment(about.accessed()));
    entry.set("InstalledDir", &text(path.parent().map(Path::as_os_str)));
    entry
}

/// Puts in `$NAME`, `${NAME}` and `%NAME%`; what is not known stays as it is.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '%']) {
        expanded.push_str(&rest[..at]);
        let tail = &rest[at..];
        let (name, length) = if let Some(braced) = tail.strip_prefix("${") {
            braced
                .split_once('}')
                .map_or(("", 1), |(name, _)| (name, name.len() + 3))
        } else if let Some(percent) = tail.strip_prefix('%') {
            percent
                .split_once('%')
                .map_or(("", 1), |(name, _)| (name, name.len() + 2))
        } else {
            let end = tail[1..].find(|c| !is_name(c)).map_or(tail.len(), |end| end + 1);
            (&tail[1..end], end)
        };
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => {
                expanded.push_str(&value);
                rest = &tail[length..];
            }
            None => {
                expanded.push_str(&tail[..1]);
                rest = &tail[1..];
            }
        }
    }
    expanded.push_str(rest);
    expanded
}

/// Whether a name matches a shell pattern: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` before a plain character.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Positions to come back to: after the last star, and where it began to match.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(length) = pattern.get(p..).and_then(|pattern| one(pattern, name[n])) {
            (p, n) = (p + length, n + 1);
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            (p, n) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How much of the pattern's beginning matches this character.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', plain, ..] => (*plain == c).then_some(2),
        ['[', set @ ..] => {
            let (is_negated, skipped) = match set {
                ['!' | '^', ..] => (true, 1),
                _ => (false, 0),
            };
            // A bracket that comes first is a member.
            let end = (skipped + 1..set.len()).find(|at| set[*at] == ']')?;
            let (members, mut at, mut is_in) = (&set[skipped..end], 0, false);
            while at < members.len() {
                match members[at..] {
                    [from, '-', to, ..] => {
                        is_in |= (from..=to).contains(&c);
                        at += 3;
                    }
                    _ => {
                        is_in |= members[at] == c;
                        at += 1;
                    }
                }
            }
            (is_in != is_negated).then_some(end + 2)
        }
        [plain, ..] => (*plain == c).then_some(1),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("*a*b*", "xxaxxbxx", true),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("", "a", false),
            ("*", "", true),
            ("[a", "[a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn variables_are_put_in_and_unknown_ones_left() {
        let known = |name: &str| (name == "HOME").then(|| "/srv".to_owned());
        for (text, expected) in [
            ("$HOME/x", "/srv/x"),
            ("${HOME}x", "/srvx"),
            ("%HOME%/x", "/srv/x"),
            ("$NO/%NO%/100%", "$NO/%NO%/100%"),
            ("$", "$"),
        ] {
            assert_eq!(expand(text, &known), expected);
        }
    }

    #[test]
    fn files_are_found_once_and_told_with_their_dates() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        fs::write(root.path().join("a.conf"), "12345").unwrap();
        fs::write(root.path().join("sub/b.conf"), "").unwrap();
        fs::write(root.path().join("c.txt"), "").unwrap();
        let path = root.path().display();
        let flat =
            format!(r#"[{{"Path": "{path}", "Pattern": ["*.conf", "a*"]}}, {{"Path": "/no/such", "Pattern": ["*"]}}]"#);
        let found = find(&flat, &|_| None).unwrap();
        assert_eq!((found.entries.len(), found.notes.len()), (1, 1));
        assert_eq!(
            (found.entries[0].get("Name"), found.entries[0].get("Size")),
            ("a.conf", "5")
        );
        assert_eq!(found.entries[0].get("InstalledDir"), path.to_string());
        assert_eq!(found.entries[0].get("ModificationTime").len(), 20);

        let deep = format!(r#"[{{"Path": "{path}", "Pattern": ["*.conf"], "Recursive": true}}]"#);
        assert_eq!(find(&deep, &|_| None).unwrap().entries.len(), 2);
        let narrow = format!(r#"[{{"Path": "{path}", "Pattern": ["*"], "Recursive": true, "DirScanLimit": 1}}]"#);
        assert!(matches!(
            find(&narrow, &|_| None),
            Err(FilesError::TooWide { limit: 1, .. })
        ));
        assert!(matches!(find("{}", &|_| None), Err(FilesError::Malformed(_))));
        for number in 0..=FILES {
            fs::write(root.path().join(format!("{number}.conf")), "").unwrap();
        }
        assert!(matches!(find(&flat, &|_| None), Err(FilesError::TooMany)));
    }
}
