//! Claims of users: services, operators, nodes.

use serde::{Deserialize, Serialize};

use super::{Body, UNLIMITED};
use crate::{KeyKind, PublicKey};

/// Subjects that are allowed and forbidden; what is forbidden outweighs. Two empty lists allow everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Permission {
    /// These are allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// These are not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

impl Permission {
    /// Exactly these; with an empty list nothing at all.
    #[must_use]
    pub fn only(subjects: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let allow: Vec<String> = subjects.into_iter().map(Into::into).collect();
        let deny = match allow.is_empty() {
            // An empty list would allow everything.
            true => vec![">".to_owned()],
            false => Vec::new(),
        };
        Self { allow, deny }
    }

    fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

/// How a user may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConnectionType {
    /// TCP.
    Standard,
    /// A web socket.
    Websocket,
}

/// What is said of a user.
///
/// A user whose claims are signed by a scoped key must not have permissions of its own: see [`UserClaims::scoped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserClaims {
    /// The account, where a signing key of it has signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_account: Option<PublicKey>,
    /// What a template may put into subjects, as `key:value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What it may publish.
    #[serde(default, rename = "pub", skip_serializing_if = "Permission::is_empty")]
    pub publish: Permission,
    /// What it may subscribe to.
    #[serde(default, rename = "sub", skip_serializing_if = "Permission::is_empty")]
    pub subscribe: Permission,
    /// Most subscriptions; -1: any number.
    #[serde(default, rename = "subs", skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<i64>,
    /// Most bytes; -1: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<i64>,
    /// Longest message in bytes; -1: any length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<i64>,
    /// Whether the claims are enough to connect, without a signature.
    #[serde(default, rename = "bearer_token", skip_serializing_if = "std::ops::Not::not")]
    pub is_bearer: bool,
    /// How it may connect; empty: in any way.
    #[serde(default, rename = "allowed_connection_types", skip_serializing_if = "Vec::is_empty")]
    pub connection_types: Vec<ConnectionType>,
}

impl UserClaims {
    /// A user whose permissions are those of the scoped key's template.
    #[must_use]
    pub fn scoped(account: PublicKey, tags: Vec<String>) -> Self {
        Self {
            issuer_account: Some(account),
            tags,
            publish: Permission::default(),
            subscribe: Permission::default(),
            subscriptions: None,
            data: None,
            payload: None,
            is_bearer: false,
            connection_types: Vec::new(),
        }
    }

    /// A user with permissions of its own.
    #[must_use]
    pub fn with_permissions(account: PublicKey, publish: Permission, subscribe: Permission) -> Self {
        Self {
            publish,
            subscribe,
            subscriptions: Some(UNLIMITED),
            data: Some(UNLIMITED),
            payload: Some(UNLIMITED),
            ..Self::scoped(account, Vec::new())
        }
    }
}

impl Body for UserClaims {
    const TYPE: &'static str = "user";
    const SUBJECT: KeyKind = KeyKind::User;
    const ISSUER: KeyKind = KeyKind::Account;
}
