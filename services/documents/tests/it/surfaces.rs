//! What scripts see that speak JSON over NATS, and what listeners hear.

use async_nats::HeaderMap;
use futures::StreamExt;
use muster_wire::subject;
use serde_json::{Value, json};

use crate::service::{Service, saying};

async fn call(service: &Service, operation: &str, form: &str, body: Value) -> (Value, HeaderMap) {
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", form);
    let subject = subject::api("Documents", operation);
    let body = body.to_string().into();
    let answer = service.nats.request_with_headers(subject, headers, body).await.unwrap();
    let value = serde_json::from_slice(&answer.payload).unwrap_or(Value::Null);
    (value, answer.headers.unwrap_or_default())
}

#[tokio::test]
async fn a_script_can_do_it_all_in_json() {
    let service = Service::start().await;
    for form in ["application/json", "application/x-amz-json-1.1"] {
        let name = format!("Doc-{}", form.len());
        let body = json!({"Name": name, "Content": saying("x"), "Tags": [{"Key": "a", "Value": "b"}]});
        let (created, _) = call(&service, "CreateDocument", form, body).await;
        assert_eq!(created["DocumentDescription"]["Name"], name.as_str());
        let (got, _) = call(&service, "GetDocument", form, json!({"Name": name})).await;
        assert_eq!(got["Content"], saying("x").as_str());
        let (_, headers) = call(&service, "GetDocument", form, json!({"Name": "Nothing"})).await;
        let reason = headers.get("Muster-Reason").map(ToString::to_string);
        assert_eq!(reason.as_deref(), Some("InvalidDocument"));
    }
    let amazon = "application/x-amz-json-1.1";
    let (described, _) = call(
        &service,
        "DescribeDocument",
        amazon,
        json!({"Name": "AWS-RunShellScript"}),
    )
    .await;
    let document = &described["Document"];
    assert_eq!(
        (&document["Owner"], &document["Status"]),
        (&json!("Amazon"), &json!("Active"))
    );
    assert_eq!(document["PlatformTypes"], json!(["Linux", "MacOS"]));
    service.stop().await;
}

#[tokio::test]
async fn changes_are_told_without_contents() {
    let service = Service::start().await;
    let mut heard = service.nats.subscribe("muster.v1.event.documents.>").await.unwrap();
    service.nats.flush().await.unwrap();
    let form = "application/json";
    let secret = "hunter2";
    let update = |word: &str| json!({"Name": "Mine", "Content": saying(word)});
    call(&service, "CreateDocument", form, update(secret)).await;
    call(&service, "UpdateDocument", form, update("two")).await;
    call(&service, "UpdateDocument", form, update("two")).await;
    let two = json!({"Name": "Mine", "DocumentVersion": "2"});
    call(&service, "UpdateDocumentDefaultVersion", form, two).await;
    call(&service, "DeleteDocument", form, json!({"Name": "Mine"})).await;
    for (what, version) in [
        ("created", json!("1")),
        ("updated", json!("2")),
        ("default-changed", json!("2")),
        ("deleted", Value::Null),
    ] {
        let message = heard.next().await.unwrap();
        assert_eq!(
            message.subject.as_str(),
            format!("muster.v1.event.documents.document.{what}")
        );
        let event: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(
            (&event["subject"], &event["data"]["documentVersion"]),
            (&json!("Mine"), &version)
        );
        assert!(!String::from_utf8_lossy(&message.payload).contains(secret));
    }
    service.stop().await;
}
