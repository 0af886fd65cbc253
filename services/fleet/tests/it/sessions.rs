//! Two machines with one key: found as soon as both speak, and the later one is refused until an operator has looked.

use futures::{FutureExt as _, StreamExt as _};
use muster_credential::{Key, KeyKind};
use muster_proto::agent::v1::{HelloRequest, HelloResult};
use muster_proto::fleet::v1::{
    ApproveNodeRequest, DescribeInstanceInformationRequest, ListConcernsRequest, SharedKey, SyncRevocationsRequest,
};
use prost::Message as _;
use serde_json::Value;

use crate::machine::{Machine, Ticket, attributes, wanted};
use crate::world::{Refused, START, World, facts};

async fn hello(world: &World, node: &str, session: &str) -> Result<HelloResult, Refused> {
    hello_from(world, node, session, "a").await
}

/// From the machine of this name.
async fn hello_from(world: &World, node: &str, session: &str, machine: &str) -> Result<HelloResult, Refused> {
    world.hello_bytes(node, spoken(session, machine)).await
}

fn spoken(session: &str, machine: &str) -> Vec<u8> {
    let hello = HelloRequest {
        facts: Some(facts(machine)),
        attributes: attributes("parts"),
        session: session.to_owned(),
    };
    hello.encode_to_vec()
}

/// What fleet shows of its only node: the name of its machine, and when it was last heard of.
async fn shown(world: &World) -> (String, i64) {
    let all = DescribeInstanceInformationRequest::default();
    let list = world.by_nats().fleet.describe_instance_information(all).await.unwrap();
    let node = list.into_inner().instance_information_list.remove(0);
    (
        node.computer_name().to_owned(),
        node.last_ping_date_time.unwrap().seconds,
    )
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

#[tokio::test]
async fn a_copy_that_is_refused_changes_nothing_of_the_node() {
    let world = World::start().await;
    let node = world.register("a", &[]).await;
    hello(&world, &node, "one").await.unwrap();
    hello_from(&world, &node, "two", "b").await.unwrap();
    // The former one is there, too.
    hello(&world, &node, "one").await.unwrap();
    world.advance(3_600);
    hello_from(&world, &node, "two", "b").await.unwrap_err();
    assert_eq!(shown(&world).await, ("host-a".to_owned(), START.as_second()));
    world.end().await;
}

#[tokio::test]
async fn of_two_hellos_at_once_each_is_judged_by_what_it_says_itself() {
    let world = World::start().await;
    let node = world.register("a", &[]).await;
    hello(&world, &node, "one").await.unwrap();
    let other = HelloRequest {
        facts: Some(facts("b")),
        attributes: attributes("other parts"),
        session: "two".to_owned(),
    };
    for order in [[true, false], [false, true]] {
        let inbox = world.nats.new_inbox();
        let mut answers = world.nats.subscribe(format!("{inbox}.*")).await.unwrap();
        // One after the other without a pause: they are taken together.
        for is_own in order {
            let (name, hello) = match is_own {
                true => ("own", spoken("one", "a")),
                false => ("other", other.encode_to_vec()),
            };
            let subject = format!("muster.v1.rpc.{node}.hello");
            let reply = format!("{inbox}.{name}");
            world
                .nats
                .publish_with_reply(subject, reply, hello.into())
                .await
                .unwrap();
        }
        for _ in order {
            let answer = answers.next().await.unwrap();
            let is_refused = answer.headers.is_some();
            assert_eq!(is_refused, answer.subject.ends_with(".other"), "{order:?}: {answer:?}");
        }
        assert_eq!(shown(&world).await.0, "host-a");
    }
    world.end().await;
}

#[tokio::test]
async fn where_copies_may_go_on_they_are_told_of() {
    let world = World::lenient().await;
    let node = world.register("a", &[]).await;
    hello(&world, &node, "one").await.unwrap();
    hello(&world, &node, "two").await.unwrap();
    hello(&world, &node, "one").await.unwrap();
    hello(&world, &node, "two").await.unwrap();
    assert_eq!(concerns(&world).await, [(node.clone(), "Clone".to_owned())]);
    world.end().await;
}

/// What the bus sees: two connections with one key.
#[tokio::test]
async fn a_key_that_is_used_in_two_places_is_told_of_once() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(1)).await;
    let machine = Machine::new("a");
    let node = machine.register(&world, &ticket).await.unwrap().instance_id.unwrap();
    let mut events = world.nats.subscribe("muster.v1.event.fleet.node.clone").await.unwrap();
    world.nats.flush().await.unwrap();
    let shared = |name: &str, public_key: &str| SharedKey {
        name: name.to_owned(),
        public_key: public_key.to_owned(),
        hosts: ["192.0.2.1", "192.0.2.2"].map(str::to_owned).into(),
    };
    let own = shared(&node, machine.key.public().as_str());
    let stranger = Key::generate(KeyKind::User);
    // A key that the node does not have says nothing of it.
    for shared in [
        vec![
            shared(&node, stranger.public().as_str()),
            shared("*", own.public_key.as_str()),
        ],
        vec![own.clone()],
        vec![own],
    ] {
        let seen = SyncRevocationsRequest {
            shared,
            ..SyncRevocationsRequest::default()
        };
        world.by_nats().nodes.sync_revocations(seen).await.unwrap();
    }
    assert_eq!(concerns(&world).await, [(node.clone(), "Clone".to_owned())]);
    let event: Value = serde_json::from_slice(&events.next().await.unwrap().payload).unwrap();
    assert_eq!(event["subject"], node.as_str());
    assert_eq!(event["data"]["source"], "192.0.2.1, 192.0.2.2");
    // Fleet publishes before it answers, and both come over one connection.
    assert!(events.next().now_or_never().is_none(), "once");
    world.end().await;
}
