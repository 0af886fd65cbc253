//! Machines become nodes by an activation (fleet 9, 12).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use muster_credential::{Key, KeyKind};
use muster_harness::until;
use muster_proto::aws::v1::{ListTagsForResourceRequest, ResourceTypeForTagging};
use muster_proto::fleet::v1::{
    Activation, DeleteActivationRequest, DeregisterManagedInstanceRequest, DescribeActivationsRequest,
    DescribeInstanceInformationRequest, InstanceInformation, RegisterManagedInstanceRequest,
};
use muster_wire::Reason;

use crate::machine::{Machine, Ticket, ask, wanted};
use crate::world::{Refused, START, World, refusal, registration, tags};

async fn nodes(world: &World) -> Vec<InstanceInformation> {
    let all = DescribeInstanceInformationRequest {
        max_results: Some(50),
        ..DescribeInstanceInformationRequest::default()
    };
    let list = world.by_nats().fleet.describe_instance_information(all).await.unwrap();
    list.into_inner().instance_information_list
}

async fn activation(world: &World, ticket: &Ticket) -> Activation {
    let all = DescribeActivationsRequest::default();
    let list = world
        .by_nats()
        .fleet
        .describe_activations(all)
        .await
        .unwrap()
        .into_inner();
    let mut found = list.activation_list.into_iter();
    found.find(|each| each.activation_id() == ticket.id).unwrap()
}

#[tokio::test]
async fn a_node_has_what_its_activation_says() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(2)).await;
    let machine = Machine::new("a");
    let mut question = machine.question(&ticket, world.second());
    question.tags = tags(&[("Role", "db"), ("Rack", "7")]);
    let answer = ask(&world, question).await.unwrap();
    assert_eq!(answer.existing, Some(false));
    let node = nodes(&world).await.remove(0);
    assert_eq!(node.instance_id, answer.instance_id);
    assert_eq!(
        (node.activation_id(), node.iam_role()),
        (ticket.id.as_str(), "SSMServiceRole")
    );
    assert_eq!((node.name(), node.computer_name()), ("web", "host-a"));
    assert_eq!(node.registration_date.unwrap().seconds, START.as_second());
    let ask_tags = ListTagsForResourceRequest {
        resource_type: Some(ResourceTypeForTagging::ManagedInstance.into()),
        resource_id: node.instance_id.clone(),
    };
    let tagged = world.by_nats().tags.list_tags_for_resource(ask_tags).await.unwrap();
    assert_eq!(tagged.into_inner().tag_list, tags(&[("Rack", "7"), ("Role", "web")]));
    assert_eq!(activation(&world, &ticket).await.registrations_count(), 1);

    let mut named = Machine::new("b").question(&ticket, world.second());
    named.name = Some("own name".to_owned());
    let named = ask(&world, named).await.unwrap().instance_id;
    let node = nodes(&world).await.into_iter().find(|node| node.instance_id == named);
    assert_eq!(node.unwrap().name(), "own name");
    world.end().await;
}

#[tokio::test]
async fn of_twenty_machines_at_once_exactly_as_many_become_nodes_as_may() {
    let world = World::guarded().await;
    // Two replicas share the questions.
    let other = world.replica().await;
    let ticket = Ticket::of(&world, wanted(7)).await;
    let machines: Vec<_> = (0..20).map(|number| Machine::new(&format!("m{number}"))).collect();
    let answers = join_all(machines.iter().map(|machine| machine.register(&world, &ticket))).await;
    let (let_in, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((let_in.len(), refused.len()), (7, 13));
    let ids: BTreeSet<_> = let_in
        .into_iter()
        .map(|answer| answer.unwrap().instance_id.unwrap())
        .collect();
    let shown: BTreeSet<_> = nodes(&world)
        .await
        .into_iter()
        .filter_map(|node| node.instance_id)
        .collect();
    assert_eq!(ids, shown);
    assert_eq!(activation(&world, &ticket).await.registrations_count(), 7);
    other.stop(Duration::from_secs(10)).await;
    world.end().await;
}

#[tokio::test]
async fn why_a_machine_is_not_let_in_is_told_to_the_audit_alone() {
    let world = World::guarded().await;
    let mut audit = world
        .nats
        .subscribe("muster.v1.event.fleet.activation.refused")
        .await
        .unwrap();
    world.nats.flush().await.unwrap();
    let used_up = Ticket::of(&world, wanted(1)).await;
    Machine::new("first").register(&world, &used_up).await.unwrap();
    let deleted = Ticket::of(&world, wanted(1)).await;
    let delete = DeleteActivationRequest {
        activation_id: Some(deleted.id.clone()),
    };
    world.by_nats().fleet.delete_activation(delete).await.unwrap();
    let mut short = wanted(1);
    short.expiration_date = Some(prost_types::Timestamp {
        seconds: START.as_second() + 60,
        nanos: 0,
    });
    let expired = Ticket::of(&world, short).await;
    world.advance(60);
    let good = Ticket::of(&world, wanted(1)).await;
    let cases = [
        ("used-up", used_up),
        ("deleted", deleted),
        ("expired", expired),
        ("wrong-code", good.with_code("00000000000000000000")),
        (
            "unknown",
            Ticket {
                id: "00000000-0000-4000-8000-000000000000".to_owned(),
                code: "00000000000000000000".to_owned(),
            },
        ),
        (
            "unknown",
            Ticket {
                id: "no id at all".to_owned(),
                code: String::new(),
            },
        ),
    ];
    let mut heard: Option<Refused> = None;
    for (reason, ticket) in cases {
        let asked = Instant::now();
        let refused = Machine::new("stranger").register(&world, &ticket).await.unwrap_err();
        // The same time after the question, whatever had to be looked up.
        assert!(asked.elapsed() >= Duration::from_millis(300), "{reason}");
        assert_eq!(refused.word, "InvalidActivation");
        assert_eq!(*heard.get_or_insert(refused.clone()), refused, "{reason}");
        let event = audit.next().await.unwrap();
        let event: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
        assert_eq!(event["data"]["reason"], reason);
        assert!(!event.to_string().contains("00000000000000000000"), "{event}");
    }
    world.end().await;
}

#[tokio::test]
async fn ten_wrong_codes_lock_an_activation_for_ten_minutes() {
    let world = World::guarded().await;
    let mut locked = world
        .nats
        .subscribe("muster.v1.event.fleet.activation.locked")
        .await
        .unwrap();
    world.nats.flush().await.unwrap();
    let ticket = Ticket::of(&world, wanted(5)).await;
    let wrong = ticket.with_code("wrong");
    let machines: Vec<_> = (0..10).map(|number| Machine::new(&format!("w{number}"))).collect();
    for answer in join_all(machines.iter().map(|machine| machine.register(&world, &wrong))).await {
        assert_eq!(answer.unwrap_err().word, "InvalidActivation");
    }
    let event = locked.next().await.unwrap();
    assert!(String::from_utf8_lossy(&event.payload).contains(&ticket.id));
    let machine = Machine::new("a");
    // The right code does not help now, and nobody is told that it is the right one.
    assert_eq!(
        machine.register(&world, &ticket).await.unwrap_err().word,
        "InvalidActivation"
    );
    world.restart_fleet().await;
    world.advance(599);
    assert!(machine.register(&world, &ticket).await.is_err());
    world.advance(1);
    assert!(machine.register(&world, &ticket).await.is_ok());
    world.end().await;
}

#[tokio::test]
async fn a_machine_that_registers_again_is_the_same_node_and_uses_nothing_up() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(1)).await;
    let machine = Machine::new("a");
    let first = machine.register(&world, &ticket).await.unwrap();
    let again = machine.register(&world, &ticket).await.unwrap();
    assert_eq!(
        (again.instance_id.as_ref(), again.existing),
        (first.instance_id.as_ref(), Some(true))
    );
    // Its state directory is lost, and with it its key and its name.
    let reinstalled = Machine {
        parts: "a".to_owned(),
        ..Machine::new("another installation")
    };
    let again = reinstalled.register(&world, &ticket).await.unwrap();
    assert_eq!(
        (again.instance_id.as_ref(), again.existing),
        (first.instance_id.as_ref(), Some(true))
    );
    assert_eq!(activation(&world, &ticket).await.registrations_count(), 1);

    // As a new node it needs another use, and after it was put out as well.
    let with_new_key = Machine::new("a");
    let mut new = with_new_key.question(&ticket, world.second());
    new.as_new = Some(true);
    assert_eq!(ask(&world, new).await.unwrap_err().word, "InvalidActivation");
    let out = DeregisterManagedInstanceRequest {
        instance_id: first.instance_id.clone(),
    };
    world.by_nats().fleet.deregister_managed_instance(out).await.unwrap();
    let refused = with_new_key.register(&world, &ticket).await.unwrap_err();
    assert_eq!(refused.word, "InvalidActivation");
    let other = Ticket::of(&world, wanted(1)).await;
    let fresh = Machine::new("a").register(&world, &other).await.unwrap();
    assert!(fresh.existing == Some(false) && fresh.instance_id != first.instance_id);
    world.end().await;
}

#[tokio::test]
async fn a_machine_shows_that_it_holds_its_key() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(5)).await;
    let machine = Machine::new("a");
    let first = ask(&world, RegisterManagedInstanceRequest::default()).await.unwrap();
    assert_eq!(first.instance_id, None);
    assert_eq!(first.service_time.unwrap().seconds, START.as_second());

    let now = world.second();
    for time in [now - 301, now + 301] {
        let refused = ask(&world, machine.question(&ticket, time)).await.unwrap_err();
        assert!(refused.text.contains("ProofTime"), "{}", refused.text);
    }
    let other_key = Key::generate(KeyKind::User);
    let good = || machine.question(&ticket, now);
    let account = Key::generate(KeyKind::Account).public().to_string();
    let bad: [(RegisterManagedInstanceRequest, &str); 6] = [
        (
            RegisterManagedInstanceRequest {
                public_key: Some(other_key.public().to_string()),
                ..good()
            },
            "signature",
        ),
        (
            RegisterManagedInstanceRequest {
                fingerprint: Some("another".to_owned()),
                ..good()
            },
            "signature",
        ),
        (
            RegisterManagedInstanceRequest {
                proof: Some(vec![0; 64]),
                ..good()
            },
            "signature",
        ),
        (
            RegisterManagedInstanceRequest {
                public_key: Some(account),
                ..good()
            },
            "PublicKey",
        ),
        (
            RegisterManagedInstanceRequest {
                public_key_type: Some("Rsa".to_owned()),
                ..good()
            },
            "Ed25519Nkey",
        ),
        (
            RegisterManagedInstanceRequest {
                fingerprint: None,
                ..good()
            },
            "Fingerprint",
        ),
    ];
    for (question, text) in bad {
        let refused = ask(&world, question).await.unwrap_err();
        assert!(
            refused.word == "ValidationException" && refused.text.contains(text),
            "{}",
            refused.text
        );
    }
    assert!(nodes(&world).await.is_empty());
    for time in [now - 300, now + 300] {
        let question = Machine::new(&format!("at {time}")).question(&ticket, time);
        ask(&world, question).await.unwrap();
    }
    // A key is one node's for ever.
    let stranger = Machine {
        key: machine.key.clone(),
        ..Machine::new("stranger")
    };
    machine.register(&world, &ticket).await.unwrap();
    let refused = stranger.register(&world, &ticket).await.unwrap_err();
    assert!(refused.text.contains("another node"), "{}", refused.text);
    world.end().await;
}

#[tokio::test]
async fn without_an_activation_nobody_becomes_a_node_unless_a_service_says_so() {
    let refused = |status| {
        let (reason, message) = refusal(status);
        assert!(
            reason == Reason::AccessDeniedException && message.contains("muster-agent register"),
            "{message}"
        );
    };
    // Where the bus lets everybody in, everybody could say that he is a service.
    let world = World::by_default().await;
    let question = || registration("a", &[("Role", "web")]);
    refused(world.by_nats().nodes.register_node(question()).await.unwrap_err());
    refused(world.by_grpc().await.nodes.register_node(question()).await.unwrap_err());
    let ticket = Ticket::of(&world, wanted(1)).await;
    let mut tagged = Machine::new("a").question(&ticket, world.second());
    tagged.tags = tags(&[("Role", "web")]);
    let said = ask(&world, tagged).await.unwrap_err();
    assert!(
        said.word == "ValidationException" && said.text.contains("may not choose tags"),
        "{}",
        said.text
    );
    assert!(nodes(&world).await.is_empty());
    world.end().await;

    let world = World::guarded().await;
    refused(world.by_grpc().await.nodes.register_node(question()).await.unwrap_err());
    world.by_nats().nodes.register_node(question()).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn whoever_asks_without_end_is_told_to_slow_down() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(1)).await;
    let words = || async {
        let machine = Machine::new("a");
        machine
            .register(&world, &ticket)
            .await
            .err()
            .map(|refused| refused.word)
    };
    until("an activation that is tried too often is spared", || async {
        let answers = join_all((0..50).map(|_| words())).await;
        let throttled = answers.iter().flatten().any(|word| word == "ThrottlingException");
        throttled.then_some(()).ok_or(format!("{answers:?}"))
    })
    .await;
    world.end().await;
}
