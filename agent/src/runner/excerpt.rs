//! What a reply carries of an output stream: all of it, or its head and tail (run-command 8.1).
//!
//! Limits count characters, streams are bytes: the excerpt keeps enough bytes at both ends for either reading
//! and decides about characters only when the stream has ended.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Longest standard output in a reply, in characters.
pub const STDOUT_LIMIT: usize = 24_000;
/// Longest standard error in a reply, in characters.
pub const STDERR_LIMIT: usize = 8_000;
/// Longest summary of both streams, in characters.
pub const SUMMARY_LIMIT: usize = 2_500;

/// Between the two streams of a summary.
const SEPARATOR: &str = "\n----------ERROR-------\n";
/// In a stream that was cut.
const CUT: &str = "--output truncated--";
/// In a summary whose standard output was cut.
const SUMMARY_CUT: &str = "---Output truncated---";
/// In a summary whose standard error was cut.
const SUMMARY_ERROR_CUT: &str = "---Error truncated----";

/// UTF-8 needs at most this many bytes for a character; a byte that is not UTF-8 counts as one character.
const WIDEST_CHARACTER: usize = 4;

/// What to keep of a stream that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The first third and the last two thirds: the end of a failing script tells why.
    #[default]
    HeadAndTail,
    /// The beginning only, as the AWS agent does.
    Head,
}

/// Collects a stream, keeping only what a reply may need.
#[derive(Debug)]
pub struct Excerpt {
    limit: usize,
    keep: Keep,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Excerpt {
    /// An empty excerpt that will have at most `limit` characters.
    #[must_use]
    pub fn new(limit: usize, keep: Keep) -> Self {
        Self {
            limit,
            keep,
            head: Vec::new(),
            tail: VecDeque::new(),
            total: 0,
        }
    }

    /// Bytes of the whole stream so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Takes the next piece of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = (self.limit * WIDEST_CHARACTER).saturating_sub(self.head.len());
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);

        let capacity = self.limit * WIDEST_CHARACTER;
        let rest = &rest[rest.len().saturating_sub(capacity)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(capacity);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    /// Whether the stream ended with a line end, or is empty.
    #[must_use]
    pub fn ends_a_line(&self) -> bool {
        self.tail.back().or(self.head.last()).is_none_or(|byte| *byte == b'\n')
    }

    /// The text for a reply: at most `limit` characters, valid UTF-8 whatever the stream was.
    #[must_use]
    pub fn text(&self) -> String {
        self.fit(self.limit, "\n--output truncated--\n", CUT)
    }

    /// As `text`, with another limit and markers for the middle and for the end.
    fn fit(&self, limit: usize, middle: &str, end: &str) -> String {
        let whole = self.total == (self.head.len() + self.tail.len()) as u64;
        let head = if whole {
            let mut bytes = self.head.clone();
            bytes.extend(&self.tail);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if text.chars().count() <= limit {
                return text;
            }
            text
        } else {
            String::from_utf8_lossy(&self.head).into_owned()
        };
        match self.keep {
            Keep::Head => {
                let kept = limit.saturating_sub(end.chars().count());
                format!("{}{end}", first(&head, kept))
            }
            Keep::HeadAndTail => {
                let kept = limit.saturating_sub(middle.chars().count());
                let front = kept / 3;
                let tail = if whole { head.clone() } else { self.tail_text() };
                format!("{}{middle}{}", first(&head, front), last(&tail, kept - front))
            }
        }
    }

    /// The tail as text; a character that was cut in two at its beginning is left out.
    fn tail_text(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        let is_continuation = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
        let cut = bytes
            .iter()
            .take(WIDEST_CHARACTER - 1)
            .take_while(is_continuation)
            .count();
        String::from_utf8_lossy(&bytes[cut..]).into_owned()
    }
}

/// Both streams in one text of at most 2,500 characters; when both are long each gets half.
#[must_use]
pub fn summary(stdout: &Excerpt, stderr: &Excerpt) -> String {
    let out = stdout.fit(SUMMARY_LIMIT, &format!("\n{SUMMARY_CUT}\n"), SUMMARY_CUT);
    if stderr.total() == 0 {
        return out;
    }
    let room = SUMMARY_LIMIT - SEPARATOR.len();
    let err = stderr.fit(room, &format!("\n{SUMMARY_ERROR_CUT}\n"), SUMMARY_ERROR_CUT);
    let (out_length, err_length) = (out.chars().count(), err.chars().count());
    let (out_room, err_room) = share(room, out_length, err_length);
    let out = stdout.fit(out_room, &format!("\n{SUMMARY_CUT}\n"), SUMMARY_CUT);
    let err = stderr.fit(err_room, &format!("\n{SUMMARY_ERROR_CUT}\n"), SUMMARY_ERROR_CUT);
    format!("{out}{SEPARATOR}{err}")
}

/// Divides `room` so that neither gets less than half of it while it wants more.
fn share(room: usize, first: usize, second: usize) -> (usize, usize) {
    let half = room / 2;
    if first + second <= room {
        (first, second)
    } else if first <= half {
        (first, room - first)
    } else if second <= half {
        (room - second, second)
    } else {
        (room - half, half)
    }
}

fn first(text: &str, characters: usize) -> &str {
    let end = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

fn last(text: &str, characters: usize) -> &str {
    let start = match characters.checked_sub(1) {
        None => text.len(),
        Some(nth) => text.char_indices().rev().nth(nth).map_or(0, |(at, _)| at),
    };
    &text[start..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excerpt(limit: usize, keep: Keep, stream: &[u8]) -> Excerpt {
        let mut excerpt = Excerpt::new(limit, keep);
        for piece in stream.chunks(7) {
            excerpt.push(piece);
        }
        excerpt
    }

    #[test]
    fn a_short_stream_is_kept_as_it_is() {
        assert_eq!(excerpt(10, Keep::HeadAndTail, b"0123456789").text(), "0123456789");
        assert_eq!(excerpt(10, Keep::HeadAndTail, b"").text(), "");
    }

    #[test]
    fn a_long_stream_keeps_a_third_of_head_and_two_thirds_of_tail() {
        let stream: String = (0..40_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
        let text = excerpt(STDOUT_LIMIT, Keep::HeadAndTail, stream.as_bytes()).text();
        assert_eq!(text.chars().count(), STDOUT_LIMIT);
        let (head, tail) = text.split_once("\n--output truncated--\n").unwrap();
        assert!(stream.starts_with(head) && stream.ends_with(tail));
        assert_eq!(head.len(), (STDOUT_LIMIT - 22) / 3);
    }

    #[test]
    fn the_strict_policy_keeps_the_head_and_appends_the_marker() {
        let text = excerpt(30, Keep::Head, &[b'x'; 100]).text();
        assert_eq!(text, format!("{}--output truncated--", "x".repeat(10)));
    }

    #[test]
    fn a_stream_longer_than_memory_holds_keeps_its_end() {
        let mut stream = vec![b'a'; 500_000];
        stream.extend_from_slice(b"the end");
        let text = excerpt(STDERR_LIMIT, Keep::HeadAndTail, &stream).text();
        assert!(text.ends_with("the end"));
        assert_eq!(text.chars().count(), STDERR_LIMIT);
    }

    #[test]
    fn bytes_that_are_not_utf8_become_replacement_characters() {
        let text = excerpt(100, Keep::HeadAndTail, b"a\xff\xfeb\x00").text();
        assert_eq!(text, "a\u{fffd}\u{fffd}b\u{0}");
    }

    #[test]
    fn a_summary_shares_its_room() {
        let out = excerpt(STDOUT_LIMIT, Keep::HeadAndTail, &[b'o'; 5_000]);
        let err = excerpt(STDERR_LIMIT, Keep::HeadAndTail, &[b'e'; 5_000]);
        let text = summary(&out, &err);
        assert!(text.chars().count() <= SUMMARY_LIMIT);
        assert!(text.contains(SUMMARY_CUT) && text.contains(SUMMARY_ERROR_CUT) && text.contains(SEPARATOR));

        let short = excerpt(STDERR_LIMIT, Keep::HeadAndTail, b"why");
        let text = summary(&out, &short);
        assert!(text.ends_with(&format!("{SEPARATOR}why")));
        assert_eq!(text.chars().count(), SUMMARY_LIMIT);

        let nothing = Excerpt::new(STDERR_LIMIT, Keep::HeadAndTail);
        assert_eq!(summary(&short, &nothing), "why");
    }

    proptest! {
        #[test]
        fn a_text_never_exceeds_its_limit(
            stream in proptest::collection::vec(any::<u8>(), 0..2_000),
            limit in 40usize..200,
            head_only in any::<bool>(),
        ) {
            let keep = if head_only { Keep::Head } else { Keep::HeadAndTail };
            let excerpt = excerpt(limit, keep, &stream);
            prop_assert!(excerpt.text().chars().count() <= limit);
            prop_assert_eq!(excerpt.total(), stream.len() as u64);
        }

        #[test]
        fn valid_text_is_cut_at_characters(text in "[äa✓𝄞]{0,600}", limit in 40usize..100) {
            let cut = excerpt(limit, Keep::HeadAndTail, text.as_bytes()).text();
            prop_assert!(!cut.contains(char::REPLACEMENT_CHARACTER));
        }
    }
}
