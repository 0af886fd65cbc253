//! Nodes as the real `aws` command line shows them: filters with every error word, roles, tags, the end (fleet 3, 5).

use std::time::Duration;

use muster_harness::until_within;
use muster_tests::{AgentSpec, Aws, Cluster};
use serde_json::{Value, json};

use crate::traces::scrape;

fn ids(list: &Value, member: &str, id: &str) -> Vec<String> {
    let all = list[member].as_array().into_iter().flatten();
    all.map(|each| each[id].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn nodes_are_shown_narrowed_and_counted() {
    let web = AgentSpec::tagged(&[("Role", "web")]);
    let cluster = Cluster::start(&[web, AgentSpec::default()]).await;
    let aws = cluster.aws();
    let nodes = cluster.nodes().await;
    let mut both = nodes.clone();
    both.sort_unstable();

    for (filter, expected) in [
        (format!("Key=InstanceIds,Values={}", nodes[1]), vec![nodes[1].clone()]),
        ("Key=tag:Role,Values=web,db".to_owned(), vec![nodes[0].clone()]),
        ("Key=tag-key,Values=Role".to_owned(), vec![nodes[0].clone()]),
        ("Key=PingStatus,Values=Online".to_owned(), both.clone()),
        ("Key=ResourceType,Values=EC2Instance".to_owned(), vec![]),
        ("Key=InstanceIds,Values=mi-0123456789abcdef0".to_owned(), vec![]),
    ] {
        let list = aws.ok(&["describe-instance-information", "--filters", &filter]).await;
        assert_eq!(
            ids(&list, "InstanceInformationList", "InstanceId"),
            expected,
            "{filter}"
        );
    }
    for (words, word, text) in [
        (vec!["--filters", "Key=Color,Values=red"], "InvalidFilterKey", "Color"),
        (
            vec!["--filters", "Key=InstanceIds,Values=web"],
            "InvalidInstanceId",
            "web",
        ),
        (
            vec!["--filters", "Key=ResourceType,Values=EC2Instance,ManagedInstance"],
            "InvalidInstanceInformationFilterValue",
            "ResourceType filter may contain only one value.",
        ),
        (
            vec!["--filters", "Key=ResourceType,Values=Toaster"],
            "InvalidInstanceInformationFilterValue",
            "ResourceType filter is invalid, valid values are EC2Instance, ManagedInstance",
        ),
        (
            vec!["--filters", "Key=tag:Role,Values=web", "Key=PingStatus,Values=Online"],
            "ValidationException",
            "Cannot mix tag or inventory filter with any other filter.",
        ),
        (
            vec!["--instance-information-filter-list", "key=Color,valueSet=red"],
            "ValidationException",
            "instanceInformationFilterList.1.member.key",
        ),
        (
            vec!["--no-paginate", "--max-results", "51"],
            "ValidationException",
            "less than or equal to 50",
        ),
        (vec!["--no-paginate", "--next-token", "made-up"], "InvalidNextToken", ""),
    ] {
        let words: Vec<&str> = ["describe-instance-information"].into_iter().chain(words).collect();
        let said = aws.refused(word, &words).await;
        assert!(said.contains(text), "{said}");
    }

    for (filter, word) in [
        ("Key=Color,Values=red,Operator=Equal", "InvalidFilterKey"),
        ("Key=ActivationIds,Values=web,Operator=Equal", "InvalidActivationId"),
        (
            "Key=PlatformName,Values=Debian,Operator=LessThan",
            "InvalidInstancePropertyFilterValue",
        ),
    ] {
        aws.refused(
            word,
            &["describe-instance-properties", "--filters-with-operator", filter],
        )
        .await;
    }
    let newer = "Key=AgentVersion,Values=0.0.1,Operator=GreaterThan";
    let list = aws
        .ok(&["describe-instance-properties", "--filters-with-operator", newer])
        .await;
    assert_eq!(ids(&list, "InstanceProperties", "InstanceId"), both);
    assert_eq!(list["InstanceProperties"][0]["InstanceState"], json!("running"));
    assert!(list["InstanceProperties"][0]["Architecture"].is_string());

    let list = aws
        .ok(&["list-nodes", "--filters", "Key=InstanceStatus,Values=Online,Type=Equal"])
        .await;
    assert_eq!(ids(&list, "Nodes", "Id"), both);
    assert_eq!(list["Nodes"][0]["Owner"], json!({"AccountId": "000000000000"}));
    assert_eq!(
        list["Nodes"][0]["NodeType"]["Instance"]["AgentType"],
        json!("muster-agent")
    );
    let count = "AggregatorType=Count,TypeName=Instance,AttributeName=PlatformType";
    let summary = aws.ok(&["list-nodes-summary", "--aggregators", count]).await;
    assert_eq!(summary["Summary"], json!([{"Count": "2", "PlatformType": "Linux"}]));
    aws.refused(
        "ResourceDataSyncNotFoundException",
        &["list-nodes", "--sync-name", "all"],
    )
    .await;
}

async fn tags(aws: &Aws, verb: &str, kind: &str, id: &str, more: &[&str]) -> Result<Value, String> {
    let words = [verb, "--resource-type", kind, "--resource-id", id];
    let words: Vec<&str> = words.into_iter().chain(more.iter().copied()).collect();
    let answer = aws.ssm(&words).await;
    match answer.code {
        0 => Ok(answer.json),
        _ => Err(answer.stderr),
    }
}

#[tokio::test]
async fn a_node_changes_its_role_and_its_tags_and_is_put_out() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let aws = cluster.aws();
    let node = cluster.nodes().await.remove(0);
    let role = |role: &'static str| {
        [
            "update-managed-instance-role",
            "--instance-id",
            &node,
            "--iam-role",
            role,
        ]
    };
    aws.ok(&role("service-role/SSMServiceRole")).await;
    let said = aws.refused("ValidationException", &role("Nobody")).await;
    assert!(said.contains("Nonexistent role"), "{said}");
    let shown = aws.ok(&["describe-instance-information"]).await;
    assert_eq!(shown["InstanceInformationList"][0]["IamRole"], json!("SSMServiceRole"));

    let kind = "ManagedInstance";
    let unknown = "mi-0123456789abcdef0";
    let add = ["--tags", "Key=Env,Value=dev", "Key=App,Value="];
    assert!(tags(&aws, "add-tags-to-resource", kind, &node, &add).await.is_ok());
    assert!(
        tags(
            &aws,
            "remove-tags-from-resource",
            kind,
            &node,
            &["--tag-keys", "Env", "Absent"]
        )
        .await
        .is_ok()
    );
    let listed = tags(&aws, "list-tags-for-resource", kind, &node, &[]).await.unwrap();
    assert_eq!(listed["TagList"], json!([{"Key": "App", "Value": ""}]));
    for (kind, id, text) in [
        (kind, unknown, "(InvalidResourceId)"),
        (kind, "i-01234567", "(InvalidResourceId)"),
        (
            kind,
            "web",
            "resourceId web should be in format mi-[0-9a-f]{17} for resource type ManagedInstance",
        ),
        ("OpsItem", "oi-0123456789ab", "(InvalidResourceId)"),
        ("Toaster", unknown, "(ValidationException)"),
    ] {
        let said = tags(&aws, "list-tags-for-resource", kind, id, &[]).await.unwrap_err();
        assert!(said.contains(text), "{kind} {id}: {said}");
    }
    let reserved = tags(
        &aws,
        "add-tags-to-resource",
        kind,
        &node,
        &["--tags", "Key=aws:x,Value=y"],
    )
    .await;
    assert!(reserved.unwrap_err().contains("(ValidationException)"));

    let status = async |target: &str| aws.ok(&["get-connection-status", "--target", target]).await;
    assert_eq!(status(&node).await, json!({"Target": node, "Status": "connected"}));
    assert_eq!(
        status("nobody").await,
        json!({"Target": "nobody", "Status": "notconnected"})
    );
    aws.refused(
        "InvalidInstanceId",
        &["deregister-managed-instance", "--instance-id", unknown],
    )
    .await;
    aws.ok(&["deregister-managed-instance", "--instance-id", &node]).await;
    aws.refused(
        "InvalidInstanceId",
        &["deregister-managed-instance", "--instance-id", &node],
    )
    .await;
    assert_eq!(status(&node).await["Status"], json!("notconnected"));
    let shown = aws.ok(&["describe-instance-information"]).await;
    assert_eq!(shown["InstanceInformationList"], json!([]));
    let said = aws
        .refused(
            "InvalidInstanceId",
            &[
                "send-command",
                "--document-name",
                "AWS-RunShellScript",
                "--instance-ids",
                &node,
                "--parameters",
                "commands=true",
            ],
        )
        .await;
    assert!(said.contains(&node), "{said}");
}

#[tokio::test]
async fn a_node_that_asks_too_much_waits_and_loses_nothing() {
    let quota = |key: &'static str, value: &str| ("muster-fan-out", key, value.to_owned());
    let settings = [
        quota("MUSTER_NODE_QUOTA__MESSAGES_PER_SECOND", "2"),
        quota("MUSTER_NODE_QUOTA__MESSAGE_BURST", "2"),
    ];
    let cluster = Cluster::start_with(&[AgentSpec::default()], &settings).await;
    let aws = cluster.aws();
    let node = cluster.nodes().await.remove(0);
    let mut commands = Vec::new();
    for number in 0..4 {
        let script = format!("commands=echo {number}");
        let words = [
            "send-command",
            "--document-name",
            "AWS-RunShellScript",
            "--instance-ids",
            &node,
        ];
        let words: Vec<&str> = words.into_iter().chain(["--parameters", &script]).collect();
        let sent = aws.ok(&words).await;
        commands.push(sent["Command"]["CommandId"].as_str().unwrap().to_owned());
    }
    for (number, command) in commands.iter().enumerate() {
        let words = ["--command-id", command, "--instance-id", &node];
        let get: Vec<&str> = ["get-command-invocation"].into_iter().chain(words).collect();
        let done = until_within(Duration::from_secs(60), "its result comes", async || {
            let shown = aws.ok(&get).await;
            (shown["Status"] == json!("Success"))
                .then_some(shown.clone())
                .ok_or(shown)
        })
        .await;
        assert_eq!(done["StandardOutputContent"], json!(format!("{number}\n")));
    }
    let metrics = scrape(&cluster.address("muster-fan-out")).await.unwrap();
    let refused = metrics
        .lines()
        .find(|line| line.starts_with("muster_node_quota_refused_total"));
    assert!(refused.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
}
