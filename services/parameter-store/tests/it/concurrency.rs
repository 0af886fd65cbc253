//! Many who write the same parameter at once, through replicas and restarts.

use std::time::Duration;

use futures::future::join_all;
use muster_proto::aws::v1::Reason;

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
