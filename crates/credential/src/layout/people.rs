//! Users that are neither services nor nodes: operators, whoever changes accounts, and the ticket for machines that
//! register.

use crate::PublicKey;
use crate::claims::{Claims, Permission, UserClaims};

use super::NOTIFICATIONS;
use super::inbox::{below, boot_inbox, person_inbox};

/// The name in the ticket.
pub const BOOT_USER: &str = "boot";

/// A name that cannot be a user's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a user: 1 to 64 of a-z, A-Z, 0-9, '-' and '_' are, since it stands in subjects")]
pub struct NameError(String);

/// Whether a user may be called so.
///
/// # Errors
/// If the name would mean something in a subject.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match (1..=64).contains(&name.len()) && name.chars().all(is_word) {
        true => Ok(()),
        false => Err(NameError(name.to_owned())),
    }
}

/// A person or a program of account `OPS`. The name is the principal's.
///
/// # Errors
/// If the name cannot stand in a subject.
pub fn operator(
    name: &str,
    subject: PublicKey,
    ops: PublicKey,
    now: i64,
    life: Option<i64>,
) -> Result<Claims<UserClaims>, NameError> {
    check_name(name)?;
    Ok(Claims {
        name: name.to_owned(),
        subject,
        issued_at: now,
        expires_at: life.map(|life| now.saturating_add(life)),
        body: UserClaims::with_permissions(
            ops,
            Permission::only(["muster.v1.api.>".to_owned(), format!("muster.v1.output-seen.{name}.*")]),
            // Answers and output hold what others may not see, so nobody hears another's.
            Permission::only([
                "muster.v1.event.>".to_owned(),
                format!("muster.v1.output.{name}.*"),
                NOTIFICATIONS.to_owned(),
                below(&person_inbox(name)),
            ]),
        ),
    })
}

/// A user of account `SYS` that changes accounts, asks servers how they are, and cuts connections.
#[must_use]
pub fn system_user(subject: PublicKey, system: PublicKey, now: i64) -> Claims<UserClaims> {
    let name = "system";
    Claims {
        name: name.to_owned(),
        subject,
        issued_at: now,
        expires_at: None,
        body: UserClaims::with_permissions(
            system,
            Permission::only(["$SYS.REQ.>"]),
            Permission::only([
                "$SYS.ACCOUNT.>".to_owned(),
                "$SYS.SERVER.>".to_owned(),
                below("_INBOX.sys"),
            ]),
        ),
    }
}

/// The ticket with which a machine may ask to be registered. It needs no key and is no secret: the activation code is.
#[must_use]
pub fn boot_ticket(subject: PublicKey, boot: PublicKey, now: i64, life: Option<i64>) -> Claims<UserClaims> {
    let permissions = UserClaims::with_permissions(
        boot,
        Permission::only(["register"]),
        Permission::only([below(&boot_inbox())]),
    );
    Claims {
        name: BOOT_USER.to_owned(),
        subject,
        issued_at: now,
        expires_at: life.map(|life| now.saturating_add(life)),
        body: UserClaims {
            is_bearer: true,
            subscriptions: Some(8),
            ..permissions
        },
    }
}
