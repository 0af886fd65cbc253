//! Events: whoever listens hears of every change, in order, and of no value.

use std::time::Duration;

use futures::StreamExt as _;
use muster_harness::until;
use muster_proto::parameterstore::v1::{
    DeleteParameterRequest, LabelParameterVersionRequest, ParameterTier, ParameterType,
};
use serde_json::{Value, json};

use crate::service::{Service, overwrite, put, secure};

async fn next(heard: &mut async_nats::Subscriber) -> (String, Value) {
    let message = tokio::time::timeout(Duration::from_secs(20), heard.next()).await;
    let message = message.expect("an event comes").unwrap();
    let what = message.subject.rsplit('.').next().unwrap().to_owned();
    (what, serde_json::from_slice(&message.payload).unwrap())
}

#[tokio::test]
async fn changes_are_told_in_order_and_without_values() {
    let service = Service::start().await;
    let mut heard = service
        .nats
        .subscribe("muster.v1.event.parameter-store.>")
        .await
        .unwrap();
    service.nats.flush().await.unwrap();
    let mut parameters = service.by_nats();
    parameters.put_parameter(put("/x", "canary-in-clear")).await.unwrap();
    let mut second = secure("/x", "canary-in-secret");
    second.description = Some("why".to_owned());
    parameters.put_parameter(second).await.unwrap();
    let label = LabelParameterVersionRequest {
        name: Some("x".to_owned()),
        parameter_version: None,
        labels: vec!["prod".to_owned()],
    };
    parameters.label_parameter_version(label.clone()).await.unwrap();
    // Nothing moves: nobody is told.
    parameters.label_parameter_version(label).await.unwrap();
    parameters
        .delete_parameter(DeleteParameterRequest {
            name: Some("x".to_owned()),
        })
        .await
        .unwrap();
    for (what, operation) in [
        ("created", "Create"),
        ("updated", "Update"),
        ("labelled", "LabelParameterVersion"),
        ("deleted", "Delete"),
    ] {
        let (told, event) = next(&mut heard).await;
        assert_eq!(
            (told.as_str(), &event["data"]["detail"]["operation"]),
            (what, &json!(operation))
        );
        assert_eq!(
            event["data"]["resources"],
            json!(["arn:aws:ssm:us-east-1:000000000000:parameter/x"])
        );
        let kind = if what == "created" {
            ParameterType::String
        } else {
            ParameterType::SecureString
        };
        let word = muster_proto::Word::word(kind);
        assert_eq!(event["data"]["detail"]["type"], json!(word));
        assert!(!event.to_string().contains("canary"), "{event}");
    }
    service.stop().await;
}

#[tokio::test]
async fn an_expired_parameter_is_gone_at_once_and_somebody_is_told_soon() {
    let service = Service::start().await;
    let mut heard = service
        .nats
        .subscribe("muster.v1.event.parameter-store.>")
        .await
        .unwrap();
    service.nats.flush().await.unwrap();
    let mut parameters = service.by_nats();
    let mut request = overwrite("/x", "1");
    request.set_tier(ParameterTier::Advanced);
    request.policies = Some(
        r#"[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2020-01-01T00:00:00.000Z"}}]"#.to_owned(),
    );
    parameters.put_parameter(request).await.unwrap();
    let gone = parameters.get_parameter(crate::service::get("/x")).await;
    assert_eq!(
        crate::service::reason(gone),
        muster_proto::aws::v1::Reason::ParameterNotFound
    );
    assert_eq!(next(&mut heard).await.0, "created");
    let (what, event) = next(&mut heard).await;
    assert_eq!(
        (what.as_str(), &event["data"]["detail-type"]),
        ("policy-action", &json!("Parameter Store Policy Action"))
    );
    assert_eq!(event["data"]["detail"]["policy-type"], json!("Expiration"));
    assert_eq!(next(&mut heard).await.0, "deleted");
    service.stop().await;
}

#[tokio::test]
async fn events_wait_while_the_bus_is_away() {
    let mut service = Service::start().await;
    // Whoever subscribes by itself may come back later than the event.
    let stream = async_nats::jetstream::stream::Config {
        name: "events".to_owned(),
        subjects: vec!["muster.v1.event.parameter-store.>".to_owned()],
        ..Default::default()
    };
    let jetstream = async_nats::jetstream::new(service.nats.clone());
    jetstream.create_stream(stream).await.unwrap();
    let mut parameters = service.by_grpc().await;
    service.bus().kill();
    parameters.put_parameter(put("/x", "1")).await.unwrap();
    parameters.put_parameter(overwrite("/x", "2")).await.unwrap();
    service.bus().restart().await;
    for (number, what) in [(1, "created"), (2, "updated")] {
        let subject = until("the event is in the stream", async || {
            let stream = jetstream
                .get_stream("events")
                .await
                .map_err(|error| error.to_string())?;
            let message = stream
                .get_raw_message(number)
                .await
                .map_err(|error| error.to_string())?;
            Ok::<_, String>(message.subject.to_string())
        })
        .await;
        assert!(subject.ends_with(&format!(".{what}")), "{subject}");
    }
    service.stop().await;
}
