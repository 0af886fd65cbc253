//! The rules, tried: the specification's own tables, single behaviours, and chance.

mod chance;
mod chaos;
mod doctored;
mod ramp;
mod rows;
mod rules;

use muster_model::{RolloutId, SignedDuration, TargetOutcome, Timestamp};

use super::history::{Before, Page};
use super::verify::{self, Ordered};
use super::{Effect, Effects, Event, Phase, Plan, Planned, Report, Rollout, TargetState, laws, step};

/// Seconds after the start of time, when every test begins.
fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

const DEADLINE: i64 = 3600;

fn plan(targets: u32, concurrency: u32, errors_allowed: u32) -> Plan {
    let node = |number: u32| format!("mi-{number:017x}").parse().expect("a node id");
    Plan {
        id: RolloutId::from(
            "00000000-0000-4000-8000-000000000000"
                .parse::<muster_model::CommandId>()
                .unwrap(),
        ),
        targets: (0..targets)
            .map(|number| Planned {
                node: node(number),
                refused: None,
            })
            .collect(),
        concurrency,
        errors_allowed,
        deadline: at(DEADLINE),
    }
}

/// A rollout under test that checks the laws after each step.
struct Trial {
    rollout: Rollout,
    now: Timestamp,
    /// How often each target was told to be over, as its end came.
    ends_told: Vec<u32>,
    /// What a store would have kept of it.
    pages: Vec<Page>,
}

impl Trial {
    fn new(plan: Plan) -> Self {
        let rollout = Rollout::new(plan);
        let ends_told = vec![0; rollout.targets().len()];
        Self {
            rollout,
            now: at(0),
            ends_told,
            pages: Vec::new(),
        }
    }

    /// The history must not show a law broken that was kept.
    fn verify(&self) {
        let ordered = Ordered {
            targets: self.rollout.len(),
            concurrency: self.rollout.concurrency(),
            errors_allowed: self.rollout.errors_allowed(),
            deadline: self.rollout.deadline(),
        };
        let verdict = verify::check(&ordered, &self.pages, None, self.now);
        assert!(
            verdict.violations.is_empty(),
            "{:?}\n{:#?}",
            verdict.violations,
            self.pages
        );
    }

    fn started(plan: Plan) -> (Self, Vec<Effect>) {
        let mut trial = Self::new(plan);
        let effects = trial.apply(Event::Started);
        (trial, effects)
    }

    fn apply(&mut self, event: Event) -> Vec<Effect> {
        let before = self.rollout.clone();
        let effects = self.apply_unchecked(&event);
        let after = &self.rollout;
        let mut entries = Vec::new();
        Before::of(&before, &event).tell(&event, self.now, 1, after, &effects, &mut entries);
        self.pages.push(Page { at: self.now, entries });

        let mut replayed = before.clone();
        let mut again = Effects::default();
        step(&mut replayed, &event, self.now, &mut again);
        assert_eq!(
            (&replayed, &again.acts),
            (after, &effects),
            "a replay differs: {event:?}"
        );

        let stopped = before.is_stopped() || self.now >= before.deadline();
        let context = || format!("{event:?}\nbefore {before:#?}\nafter {after:#?}\neffects {effects:#?}");
        assert!(laws::in_flight_is_limited(after), "{}", context());
        assert!(laws::sends_leave_room(&before, after, &effects), "{}", context());
        assert!(!stopped || laws::nothing_is_sent(&effects), "{}", context());
        assert!(laws::over_is_final(&before, after), "{}", context());
        assert!(laws::sends_are_next_attempts(&before, &effects), "{}", context());
        assert!(laws::ends_are_told_once(&before, after, &effects), "{}", context());
        assert!(laws::counters_agree(after), "{}", context());
        assert!(laws::silence_is_timed(after), "{}", context());
        assert!(
            self.now < after.deadline() || laws::all_are_over(after),
            "{}",
            context()
        );
        assert_eq!(after.next_wake().is_none(), after.is_finished(), "{}", context());
        for (index, target) in (0_u32..).zip(after.targets()) {
            let was_over = before.targets()[index as usize].progress().is_over();
            self.ends_told[index as usize] += u32::from(!was_over && target.progress().is_over());
        }
        effects
    }

    fn apply_unchecked(&mut self, event: &Event) -> Vec<Effect> {
        let before = self.rollout.clone();
        let mut effects = Effects::default();
        step(&mut self.rollout, event, self.now, &mut effects);
        for (index, target) in (0_u32..).zip(self.rollout.targets()) {
            let changed = target.progress() != before.targets()[index as usize].progress();
            assert!(
                !changed || effects.changed.contains(&index),
                "{index} would not be stored"
            );
        }
        effects.acts
    }

    fn tick_at(&mut self, seconds: i64) -> Vec<Effect> {
        self.now = at(seconds);
        self.apply(Event::Tick)
    }

    fn accept(&mut self, index: u32) -> Vec<Effect> {
        self.apply(Event::Accepted { index })
    }

    fn end(&mut self, index: u32, outcome: TargetOutcome) -> Vec<Effect> {
        let last = self.rollout.targets()[index as usize].progress().last_sequence + 1;
        let report = Report {
            first: last,
            last,
            end: Some(outcome),
        };
        self.apply(Event::Replied { index, report })
    }

    /// Forgets all that is not stored, as a crash does, and takes the rollout up again.
    fn crash(&mut self) -> Vec<Effect> {
        self.restore();
        self.apply(Event::Started)
    }

    fn restore(&mut self) {
        let saved = self.rollout.saved();
        let mut plan = plan(
            self.rollout.len(),
            self.rollout.concurrency(),
            self.rollout.errors_allowed(),
        );
        for (planned, target) in plan.targets.iter_mut().zip(self.rollout.targets()) {
            planned.refused = target.refused;
        }
        let restored = Rollout::restore(plan, &saved);
        assert_eq!(restored.saved(), saved);
        self.rollout = restored;
    }

    fn phase(&self, index: u32) -> Phase {
        self.rollout.targets()[index as usize].progress().phase
    }

    fn phases(&self) -> Vec<Phase> {
        self.rollout
            .targets()
            .iter()
            .map(|target| target.progress().phase)
            .collect()
    }
}

/// To whom the effects send work, in order.
fn sends(effects: &[Effect]) -> Vec<u32> {
    let sends = effects.iter().filter_map(|effect| match effect {
        Effect::Send { index, .. } => Some(*index),
        _ => None,
    });
    sends.collect()
}

/// Whom the effects tell to stop, in order.
fn cancels(effects: &[Effect]) -> Vec<u32> {
    let cancels = effects.iter().filter_map(|effect| match effect {
        Effect::SendCancel { index } => Some(*index),
        _ => None,
    });
    cancels.collect()
}

/// What the owner is told, in order.
fn tells(effects: &[Effect]) -> Vec<(u32, TargetState)> {
    let tells = effects.iter().filter_map(|effect| match effect {
        Effect::Tell { index, state, .. } => Some((*index, *state)),
        _ => None,
    });
    tells.collect()
}
