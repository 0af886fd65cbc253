//! Events: who registered, came, went, was put out.

use async_nats::Subscriber;
use futures::StreamExt;
use muster_proto::fleet::v1::DeregisterManagedInstanceRequest;
use serde_json::Value;

use crate::world::{World, facts};

async fn next(events: &mut Subscriber) -> (String, Value) {
    let message = events.next().await.unwrap();
    (
        message.subject.to_string(),
        serde_json::from_slice(&message.payload).unwrap(),
    )
}

#[tokio::test]
async fn the_life_of_a_node_is_news() {
    let world = World::start().await;
    let mut events = world.nats.subscribe("muster.v1.event.fleet.>").await.unwrap();
    world.nats.flush().await.unwrap();

    let id = world.register("a", &[]).await;
    let (subject, event) = next(&mut events).await;
    assert_eq!(subject, "muster.v1.event.fleet.node.registered");
    assert_eq!(event["type"], "fleet.node.registered");
    assert_eq!(event["subject"], id);
    assert_eq!(event["data"]["instanceId"], id);

    world.hello(&id, facts("a")).await.unwrap();
    world.hello(&id, facts("a")).await.unwrap();
    let (subject, event) = next(&mut events).await;
    assert_eq!(subject, "muster.v1.event.fleet.node.connection");
    assert_eq!(event["data"]["pingStatus"], "Online");

    let out = DeregisterManagedInstanceRequest {
        instance_id: Some(id.clone()),
    };
    world.by_nats().fleet.deregister_managed_instance(out).await.unwrap();
    let (subject, _) = next(&mut events).await;
    assert_eq!(subject, "muster.v1.event.fleet.node.deregistered");
    world.end().await;
}

#[tokio::test]
async fn silence_and_return_are_told_once() {
    let world = World::watchful().await;
    let (silent, steady) = (world.register("a", &[]).await, world.register("b", &[]).await);
    world.hello(&silent, facts("a")).await.unwrap();
    let mut events = world
        .nats
        .subscribe("muster.v1.event.fleet.node.connection")
        .await
        .unwrap();
    world.hello(&steady, facts("b")).await.unwrap();
    world.nats.flush().await.unwrap();
    assert_eq!(next(&mut events).await.1["subject"], steady);

    world.advance(179);
    world.hello(&steady, facts("b")).await.unwrap();
    world.advance(1);
    let (_, event) = next(&mut events).await;
    assert_eq!(
        (&event["subject"], &event["data"]["pingStatus"]),
        (&silent.clone().into(), &"ConnectionLost".into())
    );
    world.heartbeat(&silent).await;
    // Nothing was told of anybody in between: the next event is the return.
    let (_, event) = next(&mut events).await;
    assert_eq!(
        (&event["subject"], &event["data"]["pingStatus"]),
        (&silent.into(), &"Online".into())
    );
    world.end().await;
}
