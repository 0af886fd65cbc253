//! People and jobs that an identity provider knows, and roles that people act in.

use std::os::unix::fs::PermissionsExt as _;

use muster_harness::until;
use muster_proto::access::v1::{AccessKeyStatus, DeleteUserRequest, DetachPolicyRequest, UpdateAccessKeyRequest};
use muster_tests::{Answer, Aws, Cluster, IdentityProvider, People, binary};
use serde_json::Value;
use tokio::process::Command;

use crate::authorization::signed_gateway;

const LIST: &[&str] = &["list-commands"];
const DESCRIBE: &[&str] = &["describe-instance-information"];
const OPS: &str = "arn:aws:iam::000000000000:role/Ops";

/// One operation.
const LISTS: &str =
    r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ssm:ListCommands", "Resource": "*"}}"#;
/// Acting in one role, and what one may do otherwise.
const ASSUMES: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Sid": "Act", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::000000000000:role/Ops"},
    {"Sid": "Look", "Effect": "Allow", "Action": "ssm:DescribeInstanceInformation", "Resource": "*"}]}"#;

/// Who a caller is.
async fn who(aws: &Aws) -> String {
    let said = aws.run("sts", &["get-caller-identity"]).await;
    said.json["Arn"].as_str().unwrap_or(&said.stderr).to_owned()
}

fn session(cluster: &Cluster, made: &Answer) -> Aws {
    assert_eq!(made.code, 0, "{}", made.stderr);
    let text = |name: &str| made.json["Credentials"][name].as_str().unwrap().to_owned();
    cluster
        .aws()
        .with_key(&text("AccessKeyId"), &text("SecretAccessKey"))
        .with_session(&text("SessionToken"))
}

async fn with_token(cluster: &Cluster, token: &str, role: &str) -> Answer {
    let words = [
        "assume-role-with-web-identity",
        "--role-arn",
        role,
        "--role-session-name",
        "nightly",
        "--web-identity-token",
        token,
    ];
    cluster.aws().run("sts", &words).await
}

async fn actions(cluster: &Cluster) -> Vec<(String, String, String)> {
    let said = Command::new(binary("muster"))
        .args(["audit", "list", "--json", "--server", &cluster.nats.url(), "--creds"])
        .arg(cluster.creds())
        .output()
        .await
        .unwrap();
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let records = said["Records"].as_array().unwrap().iter();
    records
        .map(|record| {
            (
                text(record, "Principal"),
                text(record, "Action"),
                text(record, "Decision"),
            )
        })
        .collect()
}

#[tokio::test]
async fn who_an_identity_provider_knows_gets_a_temporary_access_key() {
    let provider = IdentityProvider::start("rita").await;
    let mut settings = signed_gateway().to_vec();
    settings.push(provider.setting());
    let cluster = Cluster::start_with(&[], &settings).await;
    let mut people = People::new(cluster.bus().await);
    people.put("lists", LISTS).await;
    people.put("assumes", ASSUMES).await;
    people.role("Ops", &["lists"]).await;
    people.user("rita", &["assumes"]).await;

    // A person confirms a code, and `aws` has a profile.
    let file = cluster.folder().join("credentials");
    std::fs::write(&file, "[mine]\naws_access_key_id = AKIAMINE\n").unwrap();
    let muster = async |words: &[&str]| {
        Command::new(binary("muster"))
            .arg("login")
            .args(words)
            .args(["--gateway", &cluster.gateway()])
            .env("AWS_SHARED_CREDENTIALS_FILE", &file)
            .output()
            .await
            .unwrap()
    };
    let said = muster(&[
        "--issuer",
        provider.issuer(),
        "--client-id",
        "muster",
        "--profile",
        "muster",
    ])
    .await;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{text}");
    assert!(text.contains("confirm the code WDJB-MJHT"), "{text}");
    assert!(text.contains(":user/rita until"), "{text}");
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written.starts_with("[mine]\naws_access_key_id = AKIAMINE\n"),
        "{written}"
    );
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let member = |name: &str| {
        let line = written.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(" = ").unwrap().1.to_owned()
    };
    let (_, ours) = written.split_once("[muster]").unwrap();
    assert!(ours.contains("aws_session_token = "), "{ours}");
    let rita = cluster
        .aws()
        .with_key(
            ours.lines().nth(1).unwrap().split_once(" = ").unwrap().1,
            &member("aws_secret_access_key"),
        )
        .with_session(&member("aws_session_token"));
    assert!(who(&rita).await.ends_with(":user/rita"), "{}", who(&rita).await);
    rita.ok(DESCRIBE).await;
    rita.refused("AccessDeniedException", LIST).await;

    // A job has its token already, and acts in a role: with the real `aws`, and with `muster login`.
    let job = session(&cluster, &with_token(&cluster, &provider.token("rita"), OPS).await);
    assert_eq!(who(&job).await, "arn:aws:sts::000000000000:assumed-role/Ops/nightly");
    job.ok(LIST).await;
    job.refused("AccessDeniedException", DESCRIBE).await;
    let token_file = cluster.folder().join("token");
    std::fs::write(&token_file, provider.token("rita")).unwrap();
    let said = muster(&["--token-file", &token_file.display().to_string(), "--role", OPS]).await;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.starts_with("[default]\naws_access_key_id = MSIA"), "{text}");

    // What nobody signed, nobody is called, and who may not act in a role.
    let refused = async |token: &str, role: &str, word: &str| {
        let said = with_token(&cluster, token, role).await;
        assert!(said.code != 0 && said.stderr.contains(word), "{word}: {}", said.stderr);
        said.stderr
    };
    refused(&provider.forged("rita"), OPS, "InvalidIdentityToken").await;
    let nobody = refused(&provider.token("nobody"), OPS, "InvalidIdentityToken").await;
    assert!(nobody.contains("nobody"), "{nobody}");
    refused(&provider.token("root"), OPS, "InvalidIdentityToken").await;
    refused("a.b.c", OPS, "InvalidIdentityToken").await;
    let other = OPS.replace("Ops", "Other");
    refused(&provider.token("rita"), &other, "AccessDenied").await;
    refused(
        &provider.token("rita"),
        &OPS.replace("000000000000", "000000000001"),
        "ValidationError",
    )
    .await;

    // It is all in the audit log, and what was refused is too.
    let log = actions(&cluster).await;
    let has = |action: &str, decision: &str| {
        let rita = |(who, what, how): &(String, String, String)| {
            who.ends_with(":user/rita") && what == action && how == decision
        };
        assert!(log.iter().any(rita), "{action} {decision}: {log:?}");
    };
    has("sts:AssumeRoleWithWebIdentity", "Allow");
    has("sts:AssumeRole", "Allow");
    has("sts:AssumeRole", "ImplicitDeny");
    for service in ["muster-access", "muster-gateway"] {
        assert!(
            !cluster.log(service).contains(&member("aws_secret_access_key")),
            "{service}"
        );
    }

    // With the user its sessions are over.
    let detach = DetachPolicyRequest {
        policy_name: Some("assumes".to_owned()),
        user_name: Some("rita".to_owned()),
        ..DetachPolicyRequest::default()
    };
    people.0.detach_policy(detach).await.unwrap();
    let user_name = Some("rita".to_owned());
    people.rid_of_keys("rita").await;
    people.0.delete_user(DeleteUserRequest { user_name }).await.unwrap();
    for over in [&rita, &job] {
        until("the session is over with its user", async || {
            let answer = over.ssm(LIST).await;
            let is_over = answer.stderr.contains("(UnrecognizedClientException)");
            is_over.then_some(()).ok_or(answer.stderr)
        })
        .await;
    }
}

#[tokio::test]
async fn a_person_acts_in_a_role_and_not_for_longer_than_their_own_key() {
    let cluster = Cluster::start_with(&[], &signed_gateway()).await;
    let mut people = People::new(cluster.bus().await);
    people.put("lists", LISTS).await;
    people.put("assumes", ASSUMES).await;
    people.role("Ops", &["lists"]).await;
    let key = people.user("ann", &["assumes"]).await;
    let ann = cluster.aws().with_key(key.access_key_id(), key.secret_access_key());
    let assume = |name: &'static str| ["assume-role", "--role-arn", OPS, "--role-session-name", name];
    let made = ann.run("sts", &assume("ann")).await;
    assert_eq!(
        made.json["AssumedRoleUser"]["Arn"], "arn:aws:sts::000000000000:assumed-role/Ops/ann",
        "{}",
        made.stderr
    );
    let ops = session(&cluster, &made);
    ops.ok(LIST).await;
    ops.refused("AccessDeniedException", DESCRIBE).await;
    // The role itself may not act in any.
    let again = ops.run("sts", &assume("again")).await;
    assert!(again.stderr.contains("AccessDenied"), "{}", again.stderr);

    // From a temporary access key it goes on as long as that.
    let short = ann
        .run("sts", &["get-session-token", "--duration-seconds", "900"])
        .await;
    let chained = session(&cluster, &short).run("sts", &assume("chained")).await;
    assert_eq!(
        chained.json["Credentials"]["Expiration"],
        short.json["Credentials"]["Expiration"]
    );
    let chained = session(&cluster, &chained);
    chained.ok(LIST).await;

    // A session is not called as a node is, and nothing narrows it that is not there.
    for (words, word) in [
        (vec!["--role-session-name", "mi-0123456789abcdef0"], "ValidationError"),
        (vec!["--role-session-name", "ann", "--policy", "{}"], "ValidationError"),
        (
            vec!["--role-session-name", "ann", "--external-id", "xy"],
            "ValidationError",
        ),
    ] {
        let words = [vec!["assume-role", "--role-arn", OPS], words].concat();
        let said = ann.run("sts", &words).await;
        assert!(
            said.code != 0 && said.stderr.contains(word),
            "{words:?}: {}",
            said.stderr
        );
    }

    let update = UpdateAccessKeyRequest {
        access_key_id: key.access_key_id.clone(),
        status: Some(AccessKeyStatus::Inactive.into()),
    };
    people.0.update_access_key(update).await.unwrap();
    for over in [&ops, &chained] {
        until("the session is over with the key behind it", async || {
            let answer = over.ssm(LIST).await;
            let is_over = answer.stderr.contains("(UnrecognizedClientException)");
            is_over.then_some(()).ok_or(answer.stderr)
        })
        .await;
    }
}
