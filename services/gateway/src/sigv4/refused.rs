//! Why a request is not believed, in the words and texts of aws-json-gateway 2.

use muster_wire::{Failure, Reason, Refusal};

/// Why a request is not believed. No text repeats a value that the caller sent, except dates that were understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no signature at all.
    #[error("Missing Authentication Token")]
    Missing,
    /// The signature cannot be read; the text names what is missing.
    #[error("{0}")]
    Incomplete(String),
    /// The access key is not known or not active, or the session token is not its own.
    #[error("The security token included in the request is invalid.")]
    Unrecognized,
    /// The session token is past its end.
    #[error("The security token included in the request is expired")]
    Expired,
    /// The signature is of another request, or made with another secret.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
    /// The signature is not for here and now; the text says why.
    #[error("{0}")]
    Invalid(String),
}

impl Refused {
    pub(super) fn incomplete(text: &str) -> Self {
        Self::Incomplete(text.to_owned())
    }

    pub(super) fn invalid(text: &str) -> Self {
        Self::Invalid(text.to_owned())
    }

    /// The contract's error word.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing => Reason::MissingAuthenticationTokenException,
            Self::Incomplete(_) => Reason::IncompleteSignatureException,
            Self::Unrecognized => Reason::UnrecognizedClientException,
            Self::Expired => Reason::ExpiredTokenException,
            Self::Mismatch | Self::Invalid(_) => Reason::InvalidSignatureException,
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Refusal::new(refused.reason(), refused.to_string()).into()
    }
}
