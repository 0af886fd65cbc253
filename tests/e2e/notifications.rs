//! Notifications and events, with every service as a process of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use muster_harness::until;
use muster_proto::aws::v1::{NotificationConfig, NotificationEvent, NotificationType};
use muster_proto::runcommand::v1::{CommandStatus, SendCommandRequest};
use muster_tests::{AgentSpec, Api, Cluster};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SUBJECT_ARN: &str = "arn:muster:sns:local:000000000000:subject";
const WEBHOOK_ARN: &str = "arn:muster:sns:local:000000000000:webhook";
const HANGING_ARN: &str = "arn:muster:sns:local:000000000000:hanging";
const ROLE: &str = "arn:aws:iam::000000000000:role/notifier";

fn notified(request: SendCommandRequest, arn: &str, of: NotificationType) -> SendCommandRequest {
    SendCommandRequest {
        service_role_arn: Some(ROLE.to_owned()),
        notification_config: Some(NotificationConfig {
            notification_arn: Some(arn.to_owned()),
            notification_events: vec![NotificationEvent::Success.into(), NotificationEvent::Failed.into()],
            notification_type: Some(of.into()),
        }),
        ..request
    }
}

/// A webhook that refuses the first request and takes the others.
async fn webhook() -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let shelf = Arc::clone(&taken);
    tokio::spawn(async move {
        let mut is_first = true;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let body = loop {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    assert!(head.starts_with("POST /hook?a=b HTTP/1.1"), "{head}");
                    let length = head.to_lowercase();
                    let length = length.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
                    if body.len() >= length.trim().parse().unwrap() {
                        break body.to_owned();
                    }
                }
            };
            let status = if is_first {
                "503 Service Unavailable"
            } else {
                "204 No Content"
            };
            if !is_first {
                shelf.lock().unwrap().push(serde_json::from_str(&body).unwrap());
            }
            is_first = false;
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, taken)
}

#[tokio::test]
async fn sinks_get_what_was_asked_for_and_a_bad_one_disturbs_nobody() {
    let (address, taken) = webhook().await;
    // Takes connections and never answers.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sinks = format!(
        "[{{arn=\"{SUBJECT_ARN}\", nats=\"notify.commands\"}}, {{arn=\"{WEBHOOK_ARN}\", webhook=\"{address}\"}}, \
         {{arn=\"{HANGING_ARN}\", webhook=\"http://{}/\"}}]",
        hanging.local_addr().unwrap()
    );
    let settings = [("muster-run-command", "MUSTER_SERVICE__NOTIFICATION_SINKS", sinks)];
    let cluster = Cluster::start_with(&[AgentSpec::default()], &settings).await;
    let node = cluster.nodes().await.remove(0);
    let mut api = cluster.api().await;
    let mut heard = api.nats.subscribe("notify.commands").await.unwrap();
    let script = |line: &str| Api::script(&[&node], &[line]);

    let hanging = api
        .start(notified(script("true"), HANGING_ARN, NotificationType::Command))
        .await;
    assert_eq!(api.ended(&hanging).await.status(), CommandStatus::Success);

    let id = api
        .start(notified(script("exit 3"), SUBJECT_ARN, NotificationType::Invocation))
        .await;
    let message = tokio::time::timeout(Duration::from_secs(20), heard.next()).await;
    let told: Value = serde_json::from_slice(&message.expect("it is told").unwrap().payload).unwrap();
    assert_eq!(told["commandId"], *id);
    assert_eq!(told["instanceId"], *node);
    assert_eq!(told["status"], "Failed");
    let members: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        [
            "commandId",
            "documentName",
            "instanceId",
            "requestedDateTime",
            "status",
            "eventTime"
        ]
    );

    let id = api
        .start(notified(script("true"), WEBHOOK_ARN, NotificationType::Command))
        .await;
    let told = until("the webhook has it, after it has refused it", async || {
        let taken = taken.lock().unwrap().clone();
        if taken.is_empty() { Err("nothing") } else { Ok(taken) }
    })
    .await;
    assert_eq!((told.len(), &told[0]["status"]), (1, &Value::from("Success")));
    assert_eq!(told[0]["commandId"], *id);
    assert_eq!(told[0]["instanceIds"], serde_json::json!([node]));
}

#[tokio::test]
async fn unknown_sinks_and_missing_roles_are_refused() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    let mut api = cluster.api().await;
    let request = notified(
        Api::script(&[&node], &["true"]),
        "arn:nobody",
        NotificationType::Command,
    );
    let refused = api.send(request.clone()).await.unwrap_err();
    assert!(
        refused.message().contains("no sink is configured as arn:nobody"),
        "{refused}"
    );
    let without_role = SendCommandRequest {
        service_role_arn: None,
        ..request
    };
    let refused = api.send(without_role).await.unwrap_err();
    assert!(refused.message().contains("ServiceRoleArn is required"), "{refused}");
}

/// Every change of a status is told, also across the death of the service, and nothing else.
#[tokio::test]
async fn events_of_every_transition_survive_the_death_of_the_service() {
    let mut cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    let mut api = cluster.api().await;
    let mut events = api.nats.subscribe("muster.v1.event.run-command.>").await.unwrap();
    let gate = cluster.folder().join("gate");
    let line = format!("echo secret; while [ ! -e {} ]; do sleep 0.05; done", gate.display());
    let id = api.start(Api::script(&[&node], &[&line])).await;
    cluster.kill("muster-run-command");
    cluster.restart("muster-run-command").await;
    std::fs::write(&gate, "").unwrap();
    api.ended(&id).await;
    let wanted = [
        "run-command.command.Pending",
        "run-command.invocation.InProgress",
        "run-command.command.InProgress",
        "run-command.invocation.Success",
        "run-command.command.Success",
    ];
    let mut seen: Vec<(String, String)> = Vec::new();
    while !wanted.iter().all(|kind| seen.iter().any(|(seen, _)| seen == kind)) {
        let message = tokio::time::timeout(Duration::from_secs(20), events.next()).await;
        let message = message.unwrap_or_else(|_| panic!("only {seen:?} came")).unwrap();
        let text = String::from_utf8(message.payload.to_vec()).unwrap();
        assert!(!text.contains("secret"), "{text}");
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&event["subject"], &event["specversion"]),
            (&Value::from(id.as_str()), &Value::from("1.0"))
        );
        let event_id = message.headers.unwrap().get("Nats-Msg-Id").unwrap().to_string();
        assert_eq!(event["id"], event_id.as_str());
        seen.push((event["type"].as_str().unwrap().to_owned(), event_id));
    }
    for (kind, event_id) in &seen {
        assert!(wanted.contains(&kind.as_str()), "{kind}");
        let same = seen.iter().filter(|(other, _)| other == kind);
        assert!(
            same.clone().all(|(_, other)| other == event_id),
            "a repeat has its id: {seen:?}"
        );
    }
}

#[tokio::test]
async fn a_client_token_sends_a_command_once() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    let mut api = cluster.api().await;
    let runs = cluster.folder().join("runs");
    let line = format!("echo once >> {}", runs.display());
    let with_token = |line: &str| {
        let request = Api::script(&[&node], &[line]);
        let payload = prost::Message::encode_to_vec(&request);
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("muster-client-token", "deploy-17");
        let nats = api.nats.clone();
        async move {
            let subject = muster_wire::subject::api("RunCommand", "SendCommand");
            muster_wire::NatsChannel::new(nats)
                .request(subject, headers, payload.into())
                .await
        }
    };
    let (one, two) = tokio::join!(with_token(&line), with_token(&line));
    let id = |answer: bytes::Bytes| {
        let result: muster_proto::runcommand::v1::SendCommandResult = prost::Message::decode(answer).unwrap();
        result.command.unwrap().command_id.unwrap()
    };
    let (one, two) = (id(one.unwrap()), id(two.unwrap()));
    assert_eq!(one, two);
    let refused = with_token("echo other").await.unwrap_err();
    assert!(refused.message().contains("another request"), "{refused}");
    assert_eq!(id(with_token(&line).await.unwrap()), one);
    assert_eq!(api.ended(&one).await.status(), CommandStatus::Success);
    assert_eq!(std::fs::read_to_string(runs).unwrap(), "once\n");
}
