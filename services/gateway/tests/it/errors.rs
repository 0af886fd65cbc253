//! How things go wrong (aws-json-gateway 1, 2 and 4).

use serde_json::json;

use crate::client::Call;
use crate::world::World;

const SEND: &str = r#"{"DocumentName":"AWS-RunShellScript","Comment":"COMMENT"}"#;

#[tokio::test]
async fn what_is_no_json_object_is_refused_without_a_text() {
    let world = World::start().await;
    for body in ["nonsense", "[]", "{", "{\"Comment\":}", "\"x\""] {
        let reply = world.call("SendCommand", body).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.json(), json!({"__type": "SerializationException"}), "{body}");
    }
}

#[tokio::test]
async fn a_wrong_type_is_named() {
    let world = World::start().await;
    let reply = world.call("SendCommand", r#"{"Comment":true}"#).await;
    assert_eq!(reply.status, 400);
    let (word, text) = reply.error();
    assert_eq!(word, "SerializationException");
    assert!(
        text.starts_with("class java.lang.Boolean can not be converted to an String"),
        "{text}"
    );
}

#[tokio::test]
async fn limits_are_answered_by_the_service() {
    let world = World::start().await;
    let reply = world.call("SendCommand", r#"{"TimeoutSeconds":1}"#).await;
    assert_eq!(reply.status, 400);
    let (word, text) = reply.error();
    assert_eq!(word, "ValidationException");
    assert_eq!(
        text,
        "2 validation errors detected: Value null at 'documentName' failed to satisfy constraint: Member must not be \
         null; Value '1' at 'timeoutSeconds' failed to satisfy constraint: Member must have value greater than or \
         equal to 30"
    );
    assert_eq!(world.fake.ran(), 0);
}

#[tokio::test]
async fn an_unknown_word_and_other_limits_are_one_answer() {
    let world = World::start().await;
    let reply = world.call("SendCommand", r#"{"DocumentHashType":"Md5"}"#).await;
    let (word, text) = reply.error();
    assert_eq!(word, "ValidationException");
    assert!(text.starts_with("2 validation errors detected: "), "{text}");
    assert!(
        text.contains("Value 'Md5' at 'documentHashType'") && text.contains("'documentName'"),
        "{text}"
    );
}

#[tokio::test]
async fn a_long_text_of_a_violation_finds_its_way_back() {
    let world = World::start().await;
    let body = json!({"DocumentName": "ü?".repeat(100_000), "OutputS3BucketName": "b".repeat(100_000)});
    let reply = world.call("SendCommand", &body.to_string()).await;
    assert_eq!((reply.status, reply.error().0.as_str()), (400, "ValidationException"));
}

#[tokio::test]
async fn a_refusal_has_the_casing_of_its_shape() {
    let world = World::start().await;
    let reply = world.call("SendCommand", &SEND.replace("COMMENT", "refuse")).await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.json(),
        json!({"__type": "InvalidDocument", "Message": "no such document"})
    );
    assert_eq!(reply.header("x-amzn-errortype"), Some("InvalidDocument"));
    let ids = r#"{"CommandId":"00000000-0000-0000-0000-000000000000","InstanceId":"mi-0123456789abcdef0"}"#;
    let reply = world.call("GetCommandInvocation", ids).await;
    assert_eq!(
        reply.json(),
        json!({"__type": "InvocationDoesNotExist", "message": "no such invocation"})
    );
}

#[tokio::test]
async fn a_fault_of_ours_tells_nothing_of_its_cause() {
    let world = World::start().await;
    let reply = world.call("SendCommand", &SEND.replace("COMMENT", "break")).await;
    assert_eq!(reply.status, 500);
    assert_eq!(reply.error().0, "InternalServerError");
    assert!(!reply.text.contains("hunter2"));
}

#[tokio::test]
async fn an_operation_that_its_service_does_not_have_yet_is_named() {
    let world = World::start().await;
    let ids = r#"{"CommandId":"00000000-0000-0000-0000-000000000000"}"#;
    let reply = world.call("ListCommandInvocations", ids).await;
    assert_eq!(reply.status, 400);
    let (word, text) = reply.error();
    assert_eq!(word, "UnsupportedOperationException");
    assert!(text.contains("ListCommandInvocations"), "{text}");
}

#[tokio::test]
async fn a_service_that_is_away_is_unavailable() {
    let mut world = World::start().await;
    world.unmount().await;
    let reply = world.call("ListCommands", "{}").await;
    assert_eq!(reply.status, 503);
    let (word, text) = reply.error();
    assert_eq!(word, "ServiceUnavailable");
    assert_eq!(text, "RunCommand is unavailable");
    world.mount().await;
    assert_eq!(world.call("ListCommands", "{}").await.status, 200);
}

#[tokio::test]
async fn a_service_that_does_not_answer_in_time_is_unavailable() {
    let world = World::with_timeout(1).await;
    let reply = world.call("ListCommands", r#"{"NextToken":"wait"}"#).await;
    assert_eq!((reply.status, reply.error().0.as_str()), (503, "ServiceUnavailable"));
    let call = Call::of("SendCommand", SEND.replace("COMMENT", "wait"));
    assert_eq!(world.send(&call).await.status, 503);
}

#[tokio::test]
async fn a_bus_that_is_away_is_unavailable_and_comes_back() {
    let mut world = World::with_timeout(1).await;
    world.nats.kill();
    assert_eq!(world.call("ListCommands", "{}").await.status, 503);
    world.nats.restart().await;
    muster_harness::until("the gateway finds the service again", async || {
        match world.call("ListCommands", "{}").await.status {
            200 => Ok(()),
            other => Err(other),
        }
    })
    .await;
}
