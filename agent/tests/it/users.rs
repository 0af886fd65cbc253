//! As whom and within which bounds scripts run (agent.md B4).

use std::time::Duration;

use muster_harness::{until, until_within};
use muster_proto::agent::v1::{RunStatus, StepStatus};
use serde_json::json;

use crate::agent_process::{is_alive, pid_in};
use crate::coordinator::Ended;
use crate::{Scene, work};

async fn outcome_of(scene: &Scene, inputs: serde_json::Value) -> Ended {
    let run = scene.coordinator.send(&work::with_inputs(inputs)).await;
    scene.coordinator.end(run).await
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn a_script_runs_as_the_user_it_names_and_owns_nothing_of_ours() {
    if !is_root() {
        println!("only root can become somebody else: see `runner::account`");
        return;
    }
    let scene = Scene::with_settings("run_as_allowed = [\"nobody\"]").await;
    // The test's folder must let others pass, as /var/lib does.
    let passable = std::process::Command::new("chmod")
        .arg("711")
        .arg(scene.agent.scratch("."))
        .status();
    assert!(passable.unwrap().success());
    let inputs = json!({
        "runCommand": ["id -un", "id -G", "umask", "echo $HOME $USER $LOGNAME", "pwd", "stat -c '%U %a' $0 $(dirname $0)",
            "cat /proc/$PPID/environ 2>/dev/null | wc -c", "ls $(dirname $0)/.. 2>&1 | wc -l"],
        "runAs": "nobody",
    });
    let ended = outcome_of(&scene, inputs).await;
    let lines: Vec<&str> = ended.step().stdout.lines().collect();
    assert_eq!(ended.status(), RunStatus::Success, "{:?}", ended.step());
    assert_eq!(lines[0], "nobody");
    assert!(!lines[1].split(' ').any(|group| group == "0"), "{lines:?}");
    assert_eq!(lines[2], "0022");
    assert!(lines[3].ends_with("nobody nobody"), "{lines:?}");
    assert_eq!(lines[5..7], ["nobody 700", "nobody 700"]);
    assert_eq!(lines[7], "0", "the environment of its runner is closed to it");
    assert!(ended.step().stdout_bytes > 0);
    let below = json!({"runCommand": ["pwd", "ls"], "runAs": "nobody", "workingDirectory": "."});
    let below = outcome_of(&scene, below).await;
    assert!(below.step().stdout.ends_with("/downloads\n"), "{:?}", below.step());
    let default = outcome_of(&scene, json!({"runCommand": ["id -un"]})).await;
    assert_eq!(default.step().stdout, "root\n");

    for (user, why) in [
        ("daemon", "neither run_as nor in run_as_allowed"),
        ("../../root", "neither run_as nor in run_as_allowed"),
    ] {
        let refused = outcome_of(&scene, json!({"runCommand": ["id -un"], "runAs": user})).await;
        assert_eq!((refused.step().status(), refused.step().code), (StepStatus::Failed, -1));
        assert!(refused.step().trace.contains(why), "{}", refused.step().trace);
    }
}

#[tokio::test]
async fn a_node_has_a_default_user() {
    if !is_root() {
        println!("only root can become somebody else: see `runner::account`");
        return;
    }
    let scene = Scene::with_settings("run_as = \"nobody\"").await;
    let passable = std::process::Command::new("chmod")
        .arg("711")
        .arg(scene.agent.scratch("."))
        .status();
    assert!(passable.unwrap().success());
    assert_eq!(
        outcome_of(&scene, json!({"runCommand": ["id -un"]}))
            .await
            .step()
            .stdout,
        "nobody\n"
    );
    let root = outcome_of(&scene, json!({"runCommand": ["id -un"], "runAs": "root"})).await;
    assert_eq!(root.status(), RunStatus::Failed, "root is not allowed any more");
}

#[tokio::test]
async fn limits_of_the_node_bind_every_script() {
    let scene = Scene::with_settings("[limits]\nopen_files = 123\ncore_bytes = 0\ncpu_seconds = 77").await;
    let ended = outcome_of(
        &scene,
        json!({"runCommand": ["ulimit -n -H", "ulimit -n", "ulimit -c", "ulimit -t"]}),
    )
    .await;
    assert_eq!(ended.step().stdout, "123\n123\n0\n77\n");
}

#[tokio::test]
async fn orphans_are_ended_where_that_is_wished() {
    let scene = Scene::with_settings("grace_seconds = 1").await;
    let child = scene.agent.scratch("child");
    let inputs = json!({
        "runCommand": ["sleep 600 &", format!("echo $! > {}", child.display()), "echo begun"],
        "killOrphans": true,
    });
    let ended = outcome_of(&scene, inputs).await;
    assert_eq!(
        (ended.status(), ended.step().stdout.as_str()),
        (RunStatus::Success, "begun\n")
    );
    assert!(!is_alive(pid_in(&child).await));
}

#[tokio::test]
async fn a_script_that_closes_its_streams_is_still_watched() {
    let scene = Scene::start().await;
    let ended = outcome_of(
        &scene,
        json!({"runCommand": ["echo first", "exec >&- 2>&-", "sleep 1", "exit 5"]}),
    )
    .await;
    assert_eq!((ended.step().code, ended.step().stdout.as_str()), (5, "first\n"));
}

/// A control group of version 2, where they can be made.
pub(crate) fn control_group(name: &str) -> Option<std::path::PathBuf> {
    let place = std::path::Path::new("/sys/fs/cgroup");
    let mount = [place.join("unified"), place.to_owned()]
        .into_iter()
        .find(|mount| mount.join("cgroup.procs").exists());
    let group = mount.map(|mount| mount.join(format!("muster-test-{name}-{}", std::process::id())));
    group.filter(|group| std::fs::create_dir(group).is_ok())
}

#[tokio::test]
async fn a_control_group_holds_those_who_leave_the_process_group() {
    let Some(group) = control_group("leave") else {
        println!("control groups of version 2 cannot be made here");
        return;
    };
    let scene = Scene::with_settings(&format!("grace_seconds = 1\ncgroup = {group:?}")).await;
    let child = scene.agent.scratch("child");
    let inputs = json!({
        "runCommand": [
            format!("setsid sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 1; done' &", child.display()),
            "cat /proc/self/cgroup",
            "sleep 600",
        ],
        "timeoutSeconds": 5,
    });
    let ended = outcome_of(&scene, inputs).await;
    assert_eq!(ended.status(), RunStatus::TimedOut);
    assert!(ended.step().stdout.contains("/muster-run-"), "{}", ended.step().stdout);
    assert!(
        !is_alive(pid_in(&child).await),
        "it left the process group, not the control group"
    );
    until("the group is removed", async || {
        let left = std::fs::read_dir(&group)
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_dir());
        match left.count() {
            0 => Ok(()),
            left => Err(left),
        }
    })
    .await;
    std::fs::remove_dir(&group).unwrap();
}

/// What a process takes, in KiB.
struct Memory {
    /// The most that it ever took, the pages of its program included.
    peak: u64,
    /// The pages of its program and of libraries that are in memory now. They are never written to, so that the kernel
    /// may drop them, and are there once for the agent and all its runners.
    program: u64,
}

impl Memory {
    /// Reads it from the text of `/proc/<pid>/status`.
    fn of(status: &str) -> Self {
        let value = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        Self {
            peak: value("VmHWM:"),
            program: value("RssFile:"),
        }
    }

    /// Holds it against the budget (agent.md B1.1).
    ///
    /// An optimised program must fit it with everything. One that is not optimised is more than the whole budget by its
    /// code alone, 21 MiB, of which nothing can be spared; so there everything else must fit into what the budget has
    /// besides an optimised program.
    #[expect(clippy::print_stdout, reason = "whoever runs the test wants to know how much it was")]
    fn check(&self, who: &str) {
        const BUDGET: u64 = 20 * 1024;
        const OPTIMISED_PROGRAM: u64 = 14 * 1024;
        let own = self.peak.saturating_sub(self.program);
        println!("{who}: at most {} KiB, {} of them its program", self.peak, self.program);
        assert!(
            own < BUDGET - OPTIMISED_PROGRAM,
            "{who} took {own} KiB besides its program"
        );
        let is_optimised = !cfg!(debug_assertions) || crate::agent_process::other_program().is_some();
        if is_optimised {
            assert!(self.peak < BUDGET, "{who} took {} KiB", self.peak);
        }
    }
}

#[tokio::test]
async fn a_gibibyte_of_output_costs_no_memory_and_no_more_disk_than_allowed() {
    let scene = Scene::with_settings("output_bytes = 4194304").await;
    let item = work::with_inputs(json!({"runCommand": [
        "echo the beginning",
        "yes 0123456789abcdef | head -c 1073741824",
        "echo the end",
        "cat /proc/$PPID/status >&2",
    ]}));
    let agent = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", scene.agent.pid())).unwrap();
        Memory::of(&status)
    };
    let before = agent();
    let run = scene.coordinator.send(&item).await;
    let ended = until_within(Duration::from_secs(100), "the run ends", async || {
        scene.coordinator.ended(run).ok_or("it still runs")
    })
    .await;
    assert_eq!(ended.status(), RunStatus::Success);
    let step = ended.step();
    assert_eq!(
        step.stdout_bytes,
        1_073_741_824 + "the beginning\nthe end\n".len() as u64
    );
    assert!(step.stdout.starts_with("the beginning\n0123"), "{:.40}", step.stdout);
    assert!(step.stdout.ends_with("the end\n"));
    assert!(
        step.trace.contains("bytes of its middle were dropped"),
        "{}",
        step.trace
    );
    let file = scene.agent.state().run(run).join("awsrunShellScript.only.stdout");
    assert!(std::fs::metadata(file).unwrap().len() <= 4_194_304 + 64);
    Memory::of(&step.stderr).check("the runner");
    let after = agent();
    after.check("the agent");
    assert!(
        after.peak < before.peak + 4 * 1024,
        "the agent grew from {} to {} KiB",
        before.peak,
        after.peak
    );
}

#[tokio::test]
async fn others_cannot_look_into_the_state_directory() {
    if !is_root() {
        return;
    }
    let scene = Scene::with_settings("run_as_allowed = [\"nobody\"]").await;
    let ended = outcome_of(&scene, json!({"runCommand": ["true"]})).await;
    assert_eq!(ended.status(), RunStatus::Success);
    let looked = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "ls"])
        .arg(scene.agent.state().root())
        .status();
    if let Ok(status) = looked {
        assert!(!status.success(), "it is nobody's business");
    }
}
