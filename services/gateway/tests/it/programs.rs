//! The real clients: `aws` and `curl`.

use std::process::Stdio;

use jiff::Timestamp;
use muster_model::{Clock as _, SystemClock};
use serde_json::Value;
use tokio::process::Command;

use crate::keys::FakeKeys;
use crate::signer::AccessKey;
use crate::world::World;

/// What a program printed, if it succeeded, or what it complained of.
async fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

fn aws(world: &World, key: &AccessKey, words: &[&str]) -> Command {
    let program = std::env::var_os("MUSTER_TEST_AWS").unwrap_or_else(|| "aws".into());
    let mut command = Command::new(program);
    command
        .args([
            "--endpoint-url",
            &format!("http://{}", world.address()),
            "--output",
            "json",
            "ssm",
        ])
        .args(words)
        .env("AWS_ACCESS_KEY_ID", &key.id)
        .env("AWS_SECRET_ACCESS_KEY", &key.secret)
        .env("AWS_DEFAULT_REGION", &key.region)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_RETRY_MODE", "standard")
        .env("AWS_MAX_ATTEMPTS", "3")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN");
    if let Some(token) = &key.token {
        command.env("AWS_SESSION_TOKEN", token);
    }
    command
}

/// The programs look at the machine's clock.
fn now() -> Timestamp {
    SystemClock.now()
}

#[tokio::test]
async fn aws_signs_as_the_gateway_reads() {
    let (keys, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, now()).await;
    let send = [
        "send-command",
        "--document-name",
        "AWS-RunShellScript",
        "--comment",
        "gr\u{fc}n  &  blau",
    ];
    let sent = run(&mut aws(&world, &alice, &send)).await.expect("a command");
    let sent: Value = serde_json::from_str(&sent).expect("JSON");
    assert_eq!(sent["Command"]["DocumentName"], "AWS-RunShellScript");

    let temporary = AccessKey {
        token: Some("token/with+all=sorts".to_owned()),
        ..AccessKey::new("MSIATEMPTEMPTEMPTEM2", "secret")
    };
    keys.add(&temporary);
    run(&mut aws(&world, &temporary, &["list-commands"]))
        .await
        .expect("a list");

    let wrong = AccessKey::new(&alice.id, "another");
    let complaint = run(&mut aws(&world, &wrong, &["list-commands"]))
        .await
        .expect_err("a wrong secret");
    assert!(complaint.contains("(InvalidSignatureException)"), "{complaint}");
    let nobody = AccessKey::new("MKIANOBODYNOBODYNOB2", "another");
    let complaint = run(&mut aws(&world, &nobody, &["list-commands"]))
        .await
        .expect_err("an unknown key");
    assert!(complaint.contains("(UnrecognizedClientException)"), "{complaint}");
}

#[tokio::test]
async fn aws_repeats_after_a_fault_of_ours_and_the_command_runs_once() {
    let (_, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, now()).await;
    let send = [
        "send-command",
        "--document-name",
        "AWS-RunShellScript",
        "--comment",
        "break",
    ];
    let complaint = run(&mut aws(&world, &alice, &send)).await.expect_err("a fault");
    assert!(complaint.contains("(InternalServerError)"), "{complaint}");
    assert!(complaint.contains("reached max retries"), "{complaint}");
    assert_eq!(world.fake.ran(), 1);
}

#[tokio::test]
async fn aws_reads_a_list_page_by_page() {
    let (_, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, now()).await;
    world.fake.ran.store(7, std::sync::atomic::Ordering::SeqCst);
    let list = run(&mut aws(&world, &alice, &["list-commands", "--page-size", "3"]))
        .await
        .expect("a list");
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list["Commands"].as_array().map(Vec::len), Some(7));
    assert_eq!(list["NextToken"], Value::Null);
    assert_eq!(world.fake.callers.lock().expect("no panic").len(), 3, "pages");
}

#[tokio::test]
async fn curl_signs_as_the_gateway_reads() {
    let (_, cache, alice) = FakeKeys::with_alice();
    let world = World::signed(&cache, now()).await;
    let curl = async |user: String, body: &str| {
        let mut command = Command::new("curl");
        command
            .args(["-q", "--silent", "--show-error", "--noproxy", "*"])
            .args(["--aws-sigv4", "aws:amz:us-east-1:ssm", "--user", &user])
            .args(["-H", "X-Amz-Target: AmazonSSM.ListCommands"])
            .args(["-H", "Content-Type: application/x-amz-json-1.1"])
            .args(["--data", body, &format!("http://{}/", world.address())]);
        let text = run(&mut command).await.expect("an answer");
        serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let good = curl(format!("{}:{}", alice.id, alice.secret), r#"{"MaxResults": 5}"#).await;
    assert_eq!(good["Commands"], serde_json::json!([]), "{good}");
    let wrong = curl(format!("{}:another", alice.id), "{}").await;
    assert_eq!(wrong["__type"], "InvalidSignatureException");
}
