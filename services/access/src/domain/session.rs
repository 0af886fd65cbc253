//! Temporary access keys (aws-json-gateway 6): nothing of them is stored. The session token holds, encrypted by the key file,
//! who acts with it, its secret, its end, and what it was made with and does not outlive: an access key, or a user whom an
//! identity provider has named.

use serde::{Deserialize, Serialize};

use super::access_key;
use super::secret::Secret;
use crate::key_file::KeyRing;

/// What the ids of temporary access keys begin with.
pub(crate) const PREFIX: &str = "MSIA";
/// How long a session is unless its caller says otherwise, in seconds; the contract says how long it may be.
pub(crate) const DURATION: i64 = 12 * 60 * 60;
/// The same of one that acts in a role, or that an identity provider's token was shown for.
pub(crate) const ROLE_DURATION: i64 = 60 * 60;

/// What a temporary access key was made with. Once that is gone it is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MadeWith {
    /// An access key of this user, by its ARN.
    Key { id: String, owner: String },
    /// The token of an identity provider that names this user, by its ARN.
    Token { owner: String },
}

/// Whether a name of a session looks like that of a node, which is what nodes' sessions are called.
pub(crate) fn is_node_name(name: &str) -> bool {
    name.starts_with("mi-") || name.starts_with("i-")
}

/// A temporary access key, for the one answer that shows it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) access_key_id: String,
    pub(crate) secret: Secret,
    pub(crate) token: Secret,
}

/// Whose a temporary access key is.
#[derive(Debug)]
pub(crate) struct Holder {
    /// ARN of a user, or of a session of a role.
    pub(crate) principal: String,
    pub(crate) made_with: MadeWith,
    pub(crate) secret: Secret,
    /// In seconds since 1970.
    pub(crate) until: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    principal: String,
    made_with: MadeWith,
    secret: String,
    until: i64,
}

/// Makes one.
pub(crate) fn issue(keys: &KeyRing, principal: &str, made_with: MadeWith, until: i64) -> Session {
    let (access_key_id, secret) = (access_key::random_id_of(PREFIX), Secret::random());
    let content = Content {
        principal: principal.to_owned(),
        made_with,
        secret: secret.reveal().to_owned(),
        until,
    };
    let content = Secret::given(serde_json::to_string(&content).unwrap_or_default());
    let key = keys.current();
    let token = format!("{}.{}", key.id, key.seal(&access_key_id, &content));
    Session {
        access_key_id,
        secret,
        token: Secret::given(token),
    }
}

/// Whose it is; nothing if the token is another key's, was altered, or none of ours.
pub(crate) fn open(keys: &KeyRing, access_key_id: &str, token: &str) -> Option<Holder> {
    // Ids of keys may have dots; what was encrypted has none.
    let (key_id, sealed) = token.rsplit_once('.')?;
    let content = keys.open(key_id, access_key_id, sealed).ok()?;
    let content: Content = serde_json::from_str(content.reveal()).ok()?;
    Some(Holder {
        principal: content.principal,
        made_with: content.made_with,
        secret: Secret::given(content.secret),
        until: content.until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::SealingKey;

    fn ring(bytes: &[u8]) -> KeyRing {
        let key = |byte: &u8| SealingKey::new(format!("2026.{byte}"), [*byte; 32]);
        KeyRing::of(bytes.iter().map(key).collect())
    }

    #[test]
    fn a_token_is_good_for_its_own_key_and_until_its_key_is_taken_out() {
        let old = ring(&[1]);
        let made_with = |id: &str, owner: &str| MadeWith::Key {
            id: id.to_owned(),
            owner: owner.to_owned(),
        };
        let (ada, bob) = (
            "arn:aws:iam::000000000000:user/ada",
            "arn:aws:iam::000000000000:user/bob",
        );
        let session = issue(&old, ada, made_with("MKIAADA", ada), 1_000);
        assert!(session.access_key_id.starts_with(PREFIX) && session.access_key_id.len() == 20);
        let token = session.token.reveal();
        let opened = open(&ring(&[2, 1]), &session.access_key_id, token).unwrap();
        assert_eq!((opened.principal.as_str(), opened.until), (ada, 1_000));
        assert_eq!(opened.made_with, made_with("MKIAADA", ada));
        assert!(opened.secret.is(&session.secret));
        let other = issue(&old, bob, made_with("MKIABOB", bob), 1_000);
        assert!(open(&old, &other.access_key_id, token).is_none());
        assert!(open(&ring(&[2]), &session.access_key_id, token).is_none());
        for bent in ["", ".", "x", &token[1..], &format!("{token}A")] {
            assert!(open(&old, &session.access_key_id, bent).is_none(), "{bent}");
        }
        assert!(!token.contains(session.secret.reveal()) && !format!("{session:?}").contains(token));
    }
}
