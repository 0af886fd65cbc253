//! What many runs leave on the disk (D12).

use muster_agent::journal::RunId;
use muster_harness::until;
use muster_proto::agent::v1::RunStatus;

use crate::{Scene, work};

fn entries(directory: &std::path::Path) -> usize {
    let listing = std::fs::read_dir(directory).into_iter().flatten().flatten();
    listing.map(|entry| 1 + entries(&entry.path())).sum()
}

/// 10,000 runs against 20,000 entries in miniature: 300 runs, which would leave 1,200 entries, against 200.
#[tokio::test]
async fn many_small_runs_stay_within_the_bounds_and_are_all_remembered() {
    const RUNS: usize = 300;
    const BOUND: usize = 200;
    let settings = format!("quota_entries = {BOUND}\nquota_bytes = 1048576\nconcurrency = 4\nqueue = 1000");
    let scene = Scene::with_settings(&settings).await;
    let traces = scene.agent.scratch("traces");
    let item = || work::script(&[&format!("echo line >> {}", traces.display()), "echo out"]);
    let root = scene.agent.state().root().to_owned();
    let mut first: Option<(RunId, muster_proto::agent::v1::WorkItem)> = None;
    let mut most = 0;
    for _ in 0..RUNS / 20 {
        let items: Vec<_> = (0..20).map(|_| item()).collect();
        for item in &items {
            let run = scene.coordinator.send(item).await;
            first.get_or_insert_with(|| (run, item.clone()));
        }
        for item in &items {
            let ended = scene.coordinator.end(item.run_id.parse().unwrap()).await;
            assert_eq!(ended.status(), RunStatus::Success);
        }
        most = most.max(entries(&root));
    }
    // Between two looks a few dozen runs may have come.
    assert!(most <= 3 * BOUND, "{most}");
    let left = until("the bound holds", async || {
        let left = entries(&root);
        if left <= BOUND { Ok(left) } else { Err(left) }
    })
    .await;
    println!("at most {most} entries, {left} in the end");
    assert_eq!(std::fs::read_to_string(&traces).unwrap().lines().count(), RUNS);

    // The very first run has no log any more, and is still recognised, also by the next agent.
    let (run, item) = first.unwrap();
    assert!(!scene.agent.state().journal().done_log(run).exists());
    let mut scene = scene;
    scene.agent.kill();
    scene.launch_again().await;
    scene.coordinator.send(&item).await;
    let again = until("its result is told again", async || {
        let replies = scene.coordinator.replies(run);
        let last = replies.last().and_then(|(reply, _)| reply.records.last().cloned());
        last.filter(|record| format!("{record:?}").contains("keeps only this result"))
            .ok_or(replies.len())
    })
    .await;
    assert_eq!(again.sequence, 3);
    assert_eq!(
        std::fs::read_to_string(&traces).unwrap().lines().count(),
        RUNS,
        "not executed"
    );
}

#[tokio::test]
async fn work_waits_while_the_disk_is_over_its_quota() {
    let scene = Scene::with_settings("quota_bytes = 1048576").await;
    let go = scene.agent.scratch("go");
    let root = scene.agent.state().root().to_owned();
    let hog = work::script(&["head -c 2000000 /dev/zero | tr '\\0' x", &work::wait_for(&go)]);
    let hog = scene.coordinator.send(&hog).await;
    let directory = root.join("runs").join(hog.to_string());
    until("the hog has written", async || {
        let bytes: u64 = std::fs::read_dir(&directory)
            .map_err(|error| error.to_string())?
            .flatten()
            .map(|entry| entry.metadata().unwrap().len())
            .sum();
        if bytes > 1_048_576 {
            Ok(())
        } else {
            Err(bytes.to_string())
        }
    })
    .await;
    // A reload looks at the disk as well.
    scene.agent.hang_up();
    let reason = until("new work is refused", async || {
        let run = scene.coordinator.send(&work::script(&["true"])).await;
        let ack = scene.coordinator.acks(run, 1).await.remove(0);
        if ack.reason.contains("over its quota") {
            Ok(ack.reason)
        } else {
            Err(ack.reason)
        }
    })
    .await;
    println!("{reason}");
    std::fs::write(&go, "").unwrap();
    assert_eq!(scene.coordinator.end(hog).await.status(), RunStatus::Success);
    until("there is room again", async || {
        scene.agent.hang_up();
        let run = scene.coordinator.send(&work::script(&["true"])).await;
        let ack = scene.coordinator.acks(run, 1).await.remove(0);
        if ack.reason.is_empty() { Ok(()) } else { Err(ack.reason) }
    })
    .await;
}
