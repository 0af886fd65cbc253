//! What nodes may read is what policies say of the roles of their activations.

use std::time::Duration;

use muster_harness::until_within;
use muster_proto::access::v1::access_client::AccessClient;
use muster_proto::access::v1::{AttachPolicyRequest, CreateRoleRequest, PutPolicyRequest};
use muster_tests::Cluster;
use muster_wire::NatsChannel;
use serde_json::json;

use crate::registration::{Machine, Ticket, node_of, online, stdout};

#[tokio::test]
async fn a_node_reads_the_documents_of_its_role() {
    let cluster = Cluster::start(&[]).await;
    let service = cluster.nats.trust().service("muster-gateway");
    let service = cluster.nats.client_as(&service).await.unwrap();
    let mut access = AccessClient::new(NatsChannel::new(service));
    let role = CreateRoleRequest {
        role_name: Some("Web".to_owned()),
        ..CreateRoleRequest::default()
    };
    access.create_role(role).await.unwrap();
    let document = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"ssm:GetDocument","Resource":"arn:aws:ssm:*:*:document/Web-*"}]}"#;
    let policy = PutPolicyRequest {
        policy_name: Some("web".to_owned()),
        policy_document: Some(document.to_owned()),
        ..PutPolicyRequest::default()
    };
    access.put_policy(policy).await.unwrap();
    let attach = AttachPolicyRequest {
        policy_name: Some("web".to_owned()),
        role_name: Some("Web".to_owned()),
        ..AttachPolicyRequest::default()
    };
    access.attach_policy(attach).await.unwrap();

    let aws = cluster.aws();
    let content = r#"{"schemaVersion":"2.2","mainSteps":[
        {"action":"aws:runShellScript","name":"say","inputs":{"runCommand":["echo hello"]}}]}"#;
    for name in ["Web-Hello", "Db-Hello"] {
        let words = [
            "create-document",
            "--document-type",
            "Command",
            "--name",
            name,
            "--content",
            content,
        ];
        aws.ok(&words).await;
    }
    let made = aws.ok(&["create-activation", "--iam-role", "Web"]).await;
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let ticket = Ticket {
        id: text("ActivationId"),
        code: text("ActivationCode"),
    };
    let mut machine = Machine::new(&cluster, "machine");
    let node = node_of(&stdout(&machine.register(&cluster, &ticket, &[]).await));
    machine.start();
    online(&aws, &node).await;
    let run = async |name: &str| {
        let parameters = json!({
            "sourceType": ["SSMDocument"],
            "sourceInfo": [json!({"name": name}).to_string()],
        });
        let parameters = parameters.to_string();
        let words = [
            "send-command",
            "--document-name",
            "AWS-RunDocument",
            "--instance-ids",
            &node,
        ];
        let words: Vec<&str> = words.into_iter().chain(["--parameters", &parameters]).collect();
        let sent = aws.ok(&words).await;
        let command = sent["Command"]["CommandId"].as_str().unwrap().to_owned();
        until_within(Duration::from_secs(60), "it has run", async || {
            let words = ["list-command-invocations", "--command-id", &command, "--details"];
            let list = aws.ok(&words).await;
            let shown = list["CommandInvocations"][0].clone();
            let is_over = ["Success", "Failed"]
                .iter()
                .any(|status| shown["Status"] == json!(status));
            is_over.then_some(shown.clone()).ok_or(shown)
        })
        .await
    };
    let shown = run("Web-Hello").await;
    assert_eq!(shown["Status"], json!("Success"), "{shown}");
    let shown = run("Db-Hello").await;
    let who =
        format!("arn:aws:sts::000000000000:assumed-role/Web/{node} is not authorized to perform: ssm:GetDocument");
    assert!(
        shown["Status"] == json!("Failed") && shown.to_string().contains(&who),
        "{shown}"
    );
}
