//! Whose work an agent carries out (fleet 10): here whoever speaks has every right on the bus, as a server that was
//! taken over has, and no key.

use async_nats::HeaderMap;
use muster_agent::journal::RunId;
use muster_credential::work::{AnswerKey, Digest, Signature, WorkKeys};
use muster_credential::{Key, KeyKind, Purpose};
use muster_harness::until;
use muster_model::{Clock, NodeId, SystemClock};
use muster_proto::agent::v1::{Cancel, DocumentResult, RunStatus, Verdict, WorkItem, WorkKeys as WireKeys};
use muster_wire::subject;
use prost::Message as _;
use serde_json::json;

use crate::agent_process::AgentProcess;
use crate::coordinator::Coordinator;
use crate::{Scene, work};

/// Headers with a signature over a message for a node.
pub(crate) fn signed(key: &Key, purpose: Purpose, node: &NodeId, message: &[u8], nonce: &[u8]) -> HeaderMap {
    let signature = Signature::make(key, purpose, node.as_str(), Digest::of(message), nonce);
    let mut headers = HeaderMap::new();
    headers.insert(Signature::HEADER, signature.to_string());
    headers
}

fn set(serial: u64, keys: &[&Key]) -> WorkKeys {
    WorkKeys::new(serial, keys.iter().map(|key| key.public().clone()).collect()).unwrap()
}

/// The first keys, for which nobody vouches.
fn first(keys: &[&Key]) -> WireKeys {
    told(&set(1, keys))
}

fn told(keys: &WorkKeys) -> WireKeys {
    WireKeys {
        serial: keys.serial(),
        keys: keys.keys().iter().map(ToString::to_string).collect(),
        ..WireKeys::default()
    }
}

/// A change that `by` vouches for.
fn change(keys: WorkKeys, by: &Key) -> WireKeys {
    let wire = told(&keys);
    let change = keys.signed(by);
    WireKeys {
        signed_by: change.signed_by.to_string(),
        signature: change.signature,
        ..wire
    }
}

fn item(node: &NodeId, script: &str, not_after_ms: i64) -> WorkItem {
    WorkItem {
        node_id: node.to_string(),
        not_after_ms,
        ..work::script(&[script])
    }
}

fn soon() -> i64 {
    SystemClock.now().as_millisecond() + 600_000
}

async fn publish(coordinator: &Coordinator, payload: Vec<u8>, headers: HeaderMap) {
    let subject = subject::work(&coordinator.node);
    let sent = coordinator
        .client
        .publish_with_headers(subject, headers, payload.into());
    sent.await.unwrap();
}

/// Sends work as the coordinator does.
async fn send(coordinator: &Coordinator, item: &WorkItem, key: &Key) -> RunId {
    let payload = item.encode_to_vec();
    let headers = signed(key, Purpose::WorkItem, &coordinator.node, &payload, b"");
    publish(coordinator, payload, headers).await;
    item.run_id.parse().unwrap()
}

async fn scene(key: &Key) -> Scene {
    let nats = muster_harness::NatsServer::start().await;
    let coordinator = Coordinator::start(&nats).await;
    coordinator.seal(key, vec![first(&[key])]);
    let agent = AgentProcess::start(&nats.url(), "");
    coordinator.pulled().await;
    let scene = Scene {
        agent,
        coordinator,
        nats,
    };
    until("the key is pinned", async || {
        scene.agent.state().work_keys().unwrap().ok_or(())
    })
    .await;
    scene
}

#[tokio::test]
async fn a_bus_that_was_taken_over_runs_nothing() {
    let (key, thief) = (Key::generate(KeyKind::Work), Key::generate(KeyKind::Work));
    let scene = scene(&key).await;
    let coordinator = &scene.coordinator;
    let node = &coordinator.node;
    let trace = scene.agent.scratch("trace");
    let script = format!("echo ran >> {}", trace.display());
    let good = send(coordinator, &item(node, "true", soon()), &key).await;
    coordinator.end(good).await;

    // Not signed; signed by somebody else; by somebody else in the name of the key; for another node; for another
    // purpose; altered in the document, in the parameters, in the time; over; without an end.
    let forged = item(node, &script, soon());
    let payload = forged.encode_to_vec();
    let sign = |key: &Key, purpose, node: &NodeId, payload: &[u8]| signed(key, purpose, node, payload, b"");
    let stolen = sign(&thief, Purpose::WorkItem, node, &payload);
    let name = Signature::HEADER;
    let borrowed = stolen.get(name).unwrap().to_string();
    let borrowed = borrowed.replace(thief.public().as_str(), key.public().as_str());
    let mut in_its_name = HeaderMap::new();
    in_its_name.insert(name, borrowed);
    let harmless = item(node, "true", soon());
    let of_harmless = sign(&key, Purpose::WorkItem, node, &harmless.encode_to_vec());
    let altered_document = WorkItem {
        document_content: forged.document_content.clone(),
        ..harmless.clone()
    };
    let altered_time = WorkItem {
        not_after_ms: i64::MAX,
        ..forged.clone()
    };
    let mut appended = payload.clone();
    appended.extend(
        WorkItem {
            attempt: 9,
            ..WorkItem::default()
        }
        .encode_to_vec(),
    );
    let over = item(node, &script, SystemClock.now().as_millisecond() - 1_000);
    let endless = item(node, &script, 0);
    let other = NodeId::random();
    let cases = [
        (payload.clone(), HeaderMap::new(), Verdict::Refused),
        (payload.clone(), stolen, Verdict::Busy),
        (payload.clone(), in_its_name, Verdict::Refused),
        (
            payload.clone(),
            sign(&key, Purpose::WorkItem, &other, &payload),
            Verdict::Refused,
        ),
        (
            payload.clone(),
            sign(&key, Purpose::Cancel, node, &payload),
            Verdict::Refused,
        ),
        (altered_document.encode_to_vec(), of_harmless, Verdict::Refused),
        (
            altered_time.encode_to_vec(),
            sign(&key, Purpose::WorkItem, node, &payload),
            Verdict::Refused,
        ),
        (
            appended,
            sign(&key, Purpose::WorkItem, node, &payload),
            Verdict::Refused,
        ),
        (
            over.encode_to_vec(),
            sign(&key, Purpose::WorkItem, node, &over.encode_to_vec()),
            Verdict::Refused,
        ),
        (
            endless.encode_to_vec(),
            sign(&key, Purpose::WorkItem, node, &endless.encode_to_vec()),
            Verdict::Refused,
        ),
    ];
    for (number, (payload, headers, verdict)) in cases.into_iter().enumerate() {
        let run: RunId = WorkItem::decode(payload.as_slice()).unwrap().run_id.parse().unwrap();
        let before = coordinator.acks_so_far(run).len();
        publish(coordinator, payload, headers).await;
        let acks = coordinator.acks(run, before + 1).await;
        assert_eq!(acks[before].verdict(), verdict, "case {number}: {:?}", acks[before]);
    }

    // The true item runs once, however often it is sent, also by an agent that began anew.
    let counted = scene.agent.scratch("counted");
    let once = item(node, &format!("echo ran >> {}", counted.display()), soon());
    let run = send(coordinator, &once, &key).await;
    coordinator.end(run).await;
    for _ in 0..3 {
        send(coordinator, &once, &key).await;
    }
    coordinator.acks(run, 4).await;
    let mut scene = scene;
    scene.agent.kill();
    scene.launch_again().await;
    let before = scene.coordinator.acks_so_far(run).len();
    send(&scene.coordinator, &once, &key).await;
    scene.coordinator.acks(run, before + 1).await;
    assert_eq!(std::fs::read_to_string(&counted).unwrap(), "ran\n");
    assert!(!trace.exists(), "something forged has run");
    let log = scene.agent.log();
    assert!(log.contains("something came over the bus that is not obeyed"), "{log}");
}

#[tokio::test]
async fn nobody_else_stops_a_run_and_the_operator_sees_the_attempt() {
    let (key, thief) = (Key::generate(KeyKind::Work), Key::generate(KeyKind::Work));
    let scene = scene(&key).await;
    let coordinator = &scene.coordinator;
    let go = scene.agent.scratch("go");
    let script = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    let run = send(coordinator, &item(&coordinator.node, &script, soon()), &key).await;
    scene.agent.runner(run).await;
    let cancel = Cancel {
        run_id: run.to_string(),
    }
    .encode_to_vec();
    let subject = subject::cancel(&coordinator.node);
    for headers in [
        HeaderMap::new(),
        signed(&thief, Purpose::Cancel, &coordinator.node, &cancel, b""),
        signed(&key, Purpose::WorkItem, &coordinator.node, &cancel, b""),
    ] {
        let sent = coordinator
            .client
            .publish_with_headers(subject.clone(), headers, cancel.clone().into());
        sent.await.unwrap();
    }
    until("the operator sees it", async || {
        let (is_well, lines) = scene.agent.ask(&["doctor"]).await;
        let is_seen = !is_well && lines.contains("FAIL  work") && lines.contains("3 messages were not obeyed");
        if is_seen { Ok(()) } else { Err(lines) }
    })
    .await;
    std::fs::write(&go, "").unwrap();
    assert_eq!(coordinator.end(run).await.result.status(), RunStatus::Success);

    // The coordinator does stop one.
    let run = send(coordinator, &item(&coordinator.node, "sleep 1000", soon()), &key).await;
    scene.agent.runner(run).await;
    let cancel = Cancel {
        run_id: run.to_string(),
    }
    .encode_to_vec();
    let headers = signed(&key, Purpose::Cancel, &coordinator.node, &cancel, b"");
    let sent = coordinator.client.publish_with_headers(subject, headers, cancel.into());
    sent.await.unwrap();
    assert_eq!(coordinator.end(run).await.result.status(), RunStatus::Cancelled);
}

#[tokio::test]
async fn a_node_that_was_away_learns_of_new_keys_from_old_ones_and_of_others_never() {
    let [one, two, thief] = [(); 3].map(|()| Key::generate(KeyKind::Work));
    let mut scene = scene(&one).await;
    // A taken-over bus shows keys of its own: they are not taken.
    scene.coordinator.seal(
        &thief,
        vec![told(&set(9, &[&thief])), change(set(9, &[&thief]), &thief)],
    );
    scene.agent.kill();
    scene.launch_again().await;
    until("it says so", async || {
        let log = scene.agent.log();
        log.contains("other keys for work are not taken")
            .then_some(())
            .ok_or(log)
    })
    .await;
    let kept = scene.agent.state().work_keys().unwrap().unwrap();
    assert_eq!(kept, set(1, &[&one]));

    // Away while the key was changed; work of the new key comes again until it knows it.
    scene.agent.kill();
    let steps = vec![
        first(&[&one]),
        change(set(2, &[&one, &two]), &one),
        change(set(3, &[&two, &one]), &one),
        change(set(4, &[&two]), &two),
    ];
    scene.coordinator.seal(&two, steps);
    scene.launch_again().await;
    until("the new key is pinned", async || {
        let keys = scene.agent.state().work_keys().unwrap().unwrap();
        if keys == set(4, &[&two]) { Ok(()) } else { Err(keys) }
    })
    .await;
    let node = scene.coordinator.node.clone();
    let run = send(&scene.coordinator, &item(&node, "true", soon()), &two).await;
    assert_eq!(scene.coordinator.end(run).await.result.status(), RunStatus::Success);
    // The old one does not count any more.
    let late = item(&node, "true", soon());
    let run = send(&scene.coordinator, &late, &one).await;
    assert_eq!(scene.coordinator.verdict(run).await, Verdict::Busy);
}

#[tokio::test]
async fn a_document_that_nobody_vouches_for_does_not_run_in_another_one() {
    let (key, thief) = (Key::generate(KeyKind::Work), Key::generate(KeyKind::Work));
    let scene = scene(&key).await;
    let (coordinator, node) = (&scene.coordinator, scene.coordinator.node.clone());
    let trace = scene.agent.scratch("trace");
    let lent = work::steps(&[work::step(
        "do",
        json!({"runCommand": [format!("echo ran >> {}", trace.display())]}),
    )]);
    coordinator.lend(DocumentResult {
        name: "Inner".into(),
        version: "1".into(),
        content: lent.document_content,
        format: "JSON".into(),
        document_type: "Command".into(),
        ..DocumentResult::default()
    });
    let call = json!({"action": "aws:runDocument", "name": "call",
                      "inputs": {"documentType": "SSMDocument", "documentPath": "Inner"}});
    let outer = || WorkItem {
        node_id: node.to_string(),
        not_after_ms: soon(),
        ..work::steps(std::slice::from_ref(&call))
    };
    // Nobody signs; somebody whom no key of this node knows; another service with a right certificate.
    for (answer_key, why) in [
        (None, "it is not signed"),
        (
            Some(AnswerKey::make("documents", &[&thief])),
            "no key that this node knows vouches for",
        ),
        (
            Some(AnswerKey::make("parameter-store", &[&key])),
            "it is signed by parameter-store",
        ),
    ] {
        coordinator.sign_answers(answer_key);
        let ended = coordinator.end(send(coordinator, &outer(), &key).await).await;
        assert_eq!(ended.status(), RunStatus::Failed);
        let step = ended.steps()[0];
        let told = format!("{}{}", step.stderr, step.trace);
        assert!(
            told.contains("the answer of documents to doc.get is not believed") && told.contains(why),
            "{told}"
        );
    }
    assert!(!trace.exists(), "a document that nobody vouches for has run");
    coordinator.sign_answers(Some(AnswerKey::make("documents", &[&key])));
    let ended = coordinator.end(send(coordinator, &outer(), &key).await).await;
    assert_eq!(ended.status(), RunStatus::Success);
    assert_eq!(std::fs::read_to_string(&trace).unwrap(), "ran\n");
    until("the operator sees it", async || {
        let (_, lines) = scene.agent.ask(&["doctor"]).await;
        let is_seen = lines.contains("3 messages were not obeyed");
        if is_seen { Ok(()) } else { Err(lines) }
    })
    .await;
}
