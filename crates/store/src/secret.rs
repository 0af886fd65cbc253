//! The secret of a database: all replicas on it share it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{Db, StoreError, read, transact};

/// 32 random bytes from which keys for several uses are made. It does not print itself.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A secret of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret of a database, made on first use.
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
        let bytes = URL_SAFE_NO_PAD
            .decode(secret)
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or_else(|| StoreError::corrupt("page_key holds no key"))
    }

    /// What the secret makes of these texts: whoever does not know it guesses neither the one from the other.
    #[must_use]
    pub fn derive(&self, texts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for text in texts {
            // With their lengths, so that no two lists of texts are one.
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_and_every_list_of_texts_makes_something_else() {
        let secret = Secret::new([7; 32]);
        let all = [
            secret.derive(&[b"a", b"b"]),
            secret.derive(&[b"ab"]),
            secret.derive(&[b"ab", b""]),
            Secret::new([8; 32]).derive(&[b"ab"]),
        ];
        for (at, derived) in all.iter().enumerate() {
            assert!(!all[..at].contains(derived));
        }
        assert_eq!(secret.derive(&[b"ab"]), all[1]);
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
