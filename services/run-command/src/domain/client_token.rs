//! The command that a caller's own name for a request stands for (run-command 2.4).
//!
//! The command's id is made from the token, so that nothing has to be stored beside the command itself.

use muster_model::CommandId;
use muster_wire::{ClientToken, Principal};
use sha2::{Digest, Sha256};

/// The command that a token of a caller stands for.
pub(crate) fn command(token: &ClientToken, caller: &Principal) -> CommandId {
    let mut hasher = Sha256::new();
    // No ARN and no token holds a blank.
    hasher.update(format!("muster client token 2: {caller} {}", token.as_str()));
    let hash = hasher.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    // Version 8: made by a rule of our own.
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    let id = id.hyphenated().to_string().parse();
    id.expect("a UUID is a command id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_a_caller_always_stands_for_the_same_command() {
        let caller = |name: &str| Principal::new(format!("arn:aws:iam::000000000000:user/{name}")).unwrap();
        let (alice, bob) = (caller("alice"), caller("bob"));
        let of = |text: &str, caller: &Principal| command(&ClientToken::read(text).unwrap(), caller);
        assert_eq!(of("deploy-17", &alice), of("deploy-17", &alice));
        assert_ne!(of("deploy-17", &alice), of("deploy-18", &alice));
        assert_ne!(
            of("deploy-17", &alice),
            of("deploy-17", &bob),
            "nobody takes another's token"
        );
    }
}
