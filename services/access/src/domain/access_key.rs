//! Access keys: their ids, and how many a user may have.

use crate::error::AccessError;

/// Access keys that a user may have: one in use, and one to change over to.
pub(crate) const MAX_KEYS: usize = 2;
const PREFIX: &str = "MKIA";
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A new id: `MKIA` and 16 of `[A-Z2-7]`.
pub(crate) fn random_id() -> String {
    random_id_of(PREFIX)
}

/// The same with another beginning.
pub(crate) fn random_id_of(prefix: &str) -> String {
    let bytes: [u8; 16] = rand::random();
    let letters = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    prefix.chars().chain(letters).collect()
}

/// Whether a user with so many may have one more.
pub(crate) fn check_room(user: &str, present: usize) -> Result<(), AccessError> {
    match present < MAX_KEYS {
        true => Ok(()),
        false => Err(AccessError::TooManyKeys {
            user: user.to_owned(),
            limit: MAX_KEYS,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_form_that_clients_expect() {
        let id = random_id();
        assert_eq!(id.len(), 20);
        assert!(id.starts_with("MKIA"));
        assert!(id.bytes().skip(4).all(|byte| LETTERS.contains(&byte)), "{id}");
        assert_ne!(id, random_id());
    }
}
