//! What needs no credentials: machines register before they have any.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use muster_harness::Anybody;
use muster_proto::fleet::v1::registrar_server::{Registrar, RegistrarServer};
use muster_proto::fleet::v1::{RegisterManagedInstanceRequest, RegisterManagedInstanceResult};
use muster_wire::{CallMetrics, Caller, CallerKind, Mount, Mounted, Reason, Refusal};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use crate::client::Call;
use crate::keys::FakeKeys;
use crate::world::World;

const NOW: Timestamp = Timestamp::constant(1_767_225_900, 0);
const CODE: &str = "TopSecretTopSecret00";

/// Lets in whoever has the right code; remembers who asked.
#[derive(Default)]
struct Desk(Mutex<Vec<Caller>>);

#[tonic::async_trait]
impl Registrar for Desk {
    async fn register_managed_instance(
        &self,
        request: Request<RegisterManagedInstanceRequest>,
    ) -> Result<Response<RegisterManagedInstanceResult>, Status> {
        self.0.lock().expect("no panic").push(Caller::of(&request)?.clone());
        match request.into_inner().activation_code() {
            CODE => Ok(Response::new(RegisterManagedInstanceResult {
                instance_id: Some("mi-0123456789abcdef0".to_owned()),
                servers: Some("tls://bus.example:4222".to_owned()),
                ..RegisterManagedInstanceResult::default()
            })),
            _ => Err(Refusal::new(Reason::InvalidActivation, "no").into()),
        }
    }
}

impl Desk {
    async fn open(world: &World) -> (Arc<Self>, Mounted) {
        let desk = Arc::new(Self::default());
        let metrics = CallMetrics::register(&mut Registry::default());
        let mount = Mount::new(world.nats.client().await, metrics, Arc::new(Anybody::default()));
        let mount = mount.add(RegistrarServer::from_arc(Arc::clone(&desk)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mounted = mount.start(listener, axum::Router::new()).await;
        (desk, mounted.expect("the bus takes the service"))
    }

    fn last(&self) -> Caller {
        let callers = self.0.lock().expect("no panic");
        callers.last().expect("a call").clone()
    }
}

fn register(code: &str) -> Call {
    let body = format!(r#"{{"ActivationId":"a","ActivationCode":"{code}"}}"#);
    Call::unsigned("RegisterManagedInstance", &body)
}

#[tokio::test]
async fn machines_register_without_a_signature_where_all_others_need_one() {
    let (_, cache, alice) = FakeKeys::with_alice();
    let world = World::signed_with(&cache, NOW, |settings| settings.forwarded_for = true).await;
    let (desk, mounted) = Desk::open(&world).await;
    let from_proxy = register(CODE).with("x-forwarded-for", "198.51.100.9, 192.0.2.7");
    let reply = world.send(&from_proxy).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let expected = serde_json::json!({"InstanceId": "mi-0123456789abcdef0", "Servers": "tls://bus.example:4222"});
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&reply.text).unwrap(),
        expected
    );
    let caller = desk.last();
    assert_eq!(
        (caller.kind, caller.source_ip),
        (CallerKind::Anonymous, "192.0.2.7".parse().ok())
    );
    assert_eq!(
        caller.request_id.unwrap().to_string(),
        reply.header("x-amzn-requestid").unwrap()
    );

    // A signature, good or bad, and what a caller says of itself change nothing.
    let signed = register(CODE)
        .with("x-forwarded-for", "192.0.2.7")
        .with("muster-caller", &Caller::service().to_header())
        .signed(world.address(), &alice, NOW);
    assert_eq!(world.send(&signed).await.status, 200);
    assert_eq!(
        (desk.last().kind, desk.last().access_key),
        (CallerKind::Anonymous, None)
    );

    let reply = world
        .send(&register("wrong").with("x-forwarded-for", "192.0.2.7"))
        .await;
    assert_eq!(
        (reply.status, reply.error()),
        (400, ("InvalidActivation".to_owned(), "no".to_owned()))
    );
    let reply = world.send(&Call::unsigned("ListCommands", "{}")).await;
    assert_eq!(reply.error().0, "MissingAuthenticationTokenException");
    mounted.stop(std::time::Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_address_that_asks_without_end_is_told_to_slow_down() {
    let (_, cache, _) = FakeKeys::with_alice();
    let change = |settings: &mut muster_gateway::Settings| {
        settings.forwarded_for = true;
        settings.anonymous_request_burst = 3.try_into().unwrap();
        settings.anonymous_requests_per_second = 1.try_into().unwrap();
    };
    let world = World::signed_with(&cache, NOW, change).await;
    let (desk, mounted) = Desk::open(&world).await;
    let ask = async |from: &str| world.send(&register(CODE).with("x-forwarded-for", from)).await;
    for _ in 0..3 {
        assert_eq!(ask("2001:db8::1").await.status, 200);
    }
    // Whoever has one address of the network has all.
    let reply = ask("2001:db8::2").await;
    assert_eq!(
        reply.error(),
        ("ThrottlingException".to_owned(), "Rate exceeded".to_owned())
    );
    assert_eq!(desk.0.lock().unwrap().len(), 3, "it did not get through");
    assert_eq!(ask("192.0.2.7").await.status, 200);
    world.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(ask("2001:db8::1").await.status, 200);
    mounted.stop(std::time::Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_body_without_credentials_is_short() {
    let world = World::start().await;
    let (_desk, mounted) = Desk::open(&world).await;
    let long = "x".repeat(64 * 1024);
    let reply = world.send(&register(&long)).await;
    assert_eq!(
        (reply.status, reply.error().0.as_str()),
        (413, "RequestEntityTooLargeException")
    );
    mounted.stop(std::time::Duration::from_secs(5)).await;
}
