//! Two agents with a copied state directory (agent.md D17): the later one is quarantined until it is approved.

use std::fs;
use std::path::Path;
use std::time::Duration;

use muster_harness::until_within;
use muster_tests::{Cluster, binary};
use tokio::process::Command;

use crate::registration::{Machine, activation, node_of, online, stdout};

/// Copies what an image of the machine would hold. Sockets and locks are those of processes.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else if kind.is_file() && entry.file_name() != "lock" {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

async fn muster(cluster: &Cluster, words: &[&str]) -> String {
    let said = Command::new(binary("muster"))
        .args(words)
        .env("MUSTER_SERVER", cluster.nats.url())
        .env("MUSTER_CREDS", cluster.creds())
        .output()
        .await
        .unwrap();
    stdout(&said)
}

/// Waits until what the agent says of itself holds these words, or does not.
async fn until_it_says(machine: &Machine, words: &str, holds: bool) {
    until_within(Duration::from_secs(60), "the agent says so", async || {
        let status = stdout(&machine.agent(&["status"], "").await);
        match status.contains(words) == holds {
            true => Ok(()),
            false => Err(status),
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_agents_with_one_state_directory_the_later_one_does_nothing_until_it_is_approved() {
    let guarded = ("muster-fleet", "MUSTER_SERVICE__REGISTRATION", "activation".to_owned());
    let cluster = Cluster::start_with(&[], &[guarded]).await;
    let aws = cluster.aws();
    let ticket = activation(&aws, &[]).await;
    let mut machine = Machine::new(&cluster, "original");
    let node = node_of(&stdout(&machine.register(&cluster, &ticket, &[]).await));
    machine.start();
    online(&aws, &node).await;
    let mut other = Machine::new(&cluster, "copy");
    copy(&machine.state, &other.state);
    other.start();
    until_it_says(&other, "Clone:", true).await;
    until_it_says(&machine, "Clone:", false).await;
    let listed = muster(&cluster, &["nodes", "approve"]).await;
    assert!(listed.contains(&node) && listed.contains("Clone"), "{listed}");

    // What is sent to the node runs on one of the two.
    let place = cluster.folder().join("places");
    let line = format!("echo once >> {}", place.display());
    muster(&cluster, &["run", "--instance-ids", &node, "--", &line]).await;
    let ran = fs::read_to_string(&place).unwrap();
    assert_eq!(ran.matches("once").count(), 1, "{ran}");

    // The original is gone, and the copy is to take its place.
    machine.kill();
    muster(&cluster, &["nodes", "approve", &node]).await;
    until_it_says(&other, "Clone:", false).await;
    muster(&cluster, &["run", "--instance-ids", &node, "--", &line]).await;
    let ran = fs::read_to_string(&place).unwrap();
    assert_eq!(ran.matches("once").count(), 2, "{ran}");
}
