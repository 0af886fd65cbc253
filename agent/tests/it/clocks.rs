//! A node whose clock is wrong (D20).

use std::process::Command;

use muster_harness::{Folder, until};
use muster_proto::agent::v1::{RunStatus, Verdict};

use crate::{Scene, work};

/// Turns the clock of one process and its children by `CLOCK_SHIFT` seconds.
const SHIFT: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    const char *shift = getenv("CLOCK_SHIFT");
    if (result == 0 && shift && clock == CLOCK_REALTIME) now->tv_sec += atol(shift);
    return result;
}
"#;

const DAY: i64 = 86_400;

async fn works_with_a_clock_that_is_off_by(seconds: i64) {
    let folder = Folder::new("clock");
    let (source, library) = (folder.join("shift.c"), folder.join("shift.so"));
    std::fs::write(&source, SHIFT).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .status()
        .unwrap();
    assert!(compiled.success(), "what links Rust programs compiles this");
    let (preload, shift) = (library.display().to_string(), seconds.to_string());
    let scene = Scene::with_environment(
        "concurrency = 1",
        &[("LD_PRELOAD", preload.as_str()), ("CLOCK_SHIFT", shift.as_str())],
    )
    .await;

    let run = scene.coordinator.send(&work::script(&["echo here"])).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(
        (ended.status(), ended.step().stdout.as_str()),
        (RunStatus::Success, "here\n")
    );
    let told = ended.step().started_at.unwrap().seconds;
    let true_time = muster_model::Clock::now(&muster_model::SystemClock).as_second();
    assert!(
        (told - true_time - seconds).abs() < 60,
        "the clock is really off: {told} at {true_time}"
    );

    // It waits behind another run and expires there: by duration, whatever the clock says.
    let go = scene.agent.scratch("go");
    let first = scene.coordinator.send(&work::script(&[&work::wait_for(&go)])).await;
    let traces = scene.agent.scratch("traces");
    let mut item = work::script(&[&format!("echo line >> {}", traces.display())]);
    item.time_to_live_ms = 300;
    let second = scene.coordinator.send(&item).await;
    assert_eq!(scene.coordinator.verdict(second).await, Verdict::Accepted);
    let path = scene.agent.state().journal().done_log(second);
    until(
        "it expires",
        async || if path.exists() { Ok(()) } else { Err("it waits") },
    )
    .await;
    std::fs::write(&go, "").unwrap();
    assert_eq!(scene.coordinator.end(first).await.status(), RunStatus::Success);
    assert!(!traces.exists());

    let offset_us = until("the agent has measured it", async || {
        scene.coordinator.ping().await;
        let heartbeats = scene.coordinator.heartbeats();
        heartbeats
            .last()
            .map(|heartbeat| heartbeat.clock_offset_us)
            .filter(|offset| *offset != 0)
            .ok_or("no heartbeat with an offset yet")
    })
    .await;
    assert!((offset_us / 1_000_000 - seconds).abs() < 60, "{offset_us}");
}

#[tokio::test]
async fn a_clock_that_is_a_day_late_changes_nothing() {
    works_with_a_clock_that_is_off_by(-DAY).await;
}

#[tokio::test]
async fn a_clock_that_is_a_day_early_changes_nothing() {
    works_with_a_clock_that_is_off_by(DAY).await;
}
