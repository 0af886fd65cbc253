//! Texts with `*` (any characters, none too) and `?` (exactly one character).
//!
//! A glob is cut at its stars. The first part must begin the text, the last one must end it, and each part between is looked
//! for from where the one before ended; taking the leftmost place is always right, so nothing is ever tried again.
//! A part with `?` is searched with a set of bits, one for each of its characters, so that a text of n characters and a part
//! of m take n · m/64 steps at worst, and a part without `?` takes n + m.

use std::collections::BTreeMap;

/// A piece of a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// These characters, whatever they are.
    Text(&'a str),
    /// Any characters.
    Any,
    /// One character.
    One,
}

/// A glob that is ready to match.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    /// What stands before, between and behind the stars: one more than there are stars.
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Plain(String),
    Holes(Holes),
}

/// A part with `?`; `None` is the hole.
#[derive(Debug, Clone)]
struct Holes {
    characters: Vec<Option<char>>,
    /// Bit i of word w: place 64·w + i takes any character.
    any: Vec<u64>,
    /// The same for the places of one character; only the words that are not empty.
    of: BTreeMap<char, Vec<(usize, u64)>>,
}

impl Glob {
    /// Puts the tokens together.
    pub(crate) fn new<'a>(tokens: impl IntoIterator<Item = Token<'a>>) -> Self {
        let mut parts = Vec::new();
        let mut current: Vec<Option<char>> = Vec::new();
        for token in tokens {
            match token {
                Token::Text(text) => current.extend(text.chars().map(Some)),
                Token::One => current.push(None),
                Token::Any => parts.push(Part::new(std::mem::take(&mut current))),
            }
        }
        parts.push(Part::new(current));
        Self { parts }
    }

    /// Reads `*` and `?`; there is no way to write them as themselves.
    pub(crate) fn parse(text: &str) -> Self {
        Self::new(tokens(text))
    }

    /// The one text that it takes, where it has neither `*` nor `?`.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it takes the whole text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let [first, between @ .., last] = self.parts.as_slice() else {
            return self.parts[0].is_whole(text);
        };
        let Some(mut rest) = first.strip_prefix(text) else {
            return false;
        };
        for part in between {
            match part.skip_past(rest) {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        last.ends(rest)
    }
}

/// The tokens of a text in which `*` and `?` always mean something.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    text.split_inclusive(['*', '?']).flat_map(|piece| {
        let (text, wild) = match piece.as_bytes().last() {
            Some(b'*') => (&piece[..piece.len() - 1], Some(Token::Any)),
            Some(b'?') => (&piece[..piece.len() - 1], Some(Token::One)),
            _ => (piece, None),
        };
        std::iter::once(Token::Text(text)).chain(wild)
    })
}

impl Part {
    fn new(characters: Vec<Option<char>>) -> Self {
        match characters.iter().copied().collect::<Option<String>>() {
            Some(text) => Self::Plain(text),
            None => Self::Holes(Holes::new(characters)),
        }
    }

    fn is_whole(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => plain == text,
            Self::Holes(holes) => holes.strip_prefix(text) == Some(""),
        }
    }

    /// What is left behind the part, where it begins the text.
    fn strip_prefix<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Plain(plain) => text.strip_prefix(plain.as_str()),
            Self::Holes(holes) => holes.strip_prefix(text),
        }
    }

    fn ends(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => text.ends_with(plain.as_str()),
            Self::Holes(holes) => holes.ends(text),
        }
    }

    /// What is left behind the leftmost place of the part.
    fn skip_past<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Plain(plain) => text.find(plain.as_str()).map(|at| &text[at + plain.len()..]),
            Self::Holes(holes) => holes.skip_past(text),
        }
    }
}

impl Holes {
    fn new(characters: Vec<Option<char>>) -> Self {
        let mut any = vec![0; characters.len().div_ceil(64)];
        let mut of: BTreeMap<char, Vec<(usize, u64)>> = BTreeMap::new();
        for (place, character) in characters.iter().enumerate() {
            let (word, bit) = (place / 64, 1_u64 << (place % 64));
            match character {
                None => any[word] |= bit,
                Some(character) => {
                    let words = of.entry(*character).or_default();
                    match words.last_mut() {
                        Some((last, bits)) if *last == word => *bits |= bit,
                        _ => words.push((word, bit)),
                    }
                }
            }
        }
        Self { characters, any, of }
    }

    fn strip_prefix<'a>(&self, text: &'a str) -> Option<&'a str> {
        let mut rest = text.chars();
        for wanted in &self.characters {
            let found = rest.next()?;
            if wanted.is_some_and(|wanted| wanted != found) {
                return None;
            }
        }
        Some(rest.as_str())
    }

    fn ends(&self, text: &str) -> bool {
        let mut rest = text.chars().rev();
        let mut wanted = self.characters.iter().rev();
        wanted.all(|wanted| {
            rest.next()
                .is_some_and(|found| wanted.is_none_or(|wanted| wanted == found))
        })
    }

    fn skip_past<'a>(&self, text: &'a str) -> Option<&'a str> {
        // Bit i: the last i + 1 characters of the text read so far are the first i + 1 of the part.
        let mut begun = vec![0_u64; self.any.len()];
        let last = self.characters.len() - 1;
        let mut rest = text.chars();
        while let Some(found) = rest.next() {
            let mut exact = self.of.get(&found).map_or(&[][..], Vec::as_slice);
            let mut carried = 1;
            for (word, state) in begun.iter_mut().enumerate() {
                let mut fits = self.any[word];
                if let Some(((at, bits), others)) = exact.split_first()
                    && *at == word
                {
                    fits |= bits;
                    exact = others;
                }
                let next = ((*state << 1) | carried) & fits;
                carried = *state >> 63;
                *state = next;
            }
            if begun[last / 64] >> (last % 64) & 1 == 1 {
                return Some(rest.as_str());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, character by character; as slow as it likes.
    fn naive(glob: &[char], text: &[char]) -> bool {
        match glob.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some(('?', rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some((one, rest)) => text.first() == Some(one) && naive(rest, &text[1..]),
        }
    }

    #[test]
    fn stars_and_question_marks() {
        for (glob, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("?", "", false),
            ("?", "é", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-c-c", true),
            ("*ab?", "abxabab", false),
            ("*a?b*", "aab", true),
            ("?*?", "a", false),
            ("?*?", "ab", true),
        ] {
            assert_eq!(Glob::parse(glob).matches(text), expected, "{glob:?} against {text:?}");
        }
    }

    #[test]
    fn a_part_longer_than_a_word_of_bits_is_found() {
        let part: String = "ab?".repeat(50);
        let glob = Glob::parse(&format!("*{part}*z"));
        assert!(glob.matches(&format!("abab{}yz", "abc".repeat(50))));
        assert!(!glob.matches(&format!("abab{}yz", "abc".repeat(49))));
    }

    #[test]
    fn a_hostile_glob_costs_no_more_than_its_length_allows() {
        // A matcher that tries every way would need more steps here than there are atoms.
        let glob = Glob::parse(&"a*".repeat(2000));
        assert!(!glob.matches(&format!("{}b", "a".repeat(1999))));
        let glob = Glob::parse(&format!("*{}b*", "a?".repeat(1000)));
        assert!(!glob.matches(&"a".repeat(100_000)));
    }

    proptest! {
        #[test]
        fn as_the_definition_says(glob in "[ab*?é]{0,9}", text in "[abé]{0,9}") {
            let (globs, texts): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
            prop_assert_eq!(Glob::parse(&glob).matches(&text), naive(&globs, &texts));
        }

        #[test]
        fn a_glob_made_from_a_text_takes_it(text in "[a-c]{0,200}", at in 0_usize..200, len in 0_usize..90) {
            let (at, end) = (at.min(text.len()), (at + len).min(text.len()));
            let holes: String = text[at..end].chars().enumerate().map(|(i, c)| if i % 3 == 0 { '?' } else { c }).collect();
            let pattern = format!("*{holes}*");
            prop_assert!(Glob::parse(&pattern).matches(&text));
        }
    }
}
