//! Where somebody hears answers. Inboxes are whole tokens, so that leave to answer can be given by name: who is who is
//! said by the second token, and nobody hears another's.

use crate::claims::{Claims, UserClaims};

use super::BOOT_USER;

/// Inboxes of all nodes.
pub(super) const NODES: &str = "_INBOX.node.*.>";
/// What the server puts in the place of the inbox of whoever asks from another account. Its last token cannot be
/// guessed, and is good for the answer to that question only.
pub(super) const ACROSS: &str = "_R_.>";

/// Of a node.
#[must_use]
pub fn node_inbox(node: &str) -> String {
    format!("_INBOX.node.{node}")
}

/// Of a service.
#[must_use]
pub fn service_inbox(service: &str) -> String {
    format!("_INBOX.svc.{service}")
}

/// Of a person or a program of account `OPS`.
#[must_use]
pub fn person_inbox(name: &str) -> String {
    format!("_INBOX.ops.{name}")
}

/// Of machines that register.
#[must_use]
pub fn boot_inbox() -> String {
    format!("_INBOX.{BOOT_USER}")
}

/// Of the user with these claims: the inbox that they let it hear. Claims of nodes do not say it, the template does.
#[must_use]
pub(crate) fn inbox_of(claims: &Claims<UserClaims>) -> String {
    let heard = &claims.body.subscribe.allow;
    let own = heard
        .iter()
        .filter(|subject| subject.starts_with("_INBOX."))
        .find_map(|subject| subject.strip_suffix(".>"));
    own.map_or_else(|| node_inbox(&claims.name), str::to_owned)
}

/// Everything below an inbox.
pub(super) fn below(inbox: &str) -> String {
    format!("{inbox}.>")
}
