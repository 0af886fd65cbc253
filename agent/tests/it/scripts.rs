//! How scripts run: interpreters, environment, descriptors, output (D9, D11, D14, D15).

use std::io::Write;
use std::path::Path;

use muster_proto::agent::v1::{RunStatus, StepStatus};
use serde_json::json;

use crate::coordinator::Ended;
use crate::{Scene, work};

async fn outcome_of(scene: &Scene, inputs: serde_json::Value) -> Ended {
    let run = scene.coordinator.send(&work::with_inputs(inputs)).await;
    scene.coordinator.end(run).await
}

#[tokio::test]
async fn a_failing_script_tells_its_code_and_its_last_words() {
    let scene = Scene::start().await;
    let ended = outcome_of(&scene, json!({"runCommand": ["echo a", "echo b >&2", "exit 7"]})).await;
    let step = ended.step();
    assert_eq!(
        (ended.status(), step.status(), step.code),
        (RunStatus::Failed, StepStatus::Failed, 7)
    );
    assert_eq!(step.stdout, "a\n");
    assert_eq!(step.stderr, "b\nfailed to run commands: exit status 7\n");
    assert_eq!(
        step.output,
        "a\n\n----------ERROR-------\nb\nfailed to run commands: exit status 7\n"
    );
    assert!(step.started_at.is_some() && step.finished_at.is_some());
}

#[tokio::test]
async fn a_first_line_or_an_input_chooses_the_interpreter() {
    let scene = Scene::start().await;
    let python = json!({"runCommand": ["#!/usr/bin/env python3", "print(6 * 7)"]});
    assert_eq!(outcome_of(&scene, python).await.step().stdout, "42\n");

    let bash = json!({"runCommand": ["set -o pipefail", "false | true", "echo $?"], "shell": "bash"});
    assert_eq!(outcome_of(&scene, bash).await.step().stdout, "1\n");

    let missing = outcome_of(&scene, json!({"runCommand": ["true"], "shell": "no-such-shell"})).await;
    assert_eq!((missing.status(), missing.step().code), (RunStatus::Failed, -1));
    assert!(missing.step().trace.contains("\"no-such-shell\" is not installed"));
}

#[tokio::test]
async fn scripts_run_where_nothing_may_be_executed() {
    let scene = Scene::start().await;
    let runs = scene.agent.state().runs();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "noexec,size=1m", "tmpfs"])
        .arg(&runs)
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        println!("this user cannot mount: the interpreter is given the file anyway, see `runner::script`");
        return;
    }
    let plain = outcome_of(&scene, json!({"runCommand": ["echo plain"]})).await;
    let named = outcome_of(&scene, json!({"runCommand": ["#!/bin/sh -e", "echo named"]})).await;
    std::process::Command::new("umount")
        .arg("-l")
        .arg(&runs)
        .status()
        .unwrap();
    assert_eq!(
        (plain.step().stdout.as_str(), named.step().stdout.as_str()),
        ("plain\n", "named\n")
    );
}

#[tokio::test]
async fn a_script_has_a_clean_environment_and_no_descriptors_of_ours() {
    let scene = Scene::with_settings("region = \"eu-test-1\"\n[environment]\nNODE_SETTING = \"yes\"").await;
    let inputs = json!({
        "runCommand": ["env", "ls -l /proc/$$/fd"],
        "environment": {"GIVEN": "by the step"},
    });
    let ended = outcome_of(&scene, inputs).await;
    let out = &ended.step().stdout;
    let value = |name: &str| out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    assert!(
        !out.contains("must not leak") && !out.contains("NATS") && !out.contains("nats://"),
        "{out}"
    );
    for name in [
        "PATH",
        "LANG",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "AWS_SSM_PLATFORM_NAME",
    ] {
        assert!(value(name).is_some_and(|value| !value.is_empty()), "{name} in {out}");
    }
    assert_eq!(value("MUSTER_NODE_ID"), Some(scene.coordinator.node.as_str()));
    assert_eq!(value("AWS_SSM_INSTANCE_ID"), Some(scene.coordinator.node.as_str()));
    assert_eq!(value("MUSTER_COMMAND_ID"), value("SSM_COMMAND_ID"));
    assert_eq!(value("AWS_SSM_REGION_NAME"), Some("eu-test-1"));
    assert_eq!(
        (value("GIVEN"), value("NODE_SETTING")),
        (Some("by the step"), Some("yes"))
    );
    let descriptors: Vec<&str> = out.lines().filter(|line| line.contains(" -> ")).collect();
    // Standard streams and the script itself, which the shell has opened.
    assert!(descriptors.len() <= 4, "{descriptors:#?}");
    assert!(
        descriptors
            .iter()
            .all(|line| !line.contains("socket") && !line.contains("journal")),
        "{descriptors:#?}"
    );
    assert!(
        descriptors.iter().any(|line| line.ends_with(" 0 -> /dev/null")),
        "{descriptors:#?}"
    );
}

#[tokio::test]
async fn the_working_directory_is_home_or_below_the_downloads() {
    let scene = Scene::start().await;
    let at = |directory: Option<&str>| {
        let mut inputs = json!({"runCommand": ["pwd"]});
        if let Some(directory) = directory {
            inputs["workingDirectory"] = json!(directory);
        }
        outcome_of(&scene, inputs)
    };
    let home = at(None).await;
    assert!(Path::new(home.step().stdout.trim_end()).is_dir());
    assert_eq!(at(Some("/tmp")).await.step().stdout, "/tmp\n");
    let outside = at(Some("../..")).await;
    assert_eq!(outside.status(), RunStatus::Failed);
    assert!(outside.step().trace.contains("leaves the run's downloads directory"));
    let missing = at(Some("/no/such/place")).await;
    assert!(missing.step().stderr.contains("does not exist"));
}

#[tokio::test]
async fn output_that_is_no_text_arrives_as_text() {
    let scene = Scene::start().await;
    let ended = outcome_of(&scene, json!({"runCommand": ["printf 'a\\377\\376b\\000c'"]})).await;
    let step = ended.step();
    assert_eq!(step.stdout, "a\u{fffd}\u{fffd}b\u{0}c");
    assert_eq!(step.stdout_bytes, 6);
}

#[tokio::test]
async fn long_output_is_complete_on_the_node_and_cut_in_the_reply() {
    let scene = Scene::start().await;
    let item = work::with_inputs(json!({"runCommand": ["seq 1 20000", "seq 1 20000 >&2"]}));
    let run = scene.coordinator.send(&item).await;
    let ended = scene.coordinator.end(run).await;
    let step = ended.step();
    assert_eq!(
        (step.stdout.chars().count(), step.stderr.chars().count()),
        (24_000, 8_000)
    );
    assert!(step.stdout.starts_with("1\n2\n") && step.stdout.ends_with("19999\n20000\n"));
    assert!(step.stdout.contains("--output truncated--"));
    assert!(step.output.chars().count() <= 2_500 && step.output.contains("---Output truncated---"));
    let file = scene.agent.state().run(run).join("awsrunShellScript.only.stdout");
    assert_eq!(std::fs::metadata(file).unwrap().len(), step.stdout_bytes);
}

#[tokio::test]
async fn a_parameter_that_travels_as_a_variable_cannot_be_executed() {
    let scene = Scene::start().await;
    let touched = scene.agent.scratch("touched");
    let mut item = work::of(&json!({
        "schemaVersion": "2.2",
        "parameters": {"name": {"type": "String", "interpolationType": "ENV_VAR"}},
        "mainSteps": [work::step("only", json!({"runCommand": ["echo {{ name }}", "echo \"$SSM_name\""]}))],
    }));
    item.required_capabilities = vec!["interpolation-env-var".into()];
    let value = format!("\"; touch {}; #", touched.display());
    work::parameter(&mut item, "name", &value);
    let run = scene.coordinator.send(&item).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Success);
    assert!(
        ended.step().stdout.lines().all(|line| line == value),
        "{}",
        ended.step().stdout
    );
    assert!(!touched.exists());
    assert!(!scene.agent.log().contains("touch "), "values are not logged");
}

#[tokio::test]
async fn a_script_that_is_killed_says_by_what() {
    let scene = Scene::start().await;
    let ended = outcome_of(&scene, json!({"runCommand": ["kill -9 $$"]})).await;
    let step = ended.step();
    assert_eq!((step.status(), step.code), (StepStatus::Failed, 137));
    assert_eq!(step.trace, "killed by signal 9 (SIGKILL)");
}

/// Memory that is the whole of a script's, so that the kernel must kill for it.
struct Narrow(std::path::PathBuf);

impl Narrow {
    /// `None`: control groups for memory cannot be made here.
    fn make() -> Option<Self> {
        let name = format!("muster-narrow-{}", std::process::id());
        let of_version_1 = (Path::new("/sys/fs/cgroup/memory").join(&name), "memory.limit_in_bytes");
        let of_version_2 = (Path::new("/sys/fs/cgroup").join(&name), "memory.max");
        [of_version_1, of_version_2].into_iter().find_map(|(group, limit)| {
            std::fs::create_dir(&group).ok()?;
            let narrow = Self(group);
            // A file that is not there yet would be no limit.
            let limit = std::fs::File::options().write(true).open(narrow.0.join(limit));
            limit.ok()?.write_all(b"16777216").ok().map(|()| narrow)
        })
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn a_script_that_is_killed_for_want_of_memory_says_so() {
    let Some(narrow) = Narrow::make() else {
        println!("no control group for memory can be made here: see `runner::cgroup` for the counters");
        return;
    };
    let scene = Scene::start().await;
    let enter = format!("echo $$ > {}/cgroup.procs", narrow.0.display());
    let hungry = "python3 -c 'b\"x\" * 90000000'";
    let itself = outcome_of(&scene, json!({"runCommand": [enter, format!("exec {hungry}")]})).await;
    let step = itself.step();
    assert_eq!((step.status(), step.code), (StepStatus::Failed, 137), "{step:?}");
    assert_eq!(step.trace, "killed by signal 9 (out of memory)");

    let child = outcome_of(&scene, json!({"runCommand": [enter, hungry, "exit $?"]})).await;
    let step = child.step();
    assert_eq!((step.status(), step.code), (StepStatus::Failed, 137), "{step:?}");
    assert_eq!(
        step.trace,
        "a process of this step was killed by signal 9 (out of memory)"
    );
}

#[tokio::test]
async fn a_timeout_beyond_its_bounds_is_clamped_and_the_trace_says_so() {
    let scene = Scene::start().await;
    for (given, said) in [
        (json!("172801"), "timeoutSeconds was lowered to 172800"),
        (json!(1), "timeoutSeconds was raised to 5"),
        (json!("soon"), "timeoutSeconds is not a number; 3600 seconds apply"),
    ] {
        let ended = outcome_of(&scene, json!({"runCommand": ["echo in time"], "timeoutSeconds": given})).await;
        assert_eq!(
            (ended.status(), ended.step().trace.as_str()),
            (RunStatus::Success, said)
        );
    }
}

#[tokio::test]
async fn a_node_has_its_own_shell_its_own_longest_time_and_its_own_part_of_long_output() {
    let settings = "default_shell = \"bash\"\nmax_timeout_seconds = 60\nkeep = \"head\"";
    let scene = Scene::with_settings(settings).await;
    let ended = outcome_of(
        &scene,
        json!({"runCommand": ["echo ${BASH_VERSION:+bash}", "seq 1 20000"]}),
    )
    .await;
    let step = ended.step();
    assert!(step.stdout.starts_with("bash\n1\n2\n"), "{:.40}", step.stdout);
    assert!(!step.stdout.contains("20000"), "the end is not kept");
    assert_eq!(step.trace, "this node lowered the timeout to 60 seconds");
    let asked = outcome_of(
        &scene,
        json!({"runCommand": ["echo ${BASH_VERSION:+bash}"], "shell": "sh"}),
    )
    .await;
    assert_eq!(asked.step().stdout, "\n", "the step has the last word");
}

#[tokio::test]
async fn what_is_logged_about_a_run_names_it() {
    let scene = Scene::start().await;
    let run = scene.coordinator.send(&work::script(&["true"])).await;
    scene.coordinator.end(run).await;
    let path = scene.agent.state().journal().done_log(run);
    muster_harness::until("the run is filed away", async || {
        if path.exists() { Ok(()) } else { Err("it is open") }
    })
    .await;
    let log = scene.agent.log();
    for said in ["accepted", "run over"] {
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let of_run = lines
            .into_iter()
            .any(|line| line["message"] == said && line["run"] == run.to_string());
        assert!(of_run, "{said} lacks its run: {log}");
    }
}
