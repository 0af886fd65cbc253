//! A whole fleet comes back by itself: the server alone decides who may connect (fleet 7).

use async_nats::connection::State;
use async_nats::{Client, Subscriber};
use futures::StreamExt as _;
use muster_harness::{NatsServer, until};

const NODES: usize = 1_000;
/// How many connect at the same time.
const IN_FLIGHT: usize = 50;

#[tokio::test]
async fn a_thousand_nodes_come_back_while_no_service_runs() {
    let mut server = NatsServer::start_secured().await;
    let ids: Vec<String> = (0..NODES).map(|number| format!("mi-{number:017x}")).collect();
    let connecting = futures::stream::iter(&ids).map(async |id| {
        let node = server.client_as(&server.trust().node(id, &[])).await.unwrap();
        let work = node.subscribe(format!("muster.v1.dn.{id}.work")).await.unwrap();
        node.flush().await.unwrap();
        (node, work)
    });
    let mut nodes: Vec<(Client, Subscriber)> = connecting.buffered(IN_FLIGHT).collect().await;

    server.kill();
    until("all have noticed", async || left(&nodes, State::Disconnected)).await;
    server.restart().await;
    until("all are back", async || left(&nodes, State::Connected)).await;

    let coordinator = server
        .client_as(&server.trust().service("muster-fan-out"))
        .await
        .unwrap();
    for ((node, work), id) in nodes.iter_mut().zip(&ids) {
        // What it listens to is with the server again.
        node.flush().await.unwrap();
        let subject = format!("muster.v1.dn.{id}.work");
        coordinator.publish(subject.clone(), id.clone().into()).await.unwrap();
        let message = work.next().await.unwrap();
        assert_eq!(
            (message.subject.as_str(), &message.payload[..]),
            (subject.as_str(), id.as_bytes())
        );
    }
}

/// How many are in another state.
fn left(nodes: &[(Client, Subscriber)], state: State) -> Result<(), usize> {
    match nodes
        .iter()
        .filter(|(node, _)| node.connection_state() != state)
        .count()
    {
        0 => Ok(()),
        others => Err(others),
    }
}
