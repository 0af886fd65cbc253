//! An OpenID Connect provider on loopback: it believes everybody, and confirms every code the second time it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// For whom its tokens are.
const AUDIENCE: &str = "muster";

/// A provider that runs until it is dropped.
#[derive(Debug)]
pub struct IdentityProvider {
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    issuer: String,
    key: Ed25519KeyPair,
    /// Who confirms codes.
    person: &'static str,
    polls: AtomicUsize,
}

impl IdentityProvider {
    /// Starts one at which `person` confirms codes.
    ///
    /// # Panics
    /// If there is no port.
    pub async fn start(person: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback");
        let address = listener.local_addr().expect("a bound port has an address");
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key is made");
        let inner = Arc::new(Inner {
            issuer: format!("http://{address}"),
            key: Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("it is a key"),
            person,
            polls: AtomicUsize::new(0),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/device", post(device))
            .route("/token", post(token))
            .with_state(Arc::clone(&inner));
        let serving = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("loopback is served");
        });
        Self { inner, serving }
    }

    /// Its address.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    /// The setting of access that believes its tokens.
    #[must_use]
    pub fn setting(&self) -> (&'static str, &'static str, String) {
        let issuer = self.issuer();
        let value = format!(r#"[{{issuer="{issuer}", audience="{AUDIENCE}", user_claim="preferred_username"}}]"#);
        ("muster-access", "MUSTER_SERVICE__IDENTITY_PROVIDERS", value)
    }

    /// A token that says that it is about `person`.
    #[must_use]
    pub fn token(&self, person: &str) -> String {
        self.inner.token(person, &self.inner.key)
    }

    /// The same by somebody else's key.
    ///
    /// # Panics
    /// If there is no key.
    #[must_use]
    pub fn forged(&self, person: &str) -> String {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key is made");
        let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("it is a key");
        self.inner.token(person, &key)
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Inner {
    fn token(&self, person: &str, key: &Ed25519KeyPair) -> String {
        let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let claims = json!({"iss": self.issuer, "aud": AUDIENCE, "iat": now, "exp": now + 300, "sub": "248289761001",
            "preferred_username": person});
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&json!({"alg": "EdDSA", "kid": "one"})), encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

async fn discovery(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let issuer = &inner.issuer;
    Json(json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
        "device_authorization_endpoint": format!("{issuer}/device"), "token_endpoint": format!("{issuer}/token")}))
}

async fn keys(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let x = URL_SAFE_NO_PAD.encode(inner.key.public_key());
    Json(json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "use": "sig", "x": x}]}))
}

async fn device(State(inner): State<Arc<Inner>>, form: String) -> Json<Value> {
    assert!(
        form.contains("client_id=muster") && form.contains("scope=openid"),
        "{form}"
    );
    let page = format!("{}/activate", inner.issuer);
    Json(
        json!({"device_code": "secret-code", "user_code": "WDJB-MJHT", "verification_uri": page, "expires_in": 60,
        "interval": 0}),
    )
}

async fn token(State(inner): State<Arc<Inner>>, form: String) -> (axum::http::StatusCode, Json<Value>) {
    assert!(form.contains("device_code=secret-code"), "{form}");
    match inner.polls.fetch_add(1, Ordering::SeqCst) {
        0 => {
            let pending = json!({"error": "authorization_pending"});
            (axum::http::StatusCode::BAD_REQUEST, Json(pending))
        }
        _ => {
            let id_token = inner.token(inner.person, &inner.key);
            (
                axum::http::StatusCode::OK,
                Json(json!({"id_token": id_token, "token_type": "Bearer"})),
            )
        }
    }
}
