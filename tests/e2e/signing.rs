//! Work is signed (fleet 10): whoever may publish whatever they like on a node's subjects runs nothing there.

use std::time::UNIX_EPOCH;

use async_nats::{Client, HeaderMap};
use futures::StreamExt;
use muster_agent::state::StateDir;
use muster_credential::work::{AnswerKey, Digest, KeyChain, Rotation, Signature};
use muster_credential::{Key, KeyKind, Purpose};
use muster_harness::{until, write_private};
use muster_proto::agent::v1::WorkItem;
use muster_proto::runcommand::v1::CommandStatus;
use muster_tests::{AgentSpec, Api, Cluster};
use muster_wire::subject;
use prost::Message as _;

use crate::registration::{Machine, activation, node_of, online, stdout};

/// Says something with the coordinator's own credentials for the bus, but without its key.
async fn say(thief: &Client, subject: &str, headers: HeaderMap, item: &WorkItem) {
    let sent = thief.publish_with_headers(subject.to_owned(), headers, item.encode_to_vec().into());
    sent.await.unwrap();
}

#[tokio::test]
async fn with_the_coordinator_s_credentials_but_without_its_key_nothing_runs() {
    let cluster = Cluster::start(&[AgentSpec::tagged(&[("Role", "web")])]).await;
    let node = cluster.nodes().await.remove(0);
    let trust = cluster.nats.trust();
    let mut heard = cluster
        .nats
        .client_as(&trust.crowd())
        .await
        .unwrap()
        .subscribe("muster.v1.dn.*.work")
        .await
        .unwrap();
    let thief = cluster.nats.client_as(&trust.service("muster-fan-out")).await.unwrap();
    let mut alarms = cluster
        .bus()
        .await
        .subscribe("muster.v1.event.fleet.node.distrusts")
        .await
        .unwrap();
    let mut api = cluster.api().await;

    // What the coordinator sends runs, and somebody listens.
    let (counted, forged) = (cluster.folder().join("counted"), cluster.folder().join("forged"));
    let script = format!("echo ran >> {}", counted.display());
    let id = api.start(Api::script(&[&node], &[&script])).await;
    let message = heard.next().await.unwrap();
    assert_eq!(api.ended(&id).await.status(), CommandStatus::Success);
    let headers = message.headers.clone().unwrap();
    let item = WorkItem::decode(message.payload.clone()).unwrap();

    // Again as it was; altered under its own signature; as another run; and without any signature.
    let work = subject::work(&node.parse().unwrap());
    say(&thief, &work, headers.clone(), &item).await;
    let altered = WorkItem {
        parameters: item
            .parameters
            .iter()
            .map(|(name, values)| {
                let mut values = values.clone();
                let evil = |line: &mut String| *line = format!("touch {}", forged.display());
                values.items.iter_mut().for_each(evil);
                (name.clone(), values)
            })
            .collect(),
        run_id: "00000000-0000-4000-8000-000000000001".to_owned(),
        ..item.clone()
    };
    say(&thief, &work, headers.clone(), &altered).await;
    say(&thief, &work, HeaderMap::new(), &altered).await;
    let renamed = WorkItem {
        run_id: "00000000-0000-4000-8000-000000000002".to_owned(),
        ..item
    };
    say(&thief, &work, headers, &renamed).await;
    thief.flush().await.unwrap();
    until("all of it is refused", async || {
        let log = cluster.log("agent-0");
        let refused = log.matches("something came over the bus that is not obeyed").count();
        if refused >= 3 { Ok(()) } else { Err(log) }
    })
    .await;

    // Whoever listens to events learns of it.
    let alarm = alarms.next().await.unwrap();
    let alarm: serde_json::Value = serde_json::from_slice(&alarm.payload).unwrap();
    assert_eq!(alarm["data"]["instanceId"], node);
    assert!(alarm["data"]["count"].as_u64().unwrap() >= 1, "{alarm}");
    assert!(!alarm["data"]["reason"].as_str().unwrap().is_empty(), "{alarm}");

    // The node goes on with what is signed.
    let id = api.start(Api::script(&[&node], &["true"])).await;
    assert_eq!(api.ended(&id).await.status(), CommandStatus::Success);
    assert_eq!(std::fs::read_to_string(&counted).unwrap(), "ran\n");
    assert!(!forged.exists());
}

#[tokio::test]
async fn another_key_signs_work_while_commands_go_on_and_the_old_one_counts_no_more() {
    let mut cluster = Cluster::start(&[AgentSpec::tagged(&[])]).await;
    let node = cluster.nodes().await.remove(0);
    let mut api = cluster.api().await;
    let mut heard = (cluster.nats.client_as(&cluster.nats.trust().crowd()).await.unwrap())
        .subscribe("muster.v1.dn.*.work")
        .await
        .unwrap();
    let counted = cluster.folder().join("counted");
    let script = format!("echo ran >> {}", counted.display());
    let id = api.start(Api::script(&[&node], &[&script])).await;
    assert_eq!(api.ended(&id).await.status(), CommandStatus::Success);
    let item = WorkItem::decode(heard.next().await.unwrap().payload).unwrap();

    // What `muster nats rotate-work-key` does, in seconds.
    let folder = cluster.work_keys();
    let file = folder.join("keys.json");
    let mut chain = KeyChain::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap();
    let seed = |name: &str| folder.join(format!("{name}.seed"));
    let old = std::fs::read_to_string(seed(chain.at(now).signer().unwrap().as_str())).unwrap();
    let old = Key::from_seed(old.trim(), KeyKind::Work).unwrap();
    let new = Key::generate(KeyKind::Work);
    write_private(&seed(new.public().as_str()), new.seed().expose()).unwrap();
    let answers = AnswerKey::make("documents", &[&old, &new]).to_text();
    write_private(&cluster.answer_key("documents"), &answers).unwrap();
    chain
        .rotate(&old, &new, now, Rotation { announce: 1, keep: 3 })
        .unwrap();
    std::fs::write(&file, chain.to_text()).unwrap();

    // Commands go on meanwhile, whichever key the node has heard of.
    let state = StateDir::at(&cluster.folder().join("agent-0"));
    let pinned = || state.work_keys().unwrap().unwrap();
    let mut rounds = 1;
    while !pinned().keys().contains(new.public()) {
        let id = api.start(Api::script(&[&node], &[&script])).await;
        assert_eq!(api.ended(&id).await.status(), CommandStatus::Success);
        rounds += 1;
    }
    // It asks when it comes back, too, and not only once a minute.
    until("only the new key counts", async || {
        if pinned().keys() == [new.public().clone()] {
            return Ok(());
        }
        cluster.kill_agent(0);
        cluster.restart_agent(0);
        let id = api.start(Api::script(&[&node], &[&script])).await;
        assert_eq!(api.ended(&id).await.status(), CommandStatus::Success);
        rounds += 1;
        Err(pinned().to_string())
    })
    .await;

    // Work that the old key signs is nothing any more; what the new one signs is carried out.
    let thief = cluster
        .nats
        .client_as(&cluster.nats.trust().service("muster-fan-out"))
        .await
        .unwrap();
    let forged = WorkItem {
        run_id: "00000000-0000-4000-8000-000000000003".to_owned(),
        ..item
    };
    let message = Digest::of(&forged.encode_to_vec());
    let mut headers = HeaderMap::new();
    let signature = Signature::make(&old, Purpose::WorkItem, &node, message, b"");
    headers.insert(Signature::HEADER, signature.to_string().as_str());
    let work = subject::work(&node.parse().unwrap());
    let refusals = |log: &str| log.matches("something came over the bus that is not obeyed").count();
    let before = refusals(&cluster.log("agent-0"));
    say(&thief, &work, headers, &forged).await;
    thief.flush().await.unwrap();
    until("it is refused", async || {
        let log = cluster.log("agent-0");
        if refusals(&log) > before { Ok(()) } else { Err(log) }
    })
    .await;
    let id = api.start(Api::script(&[&node], &[&script])).await;
    assert_eq!(api.ended(&id).await.status(), CommandStatus::Success);
    let ran = std::fs::read_to_string(&counted).unwrap();
    assert_eq!(ran, "ran\n".repeat(rounds + 1));
}

#[tokio::test]
async fn a_machine_that_was_told_other_keys_on_its_own_console_carries_out_nothing() {
    let cluster = Cluster::start(&[]).await;
    let aws = cluster.aws();
    let ticket = activation(&aws, &[]).await;
    let mut machine = Machine::new(&cluster, "machine");
    let stranger = Key::generate(KeyKind::Work).public().clone();
    let told = format!("1:{stranger}");
    let node = node_of(&stdout(
        &machine.register(&cluster, &ticket, &["--work-keys", &told]).await,
    ));
    let pinned = StateDir::at(&machine.state).work_keys().unwrap().unwrap();
    assert_eq!(pinned.to_string(), told);
    machine.start();
    online(&aws, &node).await;
    let mark = cluster.folder().join("mark");
    let mut api = cluster.api().await;
    api.start(Api::script(&[&node], &[&format!("touch {}", mark.display())]))
        .await;
    until("the work is refused", async || {
        let log = std::fs::read_to_string(&machine.log).unwrap();
        let is_refused = log.contains("something came over the bus that is not obeyed");
        is_refused.then_some(()).ok_or(log)
    })
    .await;
    assert!(!mark.exists());
}
