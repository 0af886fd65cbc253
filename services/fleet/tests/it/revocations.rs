//! Which keys the bus must refuse: those of nodes that were put out, and those that were replaced.

use std::collections::HashMap;

use muster_credential::{Key, KeyKind};
use muster_proto::fleet::v1::{
    DeregisterManagedInstanceRequest, RegisterNodeRequest, SyncRevocationsRequest, SyncRevocationsResult,
};

use crate::machine::{Machine, Ticket, wanted};
use crate::world::{World, registration};

const WEEK: i64 = 7 * 24 * 60 * 60;

async fn sync(world: &World, held: HashMap<String, i64>) -> SyncRevocationsResult {
    let answer = world
        .by_nats()
        .nodes
        .sync_revocations(SyncRevocationsRequest { held })
        .await;
    answer.unwrap().into_inner()
}

async fn put_out(world: &World, node: &str) {
    let out = DeregisterManagedInstanceRequest {
        instance_id: Some(node.to_owned()),
    };
    world.by_nats().fleet.deregister_managed_instance(out).await.unwrap();
}

#[tokio::test]
async fn a_node_that_is_put_out_is_to_be_refused_until_its_claims_have_ended() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(2)).await;
    let (machine, other) = (Machine::new("a"), Machine::new("b"));
    let node = machine.register(&world, &ticket).await.unwrap().instance_id.unwrap();
    other.register(&world, &ticket).await.unwrap();
    assert_eq!(sync(&world, HashMap::new()).await, SyncRevocationsResult::default());
    world.advance(60);
    let at = world.second();
    put_out(&world, &node).await;
    // It is not forgotten by a restart, and not by having been told once.
    for _ in 0..2 {
        let told = sync(&world, HashMap::new()).await;
        let void = told.missing[machine.key.public().as_str()];
        assert!((at..at + 60).contains(&void), "{told:?}");
        assert_eq!(told.missing.len(), 1);
        assert_eq!(sync(&world, told.missing).await, SyncRevocationsResult::default());
        world.restart_fleet().await;
    }
    // Claims that were issued before are void; a shorter list is not enough.
    let early = HashMap::from([(machine.key.public().to_string(), at - 1)]);
    assert_eq!(sync(&world, early).await.missing.len(), 1);
    world.advance(WEEK + 60);
    let by_hand = Key::generate(KeyKind::User).public().to_string();
    let held = HashMap::from([(machine.key.public().to_string(), at), (by_hand, at)]);
    let told = sync(&world, held).await;
    assert_eq!(
        (told.missing.len(), told.over),
        (0, vec![machine.key.public().to_string()])
    );
    world.end().await;
}

#[tokio::test]
async fn a_key_that_is_replaced_by_registering_again_is_to_be_refused() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(2)).await;
    let machine = Machine::new("a");
    let node = machine.register(&world, &ticket).await.unwrap().instance_id.unwrap();
    // After three minutes of silence it may come with another key.
    world.advance(200);
    let again = Machine::new("a");
    let answer = again.register(&world, &ticket).await.unwrap();
    assert_eq!(answer.instance_id.unwrap(), node);
    let told = sync(&world, HashMap::new()).await;
    assert_eq!(told.missing.keys().collect::<Vec<_>>(), [machine.key.public().as_str()]);
    world.end().await;
}

#[tokio::test]
async fn whoever_signs_claims_itself_names_the_key() {
    let world = World::start().await;
    let key = Key::generate(KeyKind::User);
    let machine = RegisterNodeRequest {
        public_key: key.public().to_string(),
        ..registration("a", &[])
    };
    let mut nodes = world.by_nats().nodes;
    let node = nodes.register_node(machine.clone()).await.unwrap().into_inner().node_id;
    put_out(&world, &node).await;
    let told = sync(&world, HashMap::new()).await;
    assert!(told.missing.contains_key(key.public().as_str()));
    // The same machine is another node now, and the key stays out.
    let another = nodes.register_node(machine.clone()).await.unwrap().into_inner().node_id;
    assert_ne!(another, node);
    assert_eq!(sync(&world, HashMap::new()).await.missing, told.missing);
    for bad in ["U", "SUNOKEY", Key::generate(KeyKind::Account).public().as_str()] {
        let bad = RegisterNodeRequest {
            public_key: bad.to_owned(),
            ..machine.clone()
        };
        let refused = nodes.register_node(bad).await.unwrap_err();
        assert!(refused.message().contains("public_key"), "{refused}");
    }
    world.end().await;
}
