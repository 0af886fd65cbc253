//! Claims as NATS servers read them: a JSON object, signed with Ed25519, in the form of a JWT.

mod account;
mod operator;
mod user;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::BASE32_NOPAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Key, KeyKind, PublicKey};

pub use account::{AccountClaims, AccountLimits, Crossing, Export, Import, ScopedKey, SigningKey, Template, UNLIMITED};
pub use operator::OperatorClaims;
pub use user::{ConnectionType, Permission, UserClaims};

/// The version of the claims that servers since 2.2 understand.
const VERSION: u32 = 2;
const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;
/// Longest text that is looked at, in bytes; a server's own limit is lower.
const LONGEST: usize = 8 * 1024 * 1024;

/// Claims that are not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// The text is none of claims.
    #[error("this is no signed claim: {0}")]
    Malformed(&'static str),
    /// It is not what it was when it was signed.
    #[error("the signature of the claim is not that of its issuer")]
    Signature,
    /// Somebody else signed it.
    #[error("the claim was issued by {found}, which is not trusted here")]
    Issuer {
        /// Who signed it.
        found: PublicKey,
    },
    /// Its time is over.
    #[error("the claim has expired")]
    Expired,
    /// It was made in the future.
    #[error("the claim is not good yet")]
    Early,
    /// A key that signs or is described is of the wrong kind.
    #[error("the claim has a key of the wrong kind")]
    Kind,
}

/// What claims of a kind say, and who may sign them.
pub trait Body: Serialize + DeserializeOwned {
    /// What they are called.
    const TYPE: &'static str;
    /// Of what kind their subject is.
    const SUBJECT: KeyKind;
    /// Of what kind their issuer is.
    const ISSUER: KeyKind;
}

/// Who is described, and what is said of it. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims<B> {
    /// A name for people; for a node its id, which the template puts into its subjects.
    pub name: String,
    /// Who is described.
    pub subject: PublicKey,
    /// When it was signed.
    pub issued_at: i64,
    /// When it ends; a server cuts the connection then. Nothing: never.
    pub expires_at: Option<i64>,
    /// What is said.
    pub body: B,
}

#[derive(Serialize, Deserialize)]
struct Wire<B> {
    #[serde(default)]
    jti: String,
    iat: i64,
    iss: PublicKey,
    #[serde(default)]
    name: String,
    sub: PublicKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    nats: Nats<B>,
}

#[derive(Serialize, Deserialize)]
struct Nats<B> {
    #[serde(flatten)]
    body: B,
    #[serde(rename = "type")]
    kind: String,
    version: u32,
}

/// Claims whose signature is good, with who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<B> {
    /// The claims.
    pub claims: Claims<B>,
    /// Who signed them.
    pub issuer: PublicKey,
}

impl<B: Body> Claims<B> {
    /// Signs.
    ///
    /// # Errors
    /// If the issuer's or the subject's key is of the wrong kind.
    pub fn sign(self, issuer: &Key) -> Result<String, ClaimsError> {
        match issuer.public().kind() == B::ISSUER && self.subject.kind() == B::SUBJECT {
            true => Ok(self.signed_by(issuer)),
            false => Err(ClaimsError::Kind),
        }
    }

    /// Signs with the key that is described: nobody believes it before its issuer has signed it as well, but that one
    /// sees that the text is from whoever has the key.
    ///
    /// # Errors
    /// If it is another key.
    pub fn sign_own(self, own: &Key) -> Result<String, ClaimsError> {
        match own.public() == &self.subject {
            true => Ok(self.signed_by(own)),
            false => Err(ClaimsError::Issuer {
                found: own.public().clone(),
            }),
        }
    }

    fn signed_by(self, issuer: &Key) -> String {
        let mut wire = Wire {
            jti: String::new(),
            iat: self.issued_at,
            iss: issuer.public().clone(),
            name: self.name,
            sub: self.subject,
            exp: self.expires_at,
            nbf: None,
            nats: Nats {
                body: self.body,
                kind: B::TYPE.to_owned(),
                version: VERSION,
            },
        };
        let text =
            |wire: &Wire<B>| serde_json::to_vec(wire).expect("claims are texts, numbers, lists and maps of these");
        wire.jti = BASE32_NOPAD.encode(&Sha256::digest(text(&wire)));
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(HEADER),
            URL_SAFE_NO_PAD.encode(text(&wire))
        );
        let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// Reads claims and checks that whoever they name as their issuer signed them. Whether the issuer is to be
    /// believed is the caller's question: see [`Verified::issued_by`].
    ///
    /// # Errors
    /// If the text is none of claims of this kind, or was changed.
    pub fn verify(text: &str) -> Result<Verified<B>, ClaimsError> {
        let read = Self::read(text)?;
        match read.issuer.kind() == B::ISSUER {
            true => Ok(read),
            false => Err(ClaimsError::Kind),
        }
    }

    /// Reads claims that whoever is described has signed: they wait for their issuer.
    ///
    /// # Errors
    /// If the text is none of claims of this kind, was changed, or somebody else signed it.
    pub fn verify_own(text: &str) -> Result<Self, ClaimsError> {
        let read = Self::read(text)?;
        let own = read.claims.subject.clone();
        read.issued_by(&[&own])
    }

    fn read(text: &str) -> Result<Verified<B>, ClaimsError> {
        let malformed = ClaimsError::Malformed;
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(malformed("it is too long"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(malformed("it has no three parts"))?;
        let (header, body) = signed.split_once('.').ok_or(malformed("it has no three parts"))?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("it is no base64"));
        #[derive(Deserialize)]
        struct Header {
            typ: String,
            alg: String,
        }
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| malformed("its header is no JSON"))?;
        if !header.typ.eq_ignore_ascii_case("jwt") || header.alg != "ed25519-nkey" {
            return Err(malformed("it is signed in another way"));
        }
        let wire: Wire<B> =
            serde_json::from_slice(&decode(body)?).map_err(|_| malformed("it says something of another kind"))?;
        if wire.nats.kind != B::TYPE || wire.nats.version != VERSION {
            return Err(malformed("it says something of another kind"));
        }
        if wire.sub.kind() != B::SUBJECT {
            return Err(ClaimsError::Kind);
        }
        if !wire.iss.verifies(signed.as_bytes(), &decode(signature)?) {
            return Err(ClaimsError::Signature);
        }
        Ok(Verified {
            claims: Self {
                name: wire.name,
                subject: wire.sub,
                issued_at: wire.iat,
                expires_at: wire.exp,
                body: wire.nats.body,
            },
            issuer: wire.iss,
        })
    }
}

impl<B> Verified<B> {
    /// The claims, if one of these issued them.
    ///
    /// # Errors
    /// If it was somebody else.
    pub fn issued_by(self, trusted: &[&PublicKey]) -> Result<Claims<B>, ClaimsError> {
        match trusted.contains(&&self.issuer) {
            true => Ok(self.claims),
            false => Err(ClaimsError::Issuer { found: self.issuer }),
        }
    }
}

impl<B> Claims<B> {
    /// Checks that they are good at this second, give or take `leeway` seconds for clocks that differ.
    ///
    /// # Errors
    /// If their time is over or has not come.
    pub fn good_at(&self, now: i64, leeway: i64) -> Result<(), ClaimsError> {
        if self.expires_at.is_some_and(|end| end.saturating_add(leeway) <= now) {
            return Err(ClaimsError::Expired);
        }
        match self.issued_at > now.saturating_add(leeway) {
            true => Err(ClaimsError::Early),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
