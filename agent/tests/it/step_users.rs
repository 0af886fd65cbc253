//! Who and what the actions start that are no scripts: whole families that end together, and the step's user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use muster_harness::Folder;
use muster_proto::agent::v1::{RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::agent_process::{is_alive, pid_in};
use crate::coordinator::Ended;
use crate::downloads::repository;
use crate::packages::package;
use crate::python;
use crate::tools::one;
use crate::{Scene, work};

const NOBODY: u32 = 65_534;

/// Only root can become somebody else; see `runner::account` for what everybody else hears.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

async fn run(scene: &Scene, action: &str, inputs: Value) -> Ended {
    let run = scene.coordinator.send(&work::of(&one(action, inputs))).await;
    scene.coordinator.end(run).await
}

/// An agent that may run steps as nobody, in a folder that lets others pass, as /var/lib does.
async fn scene(more: &str) -> Scene {
    let scene = Scene::with_settings(&format!("run_as_allowed = [\"nobody\"]\ngrace_seconds = 1\n{more}")).await;
    fs::set_permissions(scene.agent.scratch("."), fs::Permissions::from_mode(0o711)).unwrap();
    scene
}

/// A folder that everybody may write to.
fn common(scene: &Scene) -> PathBuf {
    let folder = scene.agent.scratch("common");
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
    folder
}

fn owner(path: &Path) -> u32 {
    fs::symlink_metadata(path)
        .unwrap_or_else(|error| panic!("{path:?}: {error}"))
        .uid()
}

#[tokio::test]
async fn nobody_of_a_packages_script_outlives_its_timeout() {
    let store = Folder::new("store");
    let scene = scene(&format!(
        "[packages]\nurl = {:?}\nallow_unsigned = true",
        store.path().display().to_string()
    ))
    .await;
    let child = scene.agent.scratch("child");
    // Twice away: from the process group and from its parent.
    let install = format!(
        "setsid sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 1; done' & sleep 600",
        child.display()
    );
    package(store.path(), "tool", "1.0", &install);
    let inputs = json!({"name": "tool", "action": "Install", "timeoutSeconds": 5});
    let ended = run(&scene, "aws:configurePackage", inputs).await;
    assert_eq!(
        (ended.step().status(), ended.step().code),
        (StepStatus::TimedOut, 137),
        "{ended:#?}"
    );
    assert!(!is_alive(pid_in(&child).await), "it left the process group");
}

#[tokio::test]
async fn background_children_of_a_packages_script_live_on_unless_they_are_orphans_to_be_ended() {
    let store = Folder::new("store");
    let scene = scene(&format!(
        "[packages]\nurl = {:?}\nallow_unsigned = true",
        store.path().display().to_string()
    ))
    .await;
    let child = scene.agent.scratch("child");
    package(
        store.path(),
        "tool",
        "1.0",
        &format!("setsid sleep 600 & echo $! > {}", child.display()),
    );
    for (version, ends_orphans) in [("1.0", false), ("1.1", true)] {
        package(
            store.path(),
            "tool",
            version,
            &format!("setsid sleep 600 & echo $! > {}", child.display()),
        );
        let inputs = json!({"name": "tool", "action": "Install", "version": version, "killOrphans": ends_orphans});
        let ended = run(&scene, "aws:configurePackage", inputs).await;
        assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
        let process = pid_in(&child).await;
        assert_eq!(is_alive(process), !ends_orphans, "{version}");
        crate::agent_process::kill(process);
    }
}

#[tokio::test]
async fn scripts_of_a_package_run_as_the_steps_user_and_stay_ours() {
    if !is_root() {
        return;
    }
    let store = Folder::new("store");
    let scene = scene(&format!(
        "[packages]\nurl = {:?}\nallow_unsigned = true",
        store.path().display().to_string()
    ))
    .await;
    let install =
        "id -un; echo $USER $HOME; cat data; echo x > here 2>/dev/null || echo refused; stat -c %U install.sh";
    package(store.path(), "tool", "1.0", install);
    let inputs = json!({"name": "tool", "action": "Install", "runAs": "nobody"});
    let ended = run(&scene, "aws:configurePackage", inputs).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    let said: Vec<&str> = ended.step().stdout.lines().skip(2).collect();
    assert_eq!(said[0], "nobody", "{said:?}");
    assert!(said[1].starts_with("nobody "), "{said:?}");
    assert_eq!(said[2..5], ["data-1.0", "refused", "root"], "{said:?}");
}

#[tokio::test]
async fn docker_is_called_as_the_steps_user() {
    if !is_root() {
        return;
    }
    let program = Folder::new("docker");
    fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let docker = program.join("docker");
    let lines =
        "#!/bin/sh\nid -un\nfor word in \"$@\"; do case $word in --env-file=*) cat \"${word#*=}\";; esac; done\n";
    fs::write(&docker, lines).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let scene = scene(&format!("[docker]\nprogram = {docker:?}\n")).await;
    let inputs = json!({"action": "Run", "image": "x", "env": "TOKEN=s3cret", "runAs": "nobody"});
    let ended = run(&scene, "aws:runDockerAction", inputs).await;
    assert_eq!(ended.step().stdout, "nobody\nTOKEN=s3cret\n", "{ended:#?}");
    let refused = run(
        &scene,
        "aws:runDockerAction",
        json!({"action": "Ps", "runAs": "daemon"}),
    )
    .await;
    assert_eq!((refused.step().status(), refused.step().code), (StepStatus::Failed, -1));
    assert!(refused.step().trace.contains("run_as_allowed"), "{refused:?}");
}

#[tokio::test]
async fn downloads_are_the_steps_users_and_go_only_where_that_user_may_write() {
    if !is_root() {
        return;
    }
    let folder = Folder::new("web");
    fs::write(folder.join("a.sh"), "echo hi\n").unwrap();
    let web = python::start("web_server.py", folder.path().to_str());
    let scene = scene("").await;
    let common = common(&scene);
    let get = async |destination: &Path, user: &str| {
        let info = json!({"url": web.url("/files/a.sh"), "allowInsecureDownload": true});
        let inputs = json!({"sourceType": "HTTP", "sourceInfo": info, "destinationPath": destination, "runAs": user});
        run(&scene, "aws:downloadContent", inputs).await
    };
    let to = common.join("sub/b.sh");
    let ended = get(&to, "nobody").await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert_eq!((owner(&to), owner(&common.join("sub"))), (NOBODY, NOBODY));
    assert_eq!(fs::read_to_string(&to).unwrap(), "echo hi\n");
    for path in [&to, &common.join("sub")] {
        let mode = fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o700, "{path:?} is for its owner only: {mode:o}");
    }
    assert!(
        ended.step().stdout.contains(to.to_str().unwrap()),
        "{}",
        ended.step().stdout
    );

    let forbidden = scene.agent.scratch("forbidden");
    fs::create_dir(&forbidden).unwrap();
    let ended = get(&forbidden.join("c.sh"), "nobody").await;
    assert_eq!(ended.status(), RunStatus::Failed, "{ended:#?}");
    assert!(ended.step().stderr.contains("ermission denied"), "{ended:#?}");
    assert!(!forbidden.join("c.sh").exists());
    let ended = get(&forbidden.join("c.sh"), "root").await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    let refused = get(&to, "daemon").await;
    assert!(refused.step().trace.contains("run_as_allowed"), "{refused:?}");
}

#[tokio::test]
async fn the_runs_downloads_are_shown_to_the_group_of_the_steps_user_only() {
    if !is_root() {
        return;
    }
    let folder = Folder::new("web");
    fs::write(folder.join("a.sh"), "echo hi\n").unwrap();
    let web = python::start("web_server.py", folder.path().to_str());
    let scene = scene("").await;
    let info = json!({"url": web.url("/files/a.sh"), "allowInsecureDownload": true});
    let inputs = json!({"sourceType": "HTTP", "sourceInfo": info, "destinationPath": "", "runAs": "nobody"});
    let script = json!({"runCommand": ["id -un; ./a.sh; stat -c %A . a.sh"], "runAs": "nobody"});
    let steps = work::steps(&[
        json!({"action": "aws:downloadContent", "name": "get", "inputs": inputs}),
        work::step("use", script),
    ]);
    let ended = scene.coordinator.end(scene.coordinator.send(&steps).await).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert_eq!(ended.steps()[1].stdout, "nobody\nhi\ndrwxr-x---\n-rwxr-x---\n");
}

#[tokio::test]
async fn git_runs_as_the_steps_user() {
    if !is_root() {
        return;
    }
    let folder = Folder::new("git");
    repository(&folder.join("tools"));
    let web = python::start("web_server.py", folder.path().to_str());
    let scene = scene("").await;
    let common = common(&scene);
    let info = json!({"repository": web.url("/git/tools/.git"), "username": "me", "password": "s3cret word"});
    let inputs = |destination: &Path| json!({"sourceType": "Git", "sourceInfo": info, "destinationPath": destination, "runAs": "nobody"});
    let ended = run(&scene, "aws:downloadContent", inputs(&common.join("got"))).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    let script = common.join("got/tools/hello.sh");
    assert!(fs::read_to_string(&script).unwrap().contains("three"));
    assert_eq!(owner(&script), NOBODY);

    // A repository that only we may read is none to the step's user.
    let info = json!({"repository": format!("file://{}", folder.join("tools").display())});
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let inputs =
        json!({"sourceType": "Git", "sourceInfo": info, "destinationPath": common.join("no"), "runAs": "nobody"});
    let ended = run(&scene, "aws:downloadContent", inputs).await;
    assert_eq!(ended.status(), RunStatus::Failed, "{ended:#?}");
    assert!(ended.step().trace.contains("git ended with exit status"), "{ended:#?}");
}

#[tokio::test]
async fn where_a_user_cannot_be_obeyed_the_step_says_so() {
    let scene = scene("").await;
    for (action, inputs) in [
        ("aws:softwareInventory", json!({"networkConfig": "Enabled"})),
        ("aws:updateSsmAgent", json!({})),
        (
            "aws:runDocument",
            json!({"documentType": "LocalPath", "documentPath": "/x"}),
        ),
    ] {
        let mut inputs = inputs;
        inputs["runAs"] = json!("nobody");
        let ended = run(&scene, action, inputs).await;
        assert_eq!(
            (ended.status(), ended.step().code),
            (RunStatus::Failed, -1),
            "{action}: {ended:#?}"
        );
        assert!(
            ended.step().trace.contains("the input runAs cannot make it \"nobody\""),
            "{action}: {}",
            ended.step().trace
        );
    }
}
