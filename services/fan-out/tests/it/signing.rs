//! What is sent to nodes is signed by the key that signs now (fleet 10).

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use async_nats::Message;
use futures::StreamExt;
use muster_credential::work::{KeyChain, Rotation, Signature};
use muster_credential::{Key, KeyKind, PublicKey, Purpose};
use muster_harness::{Folder, until};
use muster_model::{Clock, NodeId, SignedDuration, SystemClock};
use muster_proto::agent::v1::{Ack, PullRequest, PullResult, Verdict, WorkItem};
use muster_wire::subject;
use prost::Message as _;

use crate::world::{World, order_for};

fn write(folder: &Path, chain: &KeyChain, keys: &[&Key]) {
    for key in keys {
        let path = folder.join(format!("{}.seed", key.public()));
        std::fs::write(&path, key.seed().expose()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::write(folder.join("keys.json"), chain.to_text()).unwrap();
}

/// Whose signature it is, if it holds.
fn signer(message: &Message, purpose: Purpose, node: &NodeId, nonce: &[u8]) -> Option<PublicKey> {
    let header = message.headers.as_ref()?.get(Signature::HEADER)?;
    let signature: Signature = header.as_str().parse().unwrap();
    let holds = signature.holds(purpose, node.as_str(), &message.payload, nonce);
    holds.then(|| signature.key().clone())
}

async fn pull(world: &World, node: &NodeId, serial: u64) -> (Message, PullResult) {
    let request = PullRequest {
        nonce: b"a nonce".to_vec(),
        work_keys_serial: serial,
        ..PullRequest::default()
    };
    let subject = subject::rpc(node, subject::RPC_WORK_PULL);
    let answer = world
        .nats
        .request(subject, request.encode_to_vec().into())
        .await
        .unwrap();
    let content = PullResult::decode(answer.payload.clone()).unwrap();
    (answer, content)
}

#[tokio::test]
async fn work_cancels_and_answers_are_signed_for_their_node_and_nobody_else() {
    let (folder, key) = (Folder::new("work-keys"), Key::generate(KeyKind::Work));
    write(folder.path(), &KeyChain::begin(key.public()).unwrap(), &[&key]);
    let mut world = World::new().await;
    world.work_keys = folder.path().to_owned();
    let _service = world.start("one").await;
    let nodes: Vec<NodeId> = (0..200).map(|_| NodeId::random()).collect();
    let mut sent = world.nats.subscribe("muster.v1.dn.*.*").await.unwrap();
    world.nats.flush().await.unwrap();
    let order = order_for(nodes.iter().cloned(), "200", "0", SignedDuration::from_hours(1));
    world.roll_out(&order).await;
    let deadline = order.deadline.unwrap().seconds;
    for _ in &nodes {
        let message = tokio::time::timeout(Duration::from_secs(20), sent.next())
            .await
            .unwrap()
            .unwrap();
        let node = subject::node_of(&message.subject).unwrap();
        assert_eq!(
            signer(&message, Purpose::WorkItem, &node, b""),
            Some(key.public().clone())
        );
        assert_eq!(signer(&message, Purpose::WorkItem, &NodeId::random(), b""), None);
        let item = WorkItem::decode(message.payload).unwrap();
        assert_eq!(item.node_id, node.as_str());
        assert_eq!(item.not_after_ms / 1_000, deadline);
        // More follow as nodes take theirs.
        let ack = Ack {
            run_id: item.run_id,
            verdict: Verdict::Accepted.into(),
            ..Ack::default()
        };
        let taken = world
            .nats
            .publish(subject::up(&node, subject::UP_ACK), ack.encode_to_vec().into());
        taken.await.unwrap();
    }
    world.cancel(&order.rollout_id, &[]).await;
    let cancel = until("a cancel comes", async || {
        let message = tokio::time::timeout(Duration::from_secs(1), sent.next()).await;
        let message = message.ok().flatten().ok_or("nothing")?;
        message.subject.ends_with(".cancel").then_some(message).ok_or("work")
    })
    .await;
    let node = subject::node_of(&cancel.subject).unwrap();
    assert_eq!(signer(&cancel, Purpose::Cancel, &node, b""), Some(key.public().clone()));

    let (answer, content) = pull(&world, &nodes[0], 0).await;
    assert_eq!(
        signer(&answer, Purpose::PullAnswer, &nodes[0], b"a nonce"),
        Some(key.public().clone())
    );
    assert_eq!(signer(&answer, Purpose::PullAnswer, &nodes[0], b"another"), None);
    assert_eq!(content.work_keys[0].keys, [key.public().to_string()]);
    assert!(pull(&world, &nodes[0], 1).await.1.work_keys.is_empty());
}

#[tokio::test]
async fn another_key_signs_without_a_restart_and_nodes_are_told_who_vouches_for_it() {
    let folder = Folder::new("work-keys");
    let [one, two] = [(); 2].map(|()| Key::generate(KeyKind::Work));
    let mut chain = KeyChain::begin(one.public()).unwrap();
    write(folder.path(), &chain, &[&one]);
    let mut world = World::new().await;
    world.work_keys = folder.path().to_owned();
    let _service = world.start("one").await;
    let node = NodeId::random();
    let (answer, _) = pull(&world, &node, 1).await;
    assert_eq!(
        signer(&answer, Purpose::PullAnswer, &node, b"a nonce"),
        Some(one.public().clone())
    );
    let mut pinned = chain.at(0).clone();

    let at_once = Rotation {
        announce: 0,
        keep: 3_600,
    };
    let now = SystemClock.now().as_second();
    chain.rotate(&one, &two, now, at_once).unwrap();
    write(folder.path(), &chain, &[&two]);
    let told = until("the new key signs", async || {
        let (answer, content) = pull(&world, &node, 1).await;
        let by = signer(&answer, Purpose::PullAnswer, &node, b"a nonce");
        if by.as_ref() == Some(two.public()) {
            Ok(content.work_keys)
        } else {
            Err(by)
        }
    })
    .await;
    assert_eq!(told.len(), 2);
    for (told, known) in told.iter().zip(chain.after(1, now)) {
        assert_eq!((told.serial, &told.signature), (known.keys.serial(), &known.signature));
        pinned.apply(known).unwrap();
    }
    assert_eq!(pinned.signer(), Some(two.public()));
}
