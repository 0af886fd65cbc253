//! The keys that conditions may ask for, and only these (aws-json-gateway 7).

use std::net::IpAddr;

use jiff::Timestamp;

use crate::context::Context;
use crate::principal::{Principal, tag};

/// A condition key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    PrincipalArn,
    Username,
    PrincipalTag(String),
    SourceIp,
    CurrentTime,
    SecureTransport,
    RequestTag(String),
    TagKeys,
    /// `aws:ResourceTag/k` and `ssm:resourceTag/k` are one.
    ResourceTag(String),
    Overwrite,
    Recursive,
    Policies,
    DocumentType,
    NodeId,
}

/// What the values of a key are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// Any number of texts.
    Texts,
    Flag,
    Arn,
    Ip,
    Time,
}

/// The value of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Flag(bool),
    Ip(IpAddr),
    Time(Timestamp),
}

/// All keys, for messages.
pub(crate) const KNOWN: &str = "aws:PrincipalArn, aws:username, aws:PrincipalTag/key, aws:SourceIp, aws:CurrentTime, \
    aws:SecureTransport, aws:RequestTag/key, aws:TagKeys, aws:ResourceTag/key, ssm:resourceTag/key, ssm:Overwrite, \
    ssm:Recursive, ssm:Policies, ssm:DocumentType, ssm:nodeId";

impl Key {
    /// Reads the name of a key; case means nothing in it.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if let Some((family, tag)) = name.split_once('/') {
            if tag.is_empty() {
                return None;
            }
            let tag = tag.to_owned();
            return Some(match family.to_ascii_lowercase().as_str() {
                "aws:principaltag" => Self::PrincipalTag(tag),
                "aws:requesttag" => Self::RequestTag(tag),
                "aws:resourcetag" | "ssm:resourcetag" => Self::ResourceTag(tag),
                _ => return None,
            });
        }
        Some(match name.to_ascii_lowercase().as_str() {
            "aws:principalarn" => Self::PrincipalArn,
            "aws:username" => Self::Username,
            "aws:sourceip" => Self::SourceIp,
            "aws:currenttime" => Self::CurrentTime,
            "aws:securetransport" => Self::SecureTransport,
            "aws:tagkeys" => Self::TagKeys,
            "ssm:overwrite" => Self::Overwrite,
            "ssm:recursive" => Self::Recursive,
            "ssm:policies" => Self::Policies,
            "ssm:documenttype" => Self::DocumentType,
            "ssm:nodeid" => Self::NodeId,
            _ => return None,
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::PrincipalArn => Kind::Arn,
            Self::SourceIp => Kind::Ip,
            Self::CurrentTime => Kind::Time,
            Self::SecureTransport | Self::Overwrite | Self::Recursive => Kind::Flag,
            Self::TagKeys => Kind::Texts,
            Self::Username
            | Self::PrincipalTag(_)
            | Self::RequestTag(_)
            | Self::ResourceTag(_)
            | Self::Policies
            | Self::DocumentType
            | Self::NodeId => Kind::Text,
        }
    }

    /// Whether `${…}` may name it: only what the principal is, not what a caller can write into a request.
    pub(crate) fn may_be_variable(&self) -> bool {
        matches!(self, Self::Username | Self::PrincipalTag(_) | Self::NodeId)
    }

    /// The value of a key that may be a variable.
    pub(crate) fn of_principal<'a>(&self, who: &'a Principal) -> Option<&'a str> {
        match self {
            Self::Username => who.username(),
            Self::PrincipalTag(key) => tag(who.tags(), key),
            Self::NodeId => who.node(),
            _ => None,
        }
    }

    /// The value of a key that has at most one.
    pub(crate) fn value<'a>(&self, who: &'a Principal, context: &'a Context) -> Option<Value<'a>> {
        Some(match self {
            Self::PrincipalArn => Value::Text(who.policy_arn().as_str()),
            Self::Username | Self::PrincipalTag(_) | Self::NodeId => Value::Text(self.of_principal(who)?),
            Self::SourceIp => Value::Ip(context.source_ip?),
            Self::CurrentTime => Value::Time(context.current_time?),
            Self::SecureTransport => Value::Flag(context.secure_transport?),
            Self::RequestTag(key) => Value::Text(tag(&context.request_tags, key)?),
            Self::ResourceTag(key) => Value::Text(tag(&context.resource_tags, key)?),
            Self::Overwrite => Value::Flag(context.overwrite?),
            Self::Recursive => Value::Flag(context.recursive?),
            Self::Policies => Value::Text(context.policies.as_deref()?),
            Self::DocumentType => Value::Text(context.document_type.as_deref()?),
            Self::TagKeys => return None,
        })
    }
}
