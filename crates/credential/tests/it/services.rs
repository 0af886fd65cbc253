//! What services may do: what is in their list, and nothing else.

use muster_credential::layout::SERVICES;
use muster_harness::NatsServer;

use crate::probe::{Probe, next};

/// A subject that the pattern covers.
fn example(pattern: &str) -> String {
    let tokens = pattern.split('.').map(|token| match token {
        "*" => "some",
        ">" => "some.thing",
        other => other,
    });
    tokens.collect::<Vec<_>>().join(".")
}

#[tokio::test]
async fn every_service_may_do_what_its_list_says() {
    let server = NatsServer::start_secured().await;
    for service in SERVICES {
        let probe = Probe::of(&server, &server.trust().service(service.name)).await;
        for subject in service.publish() {
            assert!(
                probe.may_publish(&example(&subject)).await,
                "{}: {subject}",
                service.name
            );
        }
        for subject in service.subscribe() {
            assert!(probe.may_subscribe(&subject).await, "{}: {subject}", service.name);
        }
    }
}

#[tokio::test]
async fn no_service_may_do_what_only_another_s_list_says() {
    let server = NatsServer::start_secured().await;
    let covers = |list: &[String], subject: &str| {
        list.iter().any(|pattern| {
            let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
            loop {
                match (pattern.next(), subject.next()) {
                    (Some(">"), Some(_)) | (None, None) => return true,
                    (Some("*"), Some(_)) => {}
                    (Some(wanted), Some(found)) if wanted == found => {}
                    _ => return false,
                }
            }
        })
    };
    let nobody = [
        "muster.v1.ops.api.RunCommand.SendCommand",
        "muster.v1.up.mi-0123456789abcdef0.hb",
        "muster.v1.rpc.mi-0123456789abcdef0.reply",
        "_INBOX.node.mi-0123456789abcdef0.a.b",
        "_INBOX.svc.muster-access.a.b",
        "_INBOX.svc.muster-fan-out.a.b",
        "_INBOX.ops.mia.a.b",
        "_INBOX.boot.a.b",
        "_INBOX.a.b",
        "_R_.abc",
        "$SYS.REQ.CLAIMS.UPDATE",
        "$JS.API.STREAM.LIST",
    ];
    for service in SERVICES {
        let probe = Probe::of(&server, &server.trust().service(service.name)).await;
        let own = service.publish();
        let others = SERVICES
            .iter()
            .flat_map(|other| other.publish())
            .map(|pattern| example(&pattern));
        let foreign = others
            .chain(nobody.map(str::to_owned))
            .filter(|subject| !covers(&own, subject));
        for subject in foreign {
            assert!(!probe.may_publish(&subject).await, "{}: {subject}", service.name);
        }
        let own = service.subscribe();
        for other in SERVICES.iter().filter(|other| other.name != service.name) {
            for subject in other.subscribe().iter().filter(|subject| !covers(&own, subject)) {
                assert!(!probe.may_subscribe(subject).await, "{}: {subject}", service.name);
            }
        }
        for subject in [
            ">",
            "muster.v1.>",
            "_INBOX.>",
            "_INBOX.node.mi-0123456789abcdef0.>",
            "_R_.>",
            "$SYS.>",
        ] {
            assert!(!probe.may_subscribe(subject).await, "{}: {subject}", service.name);
        }
    }
}

#[tokio::test]
async fn a_service_answers_a_node_that_its_process_hears_twice() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let node = Probe::of(&server, &trust.node("mi-0123456789abcdef0", &[])).await;
    let service = Probe::of(&server, &trust.service("muster-fan-out")).await;
    // The coordinator hears a pull twice: once as every replica, once as the one that answers.
    let mut all = service.client.subscribe("muster.v1.rpc.*.work.pull").await.unwrap();
    let mut one = service
        .client
        .queue_subscribe("muster.v1.rpc.*.work.pull", "fan-out".to_owned())
        .await
        .unwrap();
    assert!(service.may_publish("muster.v1.fanout.x").await);
    let asking = node
        .client
        .request("muster.v1.rpc.mi-0123456789abcdef0.work.pull", "question".into());
    let answering = async {
        next(&mut all).await;
        let question = next(&mut one).await;
        service
            .client
            .publish(question.reply.unwrap(), "answer".into())
            .await
            .unwrap();
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer.unwrap().payload, "answer");
}

/// A question may name any subject for its answer. Whoever was asked has no leave to say there what it may not say.
#[tokio::test]
async fn being_asked_lends_no_leave_to_publish() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let node = Probe::of(&server, &trust.node("mi-0123456789abcdef0", &[])).await;
    let fleet = Probe::of(&server, &trust.service("muster-fleet")).await;
    let mut hellos = fleet.client.subscribe("muster.v1.rpc.*.hello").await.unwrap();
    fleet.settle().await;
    for named in [
        "muster.v1.dn.mi-0123456789abcdef1.work",
        "muster.v1.up.mi-0123456789abcdef1.hb",
        "muster.v1.api.FanOut.StartRollout",
        "_INBOX.svc.muster-fan-out.a.b",
        "_INBOX.ops.mia.a.b",
    ] {
        let hello = "muster.v1.rpc.mi-0123456789abcdef0.hello";
        node.client
            .publish_with_reply(hello, named, "question".into())
            .await
            .unwrap();
        let question = next(&mut hellos).await;
        assert_eq!(question.reply.as_deref(), Some(named));
        assert!(!fleet.may_publish(named).await, "{named}");
    }
}

#[tokio::test]
async fn nobody_listening_is_told_across_the_permissions() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let coordinator = Probe::of(&server, &trust.service("muster-fan-out")).await;
    let away = coordinator
        .client
        .request("muster.v1.dn.mi-0123456789abcdef0.work", "work".into())
        .await
        .unwrap_err();
    assert_eq!(away.kind(), async_nats::client::RequestErrorKind::NoResponders);
    let person = Probe::of(&server, &trust.person("mia")).await;
    let away = person
        .client
        .request("muster.v1.api.Fleet.DescribeInstanceInformation", "".into())
        .await
        .unwrap_err();
    assert_eq!(away.kind(), async_nats::client::RequestErrorKind::NoResponders);
}
