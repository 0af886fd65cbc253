//! A caller's own name for a command (run-command 2.4): the same token of the same caller is the same command.
//!
//! The command's id is made from the token, so that nothing has to be stored beside the command itself.

use muster_model::CommandId;
use muster_wire::{Principal, Refusal};
use sha2::{Digest, Sha256};

/// A token that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientToken(CommandId);

impl ClientToken {
    /// How callers on gRPC and NATS give it: as metadata, or as a header. AWS's surface has none.
    pub(crate) const HEADER: &str = "muster-client-token";

    /// Reads a token of a caller: 1 to 64 printable characters of ASCII.
    pub(crate) fn read(text: &str, caller: &Principal) -> Result<Self, Refusal> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            let message = format!("{} must be 1 to 64 printable characters without blanks", Self::HEADER);
            return Err(Refusal::validation(message));
        }
        let mut hasher = Sha256::new();
        // No ARN and no token holds a blank.
        hasher.update(format!("muster client token 2: {caller} {text}"));
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
    fn a_token_of_a_caller_always_stands_for_the_same_command() {
        let caller = |name: &str| Principal::new(format!("arn:aws:iam::000000000000:user/{name}")).unwrap();
        let (alice, bob) = (caller("alice"), caller("bob"));
        let of = |text: &str, caller: &Principal| ClientToken::read(text, caller).unwrap().command();
        assert_eq!(of("deploy-17", &alice), of("deploy-17", &alice));
        assert_ne!(of("deploy-17", &alice), of("deploy-18", &alice));
        assert_ne!(
            of("deploy-17", &alice),
            of("deploy-17", &bob),
            "nobody takes another's token"
        );
        for bad in ["", "with blank", "ünicode", &"x".repeat(65)] {
            assert!(ClientToken::read(bad, &alice).is_err(), "{bad}");
        }
    }
}
