use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

/// An issuer with two keys.
struct Issuer {
    curve: EcdsaKeyPair,
    edwards: Ed25519KeyPair,
    random: SystemRandom,
}

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let curve = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let edwards = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self {
            curve: EcdsaKeyPair::from_pkcs8(algorithm, curve.as_ref(), &random).unwrap(),
            edwards: Ed25519KeyPair::from_pkcs8(edwards.as_ref()).unwrap(),
            random,
        }
    }

    fn keys(&self) -> KeySet {
        let point = self.curve.public_key().as_ref();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let text = json!({"keys": [
            {"kty": "oct", "kid": "mac", "k": "AAAA"},
            {"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "alg": "ES256",
                "x": encode(&point[1..33]), "y": encode(&point[33..])},
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encode(self.edwards.public_key().as_ref())},
            {"kty": "OKP", "crv": "Ed25519", "kid": "other", "use": "enc", "x": encode(&[0; 32])},
        ]});
        KeySet::read(text.to_string().as_bytes()).unwrap()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = match header["alg"].as_str().unwrap() {
            "ES256" => self
                .curve
                .sign(&self.random, signed.as_bytes())
                .unwrap()
                .as_ref()
                .to_vec(),
            _ => self.edwards.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn claims(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = json!({"iss": "https://id.example.org", "aud": "muster", "exp": NOW + 600, "iat": NOW,
        "preferred_username": "rita", "email": "rita@example.org", "email_verified": true});
    change(&mut claims);
    claims
}

fn user(issuer: &Issuer, token: &str, claim: &str) -> Result<String, TokenError> {
    let token = Token::read(token)?;
    token.user(&issuer.keys(), "muster", claim, NOW).map(str::to_owned)
}

#[test]
fn a_token_of_the_issuer_names_a_user() {
    let issuer = Issuer::new();
    for header in [
        json!({"alg": "ES256", "kid": "ec"}),
        json!({"alg": "EdDSA", "kid": "ed", "typ": "JWT"}),
        json!({"alg": "EdDSA"}),
    ] {
        let token = issuer.sign(&header, &claims(|_| {}));
        assert_eq!(user(&issuer, &token, "preferred_username"), Ok("rita".to_owned()));
        assert_eq!(user(&issuer, &token, "email"), Ok("rita@example.org".to_owned()));
    }
}

#[test]
fn what_is_not_signed_by_the_issuer_is_nothing() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let header = json!({"alg": "ES256", "kid": "ec"});
    let token = issuer.sign(&header, &claims(|_| {}));
    let other = stranger.sign(&header, &claims(|_| {}));
    assert_eq!(user(&issuer, &other, "email"), Err(TokenError::Signature));
    // Each byte of what is signed counts.
    let (head, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let altered = URL_SAFE_NO_PAD.encode(claims(|claims| claims["preferred_username"] = json!("root")).to_string());
    let altered = format!("{head}.{altered}.{signature}");
    assert_eq!(
        user(&issuer, &altered, "preferred_username"),
        Err(TokenError::Signature)
    );
    for (header, error) in [
        (json!({"alg": "none"}), TokenError::Algorithm("none".to_owned())),
        (
            json!({"alg": "HS256", "kid": "mac"}),
            TokenError::Algorithm("HS256".to_owned()),
        ),
        (json!({"alg": "RS256", "kid": "ec"}), TokenError::Key),
        (json!({"alg": "EdDSA", "kid": "ec"}), TokenError::Key),
        (json!({"alg": "EdDSA", "kid": "other"}), TokenError::Key),
        (json!({"alg": "ES256", "kid": "gone"}), TokenError::Key),
        (
            json!({"alg": "ES256", "kid": "ec", "crit": ["x"]}),
            TokenError::Malformed,
        ),
    ] {
        let token = issuer.sign(&header, &claims(|_| {}));
        assert_eq!(user(&issuer, &token, "email"), Err(error), "{header}");
    }
    for bent in ["", "a", "a.b", "a.b.c", &token[1..], &format!("{token}!")] {
        assert_eq!(user(&issuer, bent, "email"), Err(TokenError::Malformed), "{bent}");
    }
}

#[test]
fn a_token_is_for_its_audience_its_time_and_a_name() {
    let issuer = Issuer::new();
    let judge = |claim: &str, change: &dyn Fn(&mut Value)| {
        let token = issuer.sign(&json!({"alg": "EdDSA", "kid": "ed"}), &claims(change));
        user(&issuer, &token, claim)
    };
    let good = |change: &dyn Fn(&mut Value)| assert!(judge("email", change).is_ok());
    let bad = |error: TokenError, change: &dyn Fn(&mut Value)| assert_eq!(judge("email", change), Err(error));
    good(&|claims| claims["aud"] = json!(["other", "muster"]));
    good(&|claims| {
        claims["aud"] = json!(["other", "muster"]);
        claims["azp"] = json!("muster");
    });
    bad(TokenError::Audience, &|claims| claims["aud"] = json!("other"));
    bad(TokenError::Audience, &|claims| claims["aud"] = json!([]));
    bad(TokenError::Audience, &|claims| {
        claims["aud"] = json!(["other", "muster"]);
        claims["azp"] = json!("other");
    });
    good(&|claims| claims["exp"] = json!(NOW - 59));
    bad(TokenError::Expired, &|claims| claims["exp"] = json!(NOW - 60));
    good(&|claims| claims["nbf"] = json!(NOW + 60));
    bad(TokenError::Early, &|claims| claims["nbf"] = json!(NOW + 61));
    for none in [Value::Null, json!("soon"), json!({})] {
        bad(TokenError::Malformed, &|claims| claims["exp"] = none.clone());
    }
    bad(TokenError::Malformed, &|claims| claims["nbf"] = json!("soon"));
    let nobody = || TokenError::User("email".to_owned());
    bad(nobody(), &|claims| claims["email_verified"] = json!(false));
    bad(nobody(), &|claims| claims["email"] = json!(["rita"]));
    bad(nobody(), &|claims| claims["email"] = json!(""));
    assert_eq!(judge("groups", &|_| {}), Err(TokenError::User("groups".to_owned())));
}
