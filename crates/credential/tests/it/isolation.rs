//! The isolation matrix (fleet 8 and 12): what a node, a ticket and a person cannot reach.

use muster_credential::{
    Creds, Key, KeyKind,
    claims::{Claims, UserClaims},
};
use muster_harness::NatsServer;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::probe::{Probe, next};

const OWN: &str = "mi-0123456789abcdef0";
const OTHER: &str = "mi-0123456789abcdef1";
const TAG: &str = "0123456789abcdef0123456789abcdef";
const LACKED: &str = "fedcba9876543210fedcba9876543210";

#[tokio::test]
async fn a_node_reaches_its_own_subjects_and_no_others() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let node = Probe::of(&server, &trust.node(OWN, &[TAG.to_owned()])).await;

    for own in [
        format!("muster.v1.dn.{OWN}.>"),
        format!("muster.v1.dn.{OWN}.work"),
        format!("muster.v1.tag.{TAG}"),
        format!("_INBOX.node.{OWN}.>"),
        format!("_INBOX.node.{OWN}.abc.*"),
    ] {
        assert!(node.may_subscribe(&own).await, "{own}");
    }
    for own in [
        format!("muster.v1.up.{OWN}.hb"),
        format!("muster.v1.up.{OWN}.output.listener"),
        format!("muster.v1.rpc.{OWN}.hello"),
        format!("muster.v1.rpc.{OWN}.work.pull"),
        format!("$JS.API.CONSUMER.MSG.NEXT.MUSTER_DN.{OWN}"),
        format!("$JS.ACK.MUSTER_DN.{OWN}.1.2.3.4.5"),
    ] {
        assert!(node.may_publish(&own).await, "{own}");
    }

    for foreign in [
        format!("muster.v1.dn.{OTHER}.>"),
        format!("muster.v1.dn.{OTHER}.work"),
        "muster.v1.dn.*.>".to_owned(),
        "muster.v1.dn.>".to_owned(),
        "muster.v1.>".to_owned(),
        ">".to_owned(),
        "*".to_owned(),
        "_INBOX.>".to_owned(),
        "_INBOX.svc.muster-fleet.>".to_owned(),
        format!("_INBOX.node.{OTHER}.>"),
        "*.>".to_owned(),
        "muster.v1.tag.*".to_owned(),
        "muster.v1.tag.>".to_owned(),
        format!("muster.v1.tag.{LACKED}"),
        "muster.v1.up.>".to_owned(),
        format!("muster.v1.up.{OWN}.>"),
        format!("muster.v1.rpc.{OWN}.>"),
        "muster.v1.rpc.>".to_owned(),
        "muster.v1.api.>".to_owned(),
        "muster.v1.ops.>".to_owned(),
        "muster.v1.event.>".to_owned(),
        "muster.v1.output.>".to_owned(),
        "muster.v1.fanout.>".to_owned(),
        "$JS.API.>".to_owned(),
        "$JS.>".to_owned(),
        "$SYS.>".to_owned(),
        "$SRV.>".to_owned(),
        "$KV.>".to_owned(),
        "$O.>".to_owned(),
        "_R_.>".to_owned(),
    ] {
        assert!(!node.may_subscribe(&foreign).await, "{foreign}");
    }
    for foreign in [
        format!("muster.v1.up.{OTHER}.hb"),
        format!("muster.v1.rpc.{OTHER}.hello"),
        format!("muster.v1.rpc.{OTHER}.auth.renew"),
        format!("muster.v1.rpc.{OTHER}.auth.rotate"),
        format!("muster.v1.up.{OTHER}.ack"),
        format!("muster.v1.rpc.{OTHER}.reply"),
        format!("muster.v1.dn.{OWN}.work"),
        format!("muster.v1.dn.{OTHER}.work"),
        format!("muster.v1.tag.{TAG}"),
        "muster.v1.api.RunCommand.SendCommand".to_owned(),
        "muster.v1.api.Nodes.RegisterNode".to_owned(),
        "muster.v1.ops.api.RunCommand.SendCommand".to_owned(),
        "muster.v1.register".to_owned(),
        "register".to_owned(),
        "muster.v1.event.fleet.node.registered".to_owned(),
        "muster.v1.output.mia.listener".to_owned(),
        "muster.v1.output-seen.mia.listener".to_owned(),
        "muster.v1.fanout.one.cancel".to_owned(),
        format!("_INBOX.node.{OTHER}.a.b"),
        "_INBOX.svc.muster-fleet.a.b".to_owned(),
        "$JS.API.STREAM.LIST".to_owned(),
        "$JS.API.STREAM.MSG.GET.MUSTER_DN".to_owned(),
        "$JS.API.DIRECT.GET.MUSTER_DN".to_owned(),
        format!("$JS.API.CONSUMER.INFO.MUSTER_DN.{OWN}"),
        format!("$JS.API.CONSUMER.CREATE.MUSTER_DN.{OWN}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.MUSTER_DN.{OTHER}"),
        "$JS.API.CONSUMER.MSG.NEXT.OTHER.x".to_owned(),
        format!("$JS.ACK.MUSTER_DN.{OTHER}.1.2.3.4.5"),
        "$SYS.REQ.SERVER.PING".to_owned(),
        "$SYS.REQ.CLAIMS.UPDATE".to_owned(),
        "$SYS.REQ.ACCOUNT.PING.CONNZ".to_owned(),
        "$SRV.PING".to_owned(),
        "_R_.abc".to_owned(),
        "notify.commands".to_owned(),
    ] {
        assert!(!node.may_publish(&foreign).await, "{foreign}");
    }
}

#[tokio::test]
async fn a_node_gets_nothing_that_is_meant_for_another() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let coordinator = Probe::of(&server, &trust.service("muster-fan-out")).await;
    let (one, other) = (
        Probe::of(&server, &trust.node(OWN, &[])).await,
        Probe::of(&server, &trust.node(OTHER, &[])).await,
    );
    // Refused, and so never delivered to.
    let _eavesdropping = one
        .client
        .subscribe(format!("muster.v1.dn.{OTHER}.work"))
        .await
        .unwrap();
    let _eavesdropping = one.client.subscribe("muster.v1.dn.*.work").await.unwrap();
    assert_eq!(one.settle().await.len(), 2);
    let mut own = one.client.subscribe(format!("muster.v1.dn.{OWN}.>")).await.unwrap();
    let mut meant = other.client.subscribe(format!("muster.v1.dn.{OTHER}.>")).await.unwrap();
    assert!(one.may_publish(&format!("muster.v1.up.{OWN}.hb")).await);
    assert!(other.may_publish(&format!("muster.v1.up.{OTHER}.hb")).await);
    for (node, text) in [(OTHER, "for the other"), (OWN, "for the one")] {
        let subject = format!("muster.v1.dn.{node}.work");
        coordinator.client.publish(subject, text.into()).await.unwrap();
    }
    assert_eq!(next(&mut meant).await.payload, "for the other");
    assert_eq!(next(&mut own).await.payload, "for the one");
    let statistics = one.client.statistics();
    assert_eq!(statistics.in_messages.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_tag_that_is_a_wildcard_would_widen_and_is_why_none_is_ever_signed() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    // By hand, since `NodeClaims` refuses it: the server puts it in as it is.
    let key = Key::generate(KeyKind::User);
    let claims = Claims {
        name: OWN.to_owned(),
        subject: key.public().clone(),
        issued_at: trust.person("x").claims().issued_at,
        expires_at: None,
        body: UserClaims::scoped(trust.accounts().muster.clone(), vec!["t:>".to_owned()]),
    };
    let wide = Creds::new(claims.sign(trust.nodes_key()).unwrap(), key).unwrap();
    let probe = Probe::of(&server, &wide).await;
    assert!(probe.may_subscribe(&format!("muster.v1.tag.{LACKED}")).await);
    assert!(
        !probe.may_subscribe("muster.v1.dn.*.>").await,
        "it reaches doorbells only"
    );
    assert!(std::panic::catch_unwind(|| trust.node(OWN, &[">".to_owned()])).is_err());
}

#[tokio::test]
async fn a_name_that_is_a_wildcard_would_be_every_node_and_is_why_none_is_ever_signed() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    // By hand, since `NodeClaims` refuses it: whoever has the scoped key can, until the bus is told of it (decision 16).
    let key = Key::generate(KeyKind::User);
    let claims = Claims {
        name: "*".to_owned(),
        subject: key.public().clone(),
        issued_at: trust.person("x").claims().issued_at,
        expires_at: None,
        body: UserClaims::scoped(trust.accounts().muster.clone(), Vec::new()),
    };
    let wide = Creds::new(claims.sign(trust.nodes_key()).unwrap(), key).unwrap();
    let probe = Probe::of(&server, &wide).await;
    assert!(probe.may_subscribe(&format!("muster.v1.dn.{OTHER}.work")).await);
    assert!(probe.may_publish(&format!("muster.v1.up.{OTHER}.hb")).await);
    // It is nodes, and neither a service nor a person.
    for foreign in [
        "muster.v1.api.>",
        "muster.v1.event.>",
        "_INBOX.svc.>",
        "_INBOX.>",
        "$SYS.>",
    ] {
        assert!(!probe.may_subscribe(foreign).await, "{foreign}");
    }
    for foreign in [
        "muster.v1.api.Nodes.ApproveNode",
        "muster.v1.dn.mi-0123456789abcdef1.work",
        "$SYS.REQ.CLAIMS.UPDATE",
    ] {
        assert!(!probe.may_publish(foreign).await, "{foreign}");
    }
    assert!(std::panic::catch_unwind(|| trust.node("*", &[])).is_err());
}

#[tokio::test]
async fn a_node_without_tags_hears_no_doorbell() {
    let server = NatsServer::start_secured().await;
    let node = Probe::of(&server, &server.trust().node(OWN, &[])).await;
    for foreign in ["muster.v1.tag.*", "muster.v1.tag.", &format!("muster.v1.tag.{TAG}")[..]] {
        if foreign.ends_with('.') {
            continue;
        }
        assert!(!node.may_subscribe(foreign).await, "{foreign}");
    }
    assert!(node.may_subscribe(&format!("muster.v1.dn.{OWN}.>")).await);
}

#[tokio::test]
async fn a_node_with_fifty_tags_connects_and_hears_each() {
    let server = NatsServer::start_secured().await;
    let tags: Vec<String> = (0..50).map(|number| format!("{number:032x}")).collect();
    let node = Probe::of(&server, &server.trust().node(OWN, &tags)).await;
    for tag in &tags {
        assert!(node.may_subscribe(&format!("muster.v1.tag.{tag}")).await, "{tag}");
    }
    assert!(!node.may_subscribe(&format!("muster.v1.tag.{LACKED}")).await);
}

#[tokio::test]
async fn the_ticket_sees_nothing_and_may_ask_one_thing() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let boot = Probe::of(&server, &trust.ticket()).await;
    assert!(boot.may_publish("register").await);
    assert!(boot.may_subscribe("_INBOX.boot.x.*").await);
    for foreign in [
        ">",
        "*",
        "register",
        "muster.>",
        "muster.v1.>",
        "muster.v1.register",
        "_INBOX.>",
        "_INBOX.ops.mia.>",
        "$SYS.>",
        "$JS.API.>",
        "_R_.>",
    ] {
        assert!(!boot.may_subscribe(foreign).await, "{foreign}");
    }
    for foreign in [
        "muster.v1.register",
        "muster.v1.api.Nodes.RegisterNode",
        "muster.v1.up.mi-0123456789abcdef0.hb",
        "muster.v1.rpc.mi-0123456789abcdef0.hello",
        "muster.v1.dn.mi-0123456789abcdef0.work",
        "$JS.API.INFO",
        "$SYS.REQ.SERVER.PING",
        "_INBOX.boot.x.y",
    ] {
        assert!(!boot.may_publish(foreign).await, "{foreign}");
    }
}

#[tokio::test]
async fn a_person_cannot_reach_nodes_or_speak_as_one() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let person = Probe::of(&server, &trust.person("mia")).await;
    assert!(person.may_publish("muster.v1.api.RunCommand.SendCommand").await);
    assert!(person.may_subscribe("muster.v1.event.>").await);
    for foreign in [
        "muster.v1.dn.mi-0123456789abcdef0.work",
        "muster.v1.dn.mi-0123456789abcdef0.cancel",
        "muster.v1.rpc.mi-0123456789abcdef0.hello",
        "muster.v1.up.mi-0123456789abcdef0.ack",
        "muster.v1.tag.0123456789abcdef0123456789abcdef",
        "muster.v1.event.fleet.node.registered",
        "muster.v1.output.mia.mine",
        "muster.v1.output-seen.leo.his",
        "muster.v1.ops.api.RunCommand.SendCommand",
        "muster.v1.fanout.one.cancel",
        "muster.v1.register",
        "_INBOX.ops.leo.a.b",
        "_INBOX.svc.muster-gateway.a.b",
        "$JS.API.STREAM.LIST",
        "$SYS.REQ.CLAIMS.UPDATE",
    ] {
        assert!(!person.may_publish(foreign).await, "{foreign}");
    }
    for foreign in [
        ">",
        "muster.v1.dn.>",
        "muster.v1.rpc.>",
        "muster.v1.up.>",
        "muster.v1.api.>",
        "muster.v1.ops.api.>",
        "muster.v1.output.>",
        "muster.v1.output.*.*",
        "muster.v1.output.leo.*",
        "_INBOX.>",
        "_INBOX.ops.leo.>",
        "$SYS.>",
    ] {
        assert!(!person.may_subscribe(foreign).await, "{foreign}");
    }
}

#[tokio::test]
async fn accounts_do_not_hear_each_other_even_on_subjects_of_the_same_name() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    // A service in MUSTER that would answer a node's subjects, and a person that listens to events only.
    let fleet = Probe::of(&server, &trust.service("muster-fleet")).await;
    let mut hellos = fleet.client.subscribe("muster.v1.rpc.*.hello").await.unwrap();
    assert!(fleet.may_publish("muster.v1.dn.mi-0123456789abcdef0.config").await);
    let person = Probe::of(&server, &trust.person("mia")).await;
    let subject = format!("muster.v1.rpc.{OWN}.hello");
    person.client.publish(subject.clone(), "forged".into()).await.unwrap();
    person.hears("permissions violation").await;
    let node = Probe::of(&server, &trust.node(OWN, &[])).await;
    node.client.publish(subject, "real".into()).await.unwrap();
    assert_eq!(next(&mut hellos).await.payload, "real");
}

/// The server counts, whatever the client's library does.
#[tokio::test]
async fn what_a_machine_without_credentials_says_is_short() {
    let server = NatsServer::start_secured().await;
    let ticket = server.trust().ticket();
    for (length, answer) in [(16 * 1024, "PONG"), (16 * 1024 + 1, "-ERR 'Maximum Payload Violation'")] {
        let stream = TcpStream::connect(server.url().trim_start_matches("nats://"))
            .await
            .unwrap();
        let mut stream = BufReader::new(stream);
        let hello = serde_json::json!({"verbose": false, "jwt": ticket.token(), "lang": "test", "version": "1"});
        let said = format!(
            "CONNECT {hello}\r\nPUB register {length}\r\n{}\r\nPING\r\n",
            "x".repeat(length)
        );
        // Whoever was refused is cut off, perhaps before all of it was sent.
        let _ = stream.write_all(said.as_bytes()).await;
        let mut lines = stream.lines();
        loop {
            let line = lines.next_line().await.unwrap().expect("an answer comes first");
            if !line.starts_with("INFO") {
                assert_eq!(line, answer, "{length}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_node_subscribes_to_so_much_and_no_more() {
    let server = NatsServer::start_secured().await;
    let node = Probe::of(&server, &server.trust().node(OWN, &[])).await;
    let mut kept = Vec::new();
    for number in 0..128 {
        kept.push(
            node.client
                .subscribe(format!("muster.v1.dn.{OWN}.{number}"))
                .await
                .unwrap(),
        );
    }
    assert_eq!(node.settle().await, Vec::<String>::new());
    kept.push(node.client.subscribe(format!("muster.v1.dn.{OWN}.more")).await.unwrap());
    node.hears("maximum subscriptions exceeded").await;
}
