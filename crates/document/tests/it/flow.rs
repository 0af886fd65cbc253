//! What comes after a step: documents.md 4.2, run-command.md 4.2 and 10.

use muster_document::Outcome::{
    self, Cancelled, Failed, FailedAndExit, Skipped, Success, SuccessAndExit, SuccessAndReboot, TimedOut,
};
use muster_document::{Next, Plan, Platform, RunStatus};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{command, document_2_2, plan_on_linux, shell};

/// A plan of steps with these flow inputs.
fn planned(flow: &[Value]) -> Plan {
    let steps: Vec<Value> = flow
        .iter()
        .enumerate()
        .map(|(position, flow)| {
            let mut step = shell(&format!("s{position}"), &json!("true"));
            for (key, value) in flow.as_object().unwrap() {
                step["inputs"][key] = value.clone();
            }
            step
        })
        .collect();
    plan_on_linux(&command(&document_2_2(&json!({}), &json!(steps))), &[])
}

/// Runs a plan whose steps end as given by position; returns the steps that ran and the result.
fn run(plan: &Plan, outcomes: &[Outcome]) -> (Vec<usize>, RunStatus) {
    let mut ended = Vec::new();
    loop {
        match plan.next(&ended) {
            Next::Step(index) => ended.push((index, outcomes[index])),
            Next::End(status) => return (ended.into_iter().map(|(index, _)| index).collect(), status),
        }
    }
}

fn check(flow: &[Value], outcomes: &[Outcome], ran: &[usize], status: RunStatus) {
    assert_eq!(
        run(&planned(flow), outcomes),
        (ran.to_vec(), status),
        "{flow:?} {outcomes:?}"
    );
}

fn none() -> Value {
    json!({})
}

#[test]
fn without_flow_words_every_step_runs_and_the_gravest_counts() {
    for (outcomes, status) in [
        ([Success, Success, Success], RunStatus::Success),
        ([Skipped, Skipped, Skipped], RunStatus::Success),
        ([Success, Skipped, Success], RunStatus::Success),
        ([Failed, Success, Success], RunStatus::Failed),
        ([Success, TimedOut, Success], RunStatus::TimedOut),
        ([TimedOut, Failed, Success], RunStatus::Failed),
        ([Failed, TimedOut, Skipped], RunStatus::Failed),
    ] {
        check(&[none(), none(), none()], &outcomes, &[0, 1, 2], status);
    }
}

#[test]
fn on_failure_ends_the_document() {
    let exit = || json!({"onFailure": "exit"});
    let forgive = || json!({"onFailure": "successAndExit"});
    check(&[exit(), none()], &[Failed, Success], &[0], RunStatus::Failed);
    check(&[exit(), none()], &[TimedOut, Success], &[0], RunStatus::TimedOut);
    check(&[exit(), none()], &[Success, Success], &[0, 1], RunStatus::Success);
    check(&[exit(), none()], &[Skipped, Success], &[0, 1], RunStatus::Success);
    check(&[forgive(), none()], &[Failed, Success], &[0], RunStatus::Success);
    check(&[forgive(), none()], &[TimedOut, Success], &[0], RunStatus::Success);
    check(
        &[none(), forgive(), none()],
        &[Failed, Failed, Success],
        &[0, 1],
        RunStatus::Failed,
    );
}

#[test]
fn on_success_ends_the_document() {
    let exit = || json!({"onSuccess": "exit"});
    check(&[exit(), none()], &[Success, Failed], &[0], RunStatus::Success);
    check(&[exit(), none()], &[Failed, Success], &[0, 1], RunStatus::Failed);
    check(&[exit(), none()], &[Skipped, Success], &[0, 1], RunStatus::Success);
    check(
        &[none(), exit(), none()],
        &[Failed, Success, Success],
        &[0, 1],
        RunStatus::Failed,
    );
}

#[test]
fn the_finally_step_always_runs() {
    let exit = || json!({"onFailure": "exit"});
    let forgive = || json!({"onFailure": "successAndExit"});
    let finally = || json!({"finallyStep": true});
    check(
        &[exit(), none(), finally()],
        &[Failed, Success, Success],
        &[0, 2],
        RunStatus::Failed,
    );
    check(
        &[forgive(), none(), finally()],
        &[Failed, Success, Success],
        &[0, 2],
        RunStatus::Success,
    );
    check(
        &[forgive(), none(), finally()],
        &[Failed, Success, Failed],
        &[0, 2],
        RunStatus::Failed,
    );
    check(
        &[none(), none(), finally()],
        &[Failed, Success, Success],
        &[0, 1, 2],
        RunStatus::Failed,
    );
    check(
        &[json!({"onSuccess": "exit"}), none(), finally()],
        &[Success, Success, Success],
        &[0, 2],
        RunStatus::Success,
    );
    check(
        &[none(), none(), finally()],
        &[SuccessAndExit, Success, Success],
        &[0, 2],
        RunStatus::Success,
    );
    check(
        &[none(), none(), finally()],
        &[FailedAndExit, Success, Success],
        &[0, 2],
        RunStatus::Failed,
    );
    check(
        &[none(), none(), finally()],
        &[Cancelled, Success, Success],
        &[0],
        RunStatus::Cancelled,
    );
}

#[test]
fn exit_codes_168_and_169_end_the_document() {
    check(&[none(), none()], &[SuccessAndExit, Failed], &[0], RunStatus::Success);
    check(&[none(), none()], &[FailedAndExit, Success], &[0], RunStatus::Failed);
    check(
        &[none(), none(), none()],
        &[Failed, SuccessAndExit, Success],
        &[0, 1],
        RunStatus::Failed,
    );
}

#[test]
fn a_cancel_ends_at_once_and_a_reboot_comes_first() {
    check(&[none(), none()], &[Cancelled, Success], &[0], RunStatus::Cancelled);
    check(
        &[none(), none(), none()],
        &[Failed, Cancelled, Success],
        &[0, 1],
        RunStatus::Failed,
    );
    check(
        &[none(), none(), none()],
        &[TimedOut, Cancelled, Success],
        &[0, 1],
        RunStatus::TimedOut,
    );
    check(
        &[none(), none(), none()],
        &[Failed, SuccessAndReboot, Success],
        &[0, 1],
        RunStatus::SuccessAndReboot,
    );
    // After the boot, without the record of the reboot, the same step is next.
    assert_eq!(planned(&[none(), none()]).next(&[(0, Success)]), Next::Step(1));
}

#[test]
fn exit_codes_mean_what_they_mean_on_their_platform() {
    for (code, platform, expected) in [
        (0, Platform::Linux, Success),
        (1, Platform::Linux, Failed),
        (-1, Platform::Windows, Failed),
        (137, Platform::Linux, Failed),
        (168, Platform::MacOs, SuccessAndExit),
        (169, Platform::Windows, FailedAndExit),
        (194, Platform::Linux, SuccessAndReboot),
        (194, Platform::MacOs, SuccessAndReboot),
        (194, Platform::Windows, Failed),
        (3010, Platform::Windows, SuccessAndReboot),
        (3010, Platform::Linux, Failed),
    ] {
        assert_eq!(Outcome::of_exit_code(code, platform), expected, "{code} on {platform}");
    }
}

#[test]
fn parts_amount_to_the_gravest() {
    for (parts, expected) in [
        (&[][..], Success),
        (&[Success, Failed, Success], Failed),
        (&[TimedOut, Cancelled], TimedOut),
        (&[Failed, SuccessAndReboot], SuccessAndReboot),
        (&[Success, SuccessAndExit], SuccessAndExit),
    ] {
        assert_eq!(Outcome::of_parts(parts.iter().copied()), expected, "{parts:?}");
    }
}

fn flow() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => Just(json!({})),
        1 => Just(json!({"onFailure": "exit"})),
        1 => Just(json!({"onFailure": "successAndExit"})),
        1 => Just(json!({"onSuccess": "exit", "onFailure": "exit"})),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![
        Success,
        SuccessAndExit,
        SuccessAndReboot,
        Failed,
        FailedAndExit,
        TimedOut,
        Cancelled,
        Skipped,
    ])
}

proptest! {
    #[test]
    fn every_run_ends_in_order_and_repeats_nothing(
        mut flows in prop::collection::vec(flow(), 1..8), outcomes in prop::collection::vec(outcome(), 8), finally in any::<bool>(),
    ) {
        if finally {
            flows.last_mut().unwrap()["finallyStep"] = json!(true);
        }
        let (ran, status) = run(&planned(&flows), &outcomes);
        prop_assert!(ran.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
        prop_assert_eq!(ran[0], 0);
        let happened: Vec<Outcome> = ran.iter().map(|index| outcomes[*index]).collect();
        let interrupted = happened.iter().any(|outcome| matches!(outcome, Cancelled | SuccessAndReboot));
        prop_assert!(!finally || interrupted || ran.last() == Some(&(flows.len() - 1)), "the finally step ran");
        if happened.iter().all(|outcome| matches!(outcome, Success | SuccessAndExit | Skipped)) {
            prop_assert_eq!(status, RunStatus::Success);
        }
        if status == RunStatus::Failed {
            prop_assert!(happened.iter().any(|outcome| matches!(outcome, Failed | FailedAndExit)));
        }
    }
}
