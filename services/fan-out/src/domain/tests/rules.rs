//! Single behaviours: parking, cancel, breach, deadline, duplicates.

use muster_model::{SignedDuration, TargetOutcome};

use super::super::{Note, Recipients};
use super::{DEADLINE, Effect, Event, Phase, Report, TargetState, Trial, at, cancels, plan, sends, tells};

const ENDED_WELL: Phase = Phase::Ended(TargetOutcome::Success);

fn ended(outcome: TargetOutcome) -> TargetState {
    TargetState::Ended(outcome)
}

/// All of `targets` sent, accepted and running.
fn running(targets: u32, concurrency: u32, errors_allowed: u32) -> Trial {
    let (mut trial, effects) = Trial::started(plan(targets, concurrency, errors_allowed));
    let mut sent = sends(&effects);
    while let Some(index) = sent.pop() {
        sent.extend(sends(&trial.accept(index)));
    }
    trial
}

#[test]
fn a_rollout_without_targets_is_finished_from_the_start() {
    let (trial, effects) = Trial::started(plan(0, 1, 0));
    assert!(trial.rollout.is_finished());
    assert_eq!(effects, []);
}

#[test]
fn an_unreachable_node_is_parked_and_gets_the_next_slot_when_it_comes() {
    let (mut trial, _) = Trial::started(plan(4, 1, 0));
    let effects = trial.apply(Event::Unreachable { index: 0, attempt: 1 });
    assert_eq!(
        tells(&effects),
        [(0, TargetState::Delayed), (1, TargetState::InProgress)]
    );
    assert_eq!(sends(&effects), [1]);
    // No slot is free: it waits for one, but goes before those that were never sent.
    assert_eq!(
        trial.apply(Event::Present {
            index: 0,
            has_run: false
        }),
        []
    );
    let effects = trial.end(1, TargetOutcome::Success);
    assert_eq!(sends(&effects), [0]);
    assert!(effects.contains(&Effect::Send { index: 0, attempt: 2 }));
}

#[test]
fn a_late_no_responders_says_nothing_about_the_sending_that_followed() {
    let (mut trial, _) = Trial::started(plan(1, 1, 0));
    assert_eq!(
        sends(&trial.apply(Event::Present {
            index: 0,
            has_run: false
        })),
        [0]
    );
    assert_eq!(trial.apply(Event::Unreachable { index: 0, attempt: 1 }), []);
    assert_eq!(trial.phase(0), Phase::Sent);
    trial.apply(Event::Unreachable { index: 0, attempt: 2 });
    assert_eq!(trial.phase(0), Phase::Parked);
}

#[test]
fn a_busy_node_is_asked_again_when_it_said() {
    let (mut trial, _) = Trial::started(plan(1, 1, 0));
    let effects = trial.apply(Event::Busy {
        index: 0,
        retry_after: SignedDuration::from_secs(5),
    });
    assert_eq!(tells(&effects), [(0, TargetState::Delayed)]);
    assert_eq!(trial.rollout.next_wake(), Some(at(5)));
    assert!(sends(&trial.tick_at(4)).is_empty());
    assert_eq!(sends(&trial.tick_at(5)), [0]);
}

#[test]
fn a_node_that_refuses_the_work_has_failed() {
    let (mut trial, _) = Trial::started(plan(2, 1, 0));
    let effects = trial.apply(Event::RefusedByNode {
        index: 0,
        reason: "no such ability".to_owned(),
    });
    assert_eq!(
        tells(&effects),
        [(0, ended(TargetOutcome::Failed)), (1, ended(TargetOutcome::Terminated))]
    );
    let Effect::Tell { note: Some(note), .. } = &effects[0] else {
        panic!("{effects:?}")
    };
    assert_eq!(note.to_string(), "the node refused the work: no such ability");
}

#[test]
fn a_parked_node_that_accepts_after_all_runs_beside_the_limit() {
    let (mut trial, _) = Trial::started(plan(3, 1, 0));
    assert_eq!(sends(&trial.tick_at(30)), [1]);
    assert_eq!(tells(&trial.accept(0)), [(0, TargetState::InProgress)]);
    assert_eq!((trial.rollout.in_flight(), trial.rollout.late()), (2, 1));
    // The first end brings it back within the limit, only the second makes room.
    assert!(sends(&trial.end(1, TargetOutcome::Success)).is_empty());
    assert_eq!(sends(&trial.end(0, TargetOutcome::Success)), [2]);
}

#[test]
fn a_node_that_lists_the_run_has_accepted_it() {
    let (mut trial, _) = Trial::started(plan(1, 1, 0));
    assert_eq!(
        trial.apply(Event::Present {
            index: 0,
            has_run: true
        }),
        []
    );
    assert_eq!(trial.phase(0), Phase::Accepted);
    assert!(sends(&trial.tick_at(31)).is_empty());
}

#[test]
fn reports_reach_the_owner_once_and_in_order() {
    let mut trial = running(1, 1, 0);
    let steps = Report {
        first: 1,
        last: 2,
        end: None,
    };
    let news = |state, after| Effect::Tell {
        index: 0,
        state,
        note: None,
        records_after: Some(after),
    };
    assert_eq!(
        trial.apply(Event::Replied {
            index: 0,
            report: steps
        }),
        [news(TargetState::InProgress, 0)]
    );
    assert_eq!(
        trial.apply(Event::Replied {
            index: 0,
            report: steps
        }),
        []
    );
    // A gap: the node keeps what lies before it and will send it.
    let gap = Report {
        first: 4,
        last: 4,
        end: Some(TargetOutcome::Success),
    };
    assert_eq!(trial.apply(Event::Replied { index: 0, report: gap }), []);
    let overlap = Report {
        first: 2,
        last: 4,
        end: Some(TargetOutcome::Success),
    };
    assert_eq!(
        trial.apply(Event::Replied {
            index: 0,
            report: overlap
        }),
        [news(ended(TargetOutcome::Success), 2)]
    );
    assert_eq!(
        trial.apply(Event::Replied {
            index: 0,
            report: overlap
        }),
        []
    );
    assert!(trial.rollout.is_finished());
}

#[test]
fn a_reply_says_that_the_node_had_accepted() {
    let (mut trial, _) = Trial::started(plan(2, 1, 0));
    let effects = trial.end(0, TargetOutcome::Success);
    assert_eq!(tells(&effects)[0], (0, ended(TargetOutcome::Success)));
    assert_eq!(sends(&effects), [1]);
}

#[test]
fn the_error_after_the_last_allowed_one_stops_sending_for_good() {
    let mut trial = running(10, 3, 1);
    assert_eq!(sends(&trial.end(0, TargetOutcome::Failed)), [3]);
    trial.accept(3);
    let effects = trial.end(1, TargetOutcome::ExecutionTimedOut);
    assert!(sends(&effects).is_empty());
    let terminated = tells(&effects)
        .into_iter()
        .filter(|(_, state)| *state == ended(TargetOutcome::Terminated));
    assert_eq!(terminated.count(), 6);
    // Those in flight are left to finish, and count.
    trial.end(2, TargetOutcome::Success);
    trial.end(3, TargetOutcome::Failed);
    assert!(trial.rollout.is_finished());
    assert_eq!(trial.rollout.tally().errors(), 3);
}

#[test]
fn after_the_breach_only_those_that_may_have_the_work_are_waited_for() {
    let (mut trial, _) = Trial::started(plan(5, 2, 0));
    trial.apply(Event::Unreachable { index: 0, attempt: 1 }); // 0 never got it; 1 and 2 are sent
    trial.tick_at(30); // 1 and 2 are silent, but may have it; 3 and 4 are sent
    trial.end(3, TargetOutcome::Failed);
    assert_eq!(
        trial.phases(),
        [
            Phase::Ended(TargetOutcome::Terminated),
            Phase::Parked,
            Phase::Parked,
            Phase::Ended(TargetOutcome::Failed),
            Phase::Sent,
        ]
    );
    // Nobody is sent anything any more, and who is found never to have had it is over.
    assert_eq!(
        trial.apply(Event::Present {
            index: 1,
            has_run: false
        }),
        []
    );
    let effects = trial.apply(Event::Unreachable { index: 4, attempt: 1 });
    assert_eq!(tells(&effects), [(4, ended(TargetOutcome::Terminated))]);
    trial.end(1, TargetOutcome::Success);
    trial.tick_at(DEADLINE);
    assert_eq!(trial.phase(1), ENDED_WELL);
    assert_eq!(trial.phase(2), Phase::Ended(TargetOutcome::DeliveryTimedOut));
}

#[test]
fn a_cancelled_rollout_starts_nothing_more() {
    let (mut trial, _) = Trial::started(plan(6, 2, 0));
    trial.accept(0); // 0 runs, 1 is sent
    let effects = trial.apply(Event::Cancelled(Recipients::All));
    assert_eq!(cancels(&effects), [0, 1]);
    assert_eq!(
        tells(&effects),
        (2..6)
            .map(|index| (index, ended(TargetOutcome::Cancelled)))
            .collect::<Vec<_>>()
    );
    // It is repeated to nodes that show themselves, and every ack interval.
    let effects = trial.apply(Event::Present {
        index: 1,
        has_run: false,
    });
    assert_eq!((cancels(&effects), sends(&effects)), (vec![1], vec![]));
    assert_eq!(cancels(&trial.tick_at(30)), [0, 1]);
    assert!(sends(&trial.end(0, TargetOutcome::Cancelled)).is_empty());
    assert_eq!(cancels(&trial.tick_at(60)), [1]);
    assert_eq!(trial.apply(Event::Cancelled(Recipients::All)), []);
    // The real result of one that finishes anyway stands.
    trial.end(1, TargetOutcome::Success);
    assert_eq!(trial.phase(1), ENDED_WELL);
    assert!(trial.rollout.is_finished());
}

#[test]
fn cancelling_what_is_unsent_lets_the_nodes_go_on_that_may_have_the_work() {
    let (mut trial, _) = Trial::started(plan(6, 3, 0));
    trial.accept(0); // 0 runs, 1 and 2 are sent
    trial.apply(Event::Unreachable { index: 2, attempt: 1 }); // 3 takes its place
    let effects = trial.apply(Event::Cancelled(Recipients::Unsent));
    assert!(cancels(&effects).is_empty());
    let over: Vec<_> = [2, 4, 5].map(|index| (index, ended(TargetOutcome::Cancelled))).into();
    assert_eq!(tells(&effects), over);
    assert_eq!(trial.apply(Event::Cancelled(Recipients::Unsent)), []);
    assert!(sends(&trial.end(0, TargetOutcome::Success)).is_empty());
    assert_eq!(trial.phase(0), ENDED_WELL);
    // A cancel of all still reaches those that go on.
    assert_eq!(cancels(&trial.apply(Event::Cancelled(Recipients::All))), [1, 3]);
}

#[test]
fn a_parked_node_that_never_got_the_work_is_cancelled_at_once() {
    let (mut trial, _) = Trial::started(plan(1, 1, 0));
    trial.apply(Event::Unreachable { index: 0, attempt: 1 });
    let effects = trial.apply(Event::Cancelled(Recipients::All));
    assert_eq!(tells(&effects), [(0, ended(TargetOutcome::Cancelled))]);
    assert!(cancels(&effects).is_empty());
}

#[test]
fn no_responders_after_a_cancel_ends_the_target() {
    let (mut trial, _) = Trial::started(plan(1, 1, 0));
    assert_eq!(cancels(&trial.apply(Event::Cancelled(Recipients::All))), [0]);
    let effects = trial.apply(Event::Unreachable { index: 0, attempt: 1 });
    assert_eq!(tells(&effects), [(0, ended(TargetOutcome::Cancelled))]);
}

#[test]
fn cancelling_some_leaves_the_rest_alone() {
    let (mut trial, _) = Trial::started(plan(4, 1, 0));
    trial.accept(0);
    let effects = trial.apply(Event::Cancelled(Recipients::Some(vec![0, 1, 99])));
    assert_eq!(
        (cancels(&effects), tells(&effects)),
        (vec![0], vec![(1, ended(TargetOutcome::Cancelled))])
    );
    assert!(!trial.rollout.is_cancelled());
    assert_eq!(sends(&trial.end(0, TargetOutcome::Cancelled)), [2]);
}

#[test]
fn a_cancelled_target_that_keeps_silent_gives_its_slot_back() {
    let (mut trial, _) = Trial::started(plan(2, 1, 0));
    trial.apply(Event::Cancelled(Recipients::Some(vec![0])));
    let effects = trial.tick_at(30);
    assert_eq!((sends(&effects), cancels(&effects)), (vec![1], vec![0]));
    // It is not sent the work again, only told to stop.
    let effects = trial.apply(Event::Present {
        index: 0,
        has_run: false,
    });
    assert_eq!((sends(&effects), cancels(&effects)), (vec![], vec![0]));
}

#[test]
fn cancelling_what_is_over_changes_nothing() {
    let mut trial = running(1, 1, 0);
    trial.end(0, TargetOutcome::Success);
    assert_eq!(trial.apply(Event::Cancelled(Recipients::All)), []);
    assert!(!trial.rollout.is_cancelled());
}

#[test]
fn the_deadline_ends_everybody_and_late_reports_only_bring_news() {
    let (mut trial, _) = Trial::started(plan(5, 2, 0));
    trial.apply(Event::Unreachable { index: 0, attempt: 1 });
    trial.accept(1);
    assert_eq!(tells(&trial.tick_at(DEADLINE)).len(), 5);
    assert!(trial.rollout.is_finished());
    let report = Report {
        first: 1,
        last: 3,
        end: Some(TargetOutcome::Success),
    };
    let effects = trial.apply(Event::Replied { index: 1, report });
    assert_eq!(
        effects,
        [Effect::Tell {
            index: 1,
            state: ended(TargetOutcome::DeliveryTimedOut),
            note: None,
            records_after: Some(0),
        }]
    );
    assert_eq!(trial.apply(Event::Replied { index: 1, report }), []);
}

#[test]
fn an_event_after_the_deadline_comes_too_late_even_before_the_timer() {
    let mut trial = running(1, 1, 0);
    trial.now = at(DEADLINE);
    let effects = trial.end(0, TargetOutcome::Success);
    assert_eq!(tells(&effects)[0], (0, ended(TargetOutcome::DeliveryTimedOut)));
    let Effect::Tell { note, .. } = &effects[0] else {
        panic!("{effects:?}")
    };
    assert_eq!(*note, Some(Note::DeadlinePassed));
}

#[test]
fn who_takes_over_asks_again_where_an_answer_is_missing() {
    let (mut trial, _) = Trial::started(plan(9, 4, 0));
    trial.accept(0); // runs; 1 and 2 are sent
    trial.apply(Event::Unreachable { index: 1, attempt: 1 }); // parked; 3 and 4 are sent
    trial.apply(Event::Cancelled(Recipients::Some(vec![0])));
    let effects = trial.crash();
    assert_eq!(cancels(&effects), [0]);
    // The slots are full, so the parked one waits for the next: its node may have come while nobody looked.
    assert_eq!(sends(&effects), [2, 3, 4]);
    assert_eq!(trial.phase(1), Phase::Returning);
    assert_eq!(sends(&trial.end(0, TargetOutcome::Cancelled)), [1]);
}
