//! Work is signed (fleet 10): whoever may publish whatever they like on a node's subjects runs nothing there.

use async_nats::{Client, HeaderMap};
use futures::StreamExt;
use muster_agent::state::StateDir;
use muster_credential::{Key, KeyKind};
use muster_harness::until;
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

    // The node goes on with what is signed.
    let id = api.start(Api::script(&[&node], &["true"])).await;
    assert_eq!(api.ended(&id).await.status(), CommandStatus::Success);
    assert_eq!(std::fs::read_to_string(&counted).unwrap(), "ran\n");
    assert!(!forged.exists());
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
