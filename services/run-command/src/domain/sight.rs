//! Whose commands a caller sees (aws-json-gateway 7).

use muster_wire::Principal;

/// The commands that a caller sees; others are not there for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Everybody's.
    All,
    /// Those that it has sent.
    Own(Principal),
}

impl Sight {
    /// Whether what this sender has sent is seen.
    pub(crate) fn includes(&self, sender: &str) -> bool {
        match self {
            Self::All => true,
            Self::Own(principal) => principal.as_str() == sender,
        }
    }

    /// The ARN of whoever must have sent a command that is seen; `None`: anybody.
    pub(crate) fn sender(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Own(principal) => Some(principal.to_string()),
        }
    }
}
