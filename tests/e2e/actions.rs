//! Remote scripts and packages, from the real `aws` command line to the machine.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use muster_harness::{Folder, until};
use muster_tests::{AgentSpec, Cluster, binary, python};
use serde_json::{Value, json};

/// What became of a command on its one node.
async fn run(cluster: &Cluster, node: &str, document: &str, parameters: &Value) -> Value {
    let (aws, parameters) = (cluster.aws(), parameters.to_string());
    let words = [
        "send-command",
        "--document-name",
        document,
        "--instance-ids",
        node,
        "--parameters",
        &parameters,
    ];
    let sent = aws.ok(&words).await;
    let id = sent["Command"]["CommandId"].as_str().unwrap();
    cluster.api().await.ended(id).await;
    let listed = aws
        .ok(&["list-command-invocations", "--command-id", id, "--details"])
        .await;
    listed["CommandInvocations"][0].clone()
}

/// The outputs of the steps, by their names.
fn outputs(invocation: &Value) -> String {
    let steps = invocation["CommandPlugins"].as_array().unwrap();
    let output = |step: &Value| {
        format!(
            "{}: {}",
            step["Name"].as_str().unwrap(),
            step["Output"].as_str().unwrap()
        )
    };
    steps.iter().map(output).collect()
}

/// The web server of the agent's tests, for a folder.
struct Web {
    child: Child,
    port: u16,
}

impl Web {
    fn start(folder: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/scripts/web_server.py");
        let mut child = Command::new(python())
            .args([&script, folder])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().parse().unwrap();
        Self { child, port }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SCRIPT: &str = "#!/bin/sh\necho \"hello $1 from $(basename \"$0\")\"\n";

#[tokio::test]
async fn a_remote_script_is_fetched_from_the_object_store_and_run() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    cluster.put("scripts", "tools/hello.sh", SCRIPT.as_bytes());
    let parameters = json!({
        "sourceType": ["S3"], "sourceInfo": [json!({"path": "s3://scripts/tools/hello.sh"}).to_string()],
        "commandLine": ["hello.sh world"],
    });
    let ended = run(&cluster, &node, "AWS-RunRemoteScript", &parameters).await;
    assert_eq!(ended["Status"], "Success", "{ended}");
    assert!(
        outputs(&ended).contains("runShellScript: hello world from hello.sh\n"),
        "{ended}"
    );

    let parameters = json!({
        "sourceType": ["S3"], "sourceInfo": [json!({"path": "s3://scripts/none.sh"}).to_string()],
        "commandLine": ["echo never"],
    });
    let ended = run(&cluster, &node, "AWS-RunRemoteScript", &parameters).await;
    assert_eq!(ended["Status"], "Failed", "{ended}");
    let outputs = outputs(&ended);
    assert!(
        outputs.contains("no such object") && !outputs.contains("never"),
        "{ended}"
    );
}

#[tokio::test]
async fn a_remote_script_is_fetched_from_a_repository_and_run() {
    let folder = Folder::new("hub");
    let repository = folder.join("team/tools.git");
    std::fs::create_dir_all(repository.join("bin")).unwrap();
    std::fs::write(repository.join("bin/hello.sh"), SCRIPT).unwrap();
    let git = |words: &[&str]| {
        let status = Command::new("git")
            .arg("-C")
            .arg(&repository)
            .args(["-c", "user.name=x", "-c", "user.email=x@y"])
            .args(words)
            .status();
        assert!(status.unwrap().success(), "{words:?}");
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    let web = Web::start(folder.path());
    let agent = AgentSpec::default().with("GITHUB_URL", format!("http://127.0.0.1:{}/hub", web.port));
    let cluster = Cluster::start(&[agent]).await;
    let node = cluster.nodes().await.remove(0);
    let info = json!({"owner": "team", "repository": "tools", "path": "bin", "getOptions": "branch:main"});
    let parameters = json!({
        "sourceType": ["GitHub"], "sourceInfo": [info.to_string()], "commandLine": ["hello.sh moon"],
    });
    let ended = run(&cluster, &node, "AWS-RunRemoteScript", &parameters).await;
    assert_eq!(ended["Status"], "Success", "{ended}");
    assert!(
        outputs(&ended).contains("runShellScript: hello moon from hello.sh\n"),
        "{ended}"
    );
}

/// An archive of a package, and its SHA-256.
fn archive(folder: &Folder, mark: &Path) -> (PathBuf, String) {
    let from = folder.join("hello");
    std::fs::create_dir_all(&from).unwrap();
    let install = format!("echo \"$SSM_greeting\" > {}\n", mark.display());
    std::fs::write(from.join("install.sh"), install).unwrap();
    std::fs::write(from.join("uninstall.sh"), format!("rm {}\n", mark.display())).unwrap();
    let built = Command::new(binary("muster"))
        .args(["package", "build"])
        .arg(&from)
        .args(["--name", "hello", "--version", "1.0.0", "--store"])
        .arg(folder.join("store"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stdout).into_owned() + &String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    let line = String::from_utf8(built.stdout).unwrap();
    let (sum, path) = line.trim().split_once("  ").unwrap();
    (path.into(), sum.to_owned())
}

#[tokio::test]
async fn a_package_is_made_with_an_attachment_installed_and_removed() {
    let folder = Folder::new("package");
    let mark = folder.join("installed");
    let (zip, sum) = archive(&folder, &mark);
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let (aws, node) = (cluster.aws(), cluster.nodes().await.remove(0));
    cluster.put("uploads", "hello/hello.zip", &std::fs::read(zip).unwrap());
    let content = json!({
        "schemaVersion": "2.0", "version": "1.0.0", "publisher": "us",
        "packages": {"_any": {"_any": {"_any": {"file": "hello.zip"}}}},
        "files": {"hello.zip": {"checksums": {"sha256": sum}}},
    });
    let attachment = "Key=SourceUrl,Values=s3://uploads/hello";
    let made = aws
        .ok(&[
            "create-document",
            "--name",
            "Hello",
            "--document-type",
            "Package",
            "--content",
            &content.to_string(),
            "--attachments",
            attachment,
        ])
        .await;
    assert_eq!(made["DocumentDescription"]["Status"], "Creating");
    let got = until("the attachment is there", async || {
        let got = aws.ok(&["get-document", "--name", "Hello"]).await;
        if got["Status"] == "Active" { Ok(got) } else { Err(got) }
    })
    .await;
    let file = &got["AttachmentsContent"][0];
    assert_eq!(
        (&file["Name"], &file["HashType"]),
        (&json!("hello.zip"), &json!("Sha256"))
    );
    assert_eq!(file["Hash"], json!(sum));
    assert!(file["Size"].as_u64().unwrap() > 0 && file["Url"].as_str().unwrap().starts_with("file://"));

    let install = json!({"action": ["Install"], "name": ["Hello"], "additionalArguments": ["{\"greeting\":\"hi\"}"]});
    let ended = run(&cluster, &node, "AWS-ConfigureAWSPackage", &install).await;
    assert_eq!(ended["Status"], "Success", "{ended}");
    assert!(outputs(&ended).contains("Hello 1.0.0 is installed"), "{ended}");
    assert_eq!(std::fs::read_to_string(&mark).unwrap(), "hi\n");

    let remove = json!({"action": ["Uninstall"], "name": ["arn:aws:ssm:eu-central-1:000000000000:document/Hello"]});
    let ended = run(&cluster, &node, "AWS-ConfigureAWSPackage", &remove).await;
    assert_eq!(ended["Status"], "Success", "{ended}");
    assert!(!mark.exists());

    // One whose file is not what the content says is never installed.
    let wrong = content.to_string().replace(&sum, &"0".repeat(64));
    aws.ok(&[
        "create-document",
        "--name",
        "Wrong",
        "--document-type",
        "Package",
        "--content",
        &wrong,
        "--attachments",
        attachment,
    ])
    .await;
    let failed = until("the attachment is refused", async || {
        let got = aws.ok(&["describe-document", "--name", "Wrong"]).await["Document"].clone();
        if got["Status"] == "Failed" { Ok(got) } else { Err(got) }
    })
    .await;
    assert!(
        failed["StatusInformation"]
            .as_str()
            .unwrap()
            .contains("hello.zip: its sha256 is"),
        "{failed}"
    );
    let install = json!({"action": ["Install"], "name": ["Wrong"]});
    let ended = run(&cluster, &node, "AWS-ConfigureAWSPackage", &install).await;
    assert_eq!(ended["Status"], "Failed", "{ended}");
    assert!(outputs(&ended).contains("Wrong is Failed"), "{ended}");
}
