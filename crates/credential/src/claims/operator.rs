//! Claims of the operator: the root of trust.

use serde::{Deserialize, Serialize};

use super::Body;
use crate::{KeyKind, PublicKey};

/// What the operator says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorClaims {
    /// The account of the servers themselves.
    pub system_account: PublicKey,
}

impl Body for OperatorClaims {
    const TYPE: &'static str = "operator";
    const SUBJECT: KeyKind = KeyKind::Operator;
    const ISSUER: KeyKind = KeyKind::Operator;
}
