//! Ports that speak TLS, with the certificates that `muster init` makes, and clients that are not ours.

use std::path::{Path, PathBuf};

use muster_harness::{Folder, until};
use muster_proto::access::v1::AccessKey;
use muster_tests::{Cluster, People, binary, python};
use serde_json::Value;
use tokio::process::Command;

use crate::authorization::signed_gateway;

async fn muster(words: &[&str]) {
    let said = Command::new(binary("muster")).args(words).output().await.unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

/// Authority, certificate and key of a server on loopback.
async fn certificates(folder: &Folder, name: &str) -> [PathBuf; 3] {
    let trust = folder.join(name);
    let text = trust.display().to_string();
    muster(&["init", &text, "--listen", "127.0.0.1:4222"]).await;
    muster(&["nats", "certificate", "port", "--host", "127.0.0.1", &text]).await;
    ["ca.pem", "issued/port.pem", "issued/port.key"].map(|file| trust.join("tls").join(file))
}

/// Certificate and key of a caller, by the authority of the same name.
async fn of_caller(folder: &Folder, name: &str) -> [String; 2] {
    let trust = folder.join(name);
    muster(&["nats", "certificate", "rita", &trust.display().to_string()]).await;
    ["rita.pem", "rita.key"].map(|file| trust.join("tls/issued").join(file).display().to_string())
}

/// What a gRPC client hears: the code and the message of the answer.
async fn list(address: &str, ca: &Path, more: &[&str]) -> (String, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/grpc_tls.py");
    let said = Command::new(python())
        .arg(script)
        .arg(address)
        .arg(ca)
        .args(more)
        .output()
        .await
        .unwrap();
    let complaint = String::from_utf8_lossy(&said.stderr);
    let said: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {complaint}"));
    let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    (text("code"), text("message"))
}

fn bearer(key: &AccessKey) -> String {
    format!("{}:{}", key.access_key_id(), key.secret_access_key())
}

#[tokio::test]
async fn grpc_and_aws_json_are_served_over_tls() {
    let folder = Folder::new("tls");
    let [ca, certificate, key] = certificates(&folder, "ours").await;
    let [stranger, ..] = certificates(&folder, "theirs").await;
    let text = |path: &PathBuf| path.display().to_string();
    let mut settings = signed_gateway().to_vec();
    for service in ["muster-run-command", "muster-gateway"] {
        settings.push((service, "MUSTER_SERVER__TLS__CERTIFICATE", text(&certificate)));
        settings.push((service, "MUSTER_SERVER__TLS__KEY", text(&key)));
    }
    settings.push((
        "muster-run-command",
        "MUSTER_SERVER__AUTHENTICATION",
        "bearer".to_owned(),
    ));
    let cluster = Cluster::start_with(&[], &settings).await;
    let mut people = People::new(cluster.bus().await);
    let only_tls = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ssm:ListCommands",
        "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}}"#;
    people.put("only-tls", only_tls).await;
    let (rita, nina) = (people.user("rita", &["only-tls"]).await, people.user("nina", &[]).await);

    let address = cluster.address("muster-run-command");
    assert_eq!(list(&address, &ca, &[&bearer(&rita)]).await.0, "OK");
    let (code, message) = list(&address, &ca, &[&bearer(&nina)]).await;
    assert_eq!(code, "PERMISSION_DENIED");
    assert!(message.contains("user/nina is not authorized"), "{message}");
    assert_eq!(list(&address, &ca, &[]).await.0, "UNAUTHENTICATED");
    assert_eq!(list(&address, &stranger, &[&bearer(&rita)]).await.0, "UNAVAILABLE");
    // Who speaks no TLS hears nothing.
    let clear = in_clear(&format!("http://{address}/healthz")).await;
    assert!(clear.is_err(), "{clear:?}");

    let aws = cluster.aws().with_key(rita.access_key_id(), rita.secret_access_key());
    assert_ne!(aws.ssm(&["list-commands"]).await.code, 0, "in clear");
    let said = aws.clone().over_tls(stranger).ssm(&["list-commands"]).await;
    assert!(said.stderr.contains("CERTIFICATE_VERIFY_FAILED"), "{}", said.stderr);
    aws.over_tls(ca).ok(&["list-commands"]).await;
}

/// What is answered in clear.
async fn in_clear(url: &str) -> Result<String, String> {
    let said = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "10", url])
        .output()
        .await;
    let said = said.map_err(|error| error.to_string())?;
    match said.status.success() {
        true => Ok(String::from_utf8_lossy(&said.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&said.stderr).into_owned()),
    }
}

#[tokio::test]
async fn where_callers_need_a_certificate_a_secret_alone_lets_nobody_in() {
    let folder = Folder::new("mutual");
    let [ca, certificate, key] = certificates(&folder, "ours").await;
    certificates(&folder, "theirs").await;
    let text = |path: &PathBuf| path.display().to_string();
    let service = "muster-run-command";
    let settings = [
        (service, "MUSTER_SERVER__TLS__CERTIFICATE", text(&certificate)),
        (service, "MUSTER_SERVER__TLS__KEY", text(&key)),
        (service, "MUSTER_SERVER__TLS__CLIENT_CA", text(&ca)),
        (service, "MUSTER_SERVER__AUTHENTICATION", "bearer".to_owned()),
    ];
    let cluster = Cluster::start_with(&[], &settings).await;
    let mut people = People::new(cluster.bus().await);
    let rita = bearer(&people.user("rita", &["read-only"]).await);
    let address = cluster.address(service);
    let [own, own_key] = of_caller(&folder, "ours").await;
    let [foreign, foreign_key] = of_caller(&folder, "theirs").await;
    assert_eq!(list(&address, &ca, &[&rita, &own, &own_key]).await.0, "OK");
    assert_eq!(list(&address, &ca, &[&rita]).await.0, "UNAVAILABLE");
    assert_eq!(
        list(&address, &ca, &[&rita, &foreign, &foreign_key]).await.0,
        "UNAVAILABLE"
    );
}

#[tokio::test]
async fn callers_are_known_by_their_certificates() {
    let folder = Folder::new("certificates");
    let [ca, certificate, key] = certificates(&folder, "ours").await;
    let text = |path: &PathBuf| path.display().to_string();
    let service = "muster-run-command";
    let settings = [
        (service, "MUSTER_SERVER__TLS__CERTIFICATE", text(&certificate)),
        (service, "MUSTER_SERVER__TLS__KEY", text(&key)),
        (service, "MUSTER_SERVER__TLS__CLIENT_CA", text(&ca)),
        (service, "MUSTER_SERVER__AUTHENTICATION", "certificate".to_owned()),
    ];
    let cluster = Cluster::start_with(&[], &settings).await;
    let mut people = People::new(cluster.bus().await);
    let [own, own_key] = of_caller(&folder, "ours").await;
    let address = cluster.address(service);
    // A certificate alone is nobody's right.
    let (code, message) = list(&address, &ca, &["", &own, &own_key]).await;
    assert_eq!(code, "PERMISSION_DENIED");
    assert!(message.contains("user/rita is not authorized"), "{message}");
    let rita = bearer(&people.user("rita", &["read-only"]).await);
    until("what rita may do is known", async || {
        let (code, message) = list(&address, &ca, &["", &own, &own_key]).await;
        if code == "OK" { Ok(()) } else { Err(message) }
    })
    .await;
    let (code, message) = list(&address, &ca, &[&rita, &own, &own_key]).await;
    assert_eq!(code, "UNAUTHENTICATED");
    assert!(message.contains("known by their certificates"), "{message}");
    assert_eq!(list(&address, &ca, &[]).await.0, "UNAVAILABLE");
}
