//! `aws:downloadContent` against real servers: HTTP with and without passwords, git, S3, the documents service.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use muster_harness::{Folder, until};
use muster_proto::agent::v1::{DocumentResult, RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::coordinator::Ended;
use crate::python::{self, Python, object_store, put};
use crate::{Scene, work};

const PASSWORD: &str = "s3cret word";

fn download(source: &str, info: Value, destination: &Path) -> Value {
    json!({
        "action": "aws:downloadContent",
        "name": "get",
        "inputs": {"sourceType": source, "sourceInfo": info, "destinationPath": destination},
    })
}

async fn run(scene: &Scene, steps: &[Value]) -> Ended {
    let run = scene.coordinator.send(&work::steps(steps)).await;
    scene.coordinator.end(run).await
}

async fn get(scene: &Scene, source: &str, info: Value, destination: &Path) -> Ended {
    run(scene, &[download(source, info, destination)]).await
}

fn web(folder: &Folder) -> Python {
    python::start("web_server.py", folder.path().to_str())
}

/// A repository with a commit on `main` and another on `branch/two`; the first one's hash.
pub(crate) fn repository(at: &Path) -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git")
            .args(["-C", at.to_str().unwrap(), "-c", "user.name=x", "-c", "user.email=x@y"])
            .args(words)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    std::fs::create_dir_all(at.join("tools")).unwrap();
    git(&["init", "--quiet", "--initial-branch", "main"]);
    std::fs::write(at.join("tools/hello.sh"), "#!/bin/sh\necho one\n").unwrap();
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    let first = git(&["rev-parse", "HEAD"]);
    git(&["checkout", "--quiet", "-b", "branch/two"]);
    std::fs::write(at.join("tools/hello.sh"), "#!/bin/sh\necho two\n").unwrap();
    git(&["commit", "--quiet", "-am", "two"]);
    git(&["checkout", "--quiet", "main"]);
    std::fs::write(at.join("tools/hello.sh"), "#!/bin/sh\necho three\n").unwrap();
    git(&["commit", "--quiet", "-am", "three"]);
    first
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

#[tokio::test]
async fn a_remote_script_is_downloaded_and_run_with_its_arguments() {
    let folder = Folder::new("web");
    std::fs::write(folder.join("hello.sh"), "#!/bin/sh\necho \"hello $1\"\n").unwrap();
    let (web, scene) = (web(&folder), Scene::start().await);
    let info = json!({"url": web.url("/redirect/hello.sh?token=hidden"), "allowInsecureDownload": "true"});
    // The two steps of AWS-RunRemoteScript.
    let ended = run(
        &scene,
        &[
            json!({
                "action": "aws:downloadContent",
                "name": "downloadContent",
                "inputs": {"sourceType": "HTTP", "sourceInfo": info.to_string(), "destinationPath": ""},
            }),
            work::step(
                "runShellScript",
                json!({
                    "runCommand": ["directory=$(pwd)", "export PATH=$PATH:$directory", "hello.sh world"],
                    "workingDirectory": "",
                }),
            ),
        ],
    )
    .await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert_eq!(ended.steps()[1].stdout, "hello world\n");
    let said = &ended.steps()[0].stdout;
    assert!(
        said.contains("/redirect/hello.sh (") && !said.contains("hidden"),
        "{said}"
    );
}

#[tokio::test]
async fn what_may_not_be_downloaded_is_refused_with_the_reason() {
    let folder = Folder::new("web");
    std::fs::write(folder.join("a"), "a").unwrap();
    let (web, scene) = (web(&folder), Scene::with_settings("download_bytes = 1048576").await);
    let to = scene.agent.scratch("got/");
    for (info, why) in [
        (json!({"url": web.url("/files/a")}), "allowInsecureDownload"),
        (
            json!({"url": web.url("/files/none"), "allowInsecureDownload": true}),
            "the server answers 404",
        ),
        (
            json!({"url": web.url("/large/x"), "allowInsecureDownload": true}),
            "larger than the 1048576 bytes",
        ),
        (json!({"url": "ftp://127.0.0.1/x"}), "neither http nor https"),
        (json!({}), "sourceInfo has no url"),
        (
            json!({"url": "https://127.0.0.1:1/x"}),
            "cannot download https://127.0.0.1:1/x",
        ),
    ] {
        let ended = get(&scene, "HTTP", info.clone(), &to).await;
        let step = ended.step();
        assert_eq!(step.status(), StepStatus::Failed);
        assert!(
            step.trace.contains(why) && step.stderr.contains(why),
            "{info}: {step:?}"
        );
    }
    let left = std::fs::read_dir(&to)
        .map(|entries| entries.count())
        .unwrap_or_default();
    assert_eq!(left, 0, "nothing half is left");

    let info = json!({"url": web.url("/files/a"), "allowInsecureDownload": true});
    let ended = get(&scene, "HTTP", info, Path::new("../../out")).await;
    assert!(ended.step().trace.contains("\"..\""), "{:?}", ended.step());
}

#[tokio::test]
async fn passwords_open_and_are_told_to_nobody() {
    let folder = Folder::new("web");
    std::fs::write(folder.join("a"), "content").unwrap();
    let (web, scene) = (web(&folder), Scene::start().await);
    let mut told = String::new();
    for (method, place) in [("Basic", "basic"), ("Digest", "digest")] {
        let info = |password: &str| {
            json!({
                "url": web.url(&format!("/{place}/a?x=1")), "authMethod": method, "username": "me",
                "password": password, "allowInsecureDownload": true,
            })
        };
        let to = scene.agent.scratch(method);
        let ended = get(&scene, "HTTP", info(PASSWORD), &to).await;
        assert_eq!(ended.status(), RunStatus::Success, "{method}: {ended:#?}");
        assert_eq!(read(to.clone()), "content");
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o700);
        told.push_str(&format!("{ended:?}"));

        let ended = get(&scene, "HTTP", info("wrong"), &to).await;
        assert!(
            ended.step().trace.contains("the server answers 401"),
            "{:?}",
            ended.step()
        );
    }
    told.push_str(&scene.agent.log());
    assert!(!told.contains(PASSWORD) && !told.contains("s3cret"), "{told}");
}

#[tokio::test]
async fn a_repository_is_taken_at_a_branch_or_a_commit() {
    let folder = Folder::new("git");
    let first = repository(&folder.join("me/tools"));
    let url = format!("file://{}", folder.join("me/tools").display());
    let scene = Scene::with_settings(&format!("github_url = \"file://{}\"", folder.path().display())).await;
    for (options, expected) in [
        (Value::Null, "three"),
        (json!("branch:branch/two"), "two"),
        (json!(format!("commitID:{first}")), "one"),
    ] {
        let to = scene.agent.scratch(expected);
        let ended = get(&scene, "Git", json!({"repository": url, "getOptions": options}), &to).await;
        assert_eq!(ended.status(), RunStatus::Success, "{options}: {ended:#?}");
        assert!(read(to.join("tools/hello.sh")).contains(expected));
        assert!(!to.join(".git").exists());
    }
    let ended = get(
        &scene,
        "Git",
        json!({"repository": url, "getOptions": "branch:none"}),
        &scene.agent.scratch("none"),
    )
    .await;
    assert!(
        ended.step().trace.contains("git ended with exit status"),
        "{:?}",
        ended.step()
    );
    assert_eq!(ended.step().code, 1);

    // The same by names, one file of it, and its name kept in a folder.
    std::fs::rename(folder.join("me/tools"), folder.join("me/tools.git")).unwrap();
    let to = scene.agent.scratch("hub/");
    let info = json!({"owner": "me", "repository": "tools", "path": "tools/hello.sh", "getOptions": "branch:main"});
    let ended = get(&scene, "GitHub", info, &to).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert!(read(to.join("hello.sh")).contains("three"));
    let info = json!({"owner": "me", "repository": "tools", "path": "none"});
    let ended = get(&scene, "GitHub", info, &to).await;
    assert!(ended.step().trace.contains("has no \"none\""), "{:?}", ended.step());
}

#[tokio::test]
async fn a_link_in_a_repository_leads_no_later_download_elsewhere() {
    let (folder, elsewhere) = (Folder::new("git"), Folder::new("elsewhere"));
    std::fs::write(folder.join("evil"), "mine").unwrap();
    let (web, scene) = (web(&folder), Scene::start().await);
    for name in ["links", "folders"] {
        let at = folder.join(name);
        repository(&at);
        if name == "links" {
            std::os::unix::fs::symlink(elsewhere.path(), at.join("x")).unwrap();
            std::os::unix::fs::symlink(elsewhere.join("evil"), at.join(".evil.part")).unwrap();
        } else {
            std::fs::create_dir(at.join("x")).unwrap();
            std::fs::write(at.join("x/evil"), "mine").unwrap();
        }
        for words in [&["add", "."][..], &["commit", "--quiet", "-m", "four"]] {
            let git = Command::new("git")
                .args(["-C", at.to_str().unwrap(), "-c", "user.name=x", "-c", "user.email=x@y"])
                .args(words)
                .status()
                .unwrap();
            assert!(git.success(), "{words:?}");
        }
    }
    let git = |name: &str| {
        let info = json!({"repository": format!("file://{}", folder.join(name).display())});
        download("Git", info, Path::new(""))
    };
    let http = json!({"url": web.url("/files/evil"), "allowInsecureDownload": true});
    let show = json!({"runCommand": ["cat x/evil evil"]});
    let mut steps = [
        git("links"),
        download("HTTP", http, Path::new("")),
        git("folders"),
        work::step("show", show),
    ];
    for (step, name) in steps.iter_mut().zip(["links", "file", "folders", "show"]) {
        step["name"] = json!(name);
    }
    let ended = run(&scene, &steps).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert_eq!(ended.steps()[3].stdout, "minemine");
    let there = std::fs::read_dir(elsewhere.path()).unwrap().count();
    assert_eq!(there, 0, "nothing was written there");
}

#[tokio::test]
async fn git_is_let_in_with_a_password_that_is_no_argument() {
    let folder = Folder::new("git");
    repository(&folder.join("tools"));
    let (web, scene) = (web(&folder), Scene::start().await);
    // What git was called with, by a git of our own before the real one.
    let calls = scene.agent.scratch("calls");
    let info = |password: &str| json!({"repository": web.url("/git/tools/.git"), "username": "me", "password": password, "getOptions": "branch:main"});
    let to = scene.agent.scratch("tools");
    let watch = format!(
        "for i in 1 2 3; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' >> {}; done; true",
        calls.display()
    );
    let ended = run(
        &scene,
        &[
            download("Git", info(PASSWORD), &to),
            work::step("watch", json!({"runCommand": [watch]})),
        ],
    )
    .await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert!(read(to.join("tools/hello.sh")).contains("three"));
    let told = format!("{:?} {} {}", ended.records, scene.agent.log(), read(calls));
    assert!(!told.contains("s3cret"), "{told}");
    let runs = scene.agent.state().runs();
    assert!(!has_text(&runs, "s3cret"), "a password was left on the disk");

    let ended = get(&scene, "Git", info("wrong"), &to).await;
    assert_eq!(ended.step().status(), StepStatus::Failed);
    assert!(!format!("{ended:?}").contains("wrong"));
}

/// Whether any file below a folder holds a text.
fn has_text(folder: &Path, text: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| match entry.path() {
        path if path.is_dir() => has_text(&path, text),
        path => std::fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text)),
    })
}

#[tokio::test]
async fn objects_come_alone_or_with_all_that_lie_below() {
    let store = object_store(None).await;
    for (key, content) in [("scripts/a.sh", "A"), ("scripts/sub/b.sh", "B"), ("other", "C")] {
        put(&store, key, content).await;
    }
    let credentials = tempfile::NamedTempFile::new().unwrap();
    let keys = "[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = secret\n";
    std::fs::write(credentials.path(), keys).unwrap();
    let settings = format!(
        "[objects]\nurl = \"http://127.0.0.1:{}\"\ncredentials_file = {:?}\n",
        store.port,
        credentials.path()
    );
    let scene = Scene::with_settings(&settings).await;
    let one = scene.agent.scratch("one.sh");
    let ended = get(&scene, "S3", json!({"path": "s3://logs/scripts/a.sh"}), &one).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert_eq!(read(one), "A");

    let all = scene.agent.scratch("all");
    let ended = get(&scene, "S3", json!({"path": store.url("/logs/scripts/")}), &all).await;
    assert!(ended.step().stdout.contains("(2 files, 2 bytes)"), "{ended:#?}");
    assert_eq!(
        (read(all.join("a.sh")), read(all.join("sub/b.sh"))),
        ("A".into(), "B".into())
    );

    let ended = get(&scene, "S3", json!({"path": "s3://logs/none"}), &all).await;
    assert!(ended.step().trace.contains("no such object"), "{:?}", ended.step());
    let ended = get(&scene, "S3", json!({"path": "s3://nobucket/none"}), &all).await;
    assert_eq!(ended.step().status(), StepStatus::Failed);
}

#[tokio::test]
async fn a_document_is_asked_of_the_service() {
    let scene = Scene::start().await;
    scene.coordinator.lend(DocumentResult {
        name: "My-Doc".into(),
        version: "3".into(),
        content: "{\"schemaVersion\": \"2.2\"}".into(),
        format: "JSON".into(),
        document_type: "Command".into(),
        ..DocumentResult::default()
    });
    let to = scene.agent.scratch("docs/");
    let ended = get(&scene, "SSMDocument", json!({"name": "My-Doc:3"}), &to).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert_eq!(read(to.join("My-Doc.json")), "{\"schemaVersion\": \"2.2\"}");

    let ended = get(&scene, "SSMDocument", json!({"name": "Other"}), &to).await;
    assert!(
        ended.step().trace.contains("there is no document Other"),
        "{:?}",
        ended.step()
    );
}

#[tokio::test]
async fn a_download_obeys_its_timeout_and_a_cancel() {
    let folder = Folder::new("web");
    let (web, scene) = (web(&folder), Scene::start().await);
    let to = scene.agent.scratch("slow");
    let mut step = download(
        "HTTP",
        json!({"url": web.url("/slow/x"), "allowInsecureDownload": true}),
        &to,
    );
    step["timeoutSeconds"] = json!(5);
    let begun = Instant::now();
    let ended = run(&scene, &[step.clone()]).await;
    assert_eq!(
        (ended.step().status(), ended.step().code),
        (StepStatus::TimedOut, 137),
        "{ended:#?}"
    );
    assert!(begun.elapsed() >= Duration::from_secs(5));

    std::fs::remove_file(folder.join("slow-began")).unwrap();
    step["timeoutSeconds"] = json!(600);
    let item = work::steps(&[step]);
    let id = scene.coordinator.send(&item).await;
    until("the download has begun", async || {
        if folder.join("slow-began").exists() {
            Ok(())
        } else {
            Err("not yet")
        }
    })
    .await;
    scene.coordinator.cancel(id).await;
    let ended = scene.coordinator.end(id).await;
    assert_eq!(
        (ended.status(), ended.step().status()),
        (RunStatus::Cancelled, StepStatus::Cancelled)
    );
    assert!(!to.exists());
}
