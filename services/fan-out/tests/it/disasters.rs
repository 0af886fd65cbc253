//! Things die in the middle.

use std::time::Duration;

use muster_harness::until;
use muster_proto::fanout::v1::TargetState;

use crate::node::Script;
use crate::world::{World, order};

fn slow() -> Script {
    let mut script = Script::success();
    script.takes = Duration::from_millis(2);
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_coordinator_goes_on_where_it_was() {
    for world in World::on_each_database().await {
        let nodes = world.nodes(200, slow()).await;
        let order = order(&nodes, "10", "0");
        let mut service = world.start("one").await;
        world.roll_out(&order).await;
        for share in [20, 70, 130] {
            until("a part has ended", async || {
                match nodes.iter().filter(|node| node.is_confirmed(&order.rollout_id)).count() {
                    ended if ended >= share => Ok(()),
                    ended => Err(ended),
                }
            })
            .await;
            service.kill();
            service = world.start("one").await;
        }
        world.owner.until_tally(&[(TargetState::Success, 200)]).await;
        world
            .until_states(&order.rollout_id, &[TargetState::Success; 200])
            .await;
        for node in &nodes {
            assert_eq!(node.times(&order.rollout_id), 1);
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_was_killed_costs_nothing_but_time() {
    let mut world = World::new().await;
    let _service = world.start("one").await;
    let nodes = world.nodes(100, slow()).await;
    let order = order(&nodes, "10", "0");
    world.roll_out(&order).await;
    until("a part has ended", async || {
        match nodes.iter().filter(|node| node.is_confirmed(&order.rollout_id)).count() {
            ended if ended >= 20 => Ok(()),
            ended => Err(ended),
        }
    })
    .await;
    world.nats_server.kill();
    world.nats_server.restart().await;
    world.owner.until_tally(&[(TargetState::Success, 100)]).await;
    for node in &nodes {
        assert_eq!(node.times(&order.rollout_id), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_away_hears_everything_later_even_from_the_next_life() {
    let world = World::new().await;
    world.owner.set_present(false);
    let service = world.start("one").await;
    let nodes = world.nodes(20, Script::success()).await;
    let order = order(&nodes, "5", "0");
    world.roll_out(&order).await;
    world.until_states(&order.rollout_id, &[TargetState::Success; 20]).await;
    service.kill();
    let _service = world.start("one").await;
    assert!(world.owner.told().is_empty());
    world.owner.set_present(true);
    world.owner.until_tally(&[(TargetState::Success, 20)]).await;
    let told = world.owner.told();
    for node in &nodes {
        let mine: Vec<_> = told.iter().filter(|told| told.node_id == node.id().as_str()).collect();
        assert_eq!(mine.last().unwrap().records.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_loses_nothing() {
    let world = World::new().await;
    let nodes = world.nodes(100, slow()).await;
    let order = order(&nodes, "10", "0");
    let service = world.start("one").await;
    world.roll_out(&order).await;
    until("a part has ended", async || {
        match nodes.iter().filter(|node| node.is_confirmed(&order.rollout_id)).count() {
            ended if ended >= 20 => Ok(()),
            ended => Err(ended),
        }
    })
    .await;
    service.stop().await;
    // Another replica need not wait: the rollout was given up.
    let _service = world.start("two").await;
    world.owner.until_tally(&[(TargetState::Success, 100)]).await;
    for node in &nodes {
        assert_eq!(node.times(&order.rollout_id), 1);
    }
}
