//! Laws under events drawn at random, sensible or not: `Trial::apply` checks them after each.

use muster_model::{SignedDuration, TargetOutcome};
use proptest::prelude::*;

use super::super::Recipients;
use super::{DEADLINE, Event, Report, Trial, at, plan};

#[derive(Debug, Clone)]
enum Happening {
    Event(Event),
    /// So many seconds pass, and the timer comes.
    Time(i64),
    /// All that is not stored is lost.
    Crash,
}

fn outcome() -> impl Strategy<Value = TargetOutcome> {
    prop_oneof![
        3 => Just(TargetOutcome::Success),
        2 => Just(TargetOutcome::Failed),
        1 => Just(TargetOutcome::ExecutionTimedOut),
        1 => Just(TargetOutcome::Cancelled),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    (1_u64..6, 0_u64..3, proptest::option::of(outcome())).prop_map(|(first, more, end)| Report {
        first,
        last: first + more,
        end,
    })
}

/// An event about one of `targets`, or one position beyond them.
fn event(targets: u32) -> impl Strategy<Value = Event> {
    let index = 0..targets + 1;
    let recipients = proptest::collection::vec(index.clone(), 0..3);
    prop_oneof![
        1 => Just(Event::Started),
        1 => Just(Event::Tick),
        8 => index.clone().prop_map(|index| Event::Accepted { index }),
        2 => (index.clone(), 0_i64..90).prop_map(|(index, seconds)| Event::Busy {
            index,
            retry_after: SignedDuration::from_secs(seconds),
        }),
        1 => index.clone().prop_map(|index| Event::RefusedByNode { index, reason: "because".to_owned() }),
        4 => (index.clone(), 0_u32..4).prop_map(|(index, attempt)| Event::Unreachable { index, attempt }),
        4 => (index.clone(), any::<bool>()).prop_map(|(index, has_run)| Event::Present { index, has_run }),
        8 => (index, report()).prop_map(|(index, report)| Event::Replied { index, report }),
        1 => recipients.prop_map(|indexes| Event::Cancelled(Recipients::Some(indexes))),
    ]
}

fn happening(targets: u32) -> impl Strategy<Value = Happening> {
    prop_oneof![
        30 => event(targets).prop_map(Happening::Event),
        1 => Just(Happening::Event(Event::Cancelled(Recipients::All))),
        1 => Just(Happening::Event(Event::Cancelled(Recipients::Unsent))),
        4 => prop_oneof![0_i64..5, 25_i64..35, 100_i64..2000].prop_map(Happening::Time),
        2 => Just(Happening::Crash),
    ]
}

#[derive(Debug, Clone)]
struct Course {
    targets: u32,
    concurrency: u32,
    errors_allowed: u32,
    refused: Vec<bool>,
    happenings: Vec<Happening>,
}

fn course() -> impl Strategy<Value = Course> {
    (0_u32..12, 1_u32..7, 0_u32..5).prop_flat_map(|(targets, concurrency, errors_allowed)| {
        let refused = proptest::collection::vec(proptest::bool::weighted(0.1), targets as usize);
        let happenings = proptest::collection::vec(happening(targets), 0..80);
        (refused, happenings).prop_map(move |(refused, happenings)| Course {
            targets,
            concurrency,
            errors_allowed,
            refused,
            happenings,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_laws_hold_whatever_happens(course in course()) {
        let mut plan = plan(course.targets, course.concurrency, course.errors_allowed);
        for (planned, refused) in plan.targets.iter_mut().zip(&course.refused) {
            planned.refused = refused.then_some(TargetOutcome::InvalidPlatform);
        }
        let (mut trial, _) = Trial::started(plan);
        for happening in course.happenings {
            match happening {
                Happening::Event(event) => trial.apply(event),
                Happening::Crash => trial.crash(),
                Happening::Time(seconds) => {
                    trial.now += SignedDuration::from_secs(seconds);
                    trial.apply(Event::Tick)
                }
            };
        }
        trial.now = trial.now.max(at(DEADLINE));
        trial.apply(Event::Tick);
        prop_assert!(trial.rollout.is_finished());
        prop_assert!(trial.ends_told.iter().all(|told| *told == 1), "{:?}", trial.ends_told);
    }
}
