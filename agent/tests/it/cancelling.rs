//! Cancels, time-outs and the queue (D6, D7, D8, D21).

use std::time::{Duration, Instant};

use muster_harness::until;
use muster_proto::agent::v1::{RunStatus, StepStatus, Verdict};
use serde_json::json;

use crate::agent_process::{is_alive, kill, pid_in};
use crate::{Scene, work};

#[tokio::test]
async fn a_cancel_that_comes_before_the_work_wins() {
    let scene = Scene::start().await;
    let traces = scene.agent.scratch("traces");
    let item = work::script(&[&format!("echo never >> {}", traces.display())]);
    let run = item.run_id.parse().unwrap();
    scene.coordinator.cancel(run).await;
    assert_eq!(scene.coordinator.end(run).await.status(), RunStatus::Cancelled);

    scene.coordinator.send(&item).await;
    assert_eq!(scene.coordinator.verdict(run).await, Verdict::Accepted);
    until("the cancel is told again", async || {
        let replies = scene.coordinator.replies(run).len();
        if replies >= 2 { Ok(()) } else { Err(replies) }
    })
    .await;
    assert!(!traces.exists());
}

#[tokio::test]
async fn a_queued_run_is_cancelled_at_once_and_never_starts() {
    let scene = Scene::with_settings("concurrency = 1").await;
    let (go, traces) = (scene.agent.scratch("go"), scene.agent.scratch("traces"));
    let first = scene.coordinator.send(&work::script(&[&work::wait_for(&go)])).await;
    let second = scene
        .coordinator
        .send(&work::script(&[&format!("echo never >> {}", traces.display())]))
        .await;
    scene.coordinator.verdict(second).await;
    scene.coordinator.cancel(second).await;
    let ended = scene.coordinator.end(second).await;
    assert_eq!((ended.status(), ended.steps().len()), (RunStatus::Cancelled, 0));
    std::fs::write(&go, "").unwrap();
    scene.coordinator.end(first).await;
    assert!(!traces.exists());
}

#[tokio::test]
async fn a_cancel_ends_the_running_step_with_its_children_and_skips_the_rest() {
    let scene = Scene::start().await;
    let (child, traces) = (scene.agent.scratch("child"), scene.agent.scratch("traces"));
    let steps = work::steps(&[
        work::step(
            "long",
            json!({"runCommand": [
                "echo begun",
                format!("sh -c 'echo $$ > {}; sleep 600' & wait", child.display()),
            ]}),
        ),
        work::step(
            "next",
            json!({"runCommand": [format!("echo never >> {}", traces.display())]}),
        ),
    ]);
    let run = scene.coordinator.send(&steps).await;
    let child = pid_in(&child).await;
    scene.coordinator.cancel(run).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Cancelled);
    let step = ended.step();
    assert_eq!(
        (step.status(), step.code, step.stdout.as_str()),
        (StepStatus::Cancelled, 137, "begun\n")
    );
    assert!(!is_alive(child));
    assert!(!traces.exists());
}

#[tokio::test]
async fn a_cancel_after_the_end_changes_nothing() {
    let scene = Scene::start().await;
    let run = scene.coordinator.send(&work::script(&["echo done"])).await;
    let first = scene.coordinator.end(run).await;
    let before = scene.coordinator.replies(run).len();
    scene.coordinator.cancel(run).await;
    until("the end is told again", async || {
        let replies = scene.coordinator.replies(run).len();
        if replies > before { Ok(()) } else { Err(replies) }
    })
    .await;
    let second = scene.coordinator.end(run).await;
    assert_eq!(second.records, first.records);
    assert_eq!(second.status(), RunStatus::Success);
}

#[tokio::test]
async fn the_sixth_run_waits_and_a_cancel_works_meanwhile() {
    let scene = Scene::start().await;
    let go = scene.agent.scratch("go");
    let mut runs = Vec::new();
    for _ in 0..6 {
        let run = scene.coordinator.send(&work::script(&[&work::wait_for(&go)])).await;
        scene.coordinator.verdict(run).await;
        runs.push(run);
    }
    for run in &runs[..5] {
        scene.agent.runner(*run).await;
    }
    let sixth = scene.agent.state().journal().open_log(runs[5]);
    assert!(
        muster_agent::journal::read(&sixth).unwrap().runner.is_none(),
        "the sixth waits"
    );

    scene.coordinator.cancel(runs[0]).await;
    assert_eq!(scene.coordinator.end(runs[0]).await.status(), RunStatus::Cancelled);
    scene.agent.runner(runs[5]).await;
    std::fs::write(&go, "").unwrap();
    for run in &runs[1..] {
        assert_eq!(scene.coordinator.end(*run).await.status(), RunStatus::Success);
    }
}

#[tokio::test]
async fn a_full_queue_asks_to_come_again() {
    let scene = Scene::with_settings("concurrency = 1\nqueue = 1").await;
    let go = scene.agent.scratch("go");
    let mut runs = Vec::new();
    for _ in 0..2 {
        let run = scene.coordinator.send(&work::script(&[&work::wait_for(&go)])).await;
        assert_eq!(scene.coordinator.verdict(run).await, Verdict::Accepted);
        runs.push(run);
    }
    let item = work::script(&["true"]);
    let third = scene.coordinator.send(&item).await;
    let ack = scene.coordinator.acks(third, 1).await.remove(0);
    assert_eq!(ack.verdict(), Verdict::Busy);
    assert!(ack.retry_after_ms > 0);
    std::fs::write(&go, "").unwrap();
    for run in runs {
        scene.coordinator.end(run).await;
    }
    scene.coordinator.send(&item).await;
    assert_eq!(scene.coordinator.end(third).await.status(), RunStatus::Success);
}

#[tokio::test]
async fn a_background_child_does_not_hold_the_step() {
    let scene = Scene::start().await;
    let child = scene.agent.scratch("child");
    let begun = Instant::now();
    let run = scene
        .coordinator
        .send(&work::script(&[
            "sleep 600 &",
            &format!("echo $! > {}", child.display()),
            "echo begun",
        ]))
        .await;
    let ended = scene.coordinator.end(run).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(
        (ended.status(), ended.step().stdout.as_str()),
        (RunStatus::Success, "begun\n")
    );
    let child = pid_in(&child).await;
    assert!(is_alive(child), "background children stay");
    kill(child);
}

#[tokio::test]
async fn what_a_server_of_an_earlier_step_starts_later_outlives_a_step_whose_children_are_ended() {
    let scene = Scene::with_settings("grace_seconds = 1").await;
    let [go, server, child] = ["go", "server", "child"].map(|name| scene.agent.scratch(name));
    let start = format!(
        "({}; sleep 600 & echo $! > {child}.new; mv {child}.new {child}) & echo $! > {}",
        work::wait_for(&go),
        server.display(),
        child = child.display(),
    );
    // Until the server is gone, so that its child has no parent but the runner.
    let parent = format!(
        "while grep -q \"^PPid:[[:space:]]*$(cat {})$\" /proc/$(cat {})/status; do sleep 0.02; done",
        server.display(),
        child.display()
    );
    let use_it = json!({
        "runCommand": [format!("touch {}", go.display()), work::wait_for(&child), parent, "sleep 600 & echo used"],
        "killOrphans": true,
    });
    let steps = work::steps(&[
        work::step("start", json!({"runCommand": [start]})),
        work::step("use", use_it),
    ]);
    let ended = scene.coordinator.end(scene.coordinator.send(&steps).await).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert_eq!(ended.steps()[1].stdout, "used\n");
    let child = pid_in(&child).await;
    assert!(is_alive(child), "it is the server's, not the step's");
    kill(child);
}

#[tokio::test]
async fn a_step_that_takes_too_long_is_ended_even_if_a_child_ignores_sigterm() {
    let scene = Scene::with_settings("grace_seconds = 1").await;
    let (child, late) = (scene.agent.scratch("child"), scene.agent.scratch("late"));
    let inputs = json!({
        "runCommand": [
            "echo begun",
            format!("sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 1; done'", child.display()),
            format!("echo late >> {}", late.display()),
        ],
        "timeoutSeconds": 5,
    });
    let run = scene.coordinator.send(&work::with_inputs(inputs)).await;
    let child = pid_in(&child).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::TimedOut);
    let step = ended.step();
    assert_eq!(
        (step.status(), step.code, step.stdout.as_str()),
        (StepStatus::TimedOut, 137, "begun\n")
    );
    assert!(step.stderr.contains("timed out after 5 seconds"));
    assert!(!is_alive(child) && !late.exists());
}

#[tokio::test]
async fn work_that_expires_in_the_queue_never_runs() {
    let scene = Scene::with_settings("concurrency = 1").await;
    let (go, traces) = (scene.agent.scratch("go"), scene.agent.scratch("traces"));
    let first = scene.coordinator.send(&work::script(&[&work::wait_for(&go)])).await;
    scene.agent.runner(first).await;
    let mut item = work::script(&[&format!("echo never >> {}", traces.display())]);
    item.time_to_live_ms = 50;
    let second = scene.coordinator.send(&item).await;
    assert_eq!(scene.coordinator.verdict(second).await, Verdict::Accepted);
    let log = scene.agent.state().journal().open_log(second);
    until("its time is over", async || {
        let history = muster_agent::journal::read(&log).map_err(|error| error.to_string())?;
        let deadline = history
            .accepted
            .and_then(|accepted| accepted.deadline)
            .ok_or("no deadline")?;
        let now = muster_agent::facts::moment(&deadline.boot_id, jiff::Timestamp::now());
        if deadline.has_passed(&now) {
            Ok(())
        } else {
            Err("it may still run".to_owned())
        }
    })
    .await;
    std::fs::write(&go, "").unwrap();
    scene.coordinator.end(first).await;
    let done = scene.agent.state().journal().done_log(second);
    until("the run is dropped", async || {
        muster_agent::journal::read(&done)
            .map(|history| assert!(history.dropped))
            .map_err(|error| error.to_string())
    })
    .await;
    assert!(!traces.exists());
    assert!(
        scene.coordinator.records(second).is_empty(),
        "the coordinator has decided that already"
    );
}

#[tokio::test]
async fn expired_work_and_work_for_others_is_refused() {
    let scene = Scene::start().await;
    let mut item = work::script(&["true"]);
    item.time_to_live_ms = 0;
    let run = scene.coordinator.send(&item).await;
    assert_eq!(scene.coordinator.verdict(run).await, Verdict::Refused);

    let mut item = work::script(&["true"]);
    item.required_capabilities = vec!["telepathy".into()];
    let run = scene.coordinator.send(&item).await;
    let ack = scene.coordinator.acks(run, 1).await.remove(0);
    assert_eq!(ack.verdict(), Verdict::Refused);
    assert!(ack.reason.contains("telepathy"));
}
