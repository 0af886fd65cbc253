//! The secrets of a run: what `{{ssm-secure:…}}` stands for. They reach no file, and nobody reads them in outputs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use muster_document::stored::whole;
use zeroize::Zeroizing;

/// What stands in outputs where a secret was.
const MASK: &[u8] = b"********";
/// Shorter values are not looked for in outputs: they would be found everywhere.
const SHORTEST: usize = 4;

/// All secrets of a run, those of documents within the document too; copies share them.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<Mutex<BTreeMap<String, Zeroizing<String>>>>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// Takes what a reference stands for.
    pub(crate) fn add(&self, reference: &str, value: &Zeroizing<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(reference.to_owned(), value.clone());
    }

    /// What a text stands for that is a reference to a secret and nothing else; other texts stand for themselves.
    pub(crate) fn put_into(&self, text: String) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match whole(&text).and_then(|reference| known.get(reference)) {
            Some(value) => value.to_string(),
            None => text,
        }
    }

    /// A text without secrets.
    pub(crate) fn mask(&self, text: &str) -> String {
        let mut veil = Veil::default();
        let mut shown = veil.draw(text.as_bytes(), self);
        shown.extend(veil.rest(self));
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// What is looked for: whole values, and the lines of those that have several. The longest first.
    fn needles(&self) -> Vec<Zeroizing<Vec<u8>>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = known.values().flat_map(|value| {
            let value = value.as_str();
            let lines = value.lines().filter(|line| line.len() >= 2 * SHORTEST);
            std::iter::once(value)
                .chain(std::iter::once(value.trim_end()))
                .chain(lines)
        });
        let texts = texts.filter(|text| text.len() >= SHORTEST);
        let mut needles: Vec<_> = texts.map(|text| Zeroizing::new(text.as_bytes().to_vec())).collect();
        needles.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        needles.dedup();
        needles
    }

    /// Whether there is nothing to hide.
    pub(crate) fn are_none(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Hides secrets in a stream, wherever it is cut into pieces.
#[derive(Debug, Default)]
pub(crate) struct Veil {
    /// What may be the beginning of a secret.
    held: Zeroizing<Vec<u8>>,
}

impl Veil {
    /// What may be shown once these bytes have come.
    pub(crate) fn draw(&mut self, bytes: &[u8], secrets: &Secrets) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        self.show(secrets, false)
    }

    /// What was held back, when nothing more comes.
    pub(crate) fn rest(&mut self, secrets: &Secrets) -> Vec<u8> {
        self.show(secrets, true)
    }

    fn show(&mut self, secrets: &Secrets, is_end: bool) -> Vec<u8> {
        let needles = secrets.needles();
        if needles.is_empty() {
            return std::mem::take(&mut *self.held);
        }
        let mut begins = [false; 256];
        for needle in &needles {
            begins[usize::from(needle[0])] = true;
        }
        let mut shown = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while let Some(byte) = self.held.get(at) {
            if !begins[usize::from(*byte)] {
                shown.push(*byte);
                at += 1;
                continue;
            }
            let rest = &self.held[at..];
            // A longer one may still come, even if a shorter one is there.
            let may_go_on = |needle: &Zeroizing<Vec<u8>>| needle.len() > rest.len() && needle.starts_with(rest);
            if !is_end && needles.iter().any(may_go_on) {
                break;
            }
            match needles.iter().find(|needle| rest.starts_with(needle)) {
                Some(needle) => {
                    shown.extend_from_slice(MASK);
                    at += needle.len();
                }
                None => {
                    shown.push(*byte);
                    at += 1;
                }
            }
        }
        self.held.drain(..at);
        shown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        let secrets = Secrets::default();
        for (number, value) in values.iter().enumerate() {
            secrets.add(&format!("ssm-secure:{number}"), &Zeroizing::new((*value).to_owned()));
        }
        secrets
    }

    fn veiled(secrets: &Secrets, pieces: &[&[u8]]) -> Vec<u8> {
        let mut veil = Veil::default();
        let mut shown: Vec<u8> = pieces.iter().flat_map(|piece| veil.draw(piece, secrets)).collect();
        shown.extend(veil.rest(secrets));
        shown
    }

    #[test]
    fn secrets_are_hidden_and_nothing_else() {
        let secrets = secrets(&["hunter2", "hunter2000", "abc", "line one of it\nline two of it\n"]);
        for (text, expected) in [
            ("pw=hunter2;", "pw=********;"),
            ("hunter2000 hunter20", "******** ********0"),
            ("hunter hunte", "hunter hunte"),
            ("abc", "abc"),
            ("hunter2", "********"),
            ("line two of it", "********"),
            ("line one of it\nline two of it", "********"),
        ] {
            assert_eq!(secrets.mask(text), expected);
        }
        assert_eq!(Secrets::default().mask("hunter2"), "hunter2");
        assert_eq!(format!("{secrets:?}"), "Secrets(…)");
    }

    #[test]
    fn a_whole_reference_is_put_in_and_a_text_stays() {
        let secrets = secrets(&["hunter2"]);
        assert_eq!(secrets.put_into("{{ ssm-secure:0 }}".to_owned()), "hunter2");
        for text in ["x {{ssm-secure:0}}", "{{ssm-secure:1}}", "plain"] {
            assert_eq!(secrets.put_into(text.to_owned()), text);
        }
    }

    proptest! {
        #[test]
        fn however_it_is_cut_no_secret_is_shown(text in "[ab]{0,40}(abba|aabb)[ab]{0,40}", cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let secrets = secrets(&["abba", "aabb"]);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut begin = 0;
            for cut in cuts {
                pieces.push(&text.as_bytes()[begin..cut]);
                begin = cut;
            }
            pieces.push(&text.as_bytes()[begin..]);
            let shown = String::from_utf8(veiled(&secrets, &pieces)).unwrap();
            prop_assert!(!shown.contains("abba") && !shown.contains("aabb"), "{}", shown);
            prop_assert_eq!(shown, secrets.mask(&text));
        }
    }
}
