//! Patterns of the contract: Java's dialect, matched against the whole value.

use std::fmt;
use std::sync::OnceLock;

use fancy_regex::{Regex, RegexBuilder};

/// Steps after which a match is given up. A value that needs more counts as no match.
const BACKTRACK_LIMIT: usize = 20_000;
/// Longest compiled form of a pattern, in bytes.
const COMPILED_LIMIT: usize = 16 * 1024 * 1024;

/// A pattern, compiled at its first use.
pub struct Pattern {
    /// As the contract and AWS write it.
    text: String,
    matcher: OnceLock<Matcher>,
}

enum Matcher {
    /// Any characters but line ends, so many of them.
    AnyOf {
        least: usize,
        most: usize,
    },
    Regex(Box<Regex>),
    /// No pattern that we can read. A test holds that the contract has none.
    Broken,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            matcher: OnceLock::new(),
        }
    }

    /// As the contract writes it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the whole value matches.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        match self.matcher() {
            Matcher::AnyOf { least, most } => {
                let length = value.chars().count();
                (*least..=*most).contains(&length) && !value.contains(LINE_ENDS)
            }
            Matcher::Regex(regex) => regex.is_match(value).unwrap_or(false),
            Matcher::Broken => false,
        }
    }

    fn matcher(&self) -> &Matcher {
        self.matcher.get_or_init(|| compile(&self.text))
    }

    #[cfg(test)]
    pub(crate) fn is_readable(&self) -> bool {
        !matches!(self.matcher(), Matcher::Broken)
    }
}

/// What `.` does not match in Java.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

fn compile(text: &str) -> Matcher {
    // A hundred thousand times any character is a long automaton and a short comparison.
    if let Some((least, most)) = any_of(text) {
        return Matcher::AnyOf { least, most };
    }
    let whole = format!(r"\A(?:{})\z", java_classes(text));
    RegexBuilder::new(&whole)
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(COMPILED_LIMIT)
        .build()
        .map_or(Matcher::Broken, |regex| Matcher::Regex(Box::new(regex)))
}

/// The bounds of `^.{least,most}$`.
fn any_of(text: &str) -> Option<(usize, usize)> {
    let (least, most) = text.strip_prefix("^.{")?.strip_suffix("}$")?.split_once(',')?;
    Some((least.parse().ok()?, most.parse().ok()?))
}

/// Writes out `\w`, `\d`, `\s` and `.`: in Java the first three are ASCII, here they would be Unicode, and `.` is no end of
/// a line, whatever the line ends with.
fn java_classes(text: &str) -> String {
    let mut written = String::with_capacity(text.len() * 2);
    let mut in_class = false;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            // Rust's would match all but the first of them.
            '.' if !in_class => {
                written.push_str(r"[^\n\r\x{85}\x{2028}\x{2029}]");
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '\\' => {
                let escaped = letters.next();
                let set = match escaped {
                    Some('w') => "0-9A-Za-z_",
                    Some('d') => "0-9",
                    Some('s') => r" \t\n\x0B\f\r",
                    _ => {
                        written.push('\\');
                        written.extend(escaped);
                        continue;
                    }
                };
                if in_class {
                    written.push_str(set);
                } else {
                    written.extend(["[", set, "]"]);
                }
                continue;
            }
            _ => {}
        }
        written.push(letter);
    }
    written
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(formatter)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, good: &[&str], bad: &[&str]) {
        let pattern = Pattern::new(pattern);
        assert!(pattern.is_readable(), "{pattern:?}");
        for value in good {
            assert!(pattern.matches(value), "{pattern:?} should match {value:?}");
        }
        for value in bad {
            assert!(!pattern.matches(value), "{pattern:?} should not match {value:?}");
        }
    }

    #[test]
    fn the_whole_value_must_match() {
        check("[a-f0-9]{4}", &["00ff"], &["00ff0", "x00ff", "00ff\n"]);
        check(
            "(?i)all|[0-9]{12}",
            &["ALL", "all", "123456789012"],
            &["alle", "all123456789012"],
        );
        check(
            "([$]LATEST|[$]DEFAULT|^[1-9][0-9]*$)",
            &["$LATEST", "12"],
            &["$LATEST1", "012", ""],
        );
        check(
            r"(^i-(\w{8}|\w{17})$)|(^mi-\w{17}$)",
            &["i-12345678", "mi-0123456789abcdef0"],
            &["i-1234567", "mi-1"],
        );
    }

    #[test]
    fn short_classes_are_ascii_and_named_classes_are_not() {
        check(r"^[\w\.\-\:\/ ]*$", &["a/b c", ""], &["ä"]);
        check(r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$", &["ä=1", "名前"], &["a;b"]);
        check(r"\d+\s\w", &["12 x"], &["١ x", "1\u{a0}x"]);
    }

    #[test]
    fn any_character_is_no_end_of_a_line() {
        let ends = ["a\nb", "a\rb", "a\u{85}b", "a\u{2028}b", "a\u{2029}b"];
        check("a.b", &["a b", "a\tb", "aéb"], &ends);
        check("tag:.+|Name", &["tag:a.b", "Name"], &["tag:a\rb", "tag:", "Names"]);
        check(r"[.]\.", &[".."], &["x.", ".x"]);
    }

    #[test]
    fn look_aheads_work() {
        check(r"^(?!\s*$).+", &["a", " a "], &["", "   "]);
    }

    #[test]
    fn any_character_so_many_times_is_counted() {
        let long = "é".repeat(100_000);
        check("^.{1,100000}$", &["x", &long], &["", &format!("{long}x"), "a\nb"]);
    }

    #[test]
    fn a_value_that_costs_too_much_does_not_match() {
        let pattern = Pattern::new(r"^(?=((a+)+)+b)\w*$");
        assert!(!pattern.matches(&"a".repeat(60)));
    }

    #[test]
    fn every_pattern_of_the_contract_can_be_read() {
        for message in muster_proto::pool().all_messages() {
            for field in message.fields() {
                let facts = muster_proto::facts::field(&field);
                let all = [Some(facts), facts.element.as_deref(), facts.key.as_deref()];
                for text in all.into_iter().flatten().filter_map(|facts| facts.pattern.as_deref()) {
                    assert!(Pattern::new(text).is_readable(), "{}: {text}", field.full_name());
                }
            }
        }
    }
}
