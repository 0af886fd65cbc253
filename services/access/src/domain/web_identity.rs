//! Tokens of other identity providers, as OpenID Connect has them: whether one is good, and what it says. Pure.
//!
//! Signatures are verified with `ring`, which speaks TLS here, too; what is not a signature of an asymmetric key, as `none` and
//! `HS256`, is none (decision 22).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Seconds that clocks may differ.
const LEEWAY: i64 = 60;

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("it is no signed token: three parts of Base64 between dots are")]
    Malformed,
    #[error("its issuer is none of those whose tokens are believed here")]
    Issuer,
    #[error("its signature is of the kind {0:?}, which is not believed")]
    Algorithm(String),
    #[error("its issuer has no such key")]
    Key,
    #[error("its signature is not its issuer's")]
    Signature,
    #[error("it is for somebody else")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
    #[error("it has no claim {0:?} that could be a user's name")]
    User(String),
}

/// A token whose signature nobody has looked at yet.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    header: Header,
    claims: Claims,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// What must be understood; nothing of it is.
    crit: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    azp: Option<String>,
    /// In seconds since 1970.
    exp: f64,
    nbf: Option<f64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// What an issuer signs with.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct KeySet {
    keys: Vec<Jwk>,
}

/// One key. Kinds that are not known have other members, and are passed over.
#[derive(Debug, Clone, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl<'a> Token<'a> {
    /// Reads a token.
    pub(crate) fn read(text: &'a str) -> Result<Self, TokenError> {
        let (signed, signature) = text.trim().rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = part(header)?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        Ok(Self {
            signed,
            signature: decode(signature)?,
            header,
            claims: part(claims)?,
        })
    }

    /// Who says that it has made it.
    pub(crate) fn issuer(&self) -> &str {
        &self.claims.iss
    }

    /// Which of its issuer's keys it names.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Who the user is, if one of these keys signed it for this audience and its time is now, in seconds since 1970.
    pub(crate) fn user(&self, keys: &KeySet, audience: &str, claim: &str, now: i64) -> Result<&str, TokenError> {
        self.verify(keys)?;
        let (claims, names) = (&self.claims, self.claims.aud.names());
        let is_ours = names.iter().any(|name| name == audience);
        // One that is for several says whose it is.
        let is_another_s = names.len() > 1 && claims.azp.as_deref().is_some_and(|azp| azp != audience);
        if !is_ours || is_another_s {
            return Err(TokenError::Audience);
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds are far below what is lost")]
        let (earliest, latest) = ((now - LEEWAY) as f64, (now + LEEWAY) as f64);
        if claims.exp <= earliest {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(TokenError::Early);
        }
        let missing = || TokenError::User(claim.to_owned());
        // Anybody can write down the address of somebody else.
        let is_verified = || matches!(claims.others.get("email_verified"), Some(Value::Bool(true)));
        if claim == "email" && !is_verified() {
            return Err(missing());
        }
        let name = claims.others.get(claim).and_then(Value::as_str);
        name.filter(|name| !name.is_empty()).ok_or_else(missing)
    }

    fn verify(&self, keys: &KeySet) -> Result<(), TokenError> {
        let algorithm = Algorithm::of(&self.header.alg)?;
        let mut candidates = keys.keys.iter().filter(|key| key.may_sign(&self.header.alg, algorithm));
        let key = match &self.header.kid {
            Some(kid) => candidates.find(|key| key.kid.as_ref() == Some(kid)),
            // Without a name it can only be the only one.
            None => candidates.next().filter(|_| candidates.next().is_none()),
        };
        let key = key.ok_or(TokenError::Key)?;
        let is_good = algorithm.verify(key, self.signed.as_bytes(), &self.signature);
        is_good.ok_or(TokenError::Signature)
    }
}

/// Kinds of signatures.
#[derive(Debug, Clone, Copy)]
enum Algorithm {
    Rsa(&'static signature::RsaParameters),
    Curve(&'static str, &'static signature::EcdsaVerificationAlgorithm),
    Edwards,
}

impl Algorithm {
    fn of(name: &str) -> Result<Self, TokenError> {
        Ok(match name {
            "RS256" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            "PS384" => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            "PS512" => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            "ES256" => Self::Curve("P-256", &signature::ECDSA_P256_SHA256_FIXED),
            "ES384" => Self::Curve("P-384", &signature::ECDSA_P384_SHA384_FIXED),
            "EdDSA" => Self::Edwards,
            other => return Err(TokenError::Algorithm(other.chars().take(20).collect())),
        })
    }

    fn verify(self, key: &Jwk, message: &[u8], signed: &[u8]) -> Option<()> {
        let bytes = |member: &Option<String>| decode(member.as_deref()?).ok();
        match self {
            Self::Rsa(parameters) => {
                let (n, e) = (bytes(&key.n)?, bytes(&key.e)?);
                let public = RsaPublicKeyComponents { n: &n, e: &e };
                public.verify(parameters, message, signed).ok()
            }
            Self::Curve(_, algorithm) => {
                let point = [vec![4], bytes(&key.x)?, bytes(&key.y)?].concat();
                UnparsedPublicKey::new(algorithm, point).verify(message, signed).ok()
            }
            Self::Edwards => {
                let public = UnparsedPublicKey::new(&signature::ED25519, bytes(&key.x)?);
                public.verify(message, signed).ok()
            }
        }
    }
}

impl Jwk {
    /// Whether it is a key of that kind, which signs.
    fn may_sign(&self, name: &str, algorithm: Algorithm) -> bool {
        let (kty, crv) = match algorithm {
            Algorithm::Rsa(_) => ("RSA", None),
            Algorithm::Curve(curve, _) => ("EC", Some(curve)),
            Algorithm::Edwards => ("OKP", Some("Ed25519")),
        };
        self.kty == kty
            && crv.is_none_or(|crv| self.crv.as_deref() == Some(crv))
            && self.alg.as_deref().is_none_or(|alg| alg == name)
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
    }
}

impl KeySet {
    /// Reads what an issuer publishes.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// Whether there is a key of this name; without a name every set will do.
    pub(crate) fn has(&self, key_id: Option<&str>) -> bool {
        key_id.is_none_or(|id| self.keys.iter().any(|key| key.kid.as_deref() == Some(id)))
    }
}

/// Whether an address is one that a provider may have: TLS, or loopback.
pub(crate) fn is_place(address: &str) -> bool {
    let (rest, is_encrypted) = match (address.strip_prefix("https://"), address.strip_prefix("http://")) {
        (Some(rest), _) => (rest, true),
        (None, Some(rest)) => (rest, false),
        (None, None) => return false,
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let is_loopback = ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| {
        let port = authority.strip_prefix(host);
        port.is_some_and(|port| port.is_empty() || port.starts_with(':'))
    });
    let is_plain = !address.contains(|c: char| c.is_whitespace() || c.is_control() || "?#@".contains(c));
    is_plain && !authority.is_empty() && (is_encrypted || is_loopback)
}

fn decode(text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, TokenError> {
    serde_json::from_slice(&decode(text)?).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests;
