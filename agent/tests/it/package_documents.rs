//! `aws:configurePackage` from a document of the type Package, and reboots that package scripts ask for.

use std::fs;
use std::io::Write;

use muster_agent::package::{Phase, Shelf, pack};
use muster_harness::{Folder, until};
use muster_proto::agent::v1::{DocumentFile, DocumentResult, RunStatus, StepStatus};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::coordinator::Ended;
use crate::packages::package;
use crate::reboots::Machine;
use crate::tools::one;
use crate::{Scene, work};

async fn run(scene: &Scene, inputs: Value) -> Ended {
    let run = scene
        .coordinator
        .send(&work::of(&one("aws:configurePackage", inputs)))
        .await;
    scene.coordinator.end(run).await
}

/// Puts an archive into the object store, and lends the document that describes it. Gives both.
fn offer(scene: &Scene, version: &str, install: &str, sha256: Option<&str>) -> (String, Vec<u8>) {
    let from = Folder::new("source");
    fs::write(from.join("install.sh"), format!("{install}\n")).unwrap();
    fs::write(from.join("uninstall.sh"), "echo removing\n").unwrap();
    let mut archive = std::io::Cursor::new(Vec::new());
    pack(from.path(), &mut archive).unwrap();
    let bytes = archive.into_inner();
    let bucket = scene.agent.state().root().join("objects/attachments/id/1");
    fs::create_dir_all(&bucket).unwrap();
    fs::File::create(bucket.join("tool.zip"))
        .unwrap()
        .write_all(&bytes)
        .unwrap();
    let found: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let sha256 = sha256.unwrap_or(&found);
    let content = json!({
        "schemaVersion": "2.0", "version": version,
        "packages": {"_any": {"_any": {"_any": {"file": "tool.zip"}}}},
        "files": {"tool.zip": {"checksums": {"sha256": sha256}}},
    });
    let content = content.to_string();
    lend(scene, &content, "s3://attachments/id/1/tool.zip", &bytes);
    (content, bytes)
}

/// A document of which a package consists, with its one attachment.
fn lend(scene: &Scene, content: &str, url: &str, bytes: &[u8]) {
    let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    scene.coordinator.lend(DocumentResult {
        name: "Tool".into(),
        version: "3".into(),
        content: content.to_owned(),
        format: "JSON".into(),
        document_type: "Package".into(),
        files: vec![DocumentFile {
            name: "tool.zip".into(),
            url: url.to_owned(),
            size: i64::try_from(bytes.len()).unwrap(),
            sha256,
        }],
    });
}

fn installed(scene: &Scene, name: &str) -> Option<(String, Phase)> {
    let shelf = Shelf::at(&scene.agent.state().packages(), name);
    let installed = shelf.read().unwrap();
    installed.map(|installed| (installed.version, installed.phase))
}

#[tokio::test]
async fn a_document_is_installed_by_its_name_and_by_its_arn() {
    let scene = Scene::start().await;
    offer(&scene, "1.0", "echo installing", None);
    let ended = run(&scene, json!({"name": "Tool", "action": "Install"})).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    let said = &ended.step().stdout;
    assert!(
        said.contains("from version 3 of the document Tool, sha256 ") && said.contains("\ninstalling\n"),
        "{said}"
    );
    assert_eq!(installed(&scene, "Tool"), Some(("1.0".into(), Phase::Installed)));
    let arn = "arn:aws:ssm:local:000000000000:document/Tool";
    let again = run(&scene, json!({"name": arn, "action": "Install", "version": "1.0"})).await;
    assert!(
        again.step().stdout.contains("Tool 1.0 is already installed"),
        "{again:#?}"
    );
    let ended = run(&scene, json!({"name": arn, "action": "Uninstall"})).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert!(ended.step().stdout.contains("removing"), "{ended:#?}");
    assert_eq!(installed(&scene, "Tool"), None);
}

#[tokio::test]
async fn a_url_that_is_signed_in_itself_needs_no_credentials() {
    let scene = Scene::start().await;
    let (content, bytes) = offer(&scene, "1.0", "echo installing", None);
    fs::remove_dir_all(scene.agent.state().root().join("objects/attachments")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/b/tool.zip?X-Amz-Signature=0123",
        listener.local_addr().unwrap()
    );
    lend(&scene, &content, &url, &bytes);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
            let is_asked =
                request.starts_with("get /b/tool.zip?x-amz-signature=0123 ") && !request.contains("authorization:");
            let status = if is_asked { "200 OK" } else { "403 Forbidden" };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                bytes.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        }
    });
    let ended = run(&scene, json!({"name": "Tool", "action": "Install"})).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert_eq!(installed(&scene, "Tool"), Some(("1.0".into(), Phase::Installed)));
    let said = format!("{}{}", ended.step().stdout, ended.step().trace);
    assert!(!said.contains("0123"), "{said}");
}

#[tokio::test]
async fn what_the_document_does_not_vouch_for_is_not_installed() {
    let scene = Scene::start().await;
    let fails = async |name: &str, version: &str, words: &str| {
        let ended = run(&scene, json!({"name": name, "action": "Install", "version": version})).await;
        assert_eq!(ended.status(), RunStatus::Failed, "{ended:#?}");
        assert!(ended.step().trace.contains(words), "{}", ended.step().trace);
        assert_eq!(installed(&scene, name), None);
    };
    fails("Tool", "", "no document Tool; this node has no package store").await;
    offer(&scene, "1.0", "echo installing", Some(&"0".repeat(64)));
    fails("Tool", "", "is not the one that the manifest names").await;
    fails("Tool", "2.0", "is of 1.0").await;
    scene.coordinator.lend(DocumentResult {
        name: "Script".into(),
        content: "{}".into(),
        format: "JSON".into(),
        document_type: "Command".into(),
        ..DocumentResult::default()
    });
    fails("Script", "", "no package: its type is Command").await;
    fs::remove_dir_all(scene.agent.state().root().join("objects/attachments")).unwrap();
    fails("Tool", "", "the section [objects] of this agent's configuration").await;
}

#[tokio::test]
async fn a_store_that_refuses_to_show_what_it_does_not_have_leaves_it_to_the_documents() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let scene = Scene::with_settings(&format!("[packages]\nurl = {url:?}\n")).await;
    let ended = run(&scene, json!({"name": "Tool", "action": "Install"})).await;
    assert_eq!(ended.status(), RunStatus::Failed, "{ended:#?}");
    let words =
        format!("no document Tool; its package store does not show one either: {url}/Tool/index.json answers 403");
    assert!(ended.step().trace.contains(&words), "{}", ended.step().trace);
    offer(&scene, "1.0", "echo installing", None);
    let ended = run(&scene, json!({"name": "Tool", "action": "Install"})).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    // Whoever wants the store's is told what the store says.
    let ended = run(
        &scene,
        json!({"name": "arn:aws:ssm:::package/Other", "action": "Install"}),
    )
    .await;
    assert!(
        ended.step().trace.contains("/Other/index.json answers 403"),
        "{}",
        ended.step().trace
    );
}

#[tokio::test]
async fn the_owners_policy_holds_for_packages_of_documents() {
    let owner = Folder::new("owner");
    let policy = owner.join("policy.toml");
    fs::write(&policy, "forbid_documents = [\"Tool\"]\n").unwrap();
    let scene = Scene::with_settings(&format!("policy_file = {policy:?}\n")).await;
    offer(&scene, "1.0", "echo installing", None);
    let ended = run(&scene, json!({"name": "Tool", "action": "Install"})).await;
    assert_eq!(ended.status(), RunStatus::Failed, "{ended:#?}");
    assert!(
        ended.step().trace.contains("policy forbids the document \"Tool\""),
        "{}",
        ended.step().trace
    );
}

#[tokio::test]
async fn a_package_that_asks_for_a_reboot_goes_on_after_it() {
    let (machine, store) = (Machine::new(), Folder::new("store"));
    let settings = format!(
        "{}[packages]\nurl = {:?}\nallow_unsigned = true\n",
        machine.settings(),
        store.path().display().to_string()
    );
    let mut scene = Scene::with_settings(&settings).await;
    let mark = scene.agent.scratch("mark");
    let install = format!(
        "echo line >> {mark}; [ $(wc -l < {mark}) = 1 ] && exit 194; echo booted",
        mark = mark.display()
    );
    package(store.path(), "tool", "1.0", &install);
    let item = work::of(&one(
        "aws:configurePackage",
        json!({"name": "tool", "action": "Install"}),
    ));
    let run = scene.coordinator.send(&item).await;
    machine.wait_until_asked(1).await;
    assert_eq!(installed(&scene, "tool"), Some(("1.0".into(), Phase::Installing)));
    scene.agent.kill();
    machine.boot("second");
    scene.launch_again().await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert!(
        ended.step().stdout.contains("booted\ntool 1.0 is installed"),
        "{ended:#?}"
    );
    assert_eq!(fs::read_to_string(&mark).unwrap(), "line\nline\n");
    assert_eq!(machine.times_asked(), 1);
}

#[tokio::test]
async fn within_another_document_asking_for_a_reboot_is_a_failure_and_the_version_before_comes_back() {
    let (machine, store) = (Machine::new(), Folder::new("store"));
    let settings = format!(
        "{}[packages]\nurl = {:?}\nallow_unsigned = true\n",
        machine.settings(),
        store.path().display().to_string()
    );
    let scene = Scene::with_settings(&settings).await;
    package(store.path(), "tool", "1.0", "echo one");
    let first = self::run(&scene, json!({"name": "tool", "action": "Install"})).await;
    assert_eq!(first.status(), RunStatus::Success, "{first:#?}");
    package(store.path(), "tool", "2.0", "exit 194");
    let inner = one("aws:configurePackage", json!({"name": "tool", "action": "Install"}));
    scene.coordinator.lend(DocumentResult {
        name: "Inner".into(),
        version: "1".into(),
        content: inner.to_string(),
        format: "JSON".into(),
        document_type: "Command".into(),
        ..DocumentResult::default()
    });
    let outer = one(
        "aws:runDocument",
        json!({"documentType": "SSMDocument", "documentPath": "Inner"}),
    );
    let ended = scene
        .coordinator
        .end(scene.coordinator.send(&work::of(&outer)).await)
        .await;
    assert_eq!(
        (ended.step().status(), ended.step().code),
        (StepStatus::Failed, 194),
        "{ended:#?}"
    );
    for words in ["cannot boot the node", "tool 1.0 is back"] {
        assert!(ended.step().trace.contains(words), "{}", ended.step().trace);
    }
    assert_eq!(installed(&scene, "tool"), Some(("1.0".into(), Phase::Installed)));
    until("nobody asks for a reboot", async || match machine.times_asked() {
        0 => Ok(()),
        asked => Err(asked),
    })
    .await;
}
