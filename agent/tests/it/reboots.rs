//! Reboots that scripts ask for, and machines that go down without being asked (D3, D13).

use std::path::PathBuf;

use muster_harness::{Folder, until};
use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{RunStatus, StepStatus};
use serde_json::json;

use crate::agent_process::{kill, pid_in};
use crate::{Scene, work};

/// A machine whose boots the test makes up: a file tells them apart, and "booting" is a line in another.
pub(crate) struct Machine {
    folder: Folder,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let machine = Self {
            folder: Folder::new("machine"),
        };
        machine.boot("first");
        machine
    }

    pub(crate) fn boot(&self, id: &str) {
        std::fs::write(self.folder.join("boot-id"), id).unwrap();
    }

    fn asked(&self) -> PathBuf {
        self.folder.join("asked")
    }

    pub(crate) fn times_asked(&self) -> usize {
        std::fs::read_to_string(self.asked()).map_or(0, |text| text.lines().count())
    }

    pub(crate) fn settings(&self) -> String {
        format!(
            "boot_id_file = {:?}\nreboot_command = [\"sh\", \"-c\", \"echo boot >> {}\"]\n",
            self.folder.join("boot-id"),
            self.asked().display()
        )
    }

    pub(crate) async fn wait_until_asked(&self, times: usize) {
        until("the agent boots the machine", async || {
            let asked = self.times_asked();
            if asked == times { Ok(()) } else { Err(asked) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_step_that_asks_for_a_reboot_runs_again_after_it_and_the_steps_before_do_not() {
    let machine = Machine::new();
    let mut scene = Scene::with_settings(&machine.settings()).await;
    let (before, traces) = (scene.agent.scratch("before"), scene.agent.scratch("traces"));
    let steps = work::steps(&[
        work::step(
            "before",
            json!({"runCommand": [format!("echo line >> {}", before.display())]}),
        ),
        work::step(
            "booting",
            json!({"runCommand": [
                format!("echo line >> {}", traces.display()),
                format!("if [ $(wc -l < {}) = 1 ]; then exit 194; fi", traces.display()),
                "echo booted",
            ]}),
        ),
        work::step("after", json!({"runCommand": ["echo after"]})),
    ]);
    let run = scene.coordinator.send(&steps).await;
    machine.wait_until_asked(1).await;
    let told = scene.coordinator.records(run);
    assert!(
        matches!(&told.last().unwrap().fact, Some(News::RebootRequested(reboot)) if reboot.runs == 1),
        "the reply is out before the boot: {told:#?}"
    );

    // An agent that comes back without a boot boots nothing and repeats nothing by itself.
    until("the status tells it", async || {
        let (_, status) = scene.agent.ask(&["status"]).await;
        if status.contains("waiting for a reboot") {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
    scene.agent.kill();
    machine.boot("second");
    scene.launch_again().await;

    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Success);
    let outputs: Vec<_> = ended
        .steps()
        .iter()
        .map(|step| (step.name.as_str(), step.stdout.as_str()))
        .collect();
    assert_eq!(outputs, [("before", ""), ("booting", "booted\n"), ("after", "after\n")]);
    assert_eq!(std::fs::read_to_string(before).unwrap(), "line\n");
    assert_eq!(std::fs::read_to_string(traces).unwrap(), "line\nline\n");
    assert_eq!(machine.times_asked(), 1);
    assert!(ended.is_complete());
}

#[tokio::test]
async fn a_step_that_keeps_asking_is_stopped_after_15_runs() {
    let machine = Machine::new();
    let mut scene = Scene::with_settings(&machine.settings()).await;
    let traces = scene.agent.scratch("traces");
    let script = work::script(&[&format!("echo line >> {}", traces.display()), "exit 194"]);
    let run = scene.coordinator.send(&script).await;
    for boot in 1..15 {
        machine.wait_until_asked(boot).await;
        scene.agent.kill();
        machine.boot(&boot.to_string());
        scene.agent.launch();
    }
    let ended = scene.coordinator.end(run).await;
    assert_eq!(
        (ended.status(), ended.step().status(), ended.step().code),
        (RunStatus::Failed, StepStatus::Failed, 194)
    );
    assert!(ended.step().trace.contains("asked for a reboot 15 times"));
    assert_eq!(std::fs::read_to_string(traces).unwrap().lines().count(), 15);
    assert_eq!(machine.times_asked(), 14);
}

#[tokio::test]
async fn a_reboot_that_does_not_work_fails_the_step_and_says_why() {
    let scene = Scene::with_settings("reboot_command = [\"sh\", \"-c\", \"echo not today >&2; exit 3\"]").await;
    let steps = work::steps(&[
        work::step("booting", json!({"runCommand": ["exit 194"]})),
        work::step("after", json!({"runCommand": ["echo after"]})),
    ]);
    let run = scene.coordinator.send(&steps).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Failed);
    let steps = ended.steps();
    assert_eq!((steps[0].status(), steps[0].code), (StepStatus::Failed, 194));
    assert!(
        steps[0].trace.contains("did not come") && steps[0].trace.contains("not today"),
        "{}",
        steps[0].trace
    );
    assert_eq!(steps[1].stdout, "after\n");
}

#[tokio::test]
async fn a_reboot_waits_for_other_runs_and_holds_back_new_ones() {
    let machine = Machine::new();
    let mut scene = Scene::with_settings(&machine.settings()).await;
    let go = scene.agent.scratch("go");
    let other = scene.coordinator.send(&work::script(&[&work::wait_for(&go)])).await;
    scene.agent.runner(other).await;
    let booting = scene.coordinator.send(&work::script(&["exit 194"])).await;
    until("the reboot is told", async || {
        let records = scene.coordinator.records(booting);
        if records.len() == 2 { Ok(()) } else { Err(records) }
    })
    .await;
    let late = scene.coordinator.send(&work::script(&["echo late"])).await;
    scene.coordinator.verdict(late).await;
    assert_eq!(machine.times_asked(), 0);
    assert!(scene.coordinator.records(late).is_empty());

    std::fs::write(&go, "").unwrap();
    scene.coordinator.end(other).await;
    machine.wait_until_asked(1).await;
    assert!(
        scene.coordinator.records(late).is_empty(),
        "nothing starts before the boot"
    );
    scene.agent.kill();
    machine.boot("second");
    scene.launch_again().await;
    assert_eq!(scene.coordinator.end(late).await.step().stdout, "late\n");
}

#[tokio::test]
async fn a_cancel_while_the_reboot_is_awaited_ends_the_run() {
    let machine = Machine::new();
    let scene = Scene::with_settings(&machine.settings()).await;
    let run = scene.coordinator.send(&work::script(&["exit 194"])).await;
    machine.wait_until_asked(1).await;
    scene.coordinator.cancel(run).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Cancelled);
}

#[tokio::test]
async fn a_machine_that_goes_down_in_the_middle_of_a_step_does_not_run_it_again() {
    let machine = Machine::new();
    let mut scene = Scene::with_settings(&machine.settings()).await;
    let (traces, process) = (scene.agent.scratch("traces"), scene.agent.scratch("pid"));
    let run = scene
        .coordinator
        .send(&work::script(&[
            &format!("echo line >> {}", traces.display()),
            &format!("echo $$ > {}", process.display()),
            "sleep 600",
        ]))
        .await;
    let script = pid_in(&process).await;
    let runner = scene.agent.runner(run).await;
    scene.agent.kill();
    kill(runner);
    kill(script);
    machine.boot("second");
    scene.agent.launch();

    let ended = scene.coordinator.end(run).await;
    assert_eq!(
        (ended.status(), ended.step().status(), ended.step().code),
        (RunStatus::Failed, StepStatus::Failed, -1)
    );
    assert!(
        ended.step().trace.contains("the node went down during this step"),
        "{}",
        ended.step().trace
    );
    assert_eq!(std::fs::read_to_string(traces).unwrap(), "line\n");
}

#[tokio::test]
async fn a_node_may_be_told_to_repeat_interrupted_steps() {
    let scene = Scene::with_settings("on_interrupt = \"repeat\"").await;
    let (traces, process) = (scene.agent.scratch("traces"), scene.agent.scratch("pid"));
    let run = scene
        .coordinator
        .send(&work::script(&[
            &format!("echo line >> {}", traces.display()),
            &format!(
                "if [ $(wc -l < {}) = 1 ]; then echo $$ > {}; sleep 600; fi",
                traces.display(),
                process.display()
            ),
        ]))
        .await;
    pid_in(&process).await;
    kill(scene.agent.runner(run).await);
    assert_eq!(scene.coordinator.end(run).await.status(), RunStatus::Success);
    assert_eq!(std::fs::read_to_string(traces).unwrap(), "line\nline\n");
}
