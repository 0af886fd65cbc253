//! A caller's own name for a command (run-command 2.4): the same token is the same command.
//!
//! The command's id is made from the token, so that nothing has to be stored beside the command itself.

use muster_model::CommandId;
use muster_wire::Refusal;
use sha2::{Digest, Sha256};

/// A token that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientToken(CommandId);

impl ClientToken {
    /// How callers on gRPC and NATS give it: as metadata, or as a header. AWS's surface has none.
    pub(crate) const HEADER: &str = "muster-client-token";

    /// Reads a token: 1 to 64 printable characters of ASCII.
    pub(crate) fn read(text: &str) -> Result<Self, Refusal> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            let message = format!("{} must be 1 to 64 printable characters without blanks", Self::HEADER);
            return Err(Refusal::validation(message));
        }
        let mut hasher = Sha256::new();
        hasher.update("muster client token 1:");
        hasher.update(text);
        let hash = hasher.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        // Version 8: made by a rule of our own.
        let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
        let id = id.hyphenated().to_string().parse();
        Ok(Self(id.expect("a UUID is a command id")))
    }

    /// The command that it stands for.
    pub(crate) fn command(&self) -> CommandId {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_always_stands_for_the_same_command() {
        let of = |text: &str| ClientToken::read(text).unwrap().command();
        assert_eq!(of("deploy-17"), of("deploy-17"));
        assert_ne!(of("deploy-17"), of("deploy-18"));
        for bad in ["", "with blank", "ünicode", &"x".repeat(65)] {
            assert!(ClientToken::read(bad).is_err(), "{bad}");
        }
    }
}
