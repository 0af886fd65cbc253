//! Bad input on each surface: the spec's error words, no 500, nothing half-done, no value in a log.

use muster_tests::{AgentSpec, Api, Cluster};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DOCUMENT: &str = "AWS-RunShellScript";

/// The same request, body and all, through the gateway and over NATS in AWS's form.
async fn both(cluster: &Cluster, operation: &str, body: &str) -> (u16, Value, Option<String>) {
    let (status, answer) = http(cluster, &format!("AmazonSSM.{operation}"), body).await;
    let nats = cluster.nats.client().await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Content-Type", "application/x-amz-json-1.1");
    let subject = format!("muster.v1.api.RunCommand.{operation}");
    let word = match nats
        .request_with_headers(subject, headers, body.to_owned().into())
        .await
    {
        Ok(answer) => answer
            .headers
            .and_then(|headers| headers.get("Muster-Reason").map(|word| word.to_string())),
        Err(error) => panic!("{operation} over NATS: {error}"),
    };
    (status, answer, word)
}

/// One request, byte by byte: no client that would mend what is sent.
async fn http(cluster: &Cluster, target: &str, body: &str) -> (u16, Value) {
    let address = cluster.address("muster-gateway");
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-Amz-Target: {target}\r\n\
         Content-Type: application/x-amz-json-1.1\r\nX-Amz-Date: 20261124T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=MKIATEST/20261124/us-east-1/ssm/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=00\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn every_refusal_has_the_specs_word_on_every_surface() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    let send = |extra: Value| {
        let mut body = json!({"DocumentName": DOCUMENT, "Parameters": {"commands": ["true"]}});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body.to_string()
    };
    let unknown: Vec<_> = (0..50).map(|number| format!("mi-{number:017}")).collect();
    let too_many: Vec<_> = (0..51).map(|number| format!("mi-{number:017}")).collect();
    let cases = [
        ("SerializationException", "{".to_owned()),
        ("SerializationException", "[]".to_owned()),
        ("SerializationException", json!({"DocumentName": true}).to_string()),
        ("SerializationException", send(json!({"InstanceIds": "mi-1"}))),
        ("ValidationException", "{}".to_owned()),
        ("ValidationException", send(json!({}))),
        ("ValidationException", send(json!({"InstanceIds": too_many}))),
        ("ValidationException", send(json!({"InstanceIds": ["host-1"]}))),
        (
            "ValidationException",
            send(json!({"InstanceIds": [node], "Targets": [{"Key": "tag:a", "Values": ["b"]}]})),
        ),
        (
            "ValidationException",
            send(json!({"Targets": [{"Key": "role", "Values": ["web"]}]})),
        ),
        (
            "ValidationException",
            send(json!({"InstanceIds": [node], "TimeoutSeconds": 29})),
        ),
        (
            "ValidationException",
            send(json!({"InstanceIds": [node], "MaxConcurrency": "0"})),
        ),
        (
            "ValidationException",
            send(json!({"InstanceIds": [node], "MaxErrors": "101%"})),
        ),
        (
            "InvalidDocument",
            send(json!({"InstanceIds": [node], "DocumentName": "NoSuchDocument"})),
        ),
        (
            "InvalidDocumentVersion",
            send(json!({"InstanceIds": [node], "DocumentVersion": "77"})),
        ),
        (
            "InvalidDocument",
            send(json!({"InstanceIds": [node], "DocumentHash": "00"})),
        ),
        ("DuplicateInstanceId", send(json!({"InstanceIds": [node, node]}))),
        ("InvalidInstanceId", send(json!({"InstanceIds": unknown}))),
        (
            "InvalidParameters",
            send(json!({"InstanceIds": [node], "Parameters": {}})),
        ),
        (
            "InvalidParameters",
            send(json!({"InstanceIds": [node], "Parameters": {"commands": ["x"], "color": ["red"]}})),
        ),
        (
            "InvalidParameters",
            send(json!({"InstanceIds": [node], "Parameters": {"commands": ["x"], "executionTimeout": ["soon"]}})),
        ),
        (
            "MaxDocumentSizeExceeded",
            send(json!({"InstanceIds": [node], "Parameters": {"commands": ["x".repeat(66_000)]}})),
        ),
    ];
    for (word, body) in &cases {
        let (status, answer, over_nats) = both(&cluster, "SendCommand", body).await;
        let shown: String = body.chars().take(120).collect();
        assert_eq!(
            (status, answer["__type"].as_str()),
            (400, Some(*word)),
            "{shown}: {answer}"
        );
        assert_eq!(over_nats.as_deref(), Some(*word), "over NATS: {shown}");
    }
    // Nothing of all that became a command.
    assert!(
        cluster.aws().ok(&["list-commands"]).await["Commands"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

/// Run Command's acceptance item 12: the refusal names the parameter and the rule.
#[tokio::test]
async fn a_bad_parameter_is_named_with_the_rule_that_it_breaks() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    for (document, parameters, words) in [
        (
            DOCUMENT,
            json!({"commands": ["true"], "color": ["red"]}),
            ["color", "does not support it"],
        ),
        (DOCUMENT, json!({}), ["commands", "it is required"]),
        (
            "AWS-ConfigureDocker",
            json!({"action": ["Polish"]}),
            ["action", "allowedValues"],
        ),
    ] {
        let body = json!({"DocumentName": document, "InstanceIds": [node], "Parameters": parameters});
        let (status, answer) = http(&cluster, "AmazonSSM.SendCommand", &body.to_string()).await;
        assert_eq!(
            (status, answer["__type"].as_str()),
            (400, Some("InvalidParameters")),
            "{answer}"
        );
        let text = answer.to_string();
        for word in words {
            assert!(text.contains(word), "{word} is missing: {text}");
        }
        assert!(!text.contains("Polish"), "values are not repeated: {text}");
    }
}

#[tokio::test]
async fn unknown_and_unserved_operations_are_told_apart() {
    let cluster = Cluster::start(&[]).await;
    let word = |answer: &Value| answer["__type"].as_str().unwrap_or_default().to_owned();
    let (status, answer) = http(&cluster, "AmazonSSM.MakeCoffee", "{}").await;
    assert_eq!((status, word(&answer).as_str()), (400, "UnknownOperationException"));
    let (status, answer) = http(&cluster, "AmazonEC2.SendCommand", "{}").await;
    assert_eq!((status, word(&answer).as_str()), (400, "UnknownOperationException"));
    for planned in [
        "DescribeMaintenanceWindows",
        "StartSession",
        "CreateOpsItem",
        "CreateAssociation",
    ] {
        let (status, answer) = http(&cluster, &format!("AmazonSSM.{planned}"), "{}").await;
        assert_eq!(
            (status, word(&answer).as_str()),
            (400, "UnsupportedOperationException"),
            "{planned}"
        );
        assert!(answer.to_string().contains(planned), "{answer}");
    }
}

#[tokio::test]
async fn a_document_of_65_kilobytes_is_too_long() {
    let cluster = Cluster::start(&[]).await;
    let long = "x".repeat(66_000);
    let content = json!({
        "schemaVersion": "2.2",
        "mainSteps": [{"action": "aws:runShellScript", "name": "one", "inputs": {"runCommand": [long]}}]
    });
    let body = json!({"Name": "TooLong", "DocumentType": "Command", "Content": content.to_string()}).to_string();
    let (status, answer) = http(&cluster, "AmazonSSM.CreateDocument", &body).await;
    assert_eq!(
        (status, answer["__type"].as_str()),
        (400, Some("MaxDocumentSizeExceeded")),
        "{answer}"
    );
}

#[tokio::test]
async fn parameter_values_and_outputs_are_in_no_log_and_in_no_error() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    let mut api = cluster.api().await;
    let canary = "canary-7f3a9c";
    let line = format!("echo {canary}");
    let id = api.start(Api::script(&[&node], &[&line])).await;
    api.ended(&id).await;
    assert!(
        api.invocation(&id, &node)
            .await
            .unwrap()
            .standard_output_content
            .unwrap()
            .contains(canary)
    );
    let mut bad = Api::script(&[&node], &[&line]);
    bad.parameters.insert(
        "executionTimeout".to_owned(),
        muster_proto::aws::v1::ParameterValueList {
            items: vec![canary.to_owned()],
        },
    );
    let refused = api.send(bad).await.unwrap_err();
    assert!(!refused.message().contains(canary), "{}", refused.message());
    let agent = std::fs::read_to_string(cluster.folder().join("agent-0.log")).unwrap();
    assert!(!agent.contains(canary), "the agent's log");
    for name in muster_tests::SERVICES {
        assert!(!cluster.log(name).contains(canary), "the log of {name}");
    }
}
