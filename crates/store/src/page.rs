//! The opaque tokens of list operations (aws-json-gateway 5): bound to the question, encrypted, valid for a day.
//!
//! A token names the last row that was given, which may be one that its reader may not see: nobody but us reads it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_model::Timestamp;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::{Db, Secret, StoreError};

const DAY_SECONDS: i64 = 24 * 60 * 60;
/// What the key is for; another form of tokens has another one.
const USE: &[u8] = b"muster page token 2";
/// Bytes of the time in a token.
const TIME: usize = 8;

/// A token that this list did not give out: altered, expired, or of another question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not one of this list")]
pub struct BadToken;

/// Makes and reads tokens with a key of its own.
#[derive(Clone)]
pub struct Pager {
    key: LessSafeKey,
}

impl std::fmt::Debug for Pager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pager")
    }
}

impl Pager {
    /// A pager with this key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("32 bytes are the length of a key");
        Self {
            key: LessSafeKey::new(key),
        }
    }

    /// The pager of a database: all replicas on it read each other's tokens.
    ///
    /// # Errors
    /// As [`Secret::of`].
    pub async fn of(db: &Db) -> Result<Self, StoreError> {
        Ok(Self::new(Secret::of(db).await?.derive(&[USE])))
    }

    /// A token for the page after `position` of the list that `question` selects.
    #[must_use]
    pub fn token(&self, question: &str, position: &str, now: Timestamp) -> String {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut bytes = now.as_second().to_be_bytes().to_vec();
        bytes.extend_from_slice(position.as_bytes());
        let sealed = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(sealed, Aad::from(question.as_bytes()), &mut bytes)
            .expect("a position is far shorter than what the cipher takes");
        URL_SAFE_NO_PAD.encode([nonce.as_slice(), &bytes].concat())
    }

    /// The position in a token that [`Pager::token`] made for the same question not more than a day ago.
    ///
    /// # Errors
    /// For every other text.
    pub fn position(&self, question: &str, token: &str, now: Timestamp) -> Result<String, BadToken> {
        let mut bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
        let (nonce, sealed) = bytes.split_first_chunk_mut::<NONCE_LEN>().ok_or(BadToken)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(question.as_bytes()), sealed);
        let (time, position) = opened
            .map_err(|_| BadToken)?
            .split_first_chunk::<TIME>()
            .ok_or(BadToken)?;
        match now.as_second().saturating_sub(i64::from_be_bytes(*time)) <= DAY_SECONDS {
            true => String::from_utf8(position.to_vec()).map_err(|_| BadToken),
            false => Err(BadToken),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    #[test]
    fn a_token_opens_only_its_own_list() {
        let pager = Pager::new([7; 32]);
        let token = pager.token("ListCommands{}", "row-9", NOW);
        assert_eq!(pager.position("ListCommands{}", &token, NOW).as_deref(), Ok("row-9"));
        assert_eq!(pager.position("ListCommands{Status}", &token, NOW), Err(BadToken));
        assert_eq!(
            Pager::new([8; 32]).position("ListCommands{}", &token, NOW),
            Err(BadToken)
        );
        let later = Timestamp::constant(1_800_000_000 + DAY_SECONDS + 1, 0);
        assert_eq!(pager.position("ListCommands{}", &token, later), Err(BadToken));
    }

    #[test]
    fn nobody_else_reads_in_a_token_where_it_goes_on() {
        let pager = Pager::new([7; 32]);
        let token = pager.token("q", "/hidden/name", NOW);
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        assert!(!bytes.windows(6).any(|bytes| bytes == b"hidden"));
        assert_ne!(token, pager.token("q", "/hidden/name", NOW), "no two are alike");
    }

    proptest! {
        #[test]
        fn an_altered_token_is_refused(at in 0_usize..40, with in "[A-Za-z0-9_-]") {
            let pager = Pager::new([7; 32]);
            let token = pager.token("q", "p", NOW);
            let mut altered = token.clone();
            altered.replace_range(at..=at, &with);
            prop_assume!(altered != token);
            prop_assert_eq!(pager.position("q", &altered, NOW), Err(BadToken));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = Pager::new([7; 32]).position("q", &text, NOW);
        }
    }
}
