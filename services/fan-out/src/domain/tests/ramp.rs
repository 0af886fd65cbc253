//! The ramp-up rows of schedules-and-rate-control 7.4: 100 targets, nothing finishes.

use super::{DEADLINE, Event, Trial, plan, sends};

/// Cumulative sends after each round in which every node that was sent something accepts.
fn waves(concurrency: u32) -> Vec<u32> {
    let (mut trial, effects) = Trial::started(plan(100, concurrency, 0));
    let mut round = sends(&effects);
    let mut sent = 0;
    let mut waves = Vec::new();
    while !round.is_empty() {
        sent += u32::try_from(round.len()).unwrap();
        waves.push(sent);
        let accepted = std::mem::take(&mut round);
        for index in accepted {
            round.extend(sends(&trial.accept(index)));
        }
    }
    waves
}

#[test]
fn sending_starts_with_one_and_grows_with_each_answer_up_to_the_limit() {
    assert_eq!(waves(20), [1, 3, 7, 15, 20]);
    assert_eq!(waves(50), [1, 3, 7, 15, 31, 50]);
    assert_eq!(waves(2), [1, 2]);
    assert_eq!(waves(1), [1]);
}

#[test]
fn a_silent_first_node_holds_the_ramp_for_the_ack_interval_only() {
    let (mut trial, effects) = Trial::started(plan(100, 20, 0));
    assert_eq!(sends(&effects), [0]);
    assert_eq!(trial.rollout.next_wake(), Some(super::at(30)));
    assert!(sends(&trial.tick_at(29)).is_empty());
    assert_eq!(sends(&trial.tick_at(30)), [1, 2]);
    assert_eq!(trial.rollout.in_flight(), 2);
}

#[test]
fn unreachable_nodes_do_not_hold_the_ramp() {
    let (mut trial, _) = Trial::started(plan(100, 20, 0));
    assert_eq!(sends(&trial.apply(Event::Unreachable { index: 0, attempt: 1 })), [1, 2]);
}

#[test]
fn after_the_ramp_each_end_frees_one_slot() {
    let (mut trial, effects) = Trial::started(plan(10, 3, 10));
    assert_eq!(sends(&effects), [0]);
    assert_eq!(sends(&trial.accept(0)), [1, 2]);
    trial.accept(1);
    trial.accept(2);
    assert_eq!(sends(&trial.end(1, muster_model::TargetOutcome::Success)), [3]);
    assert_eq!(sends(&trial.end(0, muster_model::TargetOutcome::Failed)), [4]);
    trial.tick_at(DEADLINE);
}

#[test]
fn the_ramp_goes_on_where_it_was_after_a_crash() {
    let (mut trial, _) = Trial::started(plan(100, 20, 0));
    trial.accept(0);
    trial.accept(1);
    assert_eq!(
        trial
            .phases()
            .iter()
            .filter(|phase| **phase != super::Phase::Waiting)
            .count(),
        5
    );
    // Those that had not answered are asked again; nobody else is.
    assert_eq!(sends(&trial.crash()), [2, 3, 4]);
    assert_eq!(sends(&trial.accept(2)), [5, 6]);
}
