//! `muster nats watch`: nodes that are put out are cut off, whatever gets lost on the way.

use std::fs;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use futures::StreamExt as _;
use muster_boot::{NatsSettings, Parts, Running};
use muster_credential::{AccountClaims, Claims, Creds, Key, KeyKind};
use muster_fleet::{DATABASE, DEFAULTS, Registration, Settings};
use muster_harness::{until, until_within};
use muster_model::{Clock as _, ManualClock, SignedDuration, SystemClock};
use muster_proto::fleet::v1::fleet_client::FleetClient;
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_proto::fleet::v1::{DeregisterManagedInstanceRequest, RegisterNodeRequest};
use muster_wire::NatsChannel;

use crate::program::muster;
use crate::server::Server;

/// A bus that `muster init` made, and fleet on it.
struct World {
    server: Server,
    clock: ManualClock,
    fleets: Vec<Running>,
    watchers: Vec<Child>,
}

impl Drop for World {
    fn drop(&mut self) {
        for watcher in &mut self.watchers {
            let _ = watcher.kill();
            let _ = watcher.wait();
        }
    }
}

impl World {
    async fn start(replicas: usize) -> Self {
        let mut world = Self {
            server: Server::start(&[]).await,
            clock: ManualClock::at(SystemClock.now()),
            fleets: Vec::new(),
            watchers: Vec::new(),
        };
        for replica in 0..replicas {
            let fleet = Box::pin(world.fleet(replica)).await;
            world.fleets.push(fleet);
        }
        world
    }

    async fn fleet(&self, replica: usize) -> Running {
        let (mut common, mut settings): (_, Settings) = muster_boot::load(DEFAULTS, None).unwrap();
        settings.registration = Registration::Open;
        common.nats = NatsSettings {
            credentials: self.server.folder.join("trust/creds/muster-fleet.creds"),
            ..NatsSettings::open(&format!("nats://{}", self.server.address))
        };
        // Replicas share the tables.
        common.database.url = format!("sqlite:{}", self.server.folder.join("fleet.db").display());
        common.server.listen = "127.0.0.1:0".to_owned();
        common.replica = replica.to_string();
        let mut parts = Parts::assemble("muster-fleet", &common, Some(DATABASE)).await.unwrap();
        parts.clock = Arc::new(self.clock.clone());
        muster_fleet::Server::start(settings, parts).await.unwrap()
    }

    /// Starts `muster nats watch`.
    fn watch(&mut self) {
        let mut command = muster(self.server.folder.path());
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.server.folder.join("watch.log"));
        command
            .args(["nats", "watch"])
            .arg(self.server.folder.join("trust"))
            .stdout(Stdio::null())
            .stderr(log.unwrap());
        self.watchers.push(command.spawn().unwrap());
    }

    async fn channel(&self, user: &str) -> NatsChannel {
        NatsChannel::new(self.server.connect(&self.server.creds(user)).await.unwrap())
    }

    /// Makes a machine a node; its key is known to fleet.
    async fn admit(&self, machine: &str) -> Creds {
        let key = Key::generate(KeyKind::User);
        let request = RegisterNodeRequest {
            machine_identity: machine.to_owned(),
            public_key: key.public().to_string(),
            ..RegisterNodeRequest::default()
        };
        let mut nodes = NodesClient::new(self.channel("muster-gateway").await);
        let node = nodes.register_node(request).await.unwrap().into_inner().node_id;
        self.server.node_with(&node, key)
    }

    async fn put_out(&self, node: &Creds) {
        // As a service: nobody here says what people may do.
        let mut fleet = FleetClient::new(self.channel("muster-gateway").await);
        let request = DeregisterManagedInstanceRequest {
            instance_id: Some(node.name().to_owned()),
        };
        // A push may lose answers that are on their way.
        until("the node is put out", async || {
            match fleet.deregister_managed_instance(request.clone()).await {
                Err(status) if !status.message().contains("is no managed node") => Err(status),
                _ => Ok(()),
            }
        })
        .await;
    }

    /// Keys that the server refuses.
    async fn refused(&self) -> Vec<String> {
        let system = self.server.connect(&self.server.creds("system")).await.unwrap();
        let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.LOOKUP", self.server.key("MUSTER").public());
        let answer = system.request(subject, "".into()).await.unwrap();
        let claims = Claims::<AccountClaims>::verify(std::str::from_utf8(&answer.payload).unwrap()).unwrap();
        claims.claims.body.revocations.into_keys().collect()
    }

    async fn until_refused(&self, creds: &Creds) {
        until("the server refuses the node", async || {
            match self.server.connect(creds).await {
                Ok(_) => Err(self.said()),
                Err(_) => Ok(()),
            }
        })
        .await;
    }

    fn said(&self) -> String {
        fs::read_to_string(self.server.folder.join("watch.log")).unwrap_or_default()
    }

    async fn end(mut self) {
        for fleet in self.fleets.drain(..) {
            fleet.stop(Duration::from_secs(5)).await;
        }
    }
}

async fn until_cut(client: &Client) {
    until("the connection is cut", async || match client.connection_state() {
        State::Connected => Err("it is there"),
        _ => Ok(()),
    })
    .await;
}

#[tokio::test]
async fn a_node_that_is_put_out_is_cut_off_and_the_others_do_not_feel_it() {
    let mut world = World::start(1).await;
    world.watch();
    let (victim, other) = (world.admit("victim").await, world.admit("other").await);
    let (cut, stays) = (
        world.server.connect(&victim).await.unwrap(),
        world.server.connect(&other).await.unwrap(),
    );
    world.put_out(&victim).await;
    until_cut(&cut).await;
    world.until_refused(&victim).await;
    assert_eq!(stays.connection_state(), State::Connected);
    world.server.connect(&other).await.unwrap();
    assert_eq!(world.refused().await, [victim.key().public().to_string()]);
    world.end().await;
}

#[tokio::test]
async fn what_was_not_pushed_is_made_up_for_and_what_has_ended_is_forgotten() {
    let mut world = World::start(1).await;
    let node = world.admit("node").await;
    world.put_out(&node).await;
    // Nobody told the server.
    world.server.connect(&node).await.unwrap();
    world.watch();
    world.until_refused(&node).await;
    // The server loses what it was told.
    world.server.restart(true).await;
    world.until_refused(&node).await;
    // A push of the accounts as they should be keeps it; a revocation by hand of a key that is no node's stays.
    assert!(world.server.nats(&["push"]).stderr.contains("as they should be"));
    assert_eq!(world.refused().await.len(), 1);
    world.clock.advance(SignedDuration::from_hours(7 * 24 + 1));
    until("the server has forgotten it", async || match world.refused().await {
        keys if keys.is_empty() => Ok(()),
        keys => Err(keys),
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn replicas_and_several_that_watch_agree() {
    let mut world = World::start(2).await;
    for _ in 0..3 {
        world.watch();
    }
    let mut nodes = Vec::new();
    for number in 0..12 {
        nodes.push(world.admit(&format!("machine-{number}")).await);
    }
    for node in &nodes {
        world.put_out(node).await;
    }
    for node in &nodes {
        world.until_refused(node).await;
    }
    let mut keys: Vec<String> = nodes.iter().map(|node| node.key().public().to_string()).collect();
    keys.sort();
    until("all of them are refused at once", async || {
        let refused = world.refused().await;
        if refused == keys { Ok(()) } else { Err(refused) }
    })
    .await;
    world.end().await;
}

/// Whoever has the key that signs nodes can name a user as it likes.
#[tokio::test]
async fn users_that_somebody_else_has_signed_are_thrown_out_and_nobody_else_is() {
    let mut world = World::start(1).await;
    let node = world.admit("node").await;
    world.watch();
    let mut keys = Vec::new();
    let mut stays = None;
    // When the first is thrown out it listens; when the second is, it has also looked at the node that came in between.
    for name in ["*", node.name()] {
        let other = world.server.anybody(name);
        until("somebody else's user is thrown out", async || {
            match world.server.connect(&other).await {
                Ok(_) => Err(world.said()),
                Err(_) => Ok(()),
            }
        })
        .await;
        keys.push(other.key().public().to_string());
        if stays.is_none() {
            stays = Some(world.server.connect(&node).await.unwrap());
        }
    }
    assert_eq!(stays.unwrap().connection_state(), State::Connected);
    world.server.connect(&node).await.unwrap();
    keys.sort();
    assert_eq!(world.refused().await, keys);
    world.end().await;
}

/// Nobody tells who was there before: the server is asked.
#[tokio::test]
async fn users_that_somebody_else_has_signed_are_found_who_were_there_before() {
    let mut world = World::start(1).await;
    let (node, alien) = (world.admit("node").await, world.server.anybody("*"));
    let stays = world.server.connect(&node).await.unwrap();
    let cut = world.server.connect(&alien).await.unwrap();
    world.watch();
    until_cut(&cut).await;
    assert_eq!(world.refused().await, [alien.key().public().to_string()]);
    assert_eq!(stays.connection_state(), State::Connected);
    world.end().await;
}

#[tokio::test]
async fn a_key_that_is_used_from_two_addresses_is_told_of() {
    let mut world = World::start(1).await;
    let (node, other) = (world.admit("node").await, world.admit("other").await);
    let operator = world.server.connect(&world.server.creds("operator")).await.unwrap();
    let mut events = operator.subscribe("muster.v1.event.fleet.node.clone").await.unwrap();
    operator.flush().await.unwrap();
    world.watch();
    let from = async |creds: &Creds, address: &str| {
        let options = async_nats::ConnectOptions::with_credentials(&creds.to_text()).unwrap();
        let options = options.local_address(format!("{address}:0").parse().unwrap());
        options.connect(&world.server.address).await.unwrap()
    };
    // Two machines, and one that has two connections.
    let clients = [
        from(&other, "127.0.0.1").await,
        from(&other, "127.0.0.1").await,
        from(&node, "127.0.0.1").await,
        from(&node, "127.0.0.2").await,
    ];
    let event = until_within(Duration::from_secs(60), "the copy is told of", async || {
        for (client, creds) in clients.iter().zip([&other, &other, &node, &node]) {
            let subject = format!("muster.v1.up.{}.hb", creds.name());
            client.publish(subject, "".into()).await.unwrap();
            client.flush().await.unwrap();
        }
        match tokio::time::timeout(Duration::from_millis(200), events.next()).await {
            Ok(Some(event)) => Ok(event),
            _ => Err(world.said()),
        }
    })
    .await;
    let event: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!(event["subject"], node.name());
    assert_eq!(event["data"]["source"], "127.0.0.1, 127.0.0.2");
    world.end().await;
}
