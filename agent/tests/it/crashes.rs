//! Processes that are killed (D1, D2, D4, D19 in part).

use muster_agent::journal::{self, RunId};
use muster_harness::until;
use muster_proto::agent::v1::{RunStatus, StepStatus, Verdict};
use serde_json::json;

use crate::agent_process::{ended_well, is_alive, kill, pid, pid_in};
use crate::users::control_group;
use crate::{Scene, work};

#[tokio::test]
async fn a_run_survives_the_agent_and_is_executed_once() {
    let mut scene = Scene::start().await;
    let (go, traces) = (scene.agent.scratch("go"), scene.agent.scratch("traces"));
    let lines = [
        "echo before",
        &work::wait_for(&go),
        &format!("echo once >> {}", traces.display()),
        "echo after",
    ];
    let run = scene.coordinator.send(&work::script(&lines)).await;
    assert_eq!(scene.coordinator.verdict(run).await, Verdict::Accepted);
    let runner = scene.agent.runner(run).await;

    scene.agent.kill();
    scene.launch_again().await;
    assert!(is_alive(runner), "the runner outlives the agent");
    std::fs::write(&go, "").unwrap();

    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Success);
    assert_eq!(ended.step().stdout, "before\nafter\n");
    assert_eq!(std::fs::read_to_string(traces).unwrap(), "once\n");
    assert!(ended.is_complete());
}

#[tokio::test]
async fn a_run_that_ends_while_the_agent_is_away_is_reported_by_the_next_one() {
    let mut scene = Scene::start().await;
    let go = scene.agent.scratch("go");
    let run = scene
        .coordinator
        .send(&work::script(&[&work::wait_for(&go), "echo done"]))
        .await;
    let runner = scene.agent.runner(run).await;
    scene.agent.kill();
    std::fs::write(&go, "").unwrap();
    until(
        "the runner ends",
        async || if is_alive(runner) { Err("alive") } else { Ok(()) },
    )
    .await;

    scene.agent.launch();
    let ended = scene.coordinator.end(run).await;
    assert_eq!(
        (ended.status(), ended.step().stdout.as_str()),
        (RunStatus::Success, "done\n")
    );
}

#[tokio::test]
async fn a_step_whose_runner_died_has_failed_and_is_not_repeated() {
    let mut scene = Scene::start().await;
    let (go, traces, process) = (
        scene.agent.scratch("go"),
        scene.agent.scratch("traces"),
        scene.agent.scratch("pid"),
    );
    let trace = format!("echo line >> {}", traces.display());
    let steps = work::steps(&[
        work::step("first", json!({"runCommand": [trace]})),
        work::step(
            "second",
            json!({"runCommand": [format!("echo $$ > {}", process.display()), work::wait_for(&go), trace]}),
        ),
        work::step("third", json!({"runCommand": [trace]})),
    ]);
    let run = scene.coordinator.send(&steps).await;
    let script = pid_in(&process).await;
    let runner = scene.agent.runner(run).await;

    scene.agent.kill();
    kill(runner);
    scene.agent.launch();

    let ended = scene.coordinator.end(run).await;
    std::fs::write(&go, "").unwrap();
    assert_eq!(ended.status(), RunStatus::Failed);
    let seen: Vec<_> = ended
        .steps()
        .iter()
        .map(|step| (step.name.as_str(), step.status(), step.code))
        .collect();
    assert_eq!(
        seen,
        [
            ("first", StepStatus::Success, 0),
            ("second", StepStatus::Failed, -1),
            ("third", StepStatus::Success, 0)
        ]
    );
    assert!(ended.steps()[1].trace.contains("interrupted"));
    assert!(
        !is_alive(script),
        "what the dead runner left was ended before the verdict"
    );
    assert_eq!(std::fs::read_to_string(traces).unwrap(), "line\nline\n");
    assert!(ended.is_complete());
}

#[tokio::test]
async fn what_an_earlier_step_left_behind_outlives_the_runner_of_a_later_one() {
    left_behind_outlives_the_runner("").await;
    if let Some(group) = control_group("left") {
        left_behind_outlives_the_runner(&format!("cgroup = {group:?}")).await;
        until("the groups are empty", async || {
            for entry in std::fs::read_dir(&group).unwrap().flatten() {
                // The kernel refuses while somebody is in it.
                let _ = std::fs::remove_dir(entry.path());
            }
            std::fs::remove_dir(&group)
        })
        .await;
    }
}

async fn left_behind_outlives_the_runner(settings: &str) {
    let mut scene = Scene::with_settings(settings).await;
    let [own, same, script] = ["own", "same", "script"].map(|name| scene.agent.scratch(name));
    // With job control a shell gives a background child a process group of its own, in the same session.
    let left = [
        format!("sleep 600 > /dev/null 2>&1 & echo $! > {}", same.display()),
        "set -m".to_owned(),
        format!("sleep 600 > /dev/null 2>&1 & echo $! > {}", own.display()),
    ];
    let later = [format!("echo $$ > {}", script.display()), "sleep 600".to_owned()];
    let steps = work::steps(&[
        work::step("first", json!({"runCommand": left, "shell": "bash"})),
        work::step("second", json!({"runCommand": later})),
    ]);
    let run = scene.coordinator.send(&steps).await;
    let script = pid_in(&script).await;
    let left = [pid_in(&own).await, pid_in(&same).await];
    let runner = scene.agent.runner(run).await;
    scene.agent.kill();
    kill(runner);
    scene.agent.launch();
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Failed);
    assert!(!is_alive(script), "the interrupted step has ended");
    for child in left {
        assert!(is_alive(child), "it was left behind on purpose, by a step that is over");
        kill(child);
    }
}

#[tokio::test]
async fn a_step_may_ask_to_be_repeated_after_an_interruption() {
    let scene = Scene::start().await;
    let (traces, process) = (scene.agent.scratch("traces"), scene.agent.scratch("pid"));
    let lines = json!({
        "runCommand": [
            format!("echo line >> {}", traces.display()),
            format!("if [ $(wc -l < {}) = 1 ]; then echo $$ > {}; sleep 600; fi", traces.display(), process.display()),
        ],
        "rerunOnInterrupt": true,
    });
    let run = scene.coordinator.send(&work::with_inputs(lines)).await;
    pid_in(&process).await;
    kill(scene.agent.runner(run).await);

    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Success);
    assert_eq!(std::fs::read_to_string(traces).unwrap(), "line\nline\n");
    assert!(scene.agent.log().contains("the runner ended and the run did not"));
}

#[tokio::test]
async fn work_that_is_delivered_again_is_answered_and_not_executed() {
    let mut scene = Scene::start().await;
    let traces = scene.agent.scratch("traces");
    let item = work::script(&[&format!("echo once >> {}", traces.display())]);
    let run = scene.coordinator.send(&item).await;
    let first = scene.coordinator.end(run).await;
    filed_away(&scene, run).await;

    scene.coordinator.send(&item).await;
    assert_eq!(scene.coordinator.acks(run, 2).await[1].verdict(), Verdict::Accepted);
    until("the end is told again", async || {
        let replies = scene.coordinator.replies(run);
        let last = replies
            .iter()
            .filter(|(reply, _)| reply.records.len() == first.records.len())
            .count();
        if last >= 2 || replies.len() >= 3 {
            Ok(())
        } else {
            Err(replies)
        }
    })
    .await;
    filed_away(&scene, run).await;

    // The next agent remembers it too.
    scene.agent.kill();
    scene.launch_again().await;
    scene.coordinator.send(&item).await;
    scene.coordinator.acks(run, 3).await;
    filed_away(&scene, run).await;
    assert_eq!(std::fs::read_to_string(traces).unwrap(), "once\n");
}

#[tokio::test]
async fn a_stopped_agent_leaves_its_runners_alone() {
    let mut scene = Scene::start().await;
    let go = scene.agent.scratch("go");
    let run = scene.coordinator.send(&work::script(&[&work::wait_for(&go)])).await;
    let runner = scene.agent.runner(run).await;
    assert!(ended_well(scene.agent.terminate().await));
    assert!(is_alive(runner));
    std::fs::write(&go, "").unwrap();
    scene.agent.launch();
    assert_eq!(scene.coordinator.end(run).await.status(), RunStatus::Success);
}

#[tokio::test]
async fn what_was_queued_when_the_agent_died_runs_afterwards() {
    let mut scene = Scene::with_settings("concurrency = 1").await;
    let go = scene.agent.scratch("go");
    let first = scene.coordinator.send(&work::script(&[&work::wait_for(&go)])).await;
    let second = scene.coordinator.send(&work::script(&["echo second"])).await;
    assert_eq!(scene.coordinator.verdict(second).await, Verdict::Accepted);
    scene.agent.kill();
    scene.launch_again().await;
    assert!(
        scene.coordinator.records(second).is_empty(),
        "the first still holds the only place"
    );
    std::fs::write(&go, "").unwrap();
    assert_eq!(scene.coordinator.end(first).await.status(), RunStatus::Success);
    assert_eq!(scene.coordinator.end(second).await.step().stdout, "second\n");
}

#[tokio::test]
async fn without_its_nursery_an_agent_starts_runners_as_programs() {
    let scene = Scene::start().await;
    let nursery = until("the agent has a nursery", async || {
        let children = format!("/proc/{0}/task/{0}/children", scene.agent.pid());
        let children = std::fs::read_to_string(children).map_err(|error| error.to_string())?;
        children.trim().parse().map(pid).map_err(|_| children)
    })
    .await;
    let run = scene.coordinator.send(&work::script(&["cat /proc/$PPID/comm"])).await;
    assert_eq!(scene.coordinator.end(run).await.step().stdout, "muster-runner\n");

    kill(nursery);
    let run = scene
        .coordinator
        .send(&work::script(&["cat /proc/$PPID/cmdline | tr '\\0' ' '"]))
        .await;
    let ended = scene.coordinator.end(run).await;
    assert!(
        ended.step().stdout.starts_with("/proc/self/exe runner "),
        "{:?}",
        ended.step()
    );
}

/// Waits until the agent has filed a run away.
async fn filed_away(scene: &Scene, run: RunId) {
    let path = scene.agent.state().journal().done_log(run);
    until("the run is filed away", async || {
        journal::read(&path).map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
}
