//! Other keys for nodes: asked for, offered, confirmed; whatever is interrupted, one of the two is good.

use futures::StreamExt as _;
use muster_credential::{Claims, Key, KeyKind, Proof, Purpose, UserClaims};
use muster_proto::agent::v1::{HelloRequest, HelloResult, RenewRequest, RenewResult, RotateRequest, RotateResult};
use muster_proto::fleet::v1::{RotateKeyRequest, SyncRevocationsRequest};
use muster_wire::{Reason, subject};
use prost::Message;

use crate::machine::{Machine, Ticket, attributes, wanted};
use crate::world::{Refused, World, facts, refusal};

const DAY: i64 = 24 * 60 * 60;

async fn ask<Answer: Message + Default>(
    world: &World,
    node: &str,
    operation: &str,
    question: impl Message,
) -> Result<Answer, Refused> {
    let subject = subject::rpc(&node.parse().unwrap(), operation);
    let answer = world
        .nats
        .request(subject, question.encode_to_vec().into())
        .await
        .unwrap();
    match answer.headers {
        None => Ok(Answer::decode(answer.payload).unwrap()),
        Some(headers) => Err(Refused::of(&headers)),
    }
}

async fn renew(world: &World, node: &str, key: &Key, confirms_key: bool) -> Result<RenewResult, Refused> {
    let (public, time) = (key.public().to_string(), world.second());
    let text = time.to_string();
    let parts = [node, &public, &text].map(str::as_bytes);
    let question = RenewRequest {
        proof: Proof::sign(key, Purpose::Renewal, &parts).as_bytes().to_vec(),
        proof_time: time,
        attributes: attributes("a"),
        confirms_key,
        public_key: public,
    };
    ask(world, node, subject::RPC_AUTH_RENEW, question).await
}

fn offer(world: &World, node: &str, old: &Key, new: &Key) -> RotateRequest {
    let (public, offered, time) = (old.public().to_string(), new.public().to_string(), world.second());
    let text = time.to_string();
    let parts = [node, &public, &offered, &text].map(str::as_bytes);
    let proof = |key| Proof::sign(key, Purpose::Rotation, &parts).as_bytes().to_vec();
    RotateRequest {
        proof: proof(old),
        new_proof: proof(new),
        proof_time: time,
        attributes: attributes("a"),
        public_key: public,
        new_key: offered,
    }
}

async fn rotate(world: &World, node: &str, old: &Key, new: &Key) -> Result<RotateResult, Refused> {
    ask(world, node, subject::RPC_AUTH_ROTATE, offer(world, node, old, new)).await
}

async fn hello(world: &World, node: &str) -> HelloResult {
    let hello = HelloRequest {
        facts: Some(facts("a")),
        attributes: attributes("a"),
        ..HelloRequest::default()
    };
    world.hello_bytes(node, hello.encode_to_vec()).await.unwrap()
}

async fn revoked(world: &World) -> Vec<String> {
    let question = SyncRevocationsRequest::default();
    let answer = world.by_nats().nodes.sync_revocations(question).await.unwrap();
    answer.into_inner().missing.into_keys().collect()
}

async fn node_of(world: &World) -> (String, Machine) {
    let ticket = Ticket::of(world, wanted(1)).await;
    let machine = Machine::new("a");
    let node = machine.register(world, &ticket).await.unwrap().instance_id.unwrap();
    (node, machine)
}

#[tokio::test]
async fn a_node_takes_another_key_when_an_operator_wants_it() {
    let world = World::guarded().await;
    let (node, machine) = node_of(&world).await;
    let (old, new) = (&machine.key, Key::generate(KeyKind::User));
    assert!(!hello(&world, &node).await.rotate_key);
    let wish = RotateKeyRequest { node_id: node.clone() };
    world.by_nats().nodes.rotate_key(wish).await.unwrap();
    assert!(hello(&world, &node).await.rotate_key);

    // Offered twice, as after an answer that got lost, and with fleet started anew in between.
    for _ in 0..2 {
        let answer = rotate(&world, &node, old, &new).await.unwrap();
        let claims = Claims::<UserClaims>::verify(&answer.user_jwt).unwrap();
        let claims = claims.issued_by(&[&world.issuer()]).unwrap();
        assert_eq!((claims.name.as_str(), &claims.subject), (node.as_str(), new.public()));
        world.restart_fleet().await;
    }
    // Both are good, and nothing is revoked.
    renew(&world, &node, old, false).await.unwrap();
    renew(&world, &node, &new, false).await.unwrap();
    assert_eq!(revoked(&world).await, [""; 0]);
    assert!(hello(&world, &node).await.rotate_key, "it is not confirmed");

    for _ in 0..2 {
        renew(&world, &node, &new, true).await.unwrap();
        assert!(!hello(&world, &node).await.rotate_key);
        assert_eq!(revoked(&world).await, [old.public().as_str()]);
        world.restart_fleet().await;
    }
    let refused = renew(&world, &node, old, false).await.unwrap_err();
    assert_eq!(refused.word, "AccessDeniedException");
    // A key that was replaced does not come back.
    let refused = rotate(&world, &node, &new, old).await.unwrap_err();
    assert_eq!(refused.word, "AccessDeniedException");
    world.end().await;
}

#[tokio::test]
async fn a_key_that_was_never_confirmed_ends_and_the_former_one_stays() {
    let world = World::guarded().await;
    let (node, machine) = node_of(&world).await;
    let (old, new) = (&machine.key, Key::generate(KeyKind::User));
    rotate(&world, &node, old, &new).await.unwrap();
    world.advance(DAY + 1);
    let refused = renew(&world, &node, &new, true).await.unwrap_err();
    assert_eq!(refused.word, "AccessDeniedException");
    renew(&world, &node, old, false).await.unwrap();
    // Offered again it is good again.
    rotate(&world, &node, old, &new).await.unwrap();
    renew(&world, &node, &new, false).await.unwrap();
    // Another offer takes its place.
    let third = Key::generate(KeyKind::User);
    rotate(&world, &node, old, &third).await.unwrap();
    assert_eq!(
        renew(&world, &node, &new, true).await.unwrap_err().word,
        "AccessDeniedException"
    );
    renew(&world, &node, &third, true).await.unwrap();
    world.end().await;
}

/// The bus asks nobody: what it is shown must end by itself.
#[tokio::test]
async fn claims_for_a_key_that_nobody_has_confirmed_end_with_the_offer() {
    let world = World::guarded().await;
    let (node, machine) = node_of(&world).await;
    let new = Key::generate(KeyKind::User);
    let ends = |token: &str| Claims::<UserClaims>::verify(token).unwrap().claims.expires_at.unwrap();
    let offered = world.second();
    let mut told = vec![rotate(&world, &node, &machine.key, &new).await.unwrap().user_jwt];
    world.advance(DAY / 2);
    told.push(renew(&world, &node, &new, false).await.unwrap().user_jwt);
    for token in told {
        assert!(ends(&token) <= offered + DAY, "{}", ends(&token) - offered);
    }
    let former = renew(&world, &node, &machine.key, false).await.unwrap();
    assert_eq!(ends(&former.user_jwt), world.second() + DAY);
    let confirmed = renew(&world, &node, &new, true).await.unwrap();
    assert_eq!(ends(&confirmed.user_jwt), world.second() + DAY);
    world.end().await;
}

#[tokio::test]
async fn another_key_is_news() {
    let world = World::guarded().await;
    let (node, machine) = node_of(&world).await;
    let mut events = world
        .nats
        .subscribe("muster.v1.event.fleet.node.key-rotated")
        .await
        .unwrap();
    world.nats.flush().await.unwrap();
    let new = Key::generate(KeyKind::User);
    rotate(&world, &node, &machine.key, &new).await.unwrap();
    renew(&world, &node, &new, true).await.unwrap();
    let event: serde_json::Value = serde_json::from_slice(&events.next().await.unwrap().payload).unwrap();
    assert_eq!(event["data"]["instanceId"], node.as_str());
    world.end().await;
}

#[tokio::test]
async fn keys_that_are_old_are_replaced() {
    let world = World::guarded().await;
    let (node, machine) = node_of(&world).await;
    world.advance(30 * DAY - 1);
    assert!(!hello(&world, &node).await.rotate_key);
    world.advance(1);
    assert!(hello(&world, &node).await.rotate_key);
    let new = Key::generate(KeyKind::User);
    rotate(&world, &node, &machine.key, &new).await.unwrap();
    renew(&world, &node, &new, true).await.unwrap();
    assert!(!hello(&world, &node).await.rotate_key);
    world.end().await;
}

#[tokio::test]
async fn nobody_else_gives_a_node_a_key() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(2)).await;
    let (machine, other) = (Machine::new("a"), Machine::new("b"));
    let node = machine.register(&world, &ticket).await.unwrap().instance_id.unwrap();
    other.register(&world, &ticket).await.unwrap();
    let (new, stranger) = (Key::generate(KeyKind::User), Key::generate(KeyKind::User));
    // A key that is not the node's, another node's key, and another node's key as the new one.
    for (old, new) in [(&stranger, &new), (&other.key, &new), (&machine.key, &other.key)] {
        let refused = rotate(&world, &node, old, new).await.unwrap_err();
        assert_eq!(refused.word, "AccessDeniedException");
    }
    let good = offer(&world, &node, &machine.key, &new);
    for bad in [
        RotateRequest {
            proof: good.new_proof.clone(),
            ..good.clone()
        },
        RotateRequest {
            new_proof: good.proof.clone(),
            ..good.clone()
        },
        RotateRequest {
            new_key: stranger.public().to_string(),
            ..good.clone()
        },
        RotateRequest {
            proof_time: good.proof_time - 301,
            ..good.clone()
        },
        offer(&world, &node, &machine.key, &machine.key),
    ] {
        let refused = ask::<RotateResult>(&world, &node, subject::RPC_AUTH_ROTATE, bad)
            .await
            .unwrap_err();
        assert_eq!(refused.word, "ValidationException", "{refused:?}");
    }
    let moved = RotateRequest {
        attributes: attributes("elsewhere"),
        ..good.clone()
    };
    let refused = ask::<RotateResult>(&world, &node, subject::RPC_AUTH_ROTATE, moved)
        .await
        .unwrap_err();
    assert!(refused.text.contains("IdentityChanged"), "{refused:?}");
    let wish = RotateKeyRequest {
        node_id: "mi-0123456789abcdef0".to_owned(),
    };
    let refused = world.by_nats().nodes.rotate_key(wish).await.unwrap_err();
    assert_eq!(refusal(refused).0, Reason::InvalidInstanceId);
    world.end().await;
}
