//! Which keys the bus must refuse: those of nodes that were put out, and those that were replaced.

use std::collections::HashMap;

use futures::StreamExt as _;
use muster_credential::{Key, KeyKind};
use muster_proto::fleet::v1::{
    DeregisterManagedInstanceRequest, NodeConnection, RegisterNodeRequest, SyncRevocationsRequest,
    SyncRevocationsResult,
};

use crate::machine::{Machine, Ticket, wanted};
use crate::world::{World, registration};

const WEEK: i64 = 7 * 24 * 60 * 60;

async fn sync(world: &World, held: HashMap<String, i64>) -> SyncRevocationsResult {
    let answer = world
        .by_nats()
        .nodes
        .sync_revocations(SyncRevocationsRequest {
            held,
            ..SyncRevocationsRequest::default()
        })
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

#[tokio::test]
async fn whoever_connects_with_credentials_that_fleet_has_not_signed_is_to_be_refused() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(1)).await;
    let machine = Machine::new("a");
    let node = machine.register(&world, &ticket).await.unwrap().instance_id.unwrap();
    let mut events = world
        .nats
        .subscribe("muster.v1.event.fleet.credential.alien")
        .await
        .unwrap();
    world.nats.flush().await.unwrap();
    let connected = |name: &str, key: &Key| NodeConnection {
        name: name.to_owned(),
        public_key: key.public().to_string(),
    };
    let keys: Vec<Key> = (0..3).map(|_| Key::generate(KeyKind::User)).collect();
    let request = SyncRevocationsRequest {
        connections: vec![
            connected(&node, &machine.key),
            connected("*", &keys[0]),
            connected(&node, &keys[1]),
            connected("mi-0123456789abcdef0", &keys[2]),
            // Again.
            connected("*", &keys[0]),
        ],
        ..SyncRevocationsRequest::default()
    };
    let mut nodes = world.by_nats().nodes;
    let mut wanted: Vec<String> = keys.iter().map(|key| key.public().to_string()).collect();
    wanted.sort();
    for _ in 0..2 {
        let told = nodes.sync_revocations(request.clone()).await.unwrap().into_inner();
        let mut missing: Vec<String> = told.missing.into_keys().collect();
        missing.sort();
        assert_eq!(missing, wanted);
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        let event: serde_json::Value = serde_json::from_slice(&events.next().await.unwrap().payload).unwrap();
        seen.push(event["data"]["publicKey"].as_str().unwrap().to_owned());
    }
    seen.sort();
    assert_eq!(seen, wanted);
    // Whoever signed them can sign others with any date: they are never forgotten, and no date is late enough.
    world.advance(WEEK + 60);
    let held = wanted
        .iter()
        .map(|key| (key.clone(), world.second() - WEEK - 30))
        .collect();
    let told = sync(&world, held).await;
    assert!(told.over.is_empty(), "{:?}", told.over);
    let mut missing: Vec<&String> = told.missing.keys().collect();
    missing.sort();
    assert_eq!(missing, wanted.iter().collect::<Vec<_>>());
    assert!(told.missing.values().all(|at| *at > world.second() + 100 * WEEK));
    assert_eq!(sync(&world, told.missing).await, SyncRevocationsResult::default());
    world.end().await;
}

#[tokio::test]
async fn a_machine_that_is_registered_after_its_key_was_refused_is_let_in_again() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(1)).await;
    let machine = Machine::new("a");
    // As after a restore of tables that do not know it.
    let request = SyncRevocationsRequest {
        connections: vec![NodeConnection {
            name: "mi-0123456789abcdef0".to_owned(),
            public_key: machine.key.public().to_string(),
        }],
        ..SyncRevocationsRequest::default()
    };
    let told = world
        .by_nats()
        .nodes
        .sync_revocations(request)
        .await
        .unwrap()
        .into_inner();
    let key = machine.key.public().to_string();
    assert!(told.missing.contains_key(&key));
    world.advance(1);
    machine.register(&world, &ticket).await.unwrap();
    let expected = SyncRevocationsResult {
        over: vec![key],
        ..SyncRevocationsResult::default()
    };
    assert_eq!(sync(&world, told.missing).await, expected);
    assert_eq!(sync(&world, HashMap::new()).await, SyncRevocationsResult::default());
    world.end().await;
}

#[tokio::test]
async fn a_node_that_was_registered_without_its_key_is_taken_with_the_first_that_it_has() {
    let world = World::start().await;
    let node = world.register("a", &[]).await;
    let (own, other) = (Key::generate(KeyKind::User), Key::generate(KeyKind::User));
    let mut nodes = world.by_nats().nodes;
    let mut missing = Vec::new();
    for key in [&own, &own, &other] {
        let request = SyncRevocationsRequest {
            connections: vec![NodeConnection {
                name: node.clone(),
                public_key: key.public().to_string(),
            }],
            ..SyncRevocationsRequest::default()
        };
        missing.push(
            nodes
                .sync_revocations(request)
                .await
                .unwrap()
                .into_inner()
                .missing
                .len(),
        );
    }
    assert_eq!(missing, [0, 0, 1]);
    world.end().await;
}

#[tokio::test]
async fn a_machine_that_registers_while_its_node_is_put_out_leaves_no_key_behind() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(100)).await;
    for round in 0..20 {
        let machine = Machine::new(&format!("m{round}"));
        let node = machine.register(&world, &ticket).await.unwrap().instance_id;
        let put_out = DeregisterManagedInstanceRequest {
            instance_id: node.clone(),
        };
        let mut fleet = world.by_nats().fleet;
        let (again, out) = futures::join!(
            machine.register(&world, &ticket),
            fleet.deregister_managed_instance(put_out)
        );
        out.unwrap();
        if let Ok(answer) = again {
            assert_eq!(answer.instance_id, node, "its key is not another node's");
        }
        let missing = world
            .by_nats()
            .nodes
            .sync_revocations(SyncRevocationsRequest::default())
            .await
            .unwrap()
            .into_inner()
            .missing;
        assert!(missing.contains_key(machine.key.public().as_str()), "round {round}");
    }
    world.end().await;
}
