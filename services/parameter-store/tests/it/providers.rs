//! Providers of keys that are elsewhere: one that is away, and a stand-in for Vault's transit engine that keeps what it
//! wraps. AWS KMS is in `kms`.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get as on_get, post};
use axum::{Json, Router};
use muster_harness::until;
use muster_parameter_store::{ProviderKind, Settings};
use muster_proto::aws::v1::Reason;
use muster_wire::Failure;
use serde_json::{Value, json};

use crate::service::{Service, decrypted, refusal, secure};

/// A file that only its owner may read.
pub(crate) fn private(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    (folder, path)
}

pub(crate) async fn value(service: &Service, name: &str) -> String {
    let answer = service.by_nats().get_parameter(decrypted(name)).await.unwrap();
    answer.into_inner().parameter.unwrap().value.unwrap()
}

#[tokio::test]
async fn a_provider_that_is_away_is_our_trouble_and_not_the_caller_s() {
    let (_folder, credentials) = private("[default]\naws_access_key_id = AKID\naws_secret_access_key = s\n");
    let service = Service::with(|settings| {
        settings.provider = ProviderKind::AwsKms;
        // Nobody listens there.
        settings.aws_kms.url = "http://127.0.0.1:1/".to_owned();
        settings.aws_kms.credentials_file = credentials;
    })
    .await;
    let status = service.by_nats().put_parameter(secure("/x", "one")).await.unwrap_err();
    assert!(
        matches!(Failure::from_status(&status), Failure::Internal(_)),
        "{status:?}"
    );
    service.stop().await;
}

/// What the stand-in wrapped, by its number, and the latest version of its keys.
#[derive(Debug, Default)]
struct Engine {
    wrapped: HashMap<String, (String, String, String)>,
    latest: u64,
}

type Shared = Arc<Mutex<Engine>>;
type Said = Result<Json<Value>, (StatusCode, Json<Value>)>;

fn refuse(status: StatusCode, why: &str) -> (StatusCode, Json<Value>) {
    (status, Json(json!({"errors": [why]})))
}

fn check(headers: &HeaderMap, key: &str) -> Result<(), (StatusCode, Json<Value>)> {
    if headers.get("x-vault-token").is_none_or(|token| token != "t0ken") {
        return Err(refuse(StatusCode::FORBIDDEN, "permission denied"));
    }
    match key {
        "muster" | "payments" => Ok(()),
        _ => Err(refuse(StatusCode::BAD_REQUEST, "encryption key not found")),
    }
}

async fn encrypt(
    State(engine): State<Shared>,
    UrlPath(key): UrlPath<String>,
    headers: HeaderMap,
    body: String,
) -> Said {
    check(&headers, &key)?;
    let body: Value = serde_json::from_str(&body).unwrap();
    let mut engine = engine.lock().unwrap();
    let text = |member: &str| body[member].as_str().unwrap().to_owned();
    let ciphertext = format!("vault:v{}:{}", engine.latest, engine.wrapped.len());
    engine
        .wrapped
        .insert(ciphertext.clone(), (key, text("plaintext"), text("associated_data")));
    Ok(Json(json!({"data": {"ciphertext": ciphertext}})))
}

async fn decrypt(
    State(engine): State<Shared>,
    UrlPath(key): UrlPath<String>,
    headers: HeaderMap,
    body: String,
) -> Said {
    check(&headers, &key)?;
    let body: Value = serde_json::from_str(&body).unwrap();
    let engine = engine.lock().unwrap();
    match engine.wrapped.get(body["ciphertext"].as_str().unwrap()) {
        Some((of, plaintext, bound)) if *of == key && *bound == body["associated_data"] => {
            Ok(Json(json!({"data": {"plaintext": plaintext}})))
        }
        _ => Err(refuse(StatusCode::BAD_REQUEST, "cipher: message authentication failed")),
    }
}

async fn describe(State(engine): State<Shared>, UrlPath(key): UrlPath<String>, headers: HeaderMap) -> Said {
    check(&headers, &key)?;
    Ok(Json(json!({"data": {"latest_version": engine.lock().unwrap().latest}})))
}

async fn engine() -> (Shared, String) {
    let engine: Shared = Arc::default();
    engine.lock().unwrap().latest = 1;
    let router = Router::new()
        .route("/v1/transit/encrypt/{key}", post(encrypt))
        .route("/v1/transit/decrypt/{key}", post(decrypt))
        .route("/v1/transit/keys/{key}", on_get(describe))
        .with_state(Arc::clone(&engine));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (engine, url)
}

#[tokio::test]
async fn keys_in_vault_wrap_unwrap_and_are_rotated_there() {
    let (engine, url) = engine().await;
    let (_folder, token) = private("t0ken\n");
    let with = |settings: &mut Settings| {
        settings.provider = ProviderKind::VaultTransit;
        settings.vault_transit.url.clone_from(&url);
        settings.vault_transit.token_file.clone_from(&token);
    };
    let service = Service::with(with).await;
    let mut parameters = service.by_nats();
    let mut other = secure("/other", "two");
    other.key_id = Some("alias/payments".to_owned());
    parameters.put_parameter(secure("/x", "one")).await.unwrap();
    parameters.put_parameter(other.clone()).await.unwrap();
    assert_eq!(
        (value(&service, "/x").await, value(&service, "/other").await),
        ("one".to_owned(), "two".to_owned())
    );
    for key in ["alias/nope", "a/b", "arn:aws:kms:us-east-1:111111111111:key/x"] {
        other.key_id = Some(key.to_owned());
        assert_eq!(
            refusal(parameters.put_parameter(other.clone()).await).0,
            Reason::InvalidKeyId,
            "{key}"
        );
    }
    // The engine's own rotation; data keys follow after the next start, or within a minute.
    engine.lock().unwrap().latest = 2;
    let service = service.restart_with(with).await;
    until("both data keys are wrapped anew", async || {
        let engine = engine.lock().unwrap();
        let anew = engine
            .wrapped
            .keys()
            .filter(|wrapped| wrapped.starts_with("vault:v2:"))
            .count();
        (anew >= 2).then_some(()).ok_or(anew)
    })
    .await;
    // What the old version wrapped is not needed any more, once the last of it is written down.
    engine
        .lock()
        .unwrap()
        .wrapped
        .retain(|wrapped, _| wrapped.starts_with("vault:v2:"));
    until("both are read without the old version", async || {
        for name in ["/x", "/other"] {
            let answer = service.by_nats().get_parameter(decrypted(name)).await;
            answer.map_err(|status| status.message().to_owned())?;
        }
        Ok::<(), String>(())
    })
    .await;
    std::fs::write(&token, "another").unwrap();
    // What is wrong between the service and Vault is no fault of the caller's, and not the caller's to know.
    let failed = service.by_nats().get_parameter(decrypted("/x")).await.unwrap_err();
    assert_eq!(failed.code(), tonic::Code::Internal);
    assert!(!failed.message().contains("permission"), "{}", failed.message());
    service.stop().await;
}

#[tokio::test]
async fn another_provider_takes_over_what_the_file_wrapped() {
    let (engine, url) = engine().await;
    let (_folder, token) = private("t0ken");
    let service = Service::start().await;
    service.by_nats().put_parameter(secure("/x", "one")).await.unwrap();
    let with = |settings: &mut Settings| {
        settings.provider = ProviderKind::VaultTransit;
        settings.vault_transit.url.clone_from(&url);
        settings.vault_transit.token_file.clone_from(&token);
    };
    let service = service.restart_with(with).await;
    assert_eq!(value(&service, "/x").await, "one");
    until("the data key is wrapped by the engine", async || {
        let count = engine.lock().unwrap().wrapped.len();
        (count > 0 && String::from_utf8_lossy(&service.tables()).contains("vault-transit"))
            .then_some(())
            .ok_or(count)
    })
    .await;
    let service = service.restart_with(with).await;
    assert_eq!(value(&service, "/x").await, "one");
    // Back without the engine: it is needed now.
    let refused = service.restart_refused().await;
    assert!(
        refused.contains("1 SecureStrings need the key vault-transit:muster version 1"),
        "{refused}"
    );
}
