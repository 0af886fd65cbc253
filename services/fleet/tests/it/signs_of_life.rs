//! Ping status: from hellos and heartbeats, by the clock, across restarts.

use muster_harness::until;
use muster_proto::fleet::v1::{
    ConnectionStatus, DescribeInstanceInformationRequest, GetConnectionStatusRequest, InstanceInformationStringFilter,
};

use crate::world::{Clients, START, facts};

fn target(node: &str) -> GetConnectionStatusRequest {
    GetConnectionStatusRequest {
        target: Some(node.to_owned()),
    }
}

/// Asks whether a node is connected, on any surface.
macro_rules! connected {
    ($clients:expr, $node:expr) => {
        $clients
            .fleet
            .get_connection_status(target($node))
            .await
            .unwrap()
            .into_inner()
            .status()
            == ConnectionStatus::Connected
    };
}

/// When the node was last heard of, in seconds after the start.
async fn last_ping(clients: &mut Clients<muster_wire::NatsChannel>) -> i64 {
    let all = DescribeInstanceInformationRequest::default();
    let list = clients
        .fleet
        .describe_instance_information(all)
        .await
        .unwrap()
        .into_inner();
    let last = list.instance_information_list[0].last_ping_date_time;
    last.map_or(0, |time| time.seconds - START.as_second())
}

by_both_surfaces!(three_minutes_of_silence_are_a_lost_connection, |world, clients| {
    let id = world.register("a", &[]).await;
    assert!(
        !connected!(clients, &id),
        "a node that only registered is not there yet"
    );
    world.hello(&id, facts("a")).await.unwrap();
    assert!(connected!(clients, &id));
    world.advance(179);
    assert!(connected!(clients, &id));
    world.advance(1);
    assert!(!connected!(clients, &id));
    world.heartbeat(&id).await;
    until("one heartbeat brings it back", async || {
        match connected!(clients, &id) {
            true => Ok(()),
            false => Err("not connected"),
        }
    })
    .await;
    assert_eq!(last_ping(&mut world.by_nats()).await, 180);
});

by_both_surfaces!(who_is_not_known_is_not_connected, |world, clients| {
    for stranger in ["mi-00000000000000000", "web", "a\0b"] {
        let answer = clients
            .fleet
            .get_connection_status(target(stranger))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.target.as_deref(), Some(stranger));
        assert_eq!(answer.status(), ConnectionStatus::Notconnected);
    }
});

by_both_surfaces!(
    a_filter_by_status_knows_heartbeats_that_are_not_written_yet,
    |world, clients| {
        let id = world.register("a", &[]).await;
        world.hello(&id, facts("a")).await.unwrap();
        world.advance(500);
        world.heartbeat(&id).await;
        until("the heartbeat was heard", async || match connected!(clients, &id) {
            true => Ok(()),
            false => Err("not connected"),
        })
        .await;
        for (status, expected) in [("Online", 1), ("ConnectionLost", 0)] {
            let request = DescribeInstanceInformationRequest {
                filters: vec![InstanceInformationStringFilter {
                    key: Some("PingStatus".to_owned()),
                    values: vec![status.to_owned()],
                }],
                ..DescribeInstanceInformationRequest::default()
            };
            let list = clients
                .fleet
                .describe_instance_information(request)
                .await
                .unwrap()
                .into_inner();
            assert_eq!(list.instance_information_list.len(), expected, "{status}");
        }
    }
);

#[tokio::test]
async fn heartbeats_in_memory_are_written_when_fleet_stops() {
    let world = crate::world::World::start().await;
    let id = world.register("a", &[]).await;
    world.hello(&id, facts("a")).await.unwrap();
    world.advance(100);
    world.heartbeat(&id).await;
    until("the heartbeat was heard", async || {
        match last_ping(&mut world.by_nats()).await {
            100 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    world.restart_fleet().await;
    assert_eq!(last_ping(&mut world.by_nats()).await, 100);
    world.end().await;
}
