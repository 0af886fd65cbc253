//! Nodes take other keys, and one whose agent was killed half-way can still connect: real agents, real services.

use std::fs;
use std::time::Duration;

use muster_agent::keys::Keys;
use muster_agent::state::StateDir;
use muster_credential::layout::NodeClaims;
use muster_credential::{Creds, Key, KeyKind, Proof, Purpose};
use muster_harness::until_within;
use muster_proto::agent::v1::{RenewRequest, RotateRequest, RotateResult};
use muster_tests::{Cluster, binary};
use muster_wire::subject;
use prost::Message;
use tokio::process::Command;

use crate::registration::{Machine, activation, node_of, online, stdout};

/// What an agent that was killed had done last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing: it goes on without being killed.
    Nothing,
    Made,
    Offered,
    Saved,
    Written,
    Confirmed,
    Accepted,
    /// It has what the bus does not take.
    Misled,
}

const STEPS: [Step; 8] = [
    Step::Nothing,
    Step::Made,
    Step::Offered,
    Step::Saved,
    Step::Written,
    Step::Confirmed,
    Step::Accepted,
    Step::Misled,
];

/// Does what an agent does, up to a step.
async fn go(cluster: &Cluster, machine: &Machine, step: Step) {
    let (state, keys) = (StateDir::at(&machine.state), Keys::at(&machine.state));
    let old = state.credentials().unwrap().unwrap();
    if step == Step::Nothing {
        return;
    }
    let new = keys.next().unwrap();
    if step == Step::Made {
        return;
    }
    let token = offer(cluster, &old, &new).await;
    if step == Step::Offered {
        return;
    }
    if step == Step::Saved {
        fs::copy(state.credentials_file(), machine.state.join("node.creds.former")).unwrap();
        return;
    }
    if step == Step::Misled {
        let claims = NodeClaims {
            node: old.name(),
            tags: Vec::new(),
            now: old.claims().issued_at,
            life: 24 * 60 * 60,
        };
        let stranger = Key::generate(KeyKind::Account);
        let wrong = claims
            .creds(new, &cluster.nats.trust().accounts().muster, &stranger)
            .unwrap();
        state.try_credentials(&wrong).unwrap();
        return;
    }
    let creds = Creds::new(token, new).unwrap();
    state.try_credentials(&creds).unwrap();
    if step == Step::Written {
        return;
    }
    confirm(cluster, &creds).await;
    if step == Step::Confirmed {
        return;
    }
    keys.accept().unwrap();
}

async fn ask(cluster: &Cluster, creds: &Creds, operation: &str, question: impl Message) -> Vec<u8> {
    let bus = cluster.nats.client_as(creds).await.unwrap();
    let subject = subject::rpc(&creds.name().parse().unwrap(), operation);
    let answer = bus.request(subject, question.encode_to_vec().into()).await.unwrap();
    assert!(answer.headers.is_none(), "{:?}", answer.headers);
    answer.payload.to_vec()
}

fn now() -> i64 {
    muster_harness::Trust::now()
}

async fn offer(cluster: &Cluster, old: &Creds, new: &Key) -> String {
    let (public, offered, time) = (old.key().public().to_string(), new.public().to_string(), now());
    let text = time.to_string();
    let parts = [old.name(), &public, &offered, &text].map(str::as_bytes);
    let proof = |key| Proof::sign(key, Purpose::Rotation, &parts).as_bytes().to_vec();
    let question = RotateRequest {
        proof: proof(old.key()),
        new_proof: proof(new),
        proof_time: time,
        attributes: attributes(),
        public_key: public,
        new_key: offered,
    };
    let answer = ask(cluster, old, subject::RPC_AUTH_ROTATE, question).await;
    RotateResult::decode(answer.as_slice()).unwrap().user_jwt
}

async fn confirm(cluster: &Cluster, creds: &Creds) {
    let (public, time) = (creds.key().public().to_string(), now());
    let text = time.to_string();
    let parts = [creds.name(), &public, &text].map(str::as_bytes);
    let question = RenewRequest {
        proof: Proof::sign(creds.key(), Purpose::Renewal, &parts).as_bytes().to_vec(),
        proof_time: time,
        attributes: attributes(),
        confirms_key: true,
        public_key: public,
    };
    ask(cluster, creds, subject::RPC_AUTH_RENEW, question).await;
}

/// What the agent tells of this machine.
fn attributes() -> std::collections::HashMap<String, String> {
    muster_agent::machine::attributes("/".as_ref()).into_iter().collect()
}

#[tokio::test]
async fn a_node_takes_another_key_and_one_that_was_killed_half_way_does_so_too() {
    let guarded = ("muster-fleet", "MUSTER_SERVICE__REGISTRATION", "activation".to_owned());
    let cluster = Cluster::start_with(&[], &[guarded]).await;
    let aws = cluster.aws();
    let ticket = activation(&aws, &["--registration-limit", "8"]).await;
    let mut machines = Vec::new();
    for step in STEPS {
        let mut machine = Machine::new(&cluster, &format!("{step:?}"));
        let node = node_of(&stdout(&machine.register(&cluster, &ticket, &["--new"]).await));
        let old = StateDir::at(&machine.state).credentials().unwrap().unwrap();
        if step == Step::Nothing {
            machine.start();
            online(&aws, &node).await;
        }
        let asked = Command::new(binary("muster"))
            .args(["nodes", "rotate-key", &node])
            .env("MUSTER_SERVER", cluster.nats.url())
            .env("MUSTER_CREDS", cluster.creds())
            .output()
            .await
            .unwrap();
        stdout(&asked);
        go(&cluster, &machine, step).await;
        if step != Step::Nothing {
            machine.start();
        }
        machines.push((step, machine, node, old));
    }
    for (step, machine, node, old) in &machines {
        let state = StateDir::at(&machine.state);
        let is_left = |name: &str| machine.state.join(name).exists();
        until_within(Duration::from_secs(120), "it has another key", async || {
            let used = state.credentials().unwrap().unwrap().key().public().clone();
            let own = Keys::at(&machine.state).current().unwrap().unwrap().public().clone();
            let is_done = used == own && used != *old.key().public();
            let is_tidy = !is_left("node.seed.next") && !is_left("node.creds.former");
            match is_done && is_tidy {
                true => Ok(()),
                false => Err(format!("{step:?}: {}", fs::read_to_string(&machine.log).unwrap())),
            }
        })
        .await;
        online(&aws, node).await;
    }
}

#[tokio::test]
async fn a_machine_registers_again_while_its_key_changes() {
    let guarded = ("muster-fleet", "MUSTER_SERVICE__REGISTRATION", "activation".to_owned());
    let cluster = Cluster::start_with(&[], &[guarded]).await;
    let aws = cluster.aws();
    let ticket = activation(&aws, &["--registration-limit", "8"]).await;
    for (step, how) in [
        (Step::Offered, "--force"),
        (Step::Written, "--force"),
        (Step::Offered, "--new"),
    ] {
        let mut machine = Machine::new(&cluster, &format!("{step:?}{how}"));
        let node = node_of(&stdout(&machine.register(&cluster, &ticket, &["--new"]).await));
        go(&cluster, &machine, step).await;
        if how == "--force" {
            aws.ok(&["deregister-managed-instance", "--instance-id", &node]).await;
        }
        let again = node_of(&stdout(&machine.register(&cluster, &ticket, &[how]).await));
        assert_ne!(again, node, "{step:?} {how}");
        machine.start();
        online(&aws, &again).await;
        machine.kill();
    }
}
