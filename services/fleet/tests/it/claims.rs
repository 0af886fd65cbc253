//! Machines that want to be nodes that others are, and operators who say which may (agent.md B8).

use futures::StreamExt;
use muster_credential::{Key, KeyKind};
use muster_proto::agent::v1::HelloRequest;
use muster_proto::fleet::v1::{ApproveNodeRequest, ListConcernsRequest, RegisterManagedInstanceRequest};
use muster_wire::Reason;
use prost::Message as _;

use crate::machine::{Machine, Ticket, ask, attributes, wanted};
use crate::world::{Refused, START, World, facts, refusal};

#[tokio::test]
async fn nobody_takes_the_place_of_a_node_that_is_online() {
    let world = World::guarded().await;
    let mut clones = world.nats.subscribe("muster.v1.event.fleet.node.clone").await.unwrap();
    world.nats.flush().await.unwrap();
    let ticket = Ticket::of(&world, wanted(5)).await;
    let machine = Machine::new("a");
    let node = machine.register(&world, &ticket).await.unwrap().instance_id.unwrap();
    let hello = HelloRequest {
        facts: Some(facts("a")),
        attributes: attributes("a"),
        session: String::new(),
    };
    world.hello_bytes(&node, hello.encode_to_vec()).await.unwrap();
    let copy = Machine {
        parts: "a".to_owned(),
        ..Machine::new("copy")
    };
    let refused = copy.register(&world, &ticket).await.unwrap_err();
    assert_eq!(refused.word, "ConflictException");
    assert!(
        refused.text.contains(&node) && refused.text.contains("--new"),
        "{}",
        refused.text
    );
    let event = clones.next().await.unwrap();
    assert!(String::from_utf8_lossy(&event.payload).contains(&node));
    // An operator's leave is for one of two that ask, by what it shows.
    let third = Machine {
        parts: "a".to_owned(),
        ..Machine::new("third")
    };
    let print = fingerprint(&third.register(&world, &ticket).await.unwrap_err());
    let mut nodes = world.by_nats().nodes;
    let claims = nodes
        .list_concerns(ListConcernsRequest {})
        .await
        .unwrap()
        .into_inner()
        .concerns;
    let mut shown: Vec<_> = claims.iter().map(|each| each.fingerprint.clone()).collect();
    shown.sort_unstable();
    let mut expected = vec![fingerprint(&refused), print.clone()];
    expected.sort_unstable();
    assert_eq!(shown, expected);
    assert!(
        claims
            .iter()
            .all(|each| each.concern == "Clone" && each.time.unwrap().seconds == START.as_second())
    );
    for wrong in ["", "00000000000000000000"] {
        let approve = ApproveNodeRequest {
            node_id: node.clone(),
            fingerprint: wrong.to_owned(),
        };
        let (reason, message) = refusal(nodes.approve_node(approve).await.unwrap_err());
        assert!(
            reason == Reason::ValidationException && message.contains(&print),
            "{message}"
        );
    }
    let approve = ApproveNodeRequest {
        node_id: node.clone(),
        fingerprint: print,
    };
    nodes.approve_node(approve).await.unwrap();
    assert_eq!(
        copy.register(&world, &ticket).await.unwrap_err().word,
        "ConflictException"
    );
    assert_eq!(
        third.register(&world, &ticket).await.unwrap().instance_id.as_deref(),
        Some(node.as_str())
    );
    let machine = third;
    // Whoever has the key that the node had is the node.
    let changed = Machine {
        key: Key::generate(KeyKind::User),
        name: machine.name.clone(),
        parts: machine.parts.clone(),
    };
    let mut question = changed.question(&ticket, world.second());
    question.former_key = Some(machine.key.public().to_string());
    question.former_proof = Some(changed.proof(&machine.key, &ticket, world.second()));
    let answer = ask(&world, question).await.unwrap();
    assert_eq!(answer.instance_id.as_deref(), Some(node.as_str()));
    // After a while of silence the machine is taken for reinstalled.
    world.advance(180);
    let answer = copy.register(&world, &ticket).await.unwrap();
    assert_eq!(answer.instance_id.as_deref(), Some(node.as_str()));
    world.end().await;
}

#[tokio::test]
async fn what_others_can_find_out_takes_no_silent_node_without_an_operator() {
    let world = World::guarded().await;
    let mut doubts = world
        .nats
        .subscribe("muster.v1.event.fleet.node.doubtful")
        .await
        .unwrap();
    world.nats.flush().await.unwrap();
    let ticket = Ticket::of(&world, wanted(5)).await;
    let open = |name: &str| {
        let machine = Machine {
            parts: "a".to_owned(),
            ..Machine::new(name)
        };
        let mut question = machine.question(&ticket, world.second());
        question
            .attributes
            .retain(|kind, _| kind == "machine-id" || kind == "mac");
        question
    };
    let node = ask(&world, open("a")).await.unwrap().instance_id.unwrap();
    // It was never online: whoever knows the two could take its place.
    let question = open("stranger");
    let refused = ask(&world, question.clone()).await.unwrap_err();
    assert!(
        refused.word == "ConflictException" && refused.text.contains(&node),
        "{}",
        refused.text
    );
    let event = doubts.next().await.unwrap();
    let print = fingerprint(&refused);
    assert!(String::from_utf8_lossy(&event.payload).contains(&print));
    let as_new = RegisterManagedInstanceRequest {
        as_new: Some(true),
        ..open("neighbour")
    };
    assert_eq!(ask(&world, as_new).await.unwrap().existing, Some(false));
    let approve = ApproveNodeRequest {
        node_id: node.clone(),
        fingerprint: print,
    };
    world.by_nats().nodes.approve_node(approve).await.unwrap();
    assert!(ask(&world, open("another")).await.is_err());
    assert_eq!(ask(&world, question).await.unwrap().instance_id, Some(node));
    world.end().await;
}

/// The fingerprint that a machine is told to show.
fn fingerprint(refused: &Refused) -> String {
    let (_, rest) = refused.text.split_once("--fingerprint ").unwrap();
    rest.chars().take_while(char::is_ascii_hexdigit).collect()
}

#[tokio::test]
async fn a_node_on_another_machine_waits_for_an_operator() {
    let world = World::guarded().await;
    let mut events = world
        .nats
        .subscribe("muster.v1.event.fleet.node.identity-changed")
        .await
        .unwrap();
    let ticket = Ticket::of(&world, wanted(1)).await;
    let machine = Machine::new("a");
    let node = machine.register(&world, &ticket).await.unwrap().instance_id.unwrap();
    let mut told = world
        .nats
        .subscribe(format!("muster.v1.dn.{node}.config"))
        .await
        .unwrap();
    world.nats.flush().await.unwrap();
    let hello = |parts: &str| {
        let hello = HelloRequest {
            facts: Some(facts("a")),
            attributes: attributes(parts),
            ..HelloRequest::default()
        };
        world.hello_bytes(&node, hello.encode_to_vec())
    };
    hello("a").await.unwrap();
    // The state directory runs on another machine.
    let refused = hello("b").await.unwrap_err();
    assert!(
        refused.word == "ConflictException" && refused.text.contains("IdentityChanged"),
        "{}",
        refused.text
    );
    hello("b").await.unwrap_err();
    let event = events.next().await.unwrap();
    assert!(String::from_utf8_lossy(&event.payload).contains(&node));
    let mut nodes = world.by_nats().nodes;
    let asked = nodes
        .list_concerns(ListConcernsRequest {})
        .await
        .unwrap()
        .into_inner()
        .concerns;
    assert_eq!(
        (asked[0].node_id.as_str(), asked[0].concern.as_str()),
        (node.as_str(), "IdentityChanged")
    );
    // It is not locked out for good: where it was it may go on, and where it is with an operator's leave.
    hello("a").await.unwrap();
    let print = fingerprint(&hello("b").await.unwrap_err());
    let approve = ApproveNodeRequest {
        node_id: node.clone(),
        fingerprint: print,
    };
    nodes.approve_node(approve).await.unwrap();
    told.next().await.unwrap();
    // The leave is for those parts, and not for whatever machine comes first.
    hello("c").await.unwrap_err();
    hello("b").await.unwrap();
    assert!(
        nodes
            .list_concerns(ListConcernsRequest {})
            .await
            .unwrap()
            .into_inner()
            .concerns
            .is_empty()
    );
    hello("a").await.unwrap_err();
    // To tell nothing any more is a change like any other.
    let silent = HelloRequest {
        facts: Some(facts("a")),
        ..HelloRequest::default()
    };
    let refused = world.hello_bytes(&node, silent.encode_to_vec()).await.unwrap_err();
    assert!(refused.text.contains("IdentityChanged"), "{}", refused.text);
    let unknown = ApproveNodeRequest {
        node_id: "mi-0123456789abcdef0".to_owned(),
        ..ApproveNodeRequest::default()
    };
    assert_eq!(
        refusal(nodes.approve_node(unknown).await.unwrap_err()).0,
        Reason::InvalidInstanceId
    );
    world.end().await;
}
