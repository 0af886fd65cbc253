//! Many who write the same parameter at once, through replicas and restarts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get as on_get, post};
use axum::{Json, Router};
use futures::future::join_all;
use muster_parameter_store::ProviderKind;
use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::parameter_store_client::ParameterStoreClient;
use muster_wire::NatsChannel;
use serde_json::{Value, json};

use crate::providers::private;
use crate::service::{Service, by_grpc, get, overwrite, put, reason, secure};

#[tokio::test]
async fn fifty_puts_at_once_make_fifty_versions() {
    let service = Service::start().await;
    let replica = service.replica().await;
    let (by_nats, on_replica) = (service.by_nats(), by_grpc(&replica).await);
    let puts = (0..50).map(|number| {
        let (mut by_nats, mut on_replica) = (by_nats.clone(), on_replica.clone());
        async move {
            // Types change meanwhile: some puts are overtaken and prepared again.
            let value = number.to_string();
            let answer = match number % 3 {
                0 => by_nats.put_parameter(overwrite("/x", &value)).await,
                1 => on_replica.put_parameter(secure("/x", &value)).await,
                _ => by_nats.put_parameter(secure("x", &value)).await,
            };
            answer.unwrap().into_inner().version()
        }
    });
    let mut versions = join_all(puts).await;
    versions.sort_unstable();
    assert_eq!(versions, (1..=50).collect::<Vec<_>>());
    replica.stop(Duration::from_secs(5)).await;
    service.stop().await;
}

#[tokio::test]
async fn of_many_who_make_the_same_parameter_one_does() {
    let service = Service::start().await;
    let client = service.by_nats();
    let puts = (0..20).map(|number| {
        let mut client = client.clone();
        async move {
            client
                .put_parameter(put("/x", &number.to_string()))
                .await
                .map_err(|status| reason::<()>(Err(status)))
        }
    });
    let outcomes = join_all(puts).await;
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(Reason::ParameterAlreadyExists)))
        .count();
    assert_eq!((made, refused), (1, 19));
    service.stop().await;
}

#[tokio::test]
async fn a_write_that_was_answered_is_read_at_once_and_after_a_restart() {
    let mut service = Service::start().await;
    let mut version = 0;
    for round in 0..3 {
        let mut parameters = service.by_nats();
        let replica = service.replica().await;
        let mut elsewhere = by_grpc(&replica).await;
        for number in 0..20 {
            let value = format!("{round} {number}");
            let put = parameters
                .put_parameter(overwrite("/x", &value))
                .await
                .unwrap()
                .into_inner();
            version += 1;
            assert_eq!(put.version(), version);
            let read = elsewhere
                .get_parameter(get("/x"))
                .await
                .unwrap()
                .into_inner()
                .parameter
                .unwrap();
            assert_eq!((read.value(), read.version()), (value.as_str(), version));
        }
        replica.stop(Duration::from_secs(5)).await;
        service = service.restart().await;
    }
    service.stop().await;
}

/// A stand-in for Vault's transit engine. Whenever it is asked to wrap for the put that is to lose, it is quicker to change
/// what that put builds on.
#[derive(Default)]
struct Meddler {
    calls: AtomicUsize,
    parameters: OnceLock<ParameterStoreClient<NatsChannel>>,
}

async fn wrap(State(meddler): State<Arc<Meddler>>) -> Json<Value> {
    let mut parameters = meddler.parameters.get().unwrap().clone();
    let change = match meddler.calls.fetch_add(1, Ordering::SeqCst) {
        // The put without a key is prepared for the default one.
        0 => {
            let mut with_key = secure("/x", "by another");
            with_key.key_id = Some("payments".to_owned());
            Some(with_key)
        }
        // Call 1 is for the change itself. By now the put takes on the other's key, which goes again.
        2 => Some(overwrite("/x", "by another")),
        _ => None,
    };
    if let Some(change) = change {
        parameters.put_parameter(change).await.unwrap();
    }
    Json(json!({"data": {"ciphertext": "vault:v1:x"}}))
}

#[tokio::test]
async fn a_put_that_is_overtaken_twice_gives_up() {
    let meddler = Arc::new(Meddler::default());
    let router = Router::new()
        .route("/v1/transit/encrypt/{key}", post(wrap))
        .route(
            "/v1/transit/keys/{key}",
            on_get(async || Json(json!({"data": {"latest_version": 1}}))),
        )
        .with_state(Arc::clone(&meddler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (_folder, token) = private("t0ken");
    let service = Service::with(|settings| {
        settings.provider = ProviderKind::VaultTransit;
        settings.vault_transit.url = url;
        settings.vault_transit.token_file = token;
    })
    .await;
    meddler.parameters.get_or_init(|| service.by_nats());
    let mut parameters = service.by_nats();
    parameters.put_parameter(put("/x", "first")).await.unwrap();
    let lost = parameters.put_parameter(secure("/x", "lost")).await;
    assert_eq!(reason(lost), Reason::TooManyUpdates);
    let read = parameters
        .get_parameter(get("/x"))
        .await
        .unwrap()
        .into_inner()
        .parameter
        .unwrap();
    assert_eq!((read.version(), read.value()), (3, "by another"));
    service.stop().await;
}
