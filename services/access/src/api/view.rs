//! What is kept, as the contract shows it.

use muster_model::Timestamp;
use muster_proto::access::v1::{AccessKeyMetadata, AccessKeyStatus, Group, Policy, Role, User};
use muster_proto::aws::v1::Tag;

use crate::domain::identity::{self, Account, Kind, Tags};
use crate::error::AccessError;
use crate::store::access_key::AccessKeyRow;
use crate::store::identity::IdentityRow;
use crate::store::policy::PolicyRow;

/// A time from microseconds since 1970.
pub(super) fn time(micros: i64) -> Option<prost_types::Timestamp> {
    let time = Timestamp::from_microsecond(micros).ok()?;
    Some(prost_types::Timestamp {
        seconds: time.as_second(),
        // Before 1970 the contract counts the fraction upwards.
        nanos: time.subsec_nanosecond(),
    })
}

/// Microseconds since 1970 of a time.
pub(super) fn micros(time: &prost_types::Timestamp) -> Option<i64> {
    let time = Timestamp::new(time.seconds, time.nanos).ok()?;
    Some(time.as_microsecond())
}

/// Tags that a request gives.
pub(super) fn tags_given(given: Vec<Tag>) -> Result<Tags, AccessError> {
    let pairs = given.into_iter();
    identity::tags(pairs.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())))
}

/// Tags as answers show them.
pub(super) fn tags(tags: Tags) -> Vec<Tag> {
    let pairs = tags.into_iter();
    pairs
        .map(|(key, value)| Tag {
            key: Some(key),
            value: Some(value),
        })
        .collect()
}

pub(super) fn user(account: &Account, row: IdentityRow, of: Tags) -> User {
    User {
        arn: Some(account.arn(Kind::User, &row.name)),
        user_name: Some(row.name),
        create_date: time(row.created_at),
        tags: tags(of),
    }
}

pub(super) fn group(account: &Account, row: IdentityRow) -> Group {
    Group {
        arn: Some(account.arn(Kind::Group, &row.name)),
        group_name: Some(row.name),
        create_date: time(row.created_at),
    }
}

pub(super) fn role(account: &Account, row: IdentityRow, of: Tags) -> Role {
    Role {
        arn: Some(account.arn(Kind::Role, &row.name)),
        role_name: Some(row.name),
        create_date: time(row.created_at),
        tags: tags(of),
    }
}

/// A policy of people's own; without a text in lists.
pub(super) fn policy(row: PolicyRow) -> Policy {
    Policy {
        policy_name: Some(row.name),
        built_in: Some(false),
        description: (!row.description.is_empty()).then_some(row.description),
        create_date: time(row.created_at),
        update_date: time(row.updated_at),
        attachment_count: Some(i32::try_from(row.attachments).unwrap_or(i32::MAX)),
        policy_document: (!row.document.is_empty()).then_some(row.document),
    }
}

pub(super) fn access_key(row: AccessKeyRow) -> AccessKeyMetadata {
    AccessKeyMetadata {
        user_name: Some(row.user_name),
        access_key_id: Some(row.access_key_id),
        status: Some(status(row.is_active).into()),
        create_date: time(row.created_at),
        last_used_date: row.last_used_at.and_then(time),
    }
}

pub(super) fn status(is_active: bool) -> AccessKeyStatus {
    match is_active {
        true => AccessKeyStatus::Active,
        false => AccessKeyStatus::Inactive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_microseconds() {
        for micros_then in [0, 1, 1_800_000_000_123_456] {
            assert_eq!(micros(&time(micros_then).unwrap()), Some(micros_then));
        }
    }
}
