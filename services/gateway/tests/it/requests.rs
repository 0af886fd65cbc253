//! What a request may look like (aws-json-gateway 1 and 2).

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::client::Call;
use crate::keys::FakeKeys;
use crate::signer::AccessKey;
use crate::world::World;

const NOW: Timestamp = Timestamp::constant(1_767_225_900, 0);

#[tokio::test]
async fn health_needs_no_credentials() {
    let world = World::start().await;
    for path in ["/", "/healthz", "/readyz"] {
        let reply = world.send(&Call::bare("GET", path)).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(!reply.text.is_empty() && reply.text.len() < 100, "{}", reply.text);
        let reply = world.send(&Call::bare("HEAD", path)).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, ""), "{path}");
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_not_found() {
    let world = World::start().await;
    for (method, path) in [
        ("PUT", "/"),
        ("DELETE", "/"),
        ("POST", "/x"),
        ("GET", "/x"),
        ("POST", "/healthz"),
    ] {
        let reply = world.send(&Call::bare(method, path)).await;
        assert_eq!(reply.status, 404, "{method} {path}");
        assert_eq!(reply.json(), json!({"__type": "UnknownOperationException"}));
        assert!(reply.header("x-amzn-requestid").is_some());
    }
}

#[tokio::test]
async fn an_unknown_operation_is_said_before_anything_else() {
    let world = World::start().await;
    let good = Call::of("ListCommands", "nonsense").without("Authorization");
    for call in [
        good.clone().without("X-Amz-Target"),
        good.clone().with("X-Amz-Target", "AmazonSSM.Nonsense"),
        good.clone().with("X-Amz-Target", "AmazonEC2.ListCommands"),
        good.clone().with("X-Amz-Target", "AmazonSSM.StartRollout"),
        good.clone().without("Content-Type"),
        good.with("Content-Type", "text/xml"),
    ] {
        let reply = world.send(&call).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.json(), json!({"__type": "UnknownOperationException"}));
    }
}

#[tokio::test]
async fn an_operation_that_nobody_serves_yet_is_named() {
    let world = World::start().await;
    // The first is described and planned, the second is not even described.
    for operation in ["CreateAssociation", "StartSession", "CreateOpsItem"] {
        let reply = world.call(operation, "{}").await;
        assert_eq!(reply.status, 400);
        let (word, text) = reply.error();
        assert_eq!(word, "UnsupportedOperationException");
        assert!(text.contains(operation), "{text}");
    }
}

#[tokio::test]
async fn the_answer_has_the_request_s_content_type() {
    let world = World::start().await;
    for content_type in [
        "application/x-amz-json-1.1",
        "application/x-amz-json-1.0",
        "application/json",
    ] {
        let call = Call::of("ListCommands", "{}").with("Content-Type", content_type);
        let reply = world.send(&call).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some(content_type));
    }
}

#[tokio::test]
async fn every_answer_has_an_id_a_date_and_a_length() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for body in ["{}", "nonsense"] {
        let reply = world.call("ListCommands", body).await;
        let id: uuid::Uuid = reply
            .header("x-amzn-requestid")
            .expect("an id")
            .parse()
            .expect("a UUID");
        assert_eq!(id.get_version_num(), 4);
        ids.push(id);
        assert!(reply.header("date").is_some_and(|date| date.ends_with(" GMT")));
        let length = reply.header("content-length").expect("a length");
        assert_eq!(length, reply.text.len().to_string());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_call_goes_to_the_service_and_back() {
    let world = World::start().await;
    let body = json!({
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["echo \u{fc}", "id"]},
        "Later": {"is": "ignored"},
        "Comment": null,
    });
    let reply = world.call("SendCommand", &body.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("x-amzn-errortype"), None);
    let command = &reply.json()["Command"];
    assert_eq!(command["DocumentName"], body["DocumentName"]);
    assert_eq!(command["Parameters"], body["Parameters"]);
    assert_eq!(command["Comment"], serde_json::Value::Null);
}

#[tokio::test]
async fn no_body_is_an_empty_object() {
    let world = World::start().await;
    let reply = world.call("ListCommands", "").await;
    assert_eq!((reply.status, reply.json()), (200, json!({"Commands": []})));
    let ids = r#"{"CommandId":"00000000-0000-0000-0000-000000000000"}"#;
    assert_eq!(world.call("CancelCommand", ids).await.text, "{}");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_and_the_caller_hears_it() {
    let world = World::start().await;
    // Far more than fits into the socket's buffers, and the caller sends all of it before it reads.
    let reply = world
        .call("SendCommand", &format!("{{\"Comment\":\"{}\"}}", "x".repeat(4 << 20)))
        .await;
    assert_eq!(reply.status, 413);
    assert_eq!(reply.error().0, "RequestEntityTooLargeException");
    assert_eq!(world.fake.ran(), 0);
}

#[tokio::test]
async fn a_long_body_arrives_whole() {
    let world = World::start().await;
    let script = "x".repeat(1_000_000);
    let body = json!({"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": [script]}});
    let reply = world.call("SendCommand", &body.to_string()).await;
    assert_eq!(reply.json()["Command"]["Parameters"]["commands"][0], script);
}

#[tokio::test]
async fn an_answer_that_the_bus_does_not_take_is_an_answer_all_the_same() {
    let world = World::start().await;
    let reply = world.call("ListCommands", r#"{"NextToken": "huge"}"#).await;
    assert_eq!(reply.status, 400);
    let (word, text) = reply.error();
    assert_eq!(word, "ValidationException");
    assert!(text.contains("ask for less"), "{text}");
}

#[tokio::test]
async fn whoever_is_refused_early_hears_it_although_they_are_still_sending() {
    let (_, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    let body = "x".repeat(4 << 20);
    let send = |operation: &str| Call::of(operation, body.clone());
    let stranger = AccessKey::new("MKIASTRANGERSTRANGER", "secret");
    let long_ago = NOW - SignedDuration::from_mins(6);
    for (call, word) in [
        (
            send("SendCommand").signed(world.address(), &stranger, NOW),
            "UnrecognizedClientException",
        ),
        (
            send("SendCommand").signed(world.address(), &alice, long_ago),
            "InvalidSignatureException",
        ),
        (send("Nothing"), "UnknownOperationException"),
        (
            send("SendCommand").with("Content-Type", "text/plain"),
            "UnknownOperationException",
        ),
        (
            Call::bare("POST", "/nowhere").body(body.clone()),
            "UnknownOperationException",
        ),
    ] {
        assert_eq!(world.send(&call).await.error().0, word);
    }
}

#[tokio::test]
async fn who_waits_for_leave_to_send_is_answered_without_it() {
    let (_, cache, _) = FakeKeys::with_alice();
    let world = World::signed(&cache, NOW).await;
    let stranger = AccessKey::new("MKIASTRANGERSTRANGER", "secret");
    let call = Call::of("SendCommand", "{}").signed(world.address(), &stranger, NOW);
    let reply = call.with("Expect", "100-continue").send_head(world.address()).await;
    assert_eq!(reply.error().0, "UnrecognizedClientException");
}
