//! A document's bytes: how many, which, and whether two texts are the same document.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// The most bytes of UTF-8 a document may have, alone when it is created and together with its parameters when it is sent.
pub const MAX_BYTES: usize = 65_536;

/// `MaxDocumentSizeExceeded`: a document, or a document with its parameters, beyond [`MAX_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the document and its parameters have {bytes} bytes, at most {MAX_BYTES} are allowed")]
pub struct TooLarge {
    /// How many bytes there are.
    pub bytes: usize,
}

/// Holds a document and the parameters given with it to the size limit.
///
/// Parameters count as their compact JSON, so that a list of very many empty texts is not free.
///
/// # Errors
/// [`TooLarge`] beyond [`MAX_BYTES`].
pub fn check_size(content: &str, parameters: &BTreeMap<String, Vec<String>>) -> Result<(), TooLarge> {
    let given = match parameters.is_empty() {
        true => 0,
        false => serde_json::to_string(parameters)
            .expect("texts always have a JSON form")
            .len(),
    };
    let bytes = content.len().saturating_add(given);
    if bytes > MAX_BYTES {
        Err(TooLarge { bytes })
    } else {
        Ok(())
    }
}

/// The SHA-256 of a document's content in lower-case hexadecimal, as `Hash` shows it.
#[must_use]
pub fn hash(content: &str) -> String {
    hex::encode(Sha256::digest(content.as_bytes()))
}

/// The hash of a content with its line ends made equal. Contents of one format with the same identity are the same document
/// (`DuplicateDocumentContent`).
#[must_use]
pub fn content_identity(content: &str) -> String {
    hash(&with_plain_line_ends(content))
}

fn with_plain_line_ends(content: &str) -> Cow<'_, str> {
    match content.contains('\r') {
        true => Cow::Owned(content.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_lower_hex_sha256() {
        assert_eq!(
            hash("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn contents_that_differ_in_line_ends_only_are_the_same() {
        assert_eq!(content_identity("a\r\nb\rc"), content_identity("a\nb\nc"));
        assert_ne!(content_identity("a\nb"), content_identity("a\nb\n"));
        assert_ne!(hash("a\r\n"), hash("a\n"));
    }

    #[test]
    fn the_bound_counts_bytes_of_content_and_parameters() {
        let none = BTreeMap::new();
        assert_eq!(check_size(&"x".repeat(MAX_BYTES), &none), Ok(()));
        assert_eq!(
            check_size(&"x".repeat(MAX_BYTES + 1), &none),
            Err(TooLarge { bytes: MAX_BYTES + 1 })
        );
        assert!(check_size(&"é".repeat(MAX_BYTES / 2 + 1), &none).is_err());
        let empties = BTreeMap::from([("commands".to_owned(), vec![String::new(); 210_000])]);
        assert!(check_size("{}", &empties).is_err());
        let one = BTreeMap::from([("p".to_owned(), vec!["v".to_owned()])]);
        assert_eq!(
            check_size(&"x".repeat(MAX_BYTES - 11), &one),
            Ok(()),
            r#"{{"p":["v"]}} has 11 bytes"#
        );
        assert!(check_size(&"x".repeat(MAX_BYTES - 10), &one).is_err());
    }
}
