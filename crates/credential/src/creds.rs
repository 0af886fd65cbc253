//! A `.creds` file: a user's claims and seed, as every NATS client reads it.

use std::fmt;

use zeroize::Zeroizing;

use crate::claims::{Claims, ClaimsError, UserClaims};
use crate::{Key, KeyError, KeyKind};

/// A text that is no `.creds` file. It never repeats the text: there is a seed in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredsError {
    /// A part is missing.
    #[error("there is no {0} in the credentials")]
    Missing(&'static str),
    /// The claims are not good.
    #[error("the claims in the credentials cannot be used")]
    Claims(#[from] ClaimsError),
    /// The seed is none.
    #[error("the seed in the credentials cannot be used")]
    Seed(#[from] KeyError),
    /// Claims and seed are of two users.
    #[error("the seed in the credentials is not that of the user in the claims")]
    Strangers,
}

/// Claims of a user with the key that they are about.
#[derive(Clone)]
pub struct Creds {
    token: String,
    claims: Claims<UserClaims>,
    key: Key,
}

const TOKEN: &str = "NATS USER JWT";
const SEED: &str = "USER NKEY SEED";

impl Creds {
    /// A user's signed claims with its key.
    ///
    /// # Errors
    /// If the claims are not good, or about another user.
    pub fn new(token: String, key: Key) -> Result<Self, CredsError> {
        let claims = Claims::<UserClaims>::verify(&token)?.claims;
        match claims.subject == *key.public() {
            true => Ok(Self { token, claims, key }),
            false => Err(CredsError::Strangers),
        }
    }

    /// Reads a file's text. Who issued the claims and whether their time is over is not looked at: the server does.
    ///
    /// # Errors
    /// If a part is missing or they do not belong together.
    pub fn parse(text: &str) -> Result<Self, CredsError> {
        let token = part(text, TOKEN).ok_or(CredsError::Missing("claims"))?;
        let seed = part(text, SEED).ok_or(CredsError::Missing("seed"))?;
        Self::new(token.to_owned(), Key::from_seed(seed, KeyKind::User)?)
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let (token, seed) = (&self.token, self.key.seed());
        Zeroizing::new(format!(
            "-----BEGIN {TOKEN}-----\n{token}\n------END {TOKEN}------\n\n\
             Whoever has the seed below is this user. Keep it secret.\n\n\
             -----BEGIN {SEED}-----\n{seed}\n------END {SEED}------\n",
            seed = seed.expose()
        ))
    }

    /// What is said of the user.
    #[must_use]
    pub fn claims(&self) -> &Claims<UserClaims> {
        &self.claims
    }

    /// The signed claims.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The user's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The user's name: a node's id, a service's or a person's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.claims.name
    }

    /// Below which subject this user hears answers. Nobody else may listen there.
    #[must_use]
    pub fn inbox(&self) -> String {
        crate::layout::inbox_of(&self.claims)
    }
}

impl fmt::Debug for Creds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Creds({:?}, {})", self.claims.name, self.claims.subject)
    }
}

/// What stands between the lines that name it.
fn part<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let begin = text.find(&format!("BEGIN {name}"))?;
    let rest = &text[begin..];
    let content = &rest[rest.find('\n')? + 1..];
    // Only where a line begins: a signature may have three dashes in a row anywhere.
    let content = &content[..content.find("\n---")?];
    Some(content.trim()).filter(|content| !content.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn creds() -> Creds {
        let (account, user) = (Key::generate(KeyKind::Account), Key::generate(KeyKind::User));
        let claims = Claims {
            name: "mia".to_owned(),
            subject: user.public().clone(),
            issued_at: 1,
            expires_at: None,
            body: UserClaims::scoped(account.public().clone(), Vec::new()),
        };
        Creds::new(claims.sign(&account).unwrap(), user).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let creds = creds();
        let read = Creds::parse(&creds.to_text()).unwrap();
        assert_eq!(read.claims(), creds.claims());
        assert_eq!(read.key().public(), creds.key().public());
        assert_eq!((read.name(), read.inbox().as_str()), ("mia", "_INBOX.node.mia"));
        assert!(Creds::parse(&creds.to_text().replace('\n', "\r\n")).is_ok());
    }

    #[test]
    fn three_dashes_within_a_signature_are_a_part_of_it() {
        let text = "-----BEGIN X-----\neyJ0.eyJq.ab---cd----\n------END X------\n";
        assert_eq!(part(text, "X"), Some("eyJ0.eyJq.ab---cd----"));
        assert_eq!(part(&text.replace('\n', "\r\n"), "X"), Some("eyJ0.eyJq.ab---cd----"));
        assert_eq!(part("-----BEGIN X-----\n\n------END X------\n", "X"), None);
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let (one, other) = (creds(), creds());
        let mixed = one
            .to_text()
            .replace(one.key().seed().expose(), other.key().seed().expose());
        assert_eq!(Creds::parse(&mixed).unwrap_err(), CredsError::Strangers);
        assert_eq!(Creds::parse("").unwrap_err(), CredsError::Missing("claims"));
        let half = one.to_text().split("Whoever").next().unwrap().to_owned();
        assert_eq!(Creds::parse(&half).unwrap_err(), CredsError::Missing("seed"));
    }

    #[test]
    fn the_seed_is_not_printed() {
        let creds = creds();
        assert!(!format!("{creds:?}").contains(creds.key().seed().expose()));
    }
}
