//! Claims of accounts: limits, who may sign for it, what crosses its border, who was thrown out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Body, ConnectionType, Permission};
use crate::{KeyKind, PublicKey};

/// No limit.
pub const UNLIMITED: i64 = -1;

/// What is said of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountClaims {
    /// What others may take from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<Export>,
    /// What it takes from others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    /// What it may use.
    pub limits: AccountLimits,
    /// Who may sign users besides the account's own key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signing_keys: Vec<SigningKey>,
    /// Users whose claims are void if they were issued at this second or before; `*` for all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub revocations: BTreeMap<String, i64>,
    /// What users may do whose claims say nothing.
    pub default_permissions: DefaultPermissions,
}

/// What users may do whose claims say nothing; empty: everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DefaultPermissions {
    /// What they may publish.
    #[serde(rename = "pub")]
    pub publish: Permission,
    /// What they may subscribe to.
    #[serde(rename = "sub")]
    pub subscribe: Permission,
}

/// What an account may use; -1 is no limit. Without JetStream limits it has no JetStream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountLimits {
    /// Subscriptions.
    #[serde(rename = "subs")]
    pub subscriptions: i64,
    /// Bytes.
    pub data: i64,
    /// Longest message, in bytes.
    pub payload: i64,
    /// Imports.
    pub imports: i64,
    /// Exports.
    pub exports: i64,
    /// Whether exports may have wildcards.
    pub wildcards: bool,
    /// Connections.
    #[serde(rename = "conn")]
    pub connections: i64,
    /// Leaf nodes.
    #[serde(rename = "leaf")]
    pub leaf_nodes: i64,
    /// JetStream: memory, in bytes.
    #[serde(rename = "mem_storage", skip_serializing_if = "is_none")]
    pub memory: i64,
    /// JetStream: disk, in bytes.
    #[serde(rename = "disk_storage", skip_serializing_if = "is_none")]
    pub disk: i64,
    /// JetStream: streams.
    #[serde(skip_serializing_if = "is_none")]
    pub streams: i64,
    /// JetStream: consumers.
    #[serde(rename = "consumer", skip_serializing_if = "is_none")]
    pub consumers: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_none(limit: &i64) -> bool {
    *limit == 0
}

impl Default for AccountLimits {
    /// Everything but leaf nodes and JetStream.
    fn default() -> Self {
        Self {
            subscriptions: UNLIMITED,
            data: UNLIMITED,
            payload: UNLIMITED,
            imports: UNLIMITED,
            exports: UNLIMITED,
            wildcards: true,
            connections: UNLIMITED,
            leaf_nodes: 0,
            memory: 0,
            disk: 0,
            streams: 0,
            consumers: 0,
        }
    }
}

impl AccountLimits {
    /// The same with as much JetStream as the server has.
    #[must_use]
    pub fn with_jetstream(self) -> Self {
        Self {
            memory: UNLIMITED,
            disk: UNLIMITED,
            streams: UNLIMITED,
            consumers: UNLIMITED,
            ..self
        }
    }
}

/// Whether questions or messages cross a border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crossing {
    /// Questions go in, answers come out.
    Service,
    /// Messages come out.
    Stream,
}

/// What others may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// For people.
    #[serde(default)]
    pub name: String,
    /// The subject, as it is called here.
    pub subject: String,
    /// What crosses.
    #[serde(rename = "type")]
    pub crossing: Crossing,
    /// How many answers a question has; one unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_type: Option<String>,
}

/// What is taken from another account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// For people.
    #[serde(default)]
    pub name: String,
    /// The subject, as it is called there.
    pub subject: String,
    /// The account it comes from.
    pub account: PublicKey,
    /// The subject, as it is called here, if that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_subject: Option<String>,
    /// What crosses.
    #[serde(rename = "type")]
    pub crossing: Crossing,
    /// Whether the server tells the other side who asks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub share: bool,
}

/// Who may sign users for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SigningKey {
    /// With any permissions.
    Plain(PublicKey),
    /// With those of a template.
    Scoped(ScopedKey),
}

impl SigningKey {
    /// The key itself.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        match self {
            Self::Plain(key) => key,
            Self::Scoped(scoped) => &scoped.key,
        }
    }
}

/// A key whose users have the permissions of a template, whatever they say of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopedKey {
    kind: ScopeKind,
    /// The key.
    pub key: PublicKey,
    /// For people: what its users are.
    pub role: String,
    /// What its users may do.
    pub template: Template,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ScopeKind {
    UserScope,
}

impl ScopedKey {
    /// A key with its template.
    #[must_use]
    pub fn new(key: PublicKey, role: &str, template: Template) -> Self {
        Self {
            kind: ScopeKind::UserScope,
            key,
            role: role.to_owned(),
            template,
        }
    }
}

/// What users of a scoped key may do. `{{name()}}` and `{{tag(t)}}` in a subject are filled in from their claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// What they may publish.
    #[serde(rename = "pub")]
    pub publish: Permission,
    /// What they may subscribe to.
    #[serde(rename = "sub")]
    pub subscribe: Permission,
    /// Most subscriptions of a connection.
    #[serde(rename = "subs")]
    pub subscriptions: i64,
    /// Most bytes; -1: any number.
    pub data: i64,
    /// Longest message, in bytes.
    pub payload: i64,
    /// How they may connect.
    #[serde(rename = "allowed_connection_types")]
    pub connection_types: Vec<ConnectionType>,
}

impl Body for AccountClaims {
    const TYPE: &'static str = "account";
    const SUBJECT: KeyKind = KeyKind::Account;
    const ISSUER: KeyKind = KeyKind::Operator;
}
