//! Two machines with one key: found as soon as both speak, and the later one is refused until an operator has looked.

use futures::StreamExt as _;
use muster_proto::agent::v1::{HelloRequest, HelloResult};
use muster_proto::fleet::v1::{ApproveNodeRequest, ListConcernsRequest};
use prost::Message as _;
use serde_json::Value;

use crate::world::{Refused, World, facts};

async fn hello(world: &World, node: &str, session: &str) -> Result<HelloResult, Refused> {
    let hello = HelloRequest {
        facts: Some(facts("a")),
        session: session.to_owned(),
        ..HelloRequest::default()
    };
    world.hello_bytes(node, hello.encode_to_vec()).await
}

async fn concerns(world: &World) -> Vec<(String, String)> {
    let answer = world.by_nats().nodes.list_concerns(ListConcernsRequest {}).await;
    let concerns = answer.unwrap().into_inner().concerns;
    concerns.into_iter().map(|each| (each.node_id, each.concern)).collect()
}

#[tokio::test]
async fn of_two_machines_with_one_key_the_later_one_is_refused_until_it_is_approved() {
    let world = World::start().await;
    let node = world.register("a", &[]).await;
    let mut asked = world
        .nats
        .subscribe(format!("muster.v1.dn.{node}.config"))
        .await
        .unwrap();
    let mut events = world.nats.subscribe("muster.v1.event.fleet.node.clone").await.unwrap();
    world.nats.flush().await.unwrap();
    hello(&world, &node, "one").await.unwrap();
    world.advance(600);
    // Another session may be the same machine after its agent was started anew; whoever is there is asked.
    hello(&world, &node, "two").await.unwrap();
    asked.next().await.unwrap();
    hello(&world, &node, "two").await.unwrap();
    assert_eq!(concerns(&world).await, []);
    world.restart_fleet().await;
    hello(&world, &node, "one").await.unwrap();
    // The other one was answered before: it is asked again, and hears of it now.
    asked.next().await.unwrap();
    let refused = hello(&world, &node, "two").await.unwrap_err();
    assert!(
        refused.word == "ConflictException" && refused.text.starts_with("Clone:"),
        "{refused:?}"
    );
    hello(&world, &node, "one").await.unwrap();
    assert_eq!(concerns(&world).await, [(node.clone(), "Clone".to_owned())]);
    let event: Value = serde_json::from_slice(&events.next().await.unwrap().payload).unwrap();
    assert_eq!(event["data"]["instanceId"], node.as_str());

    // The former one was stopped, and the other one approved.
    let approve = ApproveNodeRequest {
        node_id: node.clone(),
        fingerprint: String::new(),
    };
    world.by_nats().nodes.approve_node(approve).await.unwrap();
    hello(&world, &node, "two").await.unwrap();
    assert_eq!(concerns(&world).await, []);
    world.end().await;
}

#[tokio::test]
async fn an_agent_that_is_started_again_and_again_is_one_machine() {
    let world = World::start().await;
    let node = world.register("a", &[]).await;
    for life in 0..5 {
        let session = format!("life-{life}");
        for _ in 0..3 {
            hello(&world, &node, &session).await.unwrap();
            world.advance(20);
        }
    }
    // Agents of former versions, and sessions that are none, are not told apart.
    for session in ["", "no session", "life-0.x"] {
        hello(&world, &node, session).await.unwrap();
    }
    assert_eq!(concerns(&world).await, []);
    world.end().await;
}
