//! Cancels.

use muster_harness::until;
use muster_proto::agent::v1::RunStatus;
use muster_proto::fanout::v1::TargetState::{Cancelled, Delayed, InProgress, Success};

use crate::node::{Node, Script};
use crate::world::{World, order};

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_rollout_starts_nothing_more_and_stops_what_runs() {
    let world = World::new().await;
    let _service = world.start("one").await;
    let nodes = world.nodes(4, Script::new(|_| None)).await;
    let order = order(&nodes, "1", "0");
    world.roll_out(&order).await;
    until("the first runs", async || match nodes[0].times(&order.rollout_id) {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    world.cancel(&order.rollout_id, &[]).await;
    world.owner.until_tally(&[(Cancelled, 4)]).await;
    assert!(nodes[0].was_cancelled(&order.rollout_id));
    for node in &nodes[1..] {
        assert_eq!(node.attempts(&order.rollout_id), 0);
    }
    assert!(world.view(&order.rollout_id).await.unwrap().cancelled);
    // Once more, when all is over: nothing changes.
    world.cancel(&order.rollout_id, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_one_node_leaves_the_others_alone() {
    let world = World::new().await;
    let _service = world.start("one").await;
    let nodes = world
        .nodes(3, Script::new(|number| (number != 0).then_some(RunStatus::Success)))
        .await;
    let order = order(&nodes, "1", "0");
    world.roll_out(&order).await;
    world
        .until_states(
            &order.rollout_id,
            &[
                InProgress,
                muster_proto::fanout::v1::TargetState::Pending,
                muster_proto::fanout::v1::TargetState::Pending,
            ],
        )
        .await;
    world.cancel(&order.rollout_id, &[&nodes[0]]).await;
    world.owner.until_tally(&[(Cancelled, 1), (Success, 2)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_node_is_cancelled_at_once_and_one_that_may_have_the_work_when_it_comes_back() {
    let world = World::new().await;
    let service = world.start("one").await;
    let absent = Node::new(0, Script::success());
    let left = world.nodes(1, Script::new(|_| None)).await.remove(0);
    let order = order(&[absent.clone(), left.clone()], "2", "0");
    world.roll_out(&order).await;
    until("the second runs", async || match left.times(&order.rollout_id) {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    world.until_states(&order.rollout_id, &[Delayed, InProgress]).await;
    left.disconnect(&world.nats).await;
    world.cancel(&order.rollout_id, &[]).await;
    world.until_states(&order.rollout_id, &[Cancelled, InProgress]).await;

    // The cancel survives the coordinator, and waits for the node.
    service.kill();
    let _service = world.start("one").await;
    left.connect(&world.nats).await;
    world.until_states(&order.rollout_id, &[Cancelled, Cancelled]).await;
    assert!(left.was_cancelled(&order.rollout_id));
    absent.connect(&world.nats).await;
    absent.pull(&world.nats).await;
    assert_eq!(absent.attempts(&order.rollout_id), 0);
}
