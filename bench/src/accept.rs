//! `SendCommand` over AWS JSON: how many are accepted durably, and how fast.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use muster_agent_sim::{Fleet, FleetSettings, Outcome, Script};
use tokio::task::JoinSet;

use crate::report::{Report, median, ms, percentile};
use crate::world::World;

const TIME: Duration = Duration::from_secs(5);

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let world = World::start(0).await?;
    let fleet = Fleet::start(FleetSettings {
        nats_url: world.ready.nats.clone(),
        credentials: Some(world.crowd()?),
        nodes: 1,
        connections: 1,
        name: "accept".to_owned(),
        tags: BTreeMap::new(),
        script: Script::always(Outcome::NOTHING),
    })
    .await?;
    let node = fleet.ids().first().map(ToString::to_string).unwrap_or_default();
    for connections in [1, 64] {
        let (count, times) = load(&world.ready.gateway, &node, connections).await?;
        let rate = count as f64 / TIME.as_secs_f64();
        let goal = match connections {
            1 => "p50 goal ≤ 3 ms",
            _ => "goal ≥ 3,000/s",
        };
        report.row(
            format!("SendCommand accepted over AWS JSON, {connections} connections"),
            "",
            format!(
                "{rate:.0}/s, p50 {}, p99 {}",
                ms(median(times.clone())),
                ms(percentile(times, 99))
            ),
            goal,
        );
    }
    fleet.stop().await;
    Ok(())
}

async fn load(gateway: &str, node: &str, connections: usize) -> Result<(usize, Vec<Duration>)> {
    let body = serde_json::json!({
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [node],
        "Parameters": {"commands": ["true"]},
    });
    let body = Bytes::from(serde_json::to_vec(&body)?);
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (gateway, body) = (gateway.to_owned(), body.clone());
        tasks.spawn(async move {
            let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
            let mut times = Vec::new();
            let begun = Instant::now();
            while begun.elapsed() < TIME {
                let started = Instant::now();
                let request = http::Request::post(&gateway)
                    .header("X-Amz-Target", "AmazonSSM.SendCommand")
                    .header("Content-Type", "application/x-amz-json-1.1")
                    .header(
                        "Authorization",
                        "AWS4-HMAC-SHA256 Credential=MKIABENCH/20260101/us-east-1/ssm/aws4_request, \
                         SignedHeaders=host;x-amz-target, Signature=00",
                    )
                    .header("X-Amz-Date", "20260101T000000Z")
                    .body(Full::new(body.clone()))?;
                let response = client.request(request).await?;
                let status = response.status();
                let answer = response.into_body().collect().await?.to_bytes();
                ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&answer));
                times.push(started.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = tasks.join_next().await {
        all.extend(times??);
    }
    Ok((all.len(), all))
}
