//! What a signature, a policy and the audit log cost a request.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use muster_harness::Signed;
use muster_proto::access::v1::access_client::AccessClient;
use muster_proto::access::v1::{AttachPolicyRequest, CreateAccessKeyRequest, CreateUserRequest};
use muster_wire::NatsChannel;

use crate::report::{Report, median, ms};
use crate::world::World;

/// Requests of one measurement, one after the other: below what an access key may do in a second.
const REQUESTS: usize = 1_000;
const USER: &str = "bench";
/// Signatures are verified, and nobody is slowed down.
const SETTINGS: &str = "[service]\nauthentication = \"signature\"\nregions = [\"*\"]\nrequests_per_second = 1000000\n\
                        request_burst = 1000000\n";

/// What is asked for: something that only reads, and something whose decision is written down before it is refused for
/// another reason.
const ASKED: [(&str, &str, &str, u16); 2] = [
    ("ListCommands", r#"{"MaxResults": 1}"#, "a plain read", 200),
    (
        "AddTagsToResource",
        r#"{"ResourceType": "ManagedInstance", "ResourceId": "mi-00000000000000000",
            "Tags": [{"Key": "a", "Value": "b"}]}"#,
        "what changes something",
        400,
    ),
];

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let open = World::start(0).await?;
    let anybody = Signed::new(&open.ready.gateway, "MKIABENCHBENCHBENCHB", "any");
    let mut floors = Vec::new();
    for (operation, body, _, status) in ASKED {
        floors.push(measure(&anybody, operation, body, status).await?);
    }
    drop(open);

    let Held { caller, world: _world } = held().await?;
    for ((operation, body, what, status), floor) in ASKED.into_iter().zip(floors) {
        let times = measure(&caller, operation, body, status).await?;
        let shown = |times: &[Duration]| format!("p50 {}, p99 {}", ms(median(times.to_vec())), ms(high(times)));
        let more = median(times.clone()).saturating_sub(median(floor.clone()));
        report.row(
            format!("signature, policy and audit log on {what} ({operation})"),
            format!("development: {}", shown(&floor)),
            shown(&times),
            format!("{} more at p50", ms(more)),
        );
    }
    Ok(())
}

/// Where signatures and policies count, and an administrator.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) world: World,
    pub(crate) caller: Signed,
}

/// Starts it.
pub(crate) async fn held() -> Result<Held> {
    let world = World::start_with(0, prepare).await?;
    let mut access = AccessClient::new(NatsChannel::new(world.nats().await?));
    let user_name = Some(USER.to_owned());
    let user = CreateUserRequest {
        user_name: user_name.clone(),
        ..CreateUserRequest::default()
    };
    access.create_user(user).await?;
    let attach = AttachPolicyRequest {
        policy_name: Some("admin".to_owned()),
        user_name: user_name.clone(),
        ..AttachPolicyRequest::default()
    };
    access.attach_policy(attach).await?;
    let made = access.create_access_key(CreateAccessKeyRequest { user_name }).await?;
    let key = made.into_inner().access_key.context("no access key")?;
    let caller = Signed::new(&world.ready.gateway, key.access_key_id(), key.secret_access_key());
    Ok(Held { world, caller })
}

fn prepare(data: &Path) -> Result<()> {
    Ok(std::fs::write(data.join("muster-gateway.toml"), SETTINGS)?)
}

async fn measure(caller: &Signed, operation: &str, body: &str, status: u16) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let started = Instant::now();
        let reply = caller.call(operation, body).await;
        times.push(started.elapsed());
        ensure!(reply.status == status, "{operation}: {reply:?}");
    }
    Ok(times)
}

fn high(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}
