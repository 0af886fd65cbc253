//! Services learn who calls.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use muster_harness::{Anybody, NatsServer};
use muster_proto::runcommand::v1::ListCommandsRequest;
use muster_proto::runcommand::v1::run_command_client::RunCommandClient;
use muster_proto::runcommand::v1::run_command_server::RunCommandServer;
use muster_wire::{CallMetrics, Caller, CallerKind, Mount, NatsChannel, NatsStatus};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tonic::transport::Endpoint;

use crate::client::Call;
use crate::fake::Fake;
use crate::keys::{ALICE, FakeKeys};
use crate::world::World;

const NOW: Timestamp = Timestamp::constant(1_767_225_900, 0);

#[tokio::test]
async fn the_gateway_says_whose_signature_it_verified() {
    let (_, cache, alice) = FakeKeys::with_alice();
    let world = World::signed_with(&cache, NOW, |settings| settings.behind_tls_proxy = true).await;
    let list = Call::of("ListCommands", "{}");
    let send = Call::of("SendCommand", r#"{"DocumentName":"AWS-RunShellScript"}"#).with("amz-sdk-invocation-id", "a");
    for call in [list, send] {
        // Whatever a caller says of itself.
        let call = call.with("muster-caller", &Caller::service().to_header());
        let reply = world.send(&call.signed(world.address(), &alice, NOW)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let caller = world.fake.last_caller();
        assert_eq!((caller.principal.as_str(), caller.kind), (ALICE, CallerKind::User));
        assert_eq!(caller.access_key, Some(alice.id.clone()));
        assert_eq!(caller.source_ip, "127.0.0.1".parse().ok());
        assert!(caller.secure_transport);
        let id = caller.request_id.expect("an id").to_string();
        assert_eq!(reply.header("x-amzn-requestid"), Some(id.as_str()));
    }
}

#[tokio::test]
async fn in_development_everybody_is_nobody_in_particular() {
    let world = World::start().await;
    assert_eq!(world.call("ListCommands", "{}").await.status, 200);
    let caller = world.fake.last_caller();
    assert_eq!(caller.kind, CallerKind::Development);
    assert_eq!(caller.principal, Caller::development().principal);
    assert_eq!(caller.access_key.as_deref(), Some("AKIDEXAMPLE"));
    assert!(!caller.secure_transport);
}

#[tokio::test]
async fn a_call_on_the_bus_without_a_caller_is_a_service_s_own() {
    let world = World::start().await;
    let mut services = RunCommandClient::new(NatsChannel::new(world.nats.client().await));
    services
        .list_commands(ListCommandsRequest::default())
        .await
        .expect("an answer");
    assert_eq!(world.fake.last_caller(), Caller::service());
}

#[tokio::test]
async fn a_caller_that_cannot_be_read_is_a_fault_and_calls_nothing() {
    let world = World::start().await;
    let nats = world.nats.client().await;
    let good = Caller::development().to_header();
    for (name, value) in [
        ("muster-caller", "alice"),
        ("muster-caller", ""),
        ("Muster-Caller", "{}"),
        ("muster-caller", &good.replace("Development", "Root")),
        ("muster-caller", &good.replace('}', ",\"more\":1}")),
    ] {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(name, value);
        let answer = nats
            .request_with_headers("muster.v1.api.RunCommand.ListCommands", headers, Bytes::new())
            .await
            .expect("an answer");
        let headers = answer.headers.expect("headers");
        assert_eq!(
            headers.get(NatsStatus::REASON).map(async_nats::HeaderValue::as_str),
            Some("InternalServerError"),
            "{name}: {value}"
        );
    }
    let mut twice = async_nats::HeaderMap::new();
    twice.append(Caller::HEADER, good.as_str());
    twice.append(Caller::HEADER, good.as_str());
    let answer = nats
        .request_with_headers("muster.v1.api.RunCommand.ListCommands", twice, Bytes::new())
        .await
        .expect("an answer");
    assert!(NatsStatus::of(&answer.headers.expect("headers")).is_some());
    assert!(world.fake.callers.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn by_grpc_nobody_can_say_who_they_are() {
    let world = World::start().await;
    let address = world.service.as_ref().expect("a service").address();
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .expect("a URL")
        .connect_lazy();
    let mut client = RunCommandClient::new(channel);
    client
        .list_commands(ListCommandsRequest::default())
        .await
        .expect("an answer");
    let caller = world.fake.last_caller();
    assert_eq!(
        (caller.kind, caller.source_ip),
        (CallerKind::Development, "127.0.0.1".parse().ok())
    );

    let mut forged = tonic::Request::new(ListCommandsRequest::default());
    let value = Caller::service().to_header().parse().expect("ASCII");
    forged.metadata_mut().insert(Caller::HEADER, value);
    let status = client.list_commands(forged).await.expect_err("forged");
    assert_eq!(status.code(), tonic::Code::Internal);
    assert_eq!(world.fake.callers.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn a_person_on_the_bus_is_whom_the_broker_names() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let fake = Fake::new();
    let service = server.client_as(&trust.service("muster-run-command")).await;
    let metrics = CallMetrics::register(&mut Registry::default());
    let mount = Mount::new(
        service.expect("the bus takes a service"),
        metrics,
        Arc::new(Anybody::default()),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mount = mount.add(RunCommandServer::from_arc(Arc::clone(&fake)));
    let _mounted = mount.start(listener, axum::Router::new()).await.expect("a service");
    let person = server.client_as(&trust.person("mia")).await.expect("a person");
    // Who says nothing is no service, and who says to be one is not believed.
    for named in [None, Some(Caller::service())] {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Request-Info", r#"{"acc":"A","user":"U","name_tag":"root"}"#);
        if let Some(caller) = named {
            headers.insert(Caller::HEADER, caller.to_header());
        }
        let answer = person
            .request_with_headers("muster.v1.api.RunCommand.ListCommands", headers, Bytes::new())
            .await
            .expect("an answer");
        assert!(NatsStatus::of(&answer.headers.unwrap_or_default()).is_none());
        let caller = fake.last_caller();
        assert_eq!(caller.principal.as_str(), "arn:aws:iam::000000000000:user/mia");
        assert_eq!(caller.kind, CallerKind::User);
    }
}
