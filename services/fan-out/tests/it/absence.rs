//! Nodes that are not there.

use futures::StreamExt;
use muster_harness::until;
use muster_proto::fanout::v1::{TagSelector, TargetState};
use muster_wire::subject;

use crate::node::{Node, Script};
use crate::world::{World, order};

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_node_is_delayed_holds_no_slot_and_gets_the_work_when_it_asks() {
    let world = World::new().await;
    let _service = world.start("one").await;
    let absent = Node::new(0, Script::success());
    let mut nodes = vec![absent.clone()];
    nodes.extend(world.nodes(3, Script::success()).await);
    let order = order(&nodes, "1", "0");
    world.roll_out(&order).await;
    world
        .owner
        .until_tally(&[(TargetState::Delayed, 1), (TargetState::Success, 3)])
        .await;

    absent.connect(&world.nats).await;
    world.owner.until_tally(&[(TargetState::Success, 4)]).await;
    assert_eq!(absent.times(&order.rollout_id), 1);
    use TargetState::{Delayed, InProgress, Success};
    let states = world.owner.states_of(absent.id().as_str());
    assert!(
        [vec![InProgress, Delayed, InProgress, Success], vec![Delayed, Success]].contains(&states),
        "{states:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_without_a_word_is_asked_again() {
    let world = World::new().await;
    let service = world.start("one").await;
    let nodes = world.nodes(1, Script::new(|_| None)).await;
    let order = order(&nodes, "1", "0");
    world.roll_out(&order).await;
    until("the node has the work", async || {
        match nodes[0].times(&order.rollout_id) {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    nodes[0].disconnect(&world.nats).await;
    // The restarted coordinator does not know whether the node has the work, unless that was written.
    service.kill();
    let _service = world.start("one").await;
    nodes[0].connect(&world.nats).await;
    nodes[0]
        .finish(
            &world.nats,
            &order.rollout_id,
            muster_proto::agent::v1::RunStatus::Success,
        )
        .await;
    world.owner.until_tally(&[(TargetState::Success, 1)]).await;
    assert_eq!(nodes[0].times(&order.rollout_id), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_up_a_rollout_with_absent_nodes_rings_for_them() {
    let world = World::new().await;
    let service = world.start("one").await;
    let mut order = order(&[Node::new(0, Script::success())], "1", "0");
    order.tags = vec![TagSelector {
        key: "Role".to_owned(),
        value: "web".to_owned(),
    }];
    world.roll_out(&order).await;
    world.until_states(&order.rollout_id, &[TargetState::Delayed]).await;
    let mut doorbell = world.nats.subscribe(subject::tag("Role", "web")).await.unwrap();
    world.nats.flush().await.unwrap();
    service.kill();
    let _service = world.start("one").await;
    assert!(doorbell.next().await.unwrap().payload.is_empty());
}
