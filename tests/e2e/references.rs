//! `{{ssm:…}}` and `{{ssm-secure:…}}` in what runs on nodes: looked up there, in the node's role, and never written down.

use std::time::Duration;

use muster_harness::{until, until_within};
use muster_proto::access::v1::access_client::AccessClient;
use muster_proto::access::v1::{AttachPolicyRequest, CreateRoleRequest, PutPolicyRequest};
use muster_tests::{Aws, Cluster, People};
use muster_wire::NatsChannel;
use serde_json::{Value, json};

use crate::canaries::{files, is_made_for_secrets, processes};
use crate::registration::{Machine, Ticket, node_of, online, stdout};

const STORE: &str = "muster-parameter-store";
const SECRET: &str = "canary-of-a-reference";

/// A role whose nodes may read these parameters.
async fn role(cluster: &Cluster, name: &str, parameters: &str) {
    let service = cluster.nats.trust().service("muster-gateway");
    let service = cluster.nats.client_as(&service).await.unwrap();
    let mut access = AccessClient::new(NatsChannel::new(service));
    let role_name = Some(name.to_owned());
    let role = CreateRoleRequest {
        role_name: role_name.clone(),
        ..CreateRoleRequest::default()
    };
    access.create_role(role).await.unwrap();
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": format!("arn:aws:ssm:*:*:parameter/{parameters}")},
        {"Effect": "Allow", "Action": "ssm:GetDocument", "Resource": "*"},
    ]});
    let policy = PutPolicyRequest {
        policy_name: role_name.clone(),
        policy_document: Some(document.to_string()),
        ..PutPolicyRequest::default()
    };
    access.put_policy(policy).await.unwrap();
    let attach = AttachPolicyRequest {
        policy_name: role_name.clone(),
        role_name,
        ..AttachPolicyRequest::default()
    };
    access.attach_policy(attach).await.unwrap();
}

/// A machine in a role; its node.
async fn machine(cluster: &Cluster, role: &str) -> (Machine, String) {
    machine_by(cluster, &cluster.aws(), role).await
}

/// The same, where somebody has to have the right to let it in.
async fn machine_by(cluster: &Cluster, aws: &Aws, role: &str) -> (Machine, String) {
    let made = aws.ok(&["create-activation", "--iam-role", role]).await;
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let ticket = Ticket {
        id: text("ActivationId"),
        code: text("ActivationCode"),
    };
    let mut machine = Machine::new(cluster, role);
    let node = node_of(&stdout(&machine.register(cluster, &ticket, &[]).await));
    machine.start();
    online(aws, &node).await;
    (machine, node)
}

async fn put(aws: &Aws, name: &str, kind: &str, value: &str) {
    aws.ok(&["put-parameter", "--name", name, "--type", kind, "--value", value])
        .await;
}

/// Runs a document on a node; its invocation.
async fn run(aws: &Aws, node: &str, document: &str, parameters: &Value) -> Value {
    let parameters = parameters.to_string();
    let sent = aws
        .ok(&[
            "send-command",
            "--document-name",
            document,
            "--instance-ids",
            node,
            "--parameters",
            &parameters,
        ])
        .await;
    let command = sent["Command"]["CommandId"].as_str().unwrap().to_owned();
    until_within(Duration::from_secs(60), "it has run", async || {
        let list = aws
            .ok(&["list-command-invocations", "--command-id", &command, "--details"])
            .await;
        let shown = list["CommandInvocations"][0].clone();
        let is_over = ["Success", "Failed"]
            .iter()
            .any(|status| shown["Status"] == json!(status));
        is_over.then_some(shown.clone()).ok_or(shown)
    })
    .await
}

fn output(invocation: &Value) -> &str {
    invocation["CommandPlugins"][0]["Output"].as_str().unwrap_or_default()
}

/// Shell lines; `interpolationType` keeps `pw` out of them.
fn document() -> String {
    json!({
        "schemaVersion": "2.2",
        "parameters": {
            "pw": {"type": "String", "interpolationType": "ENV_VAR", "allowedPattern": "^canary-[a-z-]+$"},
        },
        "mainSteps": [{"action": "aws:runShellScript", "name": "connect", "inputs": {"runCommand": [
            "echo the length is ${#SSM_pw}", "echo \"password=$SSM_pw;\"", "printf '%s' \"$SSM_pw\" | head -c 10"
        ]}}],
    })
    .to_string()
}

#[tokio::test]
async fn a_command_refers_to_parameters_and_its_node_looks_them_up_in_its_role() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.add_service(STORE).await;
    let aws = cluster.aws();
    role(&cluster, "Web", "web/*").await;
    let (_machine, node) = machine(&cluster, "Web").await;
    put(&aws, "/web/greeting", "String", "good morning").await;
    put(&aws, "/web/names", "StringList", "ada,grace").await;
    put(&aws, "/db/host", "String", "db.example").await;

    // What people see is what was asked for; what the node runs is what it stands for.
    let commands =
        json!({"commands": ["echo {{ssm:/web/greeting}}", "echo {{ ssm:/web/greeting:1 }}", "{{ssm:/web/names}}"]});
    let sent = json!({"commands": ["echo {{ssm:/web/greeting}}, {{ ssm:/web/greeting:1 }}"]});
    let shown = run(&aws, &node, "AWS-RunShellScript", &sent).await;
    assert_eq!(shown["Status"], "Success", "{shown}");
    assert_eq!(output(&shown), "good morning, good morning\n");
    let command = aws
        .ok(&["list-commands", "--command-id", shown["CommandId"].as_str().unwrap()])
        .await;
    assert_eq!(command["Commands"][0]["Parameters"], sent);
    let shown = run(&aws, &node, "AWS-RunShellScript", &commands).await;
    assert!(
        output(&shown).starts_with("good morning\ngood morning\n"),
        "a list becomes lines: {shown}"
    );
    assert!(output(&shown).contains("ada: "), "the lines are commands: {shown}");

    aws.ok(&["label-parameter-version", "--name", "/web/greeting", "--labels", "live"])
        .await;
    // A version that a parameter gets later is what the next run sees.
    aws.ok(&[
        "put-parameter",
        "--name",
        "/web/greeting",
        "--overwrite",
        "--value",
        "good evening",
    ])
    .await;
    let shown = run(&aws, &node, "AWS-RunShellScript", &sent).await;
    assert_eq!(output(&shown), "good evening, good morning\n");
    let labelled = json!({"commands": ["echo {{ssm:/web/greeting:live}}"]});
    let shown = run(&aws, &node, "AWS-RunShellScript", &labelled).await;
    assert_eq!(output(&shown), "good morning\n");

    // What is not there, what the role may not read, and what is a secret: nothing of the run begins.
    let trace = cluster.folder().join("trace");
    let touch = format!("touch {}", trace.display());
    put(&aws, "/web/password", "SecureString", SECRET).await;
    for (reference, why) in [
        ("{{ssm:/web/none}}", "Input contains invalid parameters [/web/none]"),
        (
            "{{ssm:/web/greeting:7}}",
            "Input contains invalid parameters [/web/greeting:7]",
        ),
        ("{{ssm:/db/host}}", "is not authorized to perform: ssm:GetParameters"),
        (
            "{{ssm:/web/password}}",
            "Parameters [/web/password] of type SecureString are not supported",
        ),
        (
            "{{ssm-secure:/web/password}}",
            "stands where the secret would be written down",
        ),
        ("x{{ssm:/web/names}}", "/web/names is a StringList"),
    ] {
        let shown = run(
            &aws,
            &node,
            "AWS-RunShellScript",
            &json!({"commands": [touch, format!("echo {reference}")]}),
        )
        .await;
        assert!(
            shown["Status"] == "Failed" && shown.to_string().contains(why),
            "{reference}: {shown}"
        );
        assert!(!trace.exists(), "{reference}");
    }
}

#[tokio::test]
async fn a_secret_reaches_the_script_of_a_node_in_the_right_role_and_nothing_else() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.add_service(STORE).await;
    let aws = cluster.aws();
    role(&cluster, "Web", "web/*").await;
    role(&cluster, "Db", "db/*").await;
    let (mut web, web_node) = machine(&cluster, "Web").await;
    let (mut db, db_node) = machine(&cluster, "Db").await;
    put(&aws, "/web/password", "SecureString", SECRET).await;
    put(&aws, "/web/odd", "SecureString", "CANARY of another form").await;
    aws.ok(&[
        "create-document",
        "--name",
        "Connect",
        "--document-type",
        "Command",
        "--content",
        &document(),
    ])
    .await;

    let given = |name: &str| json!({"pw": [format!("{{{{ssm-secure:{name}}}}}")]});
    let shown = run(&aws, &web_node, "Connect", &given("/web/password")).await;
    assert_eq!(shown["Status"], "Success", "{shown}");
    let expected = format!("the length is {}\npassword=********;\ncanary-of-", SECRET.len());
    assert_eq!(output(&shown).trim_end(), expected);

    // Another role may not; the rules of the document's parameter hold for the secret, and do not tell it.
    let refused = run(&aws, &db_node, "Connect", &given("/web/password")).await;
    let who = format!("assumed-role/Db/{db_node} is not authorized to perform: ssm:GetParameters");
    assert!(
        refused["Status"] == "Failed" && refused.to_string().contains(&who),
        "{refused}"
    );
    let odd = run(&aws, &web_node, "Connect", &given("/web/odd")).await;
    let why = "parameter pw: the value does not match allowedPattern";
    assert!(odd["Status"] == "Failed" && odd.to_string().contains(why), "{odd}");
    let open = aws
        .ok(&[
            "put-parameter",
            "--name",
            "/web/open",
            "--type",
            "String",
            "--value",
            "canary-open",
        ])
        .await;
    assert_eq!(open["Version"], 1);
    let open = run(&aws, &web_node, "Connect", &given("/web/open")).await;
    assert!(
        open.to_string()
            .contains("[/web/open] refer to parameters of type SecureString"),
        "{open}"
    );

    for (place, text) in processes() {
        assert!(!text.contains(SECRET), "{place} holds the secret");
    }
    for service in muster_tests::SERVICES.into_iter().chain([STORE]) {
        cluster.stop(service).await;
    }
    web.kill();
    db.kill();
    for path in files(cluster.folder().path()) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains(SECRET), "{} holds the secret", path.display());
        assert!(
            is_made_for_secrets(&path) || !text.contains("CANARY of another"),
            "{}",
            path.display()
        );
    }
}

#[tokio::test]
async fn where_the_sender_counts_a_command_refers_to_what_its_sender_may_read() {
    let mut settings = crate::authorization::signed_gateway().to_vec();
    settings.push((STORE, "MUSTER_SERVICE__REQUIRE_SENDER_PERMISSION", "true".to_owned()));
    let mut cluster = Cluster::start_with(&[], &settings).await;
    cluster.add_service(STORE).await;
    let mut people = People::new(cluster.bus().await);
    let reads = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:*:*:parameter/app/*"},
        {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*"}]}"#;
    people.put("reads", reads).await;
    let key = people.user("eve", &["admin"]).await;
    let eve = cluster.aws().with_key(key.access_key_id(), key.secret_access_key());
    let key = people.user("ann", &["operator"]).await;
    let ann = cluster.aws().with_key(key.access_key_id(), key.secret_access_key());
    put(&eve, "/app/greeting", "String", "hello").await;
    put(&eve, "/app/token", "SecureString", SECRET).await;
    role(&cluster, "App", "app/*").await;
    let (_machine, node) = machine_by(&cluster, &eve, "App").await;
    let plain = json!({"commands": ["echo {{ssm:/app/greeting}}"]});
    let refused = run(&ann, &node, "AWS-RunShellScript", &plain).await;
    assert_eq!(refused["Status"], "Failed", "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains("user/ann is not authorized to perform: ssm:GetParameters"),
        "{text}"
    );
    // Who may read it may send it; the secret needs its key besides.
    let sent = run(&eve, &node, "AWS-RunShellScript", &plain).await;
    assert_eq!(output(&sent), "hello\n", "{sent}");
    people.attach("ann", "reads").await;
    until("ann may read it", async || {
        let sent = run(&ann, &node, "AWS-RunShellScript", &plain).await;
        let is_there = output(&sent) == "hello\n";
        is_there.then_some(()).ok_or(sent)
    })
    .await;
    let content = document();
    let words = ["create-document", "--document-type", "Command", "--name", "Connect"];
    eve.ok(&[&words[..], &["--content", &content]].concat()).await;
    let secret = json!({"pw": ["{{ssm-secure:/app/token}}"]});
    let refused = run(&ann, &node, "Connect", &secret).await.to_string();
    assert!(
        refused.contains("user/ann is not authorized to perform: kms:Decrypt"),
        "{refused}"
    );
    let sent = run(&eve, &node, "Connect", &secret).await;
    assert_eq!(sent["Status"], "Success", "{sent}");
}
