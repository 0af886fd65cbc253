//! What scripts see that speak JSON over NATS.

use async_nats::HeaderMap;
use muster_wire::subject;
use serde_json::{Value, json};

use crate::service::{Service, saying};

async fn call(service: &Service, operation: &str, body: Value) -> (Value, HeaderMap) {
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", "application/x-amz-json-1.1");
    let subject = subject::api("Access", operation);
    let body = body.to_string().into();
    let answer = service.nats.request_with_headers(subject, headers, body).await.unwrap();
    let value = serde_json::from_slice(&answer.payload).unwrap_or(Value::Null);
    (value, answer.headers.unwrap_or_default())
}

#[tokio::test]
async fn a_script_can_do_it_all_in_json() {
    let service = Service::start().await;
    let (made, _) = call(&service, "CreateUser", json!({"UserName": "alice"})).await;
    assert_eq!(made["User"]["Arn"], "arn:aws:iam::000000000000:user/alice");
    let (key, _) = call(&service, "CreateAccessKey", json!({"UserName": "alice"})).await;
    assert_eq!(key["AccessKey"]["Status"], "Active");
    let policy = json!({"PolicyName": "mine", "PolicyDocument": saying("Allow", "ssm:Get*")});
    call(&service, "PutPolicy", policy).await;
    call(
        &service,
        "AttachPolicy",
        json!({"PolicyName": "mine", "UserName": "alice"}),
    )
    .await;
    let question = json!({"Principal": "user/alice", "Action": "ssm:GetDocument"});
    let (answer, _) = call(&service, "TestPolicy", question).await;
    assert_eq!(
        (&answer["Decision"], &answer["Statements"]),
        (&json!("Allow"), &json!(["mine/One"]))
    );
    let (_, headers) = call(&service, "DeleteUser", json!({"UserName": "nobody"})).await;
    let reason = headers.get("Muster-Reason").map(ToString::to_string);
    assert_eq!(reason.as_deref(), Some("NoSuchEntity"));
    let (_, headers) = call(&service, "CreateUser", json!({"UserName": "a b"})).await;
    let reason = headers.get("Muster-Reason").map(ToString::to_string);
    assert_eq!(reason.as_deref(), Some("ValidationException"));
    service.stop().await;
}
