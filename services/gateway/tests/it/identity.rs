//! "Who am I?", as SDKs and Terraform ask STS.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use muster_harness::Anybody;
use muster_proto::access::v1::decisions_server::{Decisions, DecisionsServer};
use muster_proto::access::v1::{NoteUseRequest, NoteUseResult};
use muster_wire::{CallMetrics, Mount};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use crate::client::{Call, Reply};
use crate::keys::{ALICE, FakeKeys};
use crate::signer::AccessKey;
use crate::world::World;

const NOW: Timestamp = Timestamp::constant(1_767_225_900, 0);
const QUESTION: &str = "Action=GetCallerIdentity&Version=2011-06-15";

fn ask(body: &str) -> Call {
    Call::bare("POST", "/")
        .with("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(body)
}

fn code(reply: &Reply) -> &str {
    let after = reply.text.split("<Code>").nth(1).expect("a code");
    after.split("</Code>").next().expect("its end")
}

fn for_sts(key: &AccessKey) -> AccessKey {
    AccessKey {
        service: "sts".to_owned(),
        ..key.clone()
    }
}

#[tokio::test]
async fn a_caller_is_told_whose_key_has_signed() {
    let (_, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    let call = ask(QUESTION).signed(world.address(), &for_sts(&alice), NOW);
    let reply = world.send(&call).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("content-type"), Some("text/xml"));
    assert!(reply.text.contains(&format!("<Arn>{ALICE}</Arn>")), "{}", reply.text);
    assert!(world.fake.callers.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn whoever_is_not_believed_is_told_nothing() {
    let (_, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    let stranger = AccessKey {
        id: "MKIASTRANGERSTRANGER".to_owned(),
        ..for_sts(&alice)
    };
    let forger = AccessKey {
        secret: "guessed".to_owned(),
        ..for_sts(&alice)
    };
    for (call, expected) in [
        (ask(QUESTION), "MissingAuthenticationToken"),
        (
            ask(QUESTION).signed(world.address(), &stranger, NOW),
            "InvalidClientTokenId",
        ),
        (
            ask(QUESTION).signed(world.address(), &forger, NOW),
            "SignatureDoesNotMatch",
        ),
        // A signature for the other service is worth nothing here, nor the other way around.
        (
            ask(QUESTION).signed(world.address(), &alice, NOW),
            "SignatureDoesNotMatch",
        ),
        (
            ask(QUESTION)
                .signed(world.address(), &for_sts(&alice), NOW)
                .body(QUESTION.replace("Get", "Put")),
            "SignatureDoesNotMatch",
        ),
    ] {
        let reply = world.send(&call).await;
        assert_eq!((reply.status, code(&reply)), (403, expected), "{}", reply.text);
        assert!(!reply.text.contains("alice"), "{}", reply.text);
    }
    let list = Call::of("ListCommands", "{}").signed(world.address(), &for_sts(&alice), NOW);
    assert_eq!(world.send(&list).await.error().0, "InvalidSignatureException");
}

#[tokio::test]
async fn of_sts_there_is_nothing_else() {
    let (_, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    let call =
        ask("Action=GetFederationToken&Version=2011-06-15&Name=x").signed(world.address(), &for_sts(&alice), NOW);
    let reply = world.send(&call).await;
    assert_eq!((reply.status, code(&reply)), (400, "InvalidAction"), "{}", reply.text);
}

/// Hears which access keys were used.
struct Uses(mpsc::UnboundedSender<Option<String>>);

#[tonic::async_trait]
impl Decisions for Uses {
    async fn note_use(&self, request: Request<NoteUseRequest>) -> Result<Response<NoteUseResult>, Status> {
        self.0.send(request.into_inner().access_key_id).expect("the test hears");
        Ok(Response::new(NoteUseResult {}))
    }
}

#[tokio::test]
async fn who_asks_who_it_is_has_used_its_key_and_who_does_not_prove_it_has_not() {
    let (_, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    let (heard, mut uses) = mpsc::unbounded_channel();
    let metrics = CallMetrics::register(&mut Registry::default());
    let mount = Mount::new(world.nats.client().await, metrics, Arc::new(Anybody::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mounted = mount
        .add_on_bus(DecisionsServer::new(Uses(heard)))
        .start(listener, axum::Router::new())
        .await
        .expect("the bus takes the service");
    let forger = AccessKey {
        secret: "guessed".to_owned(),
        ..for_sts(&alice)
    };
    for (key, status) in [(&forger, 403), (&for_sts(&alice), 200)] {
        let call = ask(QUESTION).signed(world.address(), key, NOW);
        assert_eq!(world.send(&call).await.status, status);
    }
    assert_eq!(uses.recv().await, Some(Some(alice.id.clone())));
    mounted.stop(Duration::from_secs(5)).await;
    assert!(uses.try_recv().is_err(), "one was no use");
}
