//! The opaque tokens of list operations (aws-json-gateway 5): bound to the question, authenticated, valid for a day.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use muster_model::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Db, StoreError, read, transact};

const DAY_SECONDS: i64 = 24 * 60 * 60;
const TAG_BYTES: usize = 16;

/// A token that this list did not give out: altered, expired, or of another question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not one of this list")]
pub struct BadToken;

/// Makes and reads tokens with a key of its own.
#[derive(Clone)]
pub struct Pager {
    key: [u8; 32],
}

impl std::fmt::Debug for Pager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pager")
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    /// Version of this form.
    v: u8,
    /// Hash of the operation and all that selects the rows.
    q: String,
    /// Position of the last row given.
    p: String,
    /// When, in epoch seconds.
    t: i64,
}

impl Pager {
    /// A pager with this key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The pager of a database: all replicas on it share the key, which is made on first use.
    ///
    /// The database needs a table `page_key (id BIGINT PRIMARY KEY, secret TEXT NOT NULL)`.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn of(db: &Db) -> Result<Self, StoreError> {
        let fresh = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        transact!(db, tx => {
            sqlx::query("insert into page_key (id, secret) values (1, $1) on conflict (id) do nothing")
                .bind(&fresh)
                .execute(&mut *tx)
                .await?;
            Ok(())
        })?;
        let secret: String = read!(db, pool => {
            sqlx::query_scalar("select secret from page_key where id = 1").fetch_one(pool).await
        })?;
        let key = URL_SAFE_NO_PAD
            .decode(secret)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| StoreError::corrupt("page_key holds no key"))?;
        Ok(Self::new(key))
    }

    /// A token for the page after `position` of the list that `question` selects.
    #[must_use]
    pub fn token(&self, question: &str, position: &str, now: Timestamp) -> String {
        let claims = Claims {
            v: 1,
            q: fingerprint(question),
            p: position.to_owned(),
            t: now.as_second(),
        };
        let mut bytes = serde_json::to_vec(&claims).expect("plain texts have a JSON form");
        let tag = self.tag(&bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position in a token that [`Pager::token`] made for the same question not more than a day ago.
    ///
    /// # Errors
    /// For every other text.
    pub fn position(&self, question: &str, token: &str, now: Timestamp) -> Result<String, BadToken> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
        let (body, tag) = bytes.split_last_chunk::<TAG_BYTES>().ok_or(BadToken)?;
        let mut mac = self.mac();
        mac.update(body);
        mac.verify_truncated_left(tag).map_err(|_| BadToken)?;
        let claims: Claims = serde_json::from_slice(body).map_err(|_| BadToken)?;
        let fresh = now.as_second().saturating_sub(claims.t) <= DAY_SECONDS;
        if claims.v == 1 && claims.q == fingerprint(question) && fresh {
            Ok(claims.p)
        } else {
            Err(BadToken)
        }
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.key).expect("HMAC takes keys of any length")
    }

    fn tag(&self, body: &[u8]) -> [u8; TAG_BYTES] {
        let mut mac = self.mac();
        mac.update(body);
        let full = mac.finalize().into_bytes();
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&full[..TAG_BYTES]);
        tag
    }
}

fn fingerprint(question: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(question.as_bytes())[..12])
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
