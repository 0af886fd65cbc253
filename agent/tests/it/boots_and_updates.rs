//! Two ways out of an agent at the same time: a reboot that a script asks for, and an update of the agent (B3, B10).

use std::fs;

use muster_agent::journal::{self, RunId};
use muster_harness::until;
use muster_proto::agent::v1::RunStatus;
use serde_json::json;

use crate::reboots::Machine;
use crate::updates::{NEXT, Workshop};
use crate::work;

/// A script that asks for a reboot when it runs for the first time, but not before `go` is there.
fn booting(traces: &std::path::Path, go: &std::path::Path) -> muster_proto::agent::v1::WorkItem {
    work::script(&[
        &format!("echo line >> {}", traces.display()),
        &format!("if [ $(wc -l < {}) = 1 ]; then", traces.display()),
        &work::wait_for(go),
        "exit 194; fi",
        "echo booted",
    ])
}

async fn asks_for_a_reboot(shop: &Workshop, run: RunId) {
    let log = shop.scene.agent.state().journal().open_log(run);
    until("the run asks for a reboot", async || match journal::read(&log) {
        Ok(history) if history.reboot().is_some() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test]
async fn a_reboot_that_is_asked_for_during_a_trial_waits_for_its_end_and_comes_once() {
    let machine = Machine::new();
    let mut shop = Workshop::open_with(&machine.settings(), 60).await;
    shop.add_next();
    let (go, traces) = (shop.scene.agent.scratch("go"), shop.scene.agent.scratch("traces"));
    let boots = shop.scene.coordinator.send(&booting(&traces, &go)).await;
    shop.scene.agent.runner(boots).await;
    let update = shop.update(json!({"force": "true"})).await;
    shop.scene.agent.runner(update).await;
    // Without a server the new version cannot show what it must, so that its trial lasts.
    shop.scene.nats.kill();
    until("the new version is on trial", async || {
        let log = shop.scene.agent.log();
        let has_begun = log
            .lines()
            .any(|line| line.contains("agent started") && line.contains(NEXT));
        if has_begun { Ok(()) } else { Err(log) }
    })
    .await;

    fs::write(&go, "").unwrap();
    asks_for_a_reboot(&shop, boots).await;
    until("the new version knows it", async || {
        let (_, status) = shop.scene.agent.ask(&["status"]).await;
        if status.contains("waiting for a reboot") {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
    let phase = || fs::read_to_string(shop.versions("update.json")).unwrap();
    assert!(phase().contains("trial"), "{}", phase());
    assert_eq!(
        machine.times_asked(),
        0,
        "the machine does not go down in the middle of a trial"
    );

    shop.scene.nats.restart().await;
    let ended = shop.scene.coordinator.end(update).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    machine.wait_until_asked(1).await;
    shop.scene.agent.kill();
    machine.boot("second");
    shop.scene.agent.launch();
    let ended = shop.scene.coordinator.end(boots).await;
    assert_eq!(
        (ended.status(), ended.step().stdout.as_str()),
        (RunStatus::Success, "booted\n")
    );
    assert!(ended.is_complete());
    assert_eq!(fs::read_to_string(&traces).unwrap(), "line\nline\n");
    assert_eq!(machine.times_asked(), 1);
    shop.greets_as(NEXT).await;
}

#[tokio::test]
async fn an_update_that_is_asked_for_while_a_reboot_is_awaited_comes_after_it() {
    let machine = Machine::new();
    let mut shop = Workshop::open_with(&machine.settings(), 5).await;
    shop.add_next();
    let (go, traces) = (shop.scene.agent.scratch("go"), shop.scene.agent.scratch("traces"));
    let other = shop
        .scene
        .coordinator
        .send(&work::script(&[&work::wait_for(&go)]))
        .await;
    shop.scene.agent.runner(other).await;
    // It asks at once, for this file is there.
    let boots = shop
        .scene
        .coordinator
        .send(&booting(&traces, &shop.scene.agent.config()))
        .await;
    asks_for_a_reboot(&shop, boots).await;
    until("the agent knows it", async || {
        let records = shop.scene.coordinator.records(boots);
        if records.len() == 2 { Ok(()) } else { Err(records) }
    })
    .await;
    let update = shop.update(json!({})).await;
    shop.scene.coordinator.verdict(update).await;
    fs::write(&go, "").unwrap();
    machine.wait_until_asked(1).await;
    assert!(
        shop.scene.coordinator.records(update).is_empty(),
        "nothing starts before the boot"
    );
    assert!(!shop.versions("update.json").exists());

    shop.scene.agent.kill();
    machine.boot("second");
    shop.scene.agent.launch();
    let ended = shop.scene.coordinator.end(boots).await;
    assert_eq!(
        (ended.status(), ended.step().stdout.as_str()),
        (RunStatus::Success, "booted\n")
    );
    let ended = shop.scene.coordinator.end(update).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    shop.greets_as(NEXT).await;
    assert_eq!(machine.times_asked(), 1);
}

#[tokio::test]
async fn a_reboot_that_was_asked_for_is_not_asked_for_again_by_the_next_version() {
    let machine = Machine::new();
    // The reboot waits for nobody, and this machine does not go down.
    let settings = format!("reboot_patience_seconds = 0\n{}", machine.settings());
    let shop = Workshop::open_with(&settings, 5).await;
    shop.add_next();
    let (go, traces) = (shop.scene.agent.scratch("go"), shop.scene.agent.scratch("traces"));
    let other = shop
        .scene
        .coordinator
        .send(&work::script(&[&work::wait_for(&go)]))
        .await;
    shop.scene.agent.runner(other).await;
    let update = shop.update(json!({})).await;
    shop.scene.agent.runner(update).await;
    let boots = shop
        .scene
        .coordinator
        .send(&booting(&traces, &shop.scene.agent.config()))
        .await;
    machine.wait_until_asked(1).await;

    fs::write(&go, "").unwrap();
    let ended = shop.scene.coordinator.end(update).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    shop.greets_as(NEXT).await;
    until("the new version waits for the boot", async || {
        let (_, status) = shop.scene.agent.ask(&["status"]).await;
        if status.contains("waiting for a reboot") {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
    assert_eq!(machine.times_asked(), 1, "it has ten minutes to go down");
    assert_eq!(fs::read_to_string(&traces).unwrap(), "line\n");
    // What the next version counts on is in the run's log.
    let history = journal::read(&shop.scene.agent.state().journal().open_log(boots)).unwrap();
    assert_eq!(history.reboot_asked.len(), 1);
}
