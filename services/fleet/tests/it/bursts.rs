//! A whole fleet at once. The times are printed; what is held is that everybody is answered.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use muster_proto::agent::v1::{HelloRequest, HelloResult};
use muster_proto::fleet::v1::ResolveTargetsRequest;
use muster_proto::fleet::v1::TargetExpression;
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_wire::{CallOptions, NatsChannel, subject};
use prost::Message;

use crate::world::{World, facts, registration};

const FLEET: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_machines_register_say_hello_and_are_resolved() {
    let world = World::start().await;
    let channel = NatsChannel::new(world.nats.clone()).with_options(CallOptions { timeout: PATIENCE });
    let nodes = NodesClient::new(channel);

    let started = Instant::now();
    let ids: Vec<String> = futures::stream::iter(0..FLEET)
        .map(|number| {
            let mut nodes = nodes.clone();
            async move {
                let request = registration(&format!("m{number}"), &[("Role", "web"), ("Env", "prod")]);
                nodes.register_node(request).await.unwrap().into_inner().node_id
            }
        })
        .buffer_unordered(2_000)
        .collect()
        .await;
    eprintln!("{FLEET} registrations: {:?}", started.elapsed());
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), FLEET);

    for round in ["first", "second"] {
        let started = Instant::now();
        let answers: Vec<HelloResult> = futures::stream::iter(&ids)
            .map(|id| {
                let hello = HelloRequest {
                    facts: Some(facts(id)),
                    ..HelloRequest::default()
                };
                let request = async_nats::Request::new()
                    .payload(hello.encode_to_vec().into())
                    .timeout(Some(PATIENCE));
                let subject = format!("muster.v1.rpc.{id}.{}", subject::RPC_HELLO);
                let nats = &world.nats;
                async move {
                    let answer = nats.send_request(subject, request).await.unwrap();
                    HelloResult::decode(answer.payload).unwrap()
                }
            })
            .buffer_unordered(FLEET)
            .collect()
            .await;
        eprintln!("{FLEET} hellos, {round} time: {:?}", started.elapsed());
        assert!(answers.iter().all(|answer| answer.tags.len() == 2));
    }

    let request = ResolveTargetsRequest {
        instance_ids: Vec::new(),
        targets: vec![TargetExpression {
            key: "tag:Role".to_owned(),
            values: vec!["web".to_owned()],
        }],
        ..ResolveTargetsRequest::default()
    };
    let started = Instant::now();
    let resolved = nodes.clone().resolve_targets(request).await.unwrap().into_inner();
    eprintln!("{} targets over the bus: {:?}", resolved.nodes.len(), started.elapsed());
    assert_eq!(resolved.nodes.len(), FLEET);
    world.end().await;
}
