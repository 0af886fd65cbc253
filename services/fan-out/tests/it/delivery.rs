//! Work goes out within its limits, results come back to the owner.

use std::sync::Arc;
use std::time::Duration;

use muster_harness::until;
use muster_model::SignedDuration;
use muster_proto::agent::v1::{RunStatus, Verdict};
use muster_proto::fanout::v1::TargetState;

use crate::node::{Node, Script};
use crate::world::{World, order, order_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_reaches_every_node_and_its_owner_hears_it_all() {
    for world in World::on_each_database().await {
        let _service = world.start("one").await;
        let mut script = Script::success();
        script.takes = Duration::from_millis(5);
        let nodes = world.nodes(30, script.clone()).await;
        let order = order(&nodes, "4", "0");
        world.roll_out(&order).await;
        world.owner.until_tally(&[(TargetState::Success, 30)]).await;

        assert!(script.most_running() <= 4, "{} ran at once", script.most_running());
        for node in &nodes {
            assert_eq!(node.times(&order.rollout_id), 1);
            let states = world.owner.states_of(node.id().as_str());
            assert_eq!(states.last(), Some(&TargetState::Success));
            assert!(states.len() <= 2, "{states:?}");
        }
        // The news of the run came with its end, once.
        let told = world.owner.told();
        let with_records: Vec<_> = told.iter().filter(|told| !told.records.is_empty()).collect();
        assert_eq!(with_records.len(), 30);
        assert!(with_records.iter().all(|told| told.state() == TargetState::Success));

        let view = world.view(&order.rollout_id).await.unwrap();
        assert_eq!((view.concurrency, view.errors_allowed), (4, 0));
        assert!(
            view.targets
                .iter()
                .all(|target| target.state() == TargetState::Success && target.attempts == 1)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_it_again_changes_nothing() {
    let world = World::new().await;
    let _service = world.start("one").await;
    let nodes = world.nodes(3, Script::success()).await;
    let order = order(&nodes, "100%", "0");
    let again = order.clone();
    tokio::join!(world.roll_out(&order), world.roll_out(&again));
    world.owner.until_tally(&[(TargetState::Success, 3)]).await;
    world.roll_out(&order).await;
    for node in &nodes {
        assert_eq!(node.attempts(&order.rollout_id), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_errors_stop_the_rollout() {
    let world = World::new().await;
    let _service = world.start("one").await;
    let script = Script::new(|number| {
        Some(if number == 2 {
            RunStatus::Failed
        } else {
            RunStatus::Success
        })
    });
    let nodes = world.nodes(6, script).await;
    let order = order(&nodes, "1", "0");
    world.roll_out(&order).await;
    use TargetState::{Failed, Success, Terminated};
    world
        .owner
        .until_tally(&[(Success, 2), (Failed, 1), (Terminated, 3)])
        .await;
    let expected = [Success, Success, Failed, Terminated, Terminated, Terminated];
    world.until_states(&order.rollout_id, &expected).await;
    for node in &nodes[3..] {
        assert_eq!(node.attempts(&order.rollout_id), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_node_gets_the_work_again_and_a_refusing_one_has_failed() {
    let world = World::new().await;
    let _service = world.start("one").await;
    let mut busy = Script::success();
    busy.verdict = Verdict::Busy;
    let mut refusing = Script::success();
    refusing.verdict = Verdict::Refused;
    let nodes = [Node::new(0, busy), Node::new(1, refusing)];
    for node in &nodes {
        node.connect(&world.nats).await;
    }
    let order = order(&nodes, "100%", "100%");
    world.roll_out(&order).await;
    world
        .owner
        .until_tally(&[(TargetState::Success, 1), (TargetState::Failed, 1)])
        .await;
    assert_eq!(nodes[0].attempts(&order.rollout_id), 2);
    assert!(
        world
            .owner
            .states_of(nodes[0].id().as_str())
            .contains(&TargetState::Delayed)
    );
    let told = world.owner.told();
    let refused = told.iter().find(|told| told.state() == TargetState::Failed).unwrap();
    assert!(refused.note.contains("the test wants it"), "{}", refused.note);
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_that_cannot_be_addressed_end_when_their_turn_comes() {
    let world = World::new().await;
    let _service = world.start("one").await;
    let nodes = world.nodes(3, Script::success()).await;
    let mut order = order(&nodes, "1", "0");
    order.targets[1].set_refused(TargetState::InvalidPlatform);
    world.roll_out(&order).await;
    world
        .owner
        .until_tally(&[(TargetState::Success, 2), (TargetState::InvalidPlatform, 1)])
        .await;
    assert_eq!(nodes[1].attempts(&order.rollout_id), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_rollout_is_accepted_and_over() {
    let world = World::new().await;
    let _service = world.start("one").await;
    let order = order(&[], "1", "0");
    world.roll_out(&order).await;
    assert!(world.view(&order.rollout_id).await.unwrap().targets.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_orders_are_refused_and_unknown_rollouts_are_named() {
    let world = World::new().await;
    let _service = world.start("one").await;
    let mut order = order(&[], "1", "0");
    order.max_errors = "many".to_owned();
    let refused = world.try_roll_out(&order).await.unwrap_err();
    assert!(refused.message().contains("max_errors"), "{refused}");
    let unknown = world.view(&order.rollout_id).await.unwrap_err();
    assert!(unknown.message().contains(&order.rollout_id), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_ends_what_is_not_over_and_a_late_report_still_reaches_the_owner() {
    for world in World::on_each_database().await {
        let _service = world.start("one").await;
        let nodes = world.nodes(1, Script::new(|_| None)).await;
        let ids = nodes.iter().map(|node| node.id().clone());
        let order = order_for(ids, "1", "0", SignedDuration::from_millis(300));
        world.roll_out(&order).await;
        world.owner.until_tally(&[(TargetState::DeliveryTimedOut, 1)]).await;
        nodes[0]
            .finish(&world.nats, &order.rollout_id, RunStatus::Success)
            .await;
        assert!(nodes[0].is_confirmed(&order.rollout_id));
        let late = until("the owner has the late news", async || {
            let told = world.owner.told();
            match told.last() {
                Some(last) if !last.records.is_empty() => Ok(last.clone()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        assert_eq!(late.state(), TargetState::DeliveryTimedOut);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_for_which_nobody_waits_may_be_forgotten() {
    let world = World::new().await;
    let _service = world.start("one").await;
    let node: Arc<Node> = world.nodes(1, Script::success()).await.remove(0);
    let nowhere = order(&[], "1", "0").rollout_id;
    node.finish(&world.nats, &nowhere, RunStatus::Success).await;
    assert!(node.is_confirmed(&nowhere));
    // Another node's rollout is as good as none.
    let others = order(&world.nodes(1, Script::new(|_| None)).await, "1", "0");
    world.roll_out(&others).await;
    node.finish(&world.nats, &others.rollout_id, RunStatus::Success).await;
    assert!(node.is_confirmed(&others.rollout_id));
    world.until_states(&others.rollout_id, &[TargetState::InProgress]).await;
}
