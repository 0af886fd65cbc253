//! What this service refuses, and how its troubles become failures of a call.

use muster_proto::aws::v1::Reason;
use muster_store::StoreError;
use muster_wire::{Failure, Refusal};

use crate::domain::identity::{Kind, NODE_CORE};

/// A request that cannot be; the text is for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("the {kind} with name {name} cannot be found")]
    Missing { kind: Kind, name: String },
    #[error("the policy with name {name} cannot be found")]
    MissingPolicy { name: String },
    #[error("the policy {policy} is not attached to the {kind} {name}")]
    NotAttached { policy: String, kind: Kind, name: String },
    #[error("the user {user} is not in the group {group}")]
    NotMember { user: String, group: String },
    #[error("the access key with id {id} cannot be found")]
    MissingKey { id: String },
    #[error("there is no audit record {sequence}")]
    MissingRecord { sequence: i64 },
    #[error("the {kind} with name {name} already exists")]
    Exists { kind: Kind, name: String },
    #[error("the policy with name {name} already exists, as {other}")]
    PolicyExists { name: String, other: String },
    #[error("there are {limit} {kind}s already, which is the limit")]
    TooMany { kind: Kind, limit: u32 },
    #[error("there are {limit} policies already, which is the limit")]
    TooManyPolicies { limit: u32 },
    #[error("the user {user} has {limit} access keys already, which is the limit: delete one")]
    TooManyKeys { user: String, limit: usize },
    #[error(
        "the {kind} {name} would have {count} policies, those of its groups included; at most {} are allowed",
        muster_policy::MAX_POLICIES
    )]
    TooManyAttached { kind: Kind, name: String, count: i64 },
    #[error("{0}")]
    Malformed(String),
    #[error("cannot delete the {kind} {name}: {why}")]
    StillUsed {
        kind: &'static str,
        name: String,
        why: &'static str,
    },
    #[error("the policy {name} is built in, and cannot be changed or deleted")]
    BuiltIn { name: String },
    #[error("the user root cannot be changed; its access key is made by `muster access bootstrap`")]
    Root,
    #[error("the name root belongs to the user that `muster access bootstrap` makes")]
    RootName,
    #[error("{NODE_CORE} is what nodes act as that have no role: choose another name")]
    NodeRole,
    #[error("the tag key {key} is there twice")]
    DuplicateTag { key: String },
    #[error("the tag key {key} is reserved: keys that begin with aws: are")]
    ReservedTag { key: String },
    #[error("name one of UserName, GroupName and RoleName")]
    OneName,
    #[error("Status is Active or Inactive")]
    Status,
    #[error("the token is not one of this list: repeat the call without NextToken")]
    NextToken,
    #[error("{0}")]
    Invalid(String),
    #[error("Value at '{member}' holds a NUL character, which is in nothing that is kept here.")]
    Nul { member: &'static str },
    #[error("KnownSequence and KnownHash go together")]
    KnownTogether,
    #[error("the audit record {sequence} has another hash than the one that was named: nothing was removed")]
    OtherHash { sequence: i64 },
}

impl AccessError {
    /// Refuses a text with a NUL character: a database may refuse even the question.
    pub(crate) fn refuse_nul(member: &'static str, text: &str) -> Result<(), Self> {
        match text.contains('\0') {
            true => Err(Self::Nul { member }),
            false => Ok(()),
        }
    }

    /// The word that programs match on.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Missing { .. }
            | Self::MissingPolicy { .. }
            | Self::NotAttached { .. }
            | Self::NotMember { .. }
            | Self::MissingKey { .. }
            | Self::MissingRecord { .. } => Reason::NoSuchEntity,
            Self::Exists { .. } | Self::PolicyExists { .. } => Reason::EntityAlreadyExists,
            Self::TooMany { .. }
            | Self::TooManyPolicies { .. }
            | Self::TooManyKeys { .. }
            | Self::TooManyAttached { .. } => Reason::LimitExceeded,
            Self::Malformed(_) => Reason::MalformedPolicyDocument,
            Self::StillUsed { .. } => Reason::DeleteConflict,
            Self::BuiltIn { .. } | Self::Root => Reason::UnmodifiableEntity,
            Self::NextToken => Reason::InvalidNextToken,
            Self::RootName
            | Self::NodeRole
            | Self::DuplicateTag { .. }
            | Self::ReservedTag { .. }
            | Self::OneName
            | Self::Status
            | Self::Invalid(_)
            | Self::Nul { .. }
            | Self::KnownTogether
            | Self::OtherHash { .. } => Reason::ValidationException,
        }
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        Refusal::new(error.reason(), error.to_string()).into()
    }
}

/// What the store said, and what the domain said, as one.
pub(crate) fn settle<T>(outcome: Result<Result<T, AccessError>, StoreError>) -> Result<T, Failure> {
    Ok(outcome.map_err(from_store)??)
}

/// A store that does not answer can be tried again; everything else is our fault.
pub(crate) fn from_store(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable(cause) => {
            tracing::warn!(error = &cause as &dyn std::error::Error, "the database does not answer");
            Failure::Unavailable {
                what: "the database of access".to_owned(),
            }
        }
        other => Failure::internal(other),
    }
}
