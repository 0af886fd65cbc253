//! Activations with the real `aws` command line.

use muster_tests::Cluster;
use serde_json::json;

#[tokio::test]
async fn an_activation_lives_from_create_to_delete() {
    let cluster = Cluster::start(&[]).await;
    let aws = cluster.aws();
    let made = aws
        .ok(&[
            "create-activation",
            "--default-instance-name",
            "web",
            "--description",
            "web servers",
            "--iam-role",
            "service-role/SSMServiceRole",
            "--registration-limit",
            "10",
            "--tags",
            "Key=Role,Value=web",
        ])
        .await;
    let (id, code) = (
        made["ActivationId"].as_str().unwrap(),
        made["ActivationCode"].as_str().unwrap(),
    );
    assert_eq!((id.len(), code.len()), (36, 20));

    let filter = format!("FilterKey=ActivationIds,FilterValues={id}");
    let listed = aws.ok(&["describe-activations", "--filters", &filter]).await;
    let shown = &listed["ActivationList"][0];
    assert_eq!(shown["ActivationId"], json!(id));
    assert_eq!(shown["IamRole"], json!("SSMServiceRole"));
    assert_eq!(
        (
            &shown["RegistrationLimit"],
            &shown["RegistrationsCount"],
            &shown["Expired"]
        ),
        (&json!(10), &json!(0), &json!(false))
    );
    assert_eq!(shown["Tags"], json!([{"Key": "Role", "Value": "web"}]));
    assert!(shown["ExpirationDate"].is_number() && shown["CreatedDate"].is_number());

    let second = aws.ok(&["create-activation", "--iam-role", "SSMServiceRole"]).await;
    // The command line follows the tokens by itself.
    let all = aws.ok(&["describe-activations", "--page-size", "1"]).await;
    let ids: Vec<_> = all["ActivationList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| &each["ActivationId"])
        .collect();
    assert_eq!(ids, [&second["ActivationId"], &made["ActivationId"]]);

    aws.ok(&["delete-activation", "--activation-id", id]).await;
    aws.refused("InvalidActivation", &["delete-activation", "--activation-id", id])
        .await;
    let gone = aws.ok(&["describe-activations", "--filters", &filter]).await;
    assert_eq!(gone["ActivationList"], json!([]));

    // No service wrote the code down.
    for name in muster_tests::SERVICES {
        assert!(!cluster.log(name).contains(code), "the log of {name} holds a code");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_as_aws_does() {
    let cluster = Cluster::start(&[]).await;
    let aws = cluster.aws();
    let said = aws
        .refused("ValidationException", &["create-activation", "--iam-role", "Nobody"])
        .await;
    let expected =
        "Nonexistent role or missing ssm service principal in trust policy: arn:aws:iam::000000000000:role/Nobody";
    assert!(said.contains(expected), "{said}");
    let role = "SSMServiceRole";
    for (words, text) in [
        (["--registration-limit", "1001"], "registrationLimit"),
        (["--expiration-date", "2020-01-01T00:00:00Z"], "past"),
        (["--expiration-date", "2200-01-01T00:00:00Z"], "30 days"),
        (["--default-instance-name", "a*b"], "defaultInstanceName"),
        (["--tags", "Key=aws:x,Value=y"], "reserved"),
    ] {
        let said = aws
            .refused(
                "ValidationException",
                &["create-activation", "--iam-role", role, words[0], words[1]],
            )
            .await;
        assert!(said.contains(text), "{said}");
    }
    aws.refused(
        "ValidationException",
        &["describe-activations", "--filters", "FilterKey=Color,FilterValues=red"],
    )
    .await;
    aws.refused(
        "InvalidNextToken",
        &["describe-activations", "--starting-token", "eyJOZXh0VG9rZW4iOiAieCJ9"],
    )
    .await;
    aws.refused(
        "ValidationException",
        &["delete-activation", "--activation-id", "nothing"],
    )
    .await;
    let node = "mi-0123456789abcdef0";
    aws.refused(
        "InvalidInstanceId",
        &[
            "update-managed-instance-role",
            "--instance-id",
            node,
            "--iam-role",
            role,
        ],
    )
    .await;
}
