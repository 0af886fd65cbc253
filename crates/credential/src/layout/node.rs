//! What a node may do: the template of the scoped key (fleet 8).

use crate::claims::{Claims, ClaimsError, ConnectionType, Permission, ScopedKey, Template, UserClaims};
use crate::{Creds, CredsError, Key, PublicKey};

/// The name of the tags that may stand in a node's claims.
pub const TAG_NAME: &str = "t";
/// Subscriptions of a node: its own subjects, its inbox, and a doorbell for each of 50 tags.
const SUBSCRIPTIONS: i64 = 128;
/// Longest message of a node, in bytes.
const PAYLOAD: i64 = 1024 * 1024;
/// Most tags: the line with which a client connects has room for no more (fleet 8).
const TAGS: usize = 50;

/// The scoped key with its template: whom it signs is a node and nothing else.
#[must_use]
pub fn scope(key: PublicKey) -> ScopedKey {
    let template = Template {
        publish: Permission::only([
            "muster.v1.up.{{name()}}.>",
            "muster.v1.rpc.{{name()}}.>",
            "$JS.API.CONSUMER.MSG.NEXT.MUSTER_DN.{{name()}}",
            "$JS.ACK.MUSTER_DN.{{name()}}.>",
        ]),
        subscribe: Permission::only([
            "muster.v1.dn.{{name()}}.>",
            "muster.v1.tag.{{tag(t)}}",
            "_INBOX.node.{{name()}}.>",
        ]),
        subscriptions: SUBSCRIPTIONS,
        data: crate::claims::UNLIMITED,
        payload: PAYLOAD,
        connection_types: vec![ConnectionType::Standard, ConnectionType::Websocket],
    };
    ScopedKey::new(key, "agent", template)
}

/// Why there are no claims for a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The id would stand in subjects.
    #[error("{0:?} is no node id: the broker puts it into subjects")]
    Id(String),
    /// A tag would stand in a subject as it is.
    #[error("{0:?} is no tag's hash, 32 lower-case hexadecimal digits: the broker puts it into subjects as it is")]
    Tag(String),
    /// They would not fit.
    #[error("a node has {TAGS} tags at most, not {0}: the line with which it connects has room for no more")]
    TooManyTags(usize),
    /// The life is not one.
    #[error("claims live for 1 second or more, not {0}")]
    Life(i64),
    /// A key is of the wrong kind.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The claims are about another key.
    #[error(transparent)]
    Creds(#[from] CredsError),
}

/// What is said of a node.
#[derive(Debug, Clone)]
pub struct NodeClaims<'a> {
    /// Its id.
    pub node: &'a str,
    /// The hashes of its tags, as in the subjects of their doorbells.
    pub tags: Vec<String>,
    /// Now, in seconds since 1970.
    pub now: i64,
    /// How long the claims live, in seconds.
    pub life: i64,
}

impl NodeClaims<'_> {
    /// Signs the claims for the node's key. `scoped` is the scoped key of the account.
    ///
    /// # Errors
    /// If something in them would widen what the node may do, or does not fit.
    pub fn sign(&self, subject: &PublicKey, account: &PublicKey, scoped: &Key) -> Result<String, NodeError> {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.node.is_empty() || self.node.len() > 64 || !self.node.chars().all(is_word) {
            return Err(NodeError::Id(self.node.to_owned()));
        }
        let is_hash = |tag: &str| tag.len() == 32 && tag.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if let Some(tag) = self.tags.iter().find(|tag| !is_hash(tag)) {
            return Err(NodeError::Tag(tag.clone()));
        }
        if self.tags.len() > TAGS {
            return Err(NodeError::TooManyTags(self.tags.len()));
        }
        if self.life < 1 {
            return Err(NodeError::Life(self.life));
        }
        let tags = self.tags.iter().map(|tag| format!("{TAG_NAME}:{tag}")).collect();
        let claims = Claims {
            name: self.node.to_owned(),
            subject: subject.clone(),
            issued_at: self.now,
            expires_at: Some(self.now.saturating_add(self.life)),
            body: UserClaims::scoped(account.clone(), tags),
        };
        Ok(claims.sign(scoped)?)
    }

    /// The same for a node whose key is at hand, as the text of its file.
    ///
    /// # Errors
    /// As for [`NodeClaims::sign`].
    pub fn creds(&self, key: Key, account: &PublicKey, scoped: &Key) -> Result<Creds, NodeError> {
        let token = self.sign(key.public(), account, scoped)?;
        Ok(Creds::new(token, key)?)
    }
}
