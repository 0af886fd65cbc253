//! What is known of a request beside who asks for what.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::key::Key;
use crate::moment;
use crate::refusal::shown;

/// What is known of a request: the values of the condition keys that do not come from the principal.
///
/// What is not known stays empty; a condition that asks for it does not hold, unless it is a negation, `…IfExists` or `Null`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// `aws:SourceIp`: where the request came from.
    pub source_ip: Option<IpAddr>,
    /// `aws:CurrentTime`: when the request came.
    pub current_time: Option<Timestamp>,
    /// `aws:SecureTransport`: whether it came over TLS.
    pub secure_transport: Option<bool>,
    /// `aws:RequestTag/<key>`: the tags that the request sets. Their keys are in `aws:TagKeys`, too.
    pub request_tags: BTreeMap<String, String>,
    /// `aws:TagKeys`: the keys of tags that the request names otherwise, to take them away.
    pub tag_keys: Vec<String>,
    /// `aws:ResourceTag/<key>` and `ssm:resourceTag/<key>`: the tags of the resource.
    pub resource_tags: BTreeMap<String, String>,
    /// Whether nobody could say which tags the resource has. A condition on one holds then only where it denies.
    pub resource_tags_unknown: bool,
    /// `ssm:Overwrite`: whether a parameter that is there may be written over.
    pub overwrite: Option<bool>,
    /// `ssm:Recursive`: whether a path is read with all below it.
    pub recursive: Option<bool>,
    /// `ssm:Policies`: the policies that a parameter is given, as the request has them.
    pub policies: Option<String>,
    /// `ssm:DocumentType`: the type of the document.
    pub document_type: Option<String>,
}

/// A key or a value that a context does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// No such key.
    #[error("{0} is not a condition key; there are {known}", known = crate::key::KNOWN)]
    UnknownKey(String),
    /// The key is the principal's.
    #[error("{0} comes from the principal and not from the request")]
    OfPrincipal(String),
    /// The value is not of the key's kind.
    #[error("{value} is not {expected}, which {key} wants")]
    Value {
        /// The key.
        key: String,
        /// The value, cut where it is long.
        value: String,
        /// What the key wants.
        expected: &'static str,
    },
}

impl Context {
    /// Sets a key by its name in policies, for people who ask what would be decided. `aws:TagKeys` takes one key at a time.
    ///
    /// # Errors
    /// If the key is unknown, is the principal's, or does not take the value.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ContextError> {
        let refused = |expected| ContextError::Value {
            key: key.to_owned(),
            value: shown(value),
            expected,
        };
        let flag = || value.parse::<bool>().map_err(|_| refused("true or false"));
        match Key::parse(key).ok_or_else(|| ContextError::UnknownKey(shown(key)))? {
            Key::PrincipalArn | Key::Username | Key::PrincipalTag(_) | Key::NodeId => {
                return Err(ContextError::OfPrincipal(key.to_owned()));
            }
            Key::SourceIp => self.source_ip = Some(value.parse().map_err(|_| refused("an IP address"))?),
            Key::CurrentTime => {
                let time = moment::parse(value).ok_or_else(|| refused("a time such as 2026-01-31T12:00:00Z"))?;
                self.current_time = Some(time);
            }
            Key::SecureTransport => self.secure_transport = Some(flag()?),
            Key::RequestTag(tag) => drop(self.request_tags.insert(tag, value.to_owned())),
            Key::TagKeys => self.tag_keys.push(value.to_owned()),
            Key::ResourceTag(tag) => drop(self.resource_tags.insert(tag, value.to_owned())),
            Key::Overwrite => self.overwrite = Some(flag()?),
            Key::Recursive => self.recursive = Some(flag()?),
            Key::Policies => self.policies = Some(value.to_owned()),
            Key::DocumentType => self.document_type = Some(value.to_owned()),
        }
        Ok(())
    }

    /// The values of `aws:TagKeys`.
    pub(crate) fn all_tag_keys(&self) -> impl Iterator<Item = &str> {
        let set = self.request_tags.keys().map(String::as_str);
        set.chain(self.tag_keys.iter().map(String::as_str))
    }
}
