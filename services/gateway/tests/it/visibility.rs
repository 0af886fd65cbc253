//! What operators see, and what nobody may see.

use std::io::Write;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};

use crate::client::Call;
use crate::keys::FakeKeys;
use crate::signer::AccessKey;
use crate::world::World;

const NOW: Timestamp = Timestamp::constant(1_767_225_900, 0);

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is written down meanwhile, by this thread.
fn listen() -> (Lines, tracing::subscriber::DefaultGuard) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        // One level lower, the NATS client writes out every message: muster-boot does not let it.
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    // A test's runtime has one thread, so this sees the gateway and the service.
    let guard = tracing::subscriber::set_default(subscriber);
    (lines, guard)
}

#[tokio::test]
async fn the_log_names_the_request_and_none_of_its_values() {
    let (lines, guard) = listen();
    let world = World::start().await;
    let body = r#"{"DocumentName":"AWS-RunShellScript","Parameters":{"commands":["echo hunter2"]}}"#;
    let id = world.call("SendCommand", body).await;
    let id = id.header("x-amzn-requestid").expect("an id").to_owned();
    world.call("SendCommand", &body.replace("]}", "],\"x\":5}")).await;
    world.call("SendCommand", &body.replace("AWS-", "?")).await;
    drop(guard);

    let log = lines.text();
    let line = log
        .lines()
        .find(|line| line.contains("\"answered\"") && line.contains(&id))
        .unwrap_or_else(|| panic!("{log}"));
    for part in [
        "AKIDEXAMPLE",
        "\"source_ip\":\"127.0.0.1\"",
        "SendCommand",
        "\"OK\"",
        "milliseconds",
        "bytes_in",
        "bytes_out",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(log.contains("DEVELOPMENT MODE"));
    assert!(!log.contains("hunter2"), "{log}");
    assert!(!log.contains("00ff"), "a signature is in the log");
}

#[tokio::test]
async fn requests_are_counted_by_operation_and_code() {
    let world = World::start().await;
    world.call("ListCommands", "{}").await;
    world.call("ListCommands", "{}").await;
    world.call("ListCommands", "nonsense").await;
    world.call("MadeUpByACaller", "{}").await;
    let metrics = world.send(&Call::bare("GET", "/metrics")).await.text;
    for line in [
        "muster_gateway_requests_total{operation=\"ListCommands\",code=\"OK\"} 2",
        "muster_gateway_requests_total{operation=\"ListCommands\",code=\"SerializationException\"} 1",
        "muster_gateway_requests_total{operation=\"\",code=\"UnknownOperationException\"} 1",
        "muster_gateway_request_duration_seconds_count{operation=\"ListCommands\"} 3",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("MadeUpByACaller"));
}

#[tokio::test]
async fn after_stop_nothing_is_answered() {
    let World { gateway, nats, .. } = World::start().await;
    let address = gateway.address();
    gateway.stop(std::time::Duration::from_secs(5)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    drop(nats);
}

#[tokio::test]
async fn the_caller_s_trace_goes_on_behind_the_gateway() {
    use opentelemetry::trace::TracerProvider as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    opentelemetry::global::set_text_map_propagator(opentelemetry_sdk::propagation::TraceContextPropagator::new());
    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("gateway"));
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans));

    let mut world = World::start().await;
    world.unmount().await;
    let nats = world.nats.client().await;
    let mut requests = nats
        .subscribe("muster.v1.api.RunCommand.*")
        .await
        .expect("a subscription");
    nats.flush().await.expect("the bus");

    let trace = "0af7651916cd43dd8448eb211c80319c";
    for operation in ["ListCommands", "SendCommand"] {
        let call = Call::of(operation, "{}")
            .with("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"))
            .with("amz-sdk-invocation-id", operation);
        let address = world.address();
        let answer = tokio::spawn(async move { call.send(address).await });
        let request = requests.next().await.expect("a request");
        let headers = request.headers.expect("headers");
        let parent = headers.get("traceparent").expect("a trace").as_str();
        assert!(parent.contains(trace), "{parent}");
        assert!(
            !parent.contains("b7ad6b7169203331"),
            "the gateway's own span is missing: {parent}"
        );
        let reply = request.reply.expect("an inbox");
        nats.publish(reply, bytes::Bytes::new()).await.expect("the bus");
        assert_eq!(answer.await.expect("an answer").status, 200);
    }
    drop(guard);
}

#[tokio::test]
async fn the_log_names_the_key_and_the_operation_of_what_is_refused() {
    let (lines, guard) = listen();
    let (_, cache, alice) = FakeKeys::with_alice();
    let world = World::signed_with(&cache, NOW, |settings| settings.forwarded_for = true).await;
    let (to, from) = (world.address(), ("x-forwarded-for", "192.0.2.7"));
    let stranger = AccessKey::new("MKIASTRANGERSTRANGER", "secret");
    let for_sts = AccessKey {
        service: "sts".to_owned(),
        ..stranger.clone()
    };
    let elsewhere = AccessKey {
        region: "mars-1".to_owned(),
        ..alice.clone()
    };
    let list = || Call::of("ListCommands", "{}").with(from.0, from.1);
    let form = |action: &str| {
        Call::bare("POST", "/")
            .with("Content-Type", "application/x-www-form-urlencoded")
            .with(from.0, from.1)
            .body(format!("Action={action}&Version=2011-06-15"))
            .signed(to, &for_sts, NOW)
    };
    let odd = list().signed(to, &stranger, NOW);
    let odd_key = odd
        .header("authorization")
        .replace(&stranger.id, "MKIA\u{e9}%0Ahunter2");
    let long_ago = NOW - SignedDuration::from_mins(6);
    let expected = [
        (list().signed(to, &stranger, NOW), stranger.id.as_str(), "ListCommands"),
        (list().signed(to, &alice, long_ago), &alice.id, "ListCommands"),
        (list().signed(to, &elsewhere, NOW), &alice.id, "ListCommands"),
        (form("GetCallerIdentity"), &stranger.id, "GetCallerIdentity"),
        (form("AssumeRole"), &stranger.id, "AssumeRole"),
        // What callers make up is nothing to write down, and no label.
        (form("MadeUpByACaller"), &stranger.id, ""),
        (odd.with("authorization", &odd_key), "", "ListCommands"),
        (Call::bare("GET", "/nowhere").with(from.0, from.1), "", ""),
    ];
    for (call, key, operation) in &expected {
        let before = lines.text().len();
        world.send(call).await;
        let log = lines.text()[before..].to_owned();
        let line = log.lines().find(|line| line.contains("\"answered\""));
        let line: serde_json::Value = serde_json::from_str(line.expect(&log)).expect("a line of JSON");
        let fields = &line["fields"];
        assert_ne!(fields["code"], "OK", "{line}");
        assert_eq!(
            (&fields["access_key"], &fields["operation"], &fields["principal"]),
            (&(*key).into(), &(*operation).into(), &"".into()),
            "{line}"
        );
        assert_eq!(fields["source_ip"], from.1, "{line}");
    }
    assert!(!lines.text().contains("hunter2") && !lines.text().contains(&alice.secret));
    drop(guard);
    let metrics = world.send(&Call::bare("GET", "/metrics")).await.text;
    for line in [
        "muster_gateway_requests_total{operation=\"AssumeRole\",code=\"InvalidClientTokenId\"} 1",
        "muster_gateway_requests_total{operation=\"\",code=\"InvalidClientTokenId\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("MadeUpByACaller"));
}
