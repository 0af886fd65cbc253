//! Several replicas on one database.

use std::time::Duration;

use muster_harness::until;
use muster_proto::fanout::v1::TargetState;

use crate::node::Script;
use crate::world::{World, order};

#[tokio::test(flavor = "multi_thread")]
async fn replicas_pass_on_what_concerns_the_other_and_take_over_from_the_dead() {
    for world in World::on_each_database().await {
        let one = world.start("one").await;
        let two = world.start("two").await;
        let mut script = Script::success();
        script.takes = Duration::from_millis(2);
        let nodes = world.nodes(200, script.clone()).await;
        // Each replica gets some of the rollouts, and some of the reports of all.
        let orders: Vec<_> = nodes.chunks(40).map(|nodes| order(nodes, "8", "0")).collect();
        for order in &orders {
            world.roll_out(order).await;
        }
        let ended = |least: usize| {
            let (nodes, orders) = (&nodes, &orders);
            async move || {
                let parts = nodes.chunks(40).zip(orders);
                let ended =
                    parts.flat_map(|(nodes, order)| nodes.iter().map(|node| node.is_confirmed(&order.rollout_id)));
                match ended.filter(|ended| *ended).count() {
                    count if count >= least => Ok(()),
                    count => Err(count),
                }
            }
        };
        until("a part has ended", ended(60)).await;
        one.kill();
        world.owner.until_tally(&[(TargetState::Success, 200)]).await;
        for (nodes, order) in nodes.chunks(40).zip(&orders) {
            for node in nodes {
                assert_eq!(node.times(&order.rollout_id), 1);
            }
        }
        two.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_finds_the_replica_that_works_on_the_rollout() {
    let world = World::new().await;
    let _one = world.start("one").await;
    let _two = world.start("two").await;
    let nodes = world.nodes(6, Script::new(|_| None)).await;
    let orders: Vec<_> = nodes.chunks(1).map(|nodes| order(nodes, "1", "0")).collect();
    for order in &orders {
        world.roll_out(order).await;
    }
    for order in &orders {
        world.cancel(&order.rollout_id, &[]).await;
    }
    world.owner.until_tally(&[(TargetState::Cancelled, 6)]).await;
}
