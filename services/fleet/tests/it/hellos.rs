//! What a node is answered when it says hello.

use muster_proto::agent::v1::{HelloResult, NodeFacts};
use muster_proto::fleet::v1::{DeregisterManagedInstanceRequest, DescribeInstanceInformationRequest};

use crate::world::{START, World, facts, pairs};

#[tokio::test]
async fn a_hello_is_answered_with_tags_and_the_pace_of_heartbeats() {
    let world = World::start().await;
    let id = world.register("a", &[("Role", "web"), ("Env", "")]).await;
    world.advance(7);
    let answer = world.hello(&id, facts("a")).await.unwrap();
    let expected = HelloResult {
        tags: pairs(&[("Role", "web"), ("Env", "")]),
        heartbeat_seconds: 60,
        service_time: Some(prost_types::Timestamp {
            seconds: START.as_second() + 7,
            nanos: 0,
        }),
        rotate_key: false,
    };
    assert_eq!(answer, expected);
    world.end().await;
}

#[tokio::test]
async fn a_hello_brings_new_facts() {
    let world = World::start().await;
    let id = world.register("a", &[]).await;
    let told = NodeFacts {
        computer_name: "renamed\0".to_owned(),
        agent_version: "not a version".to_owned(),
        ..facts("a")
    };
    world.hello(&id, told).await.unwrap();
    let all = DescribeInstanceInformationRequest::default();
    let list = world
        .by_nats()
        .fleet
        .describe_instance_information(all)
        .await
        .unwrap()
        .into_inner();
    let node = &list.instance_information_list[0];
    assert_eq!(node.computer_name.as_deref(), Some("renamed"));
    assert_eq!((&node.agent_version, node.is_latest_version), (&None, None));
    world.end().await;
}

#[tokio::test]
async fn who_is_not_managed_is_told_so() {
    let world = World::start().await;
    let stranger = world.hello("mi-00000000000000000", facts("x")).await.unwrap_err();
    assert_eq!(
        (stranger.word.as_str(), stranger.code.as_str()),
        ("InvalidInstanceId", "400")
    );
    assert!(stranger.text.contains("unknown"), "{stranger:?}");

    let id = world.register("a", &[]).await;
    let out = DeregisterManagedInstanceRequest {
        instance_id: Some(id.clone()),
    };
    world.by_nats().fleet.deregister_managed_instance(out).await.unwrap();
    let gone = world.hello(&id, facts("a")).await.unwrap_err();
    assert_eq!(gone.word, "InvalidInstanceId");
    assert!(gone.text.contains("deregistered"), "{gone:?}");
    world.end().await;
}

#[tokio::test]
async fn a_hello_that_cannot_be_read_is_refused_and_disturbs_nobody() {
    let world = World::start().await;
    let id = world.register("a", &[]).await;
    let unreadable = world.hello_bytes(&id, vec![0xff, 0xff]).await.unwrap_err();
    assert_eq!(unreadable.word, "ValidationException");
    let nobody = world.hello("somebody", facts("x")).await.unwrap_err();
    assert_eq!(nobody.word, "ValidationException");
    world.hello(&id, facts("a")).await.unwrap();
    world.end().await;
}
