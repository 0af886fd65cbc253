//! Access keys, with the real `aws` command line against a gateway that verifies signatures.

use muster_harness::until;
use muster_proto::access::v1::{AccessKeyStatus, UpdateAccessKeyRequest};
use muster_tests::{AgentSpec, Cluster, People};

const DESCRIBE: &[&str] = &["describe-instance-information"];

#[tokio::test]
async fn only_who_has_an_active_access_key_is_answered() {
    let settings = [
        (
            "muster-gateway",
            "MUSTER_SERVICE__AUTHENTICATION",
            "signature".to_owned(),
        ),
        (
            "muster-gateway",
            "MUSTER_SERVICE__REGIONS",
            r#"["eu-central-1"]"#.to_owned(),
        ),
    ];
    let mut cluster = Cluster::start_with(&[AgentSpec::default()], &settings).await;
    let nobody = cluster.aws();
    nobody.refused("UnrecognizedClientException", DESCRIBE).await;
    cluster.stop("muster-access").await;
    // Nobody knows the keys now: that is no verdict about them.
    nobody.refused("ServiceUnavailable", DESCRIBE).await;
    cluster.restart("muster-access").await;
    nobody.refused("UnrecognizedClientException", DESCRIBE).await;

    let mut people = People::new(cluster.bus().await);
    let key = people.user("ann", &["operator"]).await;
    let ann = cluster.aws().with_key(key.access_key_id(), key.secret_access_key());
    let node = &cluster.nodes().await[0];
    let known = ann.ok(DESCRIBE).await;
    assert_eq!(known["InstanceInformationList"][0]["InstanceId"], node.as_str());
    let sent = ann
        .ok(&[
            "send-command",
            "--document-name",
            "AWS-RunShellScript",
            "--instance-ids",
            node,
            "--parameters",
            "commands=id -u",
        ])
        .await;
    let command = sent["Command"]["CommandId"].as_str().unwrap();
    ann.ok(&[
        "wait",
        "command-executed",
        "--command-id",
        command,
        "--instance-id",
        node,
    ])
    .await;

    // The secret of another key.
    cluster
        .aws()
        .with_key(key.access_key_id(), "0123456789012345678901234567890123456789")
        .refused("InvalidSignatureException", DESCRIBE)
        .await;

    people
        .0
        .update_access_key(UpdateAccessKeyRequest {
            access_key_id: key.access_key_id.clone(),
            status: Some(AccessKeyStatus::Inactive.into()),
        })
        .await
        .unwrap();
    until("a key that was switched off is refused", || async {
        let answer = ann.ssm(DESCRIBE).await;
        let is_refused = answer.stderr.contains("(UnrecognizedClientException)");
        is_refused.then_some(()).ok_or(answer.stdout)
    })
    .await;

    // The secret is with its owner alone.
    for service in ["muster-access", "muster-gateway"] {
        assert!(!cluster.log(service).contains(key.secret_access_key()), "{service}");
    }
}

#[tokio::test]
async fn a_temporary_access_key_is_its_user_until_its_time_or_the_key_behind_it_ends() {
    let cluster = Cluster::start_with(&[], &crate::authorization::signed_gateway()).await;
    let mut people = People::new(cluster.bus().await);
    let key = people.user("ann", &["operator"]).await;
    let ann = cluster.aws().with_key(key.access_key_id(), key.secret_access_key());
    let made = ann
        .run("sts", &["get-session-token", "--duration-seconds", "900"])
        .await;
    assert_eq!(made.code, 0, "{}", made.stderr);
    let text = |name: &str| made.json["Credentials"][name].as_str().unwrap().to_owned();
    let (id, secret, token) = (text("AccessKeyId"), text("SecretAccessKey"), text("SessionToken"));
    assert!(id.starts_with("MSIA") && !token.contains(&secret));
    let session = cluster.aws().with_key(&id, &secret).with_session(&token);
    session.ok(DESCRIBE).await;
    session
        .refused("AccessDeniedException", &["create-activation", "--iam-role", "Web"])
        .await;
    let who = session.run("sts", &["get-caller-identity"]).await;
    assert!(
        who.json["Arn"].as_str().unwrap().ends_with(":user/ann"),
        "{}",
        who.stderr
    );

    // Without its token, with another one, and as the beginning of another session it is nothing.
    cluster
        .aws()
        .with_key(&id, &secret)
        .refused("UnrecognizedClientException", DESCRIBE)
        .await;
    let other = ann.run("sts", &["get-session-token"]).await;
    let others = other.json["Credentials"]["SessionToken"].as_str().unwrap();
    let mixed = cluster.aws().with_key(&id, &secret).with_session(others);
    mixed.refused("UnrecognizedClientException", DESCRIBE).await;
    let again = session.run("sts", &["get-session-token"]).await;
    assert!(
        again.code != 0 && again.stderr.contains("AccessDenied"),
        "{}",
        again.stderr
    );
    let long = ann
        .run("sts", &["get-session-token", "--duration-seconds", "43201"])
        .await;
    assert!(long.stderr.contains("ValidationError"), "{}", long.stderr);

    let update = UpdateAccessKeyRequest {
        access_key_id: key.access_key_id.clone(),
        status: Some(AccessKeyStatus::Inactive.into()),
    };
    people.0.update_access_key(update).await.unwrap();
    until("the session is over with the key that it was made with", async || {
        let answer = session.ssm(DESCRIBE).await;
        match answer.code != 0 && answer.stderr.contains("UnrecognizedClientException") {
            true => Ok(()),
            false => Err(answer.stderr),
        }
    })
    .await;
}
