//! `allowedPattern`: regular expressions as Java writes them, searched for in a value with bounded effort.

use std::fmt;

use fancy_regex::{Regex, RegexBuilder};

use super::ParameterType;
use super::java::translate;

/// How often a search in the one value of a parameter may go back before it gives up.
const BACKTRACK_LIMIT: usize = 500_000;
/// The same for one of the very many elements that a list may have.
const BACKTRACK_LIMIT_OF_ELEMENT: usize = 10_000;
/// Up to this many bytes a text is short: the limits above hold.
const SHORT: usize = 256;
/// In a longer text each way back may read the whole text again, so this bounds the product of both.
const WORK: usize = 1 << 27;
/// The most bytes that a compiled pattern may take.
const COMPILED_LIMIT: usize = 1 << 20;
/// The same for a big one: `^.{0,4096}$` is four thousand times what any character is.
const COMPILED_LIMIT_OF_BIG: usize = 1 << 24;
/// The most bytes of a text that is searched for a big pattern: each of them may be held against the whole pattern.
const LONGEST_FOR_BIG: usize = 1 << 13;
/// How many patterns of a document may be big, so that a document stays a small thing to keep and to read.
pub(super) const BIG_PATTERNS: usize = 4;
/// The most instructions that a pattern with look-around may take.
const PROGRAM_LIMIT: usize = 1 << 14;

/// A compiled `allowedPattern`.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    /// For short texts, or for all.
    regex: Regex,
    is_big: bool,
    /// It must match a text from its beginning to its end.
    is_whole: bool,
}

/// A pattern that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a regular expression, or one that is too big.
    #[error("allowedPattern is not a usable regular expression: not one at all, or too big")]
    Unusable,
    /// The search needs too many steps.
    #[error("allowedPattern cannot be matched in reasonable time")]
    TooCostly,
}

impl Pattern {
    /// Compiles a pattern for the values of a type.
    ///
    /// # Errors
    /// [`PatternError::Unusable`].
    pub fn new(source: &str, kind: &ParameterType) -> Result<Self, PatternError> {
        let limit = if kind.is_list() {
            BACKTRACK_LIMIT_OF_ELEMENT
        } else {
            BACKTRACK_LIMIT
        };
        Ok(Self {
            source: source.to_owned(),
            regex: compile(&translate(source), limit, COMPILED_LIMIT)?,
            is_big: false,
            is_whole: false,
        })
    }

    /// Compiles a pattern that a value must match as a whole, whether it says so or not.
    ///
    /// # Errors
    /// [`PatternError::Unusable`].
    pub fn whole(source: &str, kind: &ParameterType) -> Result<Self, PatternError> {
        // By itself first: what is put around it must not complete it.
        let alone = Self::new(source, kind)?;
        let limit = if kind.is_list() {
            BACKTRACK_LIMIT_OF_ELEMENT
        } else {
            BACKTRACK_LIMIT
        };
        Ok(Self {
            regex: compile(&anchored(&translate(source)), limit, COMPILED_LIMIT)?,
            is_whole: true,
            ..alone
        })
    }

    /// Compiles a pattern that is too big for [`Pattern::new`].
    ///
    /// # Errors
    /// [`PatternError::Unusable`].
    pub(super) fn big(source: &str) -> Result<Self, PatternError> {
        Ok(Self {
            source: source.to_owned(),
            // Compiled once, for the longest text.
            regex: compile(&translate(source), WORK / LONGEST_FOR_BIG, COMPILED_LIMIT_OF_BIG)?,
            is_big: true,
            is_whole: false,
        })
    }

    /// Whether the pattern is found in a text, or is the whole of it if it was compiled so; another pattern that means the
    /// whole text says so with `^` and `$`.
    ///
    /// # Errors
    /// [`PatternError::TooCostly`].
    pub fn find(&self, text: &str) -> Result<bool, PatternError> {
        match text.len() {
            0..=SHORT => self.search(&self.regex, text),
            0..=LONGEST_FOR_BIG if self.is_big => self.search(&self.regex, text),
            _ if self.is_big => Err(PatternError::TooCostly),
            // The engine takes its limit when it compiles; long texts are rare and worth it.
            long => {
                let translated = translate(&self.source);
                let written = if self.is_whole {
                    anchored(&translated)
                } else {
                    translated
                };
                self.search(&compile(&written, WORK / long, COMPILED_LIMIT)?, text)
            }
        }
    }

    fn search(&self, regex: &Regex, text: &str) -> Result<bool, PatternError> {
        let found = match self.is_whole {
            false => regex.is_match(text),
            // What our engine knows beyond Java may end a match before the anchor is asked: only the place says what it is.
            true => regex
                .find(text)
                .map(|found| found.is_some_and(|found| found.range() == (0..text.len()))),
        };
        found.map_err(|_| PatternError::TooCostly)
    }

    /// The pattern as the document writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

/// A translated pattern, from the beginning of a text to its end. With `(?x)` a pattern may end in a comment: the flag and
/// the line end close that, and are nothing where there is none.
fn anchored(translated: &str) -> String {
    format!("\\A(?:{translated}(?x)\n)\\z")
}

fn compile(translated: &str, backtrack_limit: usize, size_limit: usize) -> Result<Regex, PatternError> {
    RegexBuilder::new(translated)
        .backtrack_limit(backtrack_limit)
        .delegate_size_limit(size_limit)
        .max_prog_size(PROGRAM_LIMIT)
        .build()
        .map_err(|_| PatternError::Unusable)
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, self.is_whole) == (&other.source, other.is_whole)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> Result<bool, PatternError> {
        Pattern::new(pattern, &ParameterType::String)?.find(text)
    }

    #[test]
    fn patterns_mean_what_they_mean_in_java() {
        for (pattern, text, expected) in [
            // A search, not a match of the whole.
            ("b", "abc", true),
            ("^b$", "abc", false),
            // Look-around.
            ("^(?!.*secret)[a-z]+$", "public", true),
            ("^(?!.*secret)[a-z]+$", "mysecret", false),
            ("(?=.*[0-9])(?=.*[a-z])^.{3,}$", "a1b", true),
            ("(?=.*[0-9])(?=.*[a-z])^.{3,}$", "abc", false),
            ("(?<!x)y", "xy", false),
            // Shorthands are ASCII.
            (r"^\d+$", "12", true),
            (r"^\d+$", "\u{0663}", false),
            (r"^\w+$", "é", false),
            (r"^\S+$", "é", true),
            (r"^\W$", "é", true),
            (r"^[\w-.]{3,128}$", "a-b.c", true),
            (r"^[\w\-\./:]+$", "arn:a/b-c.d", true),
            (r"^[^\d]+$", "abc", true),
            (r"^[\D]+$", "a1", false),
            (r"^[a-z\D]+$", "aB", true),
            // Names of POSIX classes.
            (r"^\p{Alnum}+$", "a1", true),
            (r"^\p{Alnum}+$", "a_", false),
            (r"^[\p{Punct}x]+$", "[~]x", true),
            (r"^\P{Alpha}$", "1", true),
            (r"^\p{Lu}\p{IsAlphabetic}$", "Éa", true),
            (r"^\p{ASCII}*$", "é", false),
            // Quotation, and characters that are special here only.
            (r"^\Qa.b[\E$", "a.b[", true),
            (r"^\Qa.b\E$", "axb", false),
            // Characters beyond the basic plane are written as two.
            (
                r"^[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*$",
                "a\u{1F600}\n",
                true,
            ),
            (
                r"^[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*$",
                "\u{1}",
                false,
            ),
            (r"^\uD83D\uDE00$", "\u{1F600}", true),
            (r"^\<a\>$", "<a>", true),
            ("^[a~~b]+$", "~", true),
            ("^[+--]+$", "-", true),
            (r"^\/x\-\_\@$", "/x-_@", true),
            (r"^a\\b$", "a\\b", true),
            // Possessive quantifiers and the patterns of real documents.
            ("^a++b$", "aab", true),
            ("(^$)|^https?://.+$", "", true),
            ("(^$)|^https?://.+$", "ftp://x", false),
            (
                "^([1-9][0-9]{0,4}|1[0-6][0-9]{4}|17[0-1][0-9]{3}|172[0-7][0-9]{2}|172800)$",
                "172800",
                true,
            ),
            (
                "^([1-9][0-9]{0,4}|1[0-6][0-9]{4}|17[0-1][0-9]{3}|172[0-7][0-9]{2}|172800)$",
                "172801",
                false,
            ),
            // Stricter than Java: nothing may follow.
            ("^a$", "a\n", false),
        ] {
            assert_eq!(found(pattern, text), Ok(expected), "{pattern} in {text:?}");
        }
    }

    #[test]
    fn a_whole_pattern_is_the_whole_text_however_it_is_written() {
        let whole = |pattern: &str, text: &str| Pattern::whole(pattern, &ParameterType::String)?.find(text);
        for (pattern, text, expected) in [
            (r"\d{1,4}", "1234", true),
            (r"\d{1,4}", "12345", false),
            // The longer alternative, although the shorter one is found first.
            ("a|ab", "ab", true),
            ("a|b", "ab", false),
            ("ab|", "", true),
            ("a", "a\n", false),
            // Quoted to the end.
            (r"\Qa)|(b", "a)|(b", true),
            (r"\Qa)|(b", "b", false),
            (r"\Qa|b\E", "a", false),
            // Comments and blanks.
            ("(?x)[a-z]+ # letters", "abc", true),
            ("(?x)[a-z]+ # letters", "abc1", false),
            ("(?x)[a-z]+ # letters)|(.*", "abc1", false),
            ("(?x) a \n b # two", "ab", true),
            ("a|b # no comment", "b # no comment", true),
            ("(?x:a #b\n)c#", "ac#", true),
            ("(?x)a|b(?-x) #", "b #", true),
            (r"(?x)a\ \Q #\E\sb", "a  # b", true),
            // Of one flag nothing is left outside.
            ("(?i)a", "A", true),
            ("(?m)^a$", "a\nb", false),
            ("(?s).", "\n", true),
        ] {
            assert_eq!(whole(pattern, text), Ok(expected), "{pattern:?} and {text:?}");
        }
        for pattern in ["(", "a)(b", "a)|(?:b", r"a\", "[a", "(?x)(a # )"] {
            assert_eq!(whole(pattern, "a"), Err(PatternError::Unusable), "{pattern:?}");
        }
        // What our engine may know and Java does not.
        for pattern in ["a(*ACCEPT)", "(?:a(*ACCEPT)|c)d", "(?~|b)a", "a(?~|b)"] {
            assert_ne!(whole(pattern, "ab"), Ok(true), "{pattern:?}");
        }
        let long = "a".repeat(SHORT + 1);
        assert_eq!(whole("(?x)a+ # only", &long), Ok(true));
        assert_eq!(whole("(?x)a+ # only", &(long + "b")), Ok(false));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in [
            "(",
            "[a",
            "*a",
            r"\",
            "(?<=",
            "((((a{50}){50}){50}){50}){50}",
            r"\p{NoSuchThing}",
        ] {
            assert_eq!(found(pattern, ""), Err(PatternError::Unusable), "{pattern}");
        }
    }

    #[test]
    fn a_costly_search_gives_up() {
        let text = format!("{}!", "a".repeat(60));
        for pattern in [r"^(?=a)((a+)+)+\1$", "^(?:(?=a)(a|aa)+)+$", r"^(a*)*\1b(?=c)$"] {
            assert_eq!(found(pattern, &text), Err(PatternError::TooCostly), "{pattern}");
        }
        // Without look-around and backreferences nothing is costly.
        assert_eq!(found("^((a+)+)+$", &text), Ok(false));
    }

    #[test]
    fn a_big_pattern_is_refused_soon() {
        for pattern in [
            "(?:(?=a)a{1000}){1000}".to_owned(),
            "(?=x)".repeat(5000),
            "(".repeat(20_000),
            "[".repeat(20_000),
            "(?:".repeat(20_000) + &")".repeat(20_000),
            r"\p{L}".repeat(10_000),
        ] {
            // Refused or compiled: only that there is an answer is asked.
            let _ = found(&pattern, &"a".repeat(1000));
        }
    }
}
