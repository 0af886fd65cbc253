//! `muster up`: start, stop, and what happens when something dies.

use std::process::{Command, Stdio};

use muster_harness::{Folder, until};
use rustix::process::Signal;
use serde_json::Value;

use crate::processes;
use crate::program::Said;
use crate::world::{World, up};

#[tokio::test]
async fn the_ready_file_says_where_everything_is() {
    let world = World::start(2).await;
    let ready = &world.ready;
    assert!(ready["gateway"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    assert!(world.nats().starts_with("nats://127.0.0.1:"));
    for service in ["Fleet", "Nodes", "Tags", "Documents", "RunCommand", "FanOut"] {
        assert!(ready["grpc"][service].is_string(), "{service}: {ready}");
    }
    assert_eq!(ready["nodes"].as_array().unwrap().len(), 2);
    assert!(ready["credentials"]["access_key_id"].is_string());
    assert!(world.data().join("ready.json").is_file(), "other verbs find it too");

    let banner = world.stdout();
    for told in [
        world.nats(),
        ready["gateway"].as_str().unwrap(),
        ready["nodes"][0].as_str().unwrap(),
    ] {
        assert!(banner.contains(told), "{told} is not in:\n{banner}");
    }
    let listed = world.muster(&["nodes", "--json"]).await;
    let nodes: Value = serde_json::from_str(&listed.stdout).unwrap();
    let nodes = nodes["InstanceInformationList"].as_array().unwrap();
    assert_eq!(nodes.len(), 2);
    assert!(nodes.iter().all(|node| node["PingStatus"] == "Online"), "{nodes:?}");
}

#[tokio::test]
async fn a_signal_stops_everything_and_leaves_nothing_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut world = World::start(1).await;
        let data = world.data();
        assert_eq!(processes::daemons("nats-server", &data).len(), 1);
        assert_eq!(processes::daemons("muster-agent", &data).len(), 1);
        assert_eq!(world.end(signal).await, Some(0));
        assert_eq!(processes::of("nats-server", &data), [0; 0]);
        assert_eq!(processes::of("muster-agent", &data), [0; 0]);
        assert!(!data.join("ready.json").exists());
    }
}

#[tokio::test]
async fn children_do_not_outlive_a_kill() {
    let mut world = World::start(1).await;
    let data = world.data();
    assert_eq!(world.end(Signal::KILL).await, None);
    until("the children are gone", async || {
        let left = [
            processes::of("nats-server", &data),
            processes::of("muster-agent", &data),
        ]
        .concat();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    // What was killed can be started again on the same data, with the same nodes.
    let nodes = world.ready["nodes"].clone();
    let again = world.start_again(1).await;
    assert_eq!(again.ready["nodes"], nodes);
}

#[tokio::test]
async fn two_side_by_side_do_not_meet() {
    let (one, other) = tokio::join!(World::start(1), World::start(1));
    assert_ne!(one.ready["gateway"], other.ready["gateway"]);
    assert_ne!(one.nats(), other.nats());
    let listed = one.muster(&["nodes"]).await;
    assert!(listed.stdout.contains(one.ready["nodes"][0].as_str().unwrap()));
    assert!(!listed.stdout.contains(other.ready["nodes"][0].as_str().unwrap()));
}

#[tokio::test]
async fn a_data_directory_has_one_owner() {
    let world = World::start(0).await;
    let output = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(world.data())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = Said::of(&output);
    assert_eq!(said.code, 1);
    let line = said.complaint();
    assert!(line.contains("in use") && line.contains("--data-dir"), "{line}");
    // Who was refused did not take the ready file away.
    assert!(world.data().join("ready.json").is_file());
}

#[tokio::test]
async fn a_taken_port_is_named_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new("up");
    let output = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["up", "--agents", "0", "--listen", &address, "--data-dir"])
        .arg(folder.join("data"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = Said::of(&output);
    assert_eq!(said.code, 1);
    let line = said.complaint();
    assert!(line.contains(&address) && line.contains("--listen"), "{line}");
    assert_eq!(processes::of("nats-server", &folder.join("data")), [0; 0]);
}

#[tokio::test]
async fn what_dies_unasked_is_started_again() {
    let world = World::start(1).await;
    let data = world.data();
    for program in ["nats-server", "muster-agent"] {
        let [old] = processes::daemons(program, &data)[..] else {
            panic!("one {program} is expected");
        };
        processes::send(old, Signal::KILL);
        until("another one runs", async || {
            match processes::daemons(program, &data)[..] {
                [new] if new != old => Ok(()),
                ref others => Err(others.to_vec()),
            }
        })
        .await;
        assert!(world.stderr().contains("starting it again"), "{}", world.stderr());
    }
    // The port is the same: who knew the server finds it again.
    until("everything answers again", async || {
        let said = world
            .muster(&["run", "--targets", "tag:Role=web", "--", "echo back"])
            .await;
        if said.stdout == "[web-1] back\n" {
            Ok(())
        } else {
            Err(said)
        }
    })
    .await;
}

#[tokio::test]
async fn a_signal_before_everything_is_ready_is_obeyed() {
    let folder = Folder::new("up");
    let mut child = up(&folder).spawn().unwrap();
    let data = folder.join("data");
    until("the NATS server runs", async || {
        match processes::of("nats-server", &data)[..] {
            [] => Err("not yet"),
            _ => Ok(()),
        }
    })
    .await;
    processes::send(child.id(), Signal::INT);
    let status = until("it has ended", async || child.try_wait().unwrap().ok_or("it runs")).await;
    assert_eq!(status.code(), Some(0));
    until("nothing is left", async || {
        match processes::of("nats-server", &data)[..] {
            [] => Ok(()),
            ref left => Err(left.to_vec()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_node_that_is_put_out_is_cut_off_the_bus() {
    let world = World::start(1).await;
    let node = world.ready["nodes"][0].as_str().unwrap();
    let creds = std::fs::read_to_string(world.data().join("agents/web-1/nats.creds")).unwrap();
    let connect = || {
        let options = async_nats::ConnectOptions::with_credentials(&creds).unwrap();
        options.connect(world.nats())
    };
    let connected = connect().await.unwrap();
    let put_out = format!("{{\"InstanceId\": \"{node}\"}}");
    let said = world
        .muster(&["call", "Fleet.DeregisterManagedInstance", &put_out])
        .await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    until("its credentials are refused", async || match connect().await {
        Ok(_) => Err(world.stderr()),
        Err(_) => Ok(()),
    })
    .await;
    // The server refuses the credentials before it ends what they had opened.
    until("the connection it had is cut", async || {
        match connected.connection_state() {
            async_nats::connection::State::Connected => Err(world.stderr()),
            _ => Ok(()),
        }
    })
    .await;
}
