//! Checks a recorded history against the laws (DESIGN 5). Pure: nothing but the records is asked.
//!
//! The rules are written down here a second time, from the specification and not from `step`: a mistake there is found.

use std::fmt;

use muster_model::{CommandOutcome, SignedDuration, Tally, TargetOutcome, Timestamp};

use super::history::{Entry, Happening, Page};
use super::step::ACK_INTERVAL;

/// How much later than a deadline or a timer something may be written: a process may have to be started again first.
pub const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// A law of DESIGN 5 that a history can show to be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// Every target reaches exactly one terminal state, not later than its deadline and a grace.
    OneEnd,
    /// No run id is executed twice on a node; nothing is sent after the deadline or to a node that was no target.
    OnceOnly,
    /// In flight never exceeds max-concurrency; nothing is sent after max-errors was exceeded, or after a cancel.
    Limits,
    /// Counters and statuses that a user reads together agree with each other and with what happened.
    Agreement,
    /// Timers survive: a silent node is noticed.
    Timers,
}

impl Law {
    /// All of them, by number.
    pub const ALL: [Self; 5] = [
        Self::OneEnd,
        Self::OnceOnly,
        Self::Limits,
        Self::Agreement,
        Self::Timers,
    ];

    /// Its number in DESIGN 5.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::OneEnd => 1,
            Self::OnceOnly => 2,
            Self::Limits => 3,
            Self::Agreement => 5,
            Self::Timers => 8,
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneEnd => "every target ends exactly once and in time",
            Self::OnceOnly => "nothing runs twice, after the deadline, or where it does not belong",
            Self::Limits => "max-concurrency and max-errors hold",
            Self::Agreement => "what users read together agrees",
            Self::Timers => "silence is noticed",
        })
    }
}

/// A law that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// The target's position, if it is about one.
    pub target: Option<u32>,
    /// What is wrong.
    pub what: String,
}

/// What was ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordered {
    /// How many targets.
    pub targets: u32,
    /// How many may be in flight at once.
    pub concurrency: u32,
    /// How many counted errors are allowed.
    pub errors_allowed: u32,
    /// When everything must be over.
    pub deadline: Timestamp,
}

/// What users read of the whole, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How each target ended, by position; nothing for those that have not.
    pub outcomes: Vec<Option<TargetOutcome>>,
    /// `CompletedCount`.
    pub completed: u32,
    /// `ErrorCount`.
    pub errors: u32,
    /// `DeliveryTimedOutCount`.
    pub delivery_timed_out: u32,
    /// Whether the status is a final one.
    pub is_final: bool,
    /// `StatusDetails`.
    pub details: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// In the order in which they were found; at most [`Verdict::MOST`] for each law.
    pub violations: Vec<Violation>,
    /// Entries that were looked at.
    pub entries: u64,
    /// The history was cut: what came after is not known.
    pub is_cut: bool,
}

impl Verdict {
    /// Violations of one law that are kept.
    pub const MOST: usize = 20;

    fn add(&mut self, law: Law, target: Option<u32>, what: String) {
        let known = self.violations.iter().filter(|violation| violation.law == law).count();
        if known < Self::MOST {
            self.violations.push(Violation { law, target, what });
        }
    }

    /// Whether a law holds, as far as is known.
    #[must_use]
    pub fn holds(&self, law: Law) -> bool {
        self.violations.iter().all(|violation| violation.law != law)
    }
}

/// Where a target stands while the history is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    Sent {
        at: Timestamp,
    },
    Accepted,
    /// Accepted, but a crash may have made the coordinator forget it.
    MaybeAccepted {
        at: Timestamp,
    },
    Parked,
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Target {
    place: Place,
    attempts: u64,
    reported: u64,
    answered: bool,
    outcome: Option<TargetOutcome>,
    /// The node itself said that its run is over.
    ended_by_node: bool,
}

struct Replay<'a> {
    ordered: &'a Ordered,
    targets: Vec<Target>,
    in_flight: u32,
    sent: u32,
    answered: u32,
    errors: u32,
    is_breached: bool,
    said_breached: bool,
    is_cancelled: bool,
    taken_up: Timestamp,
    verdict: Verdict,
}

/// Reads a history against the laws. `now` is when it was read; `seen` what users read after that.
#[must_use]
pub fn check(ordered: &Ordered, pages: &[Page], seen: Option<&Seen>, now: Timestamp) -> Verdict {
    let fresh = Target {
        place: Place::Waiting,
        attempts: 0,
        reported: 0,
        answered: false,
        outcome: None,
        ended_by_node: false,
    };
    let mut replay = Replay {
        targets: vec![fresh; ordered.targets as usize],
        ordered,
        in_flight: 0,
        sent: 0,
        answered: 0,
        errors: 0,
        is_breached: false,
        said_breached: false,
        is_cancelled: false,
        taken_up: Timestamp::MIN,
        verdict: Verdict::default(),
    };
    'pages: for page in pages {
        for entry in &page.entries {
            replay.verdict.entries += 1;
            if entry.what == Happening::Cut {
                replay.verdict.is_cut = true;
                break 'pages;
            }
            replay.take(entry, page.at);
        }
    }
    if !replay.verdict.is_cut {
        replay.finish(now);
    }
    if let Some(seen) = seen {
        replay.compare(seen);
    }
    replay.verdict
}

impl Replay<'_> {
    fn take(&mut self, entry: &Entry, at: Timestamp) {
        match entry.what {
            Happening::TakenUp => return self.take_up(at),
            Happening::Cancelled => {
                self.is_cancelled = true;
                return;
            }
            Happening::Breached => {
                self.said_breached = true;
                if !self.is_breached {
                    let what = format!(
                        "sending was stopped for {} errors, which are not more than {}",
                        self.errors, self.ordered.errors_allowed
                    );
                    self.verdict.add(Law::Limits, None, what);
                }
                return;
            }
            Happening::Cut => return,
            _ => {}
        }
        let index = entry.target;
        let Some(target) = self.targets.get(index as usize).copied() else {
            let what = format!("position {index} is beyond the {} targets", self.ordered.targets);
            self.verdict.add(Law::OnceOnly, Some(index), what);
            return;
        };
        match entry.what {
            Happening::Sent => self.send(index, target, entry.detail, at),
            Happening::Accepted => self.accept(index, target, at),
            Happening::Parked => {
                self.leave(target);
                self.answer(index);
                self.targets[index as usize].place = Place::Parked;
            }
            Happening::Reported => {
                if entry.detail <= target.reported {
                    let what = format!("record {} came after record {}", entry.detail, target.reported);
                    self.verdict.add(Law::OnceOnly, Some(index), what);
                }
                if target.ended_by_node {
                    let what = "the node reported on after it had said that its run is over".to_owned();
                    self.verdict.add(Law::OnceOnly, Some(index), what);
                }
                self.targets[index as usize].reported = entry.detail;
            }
            Happening::Ended(outcome) => self.end(index, target, outcome, at),
            _ => {}
        }
    }

    /// What was merely accepted may have been forgotten; every sent target is asked again.
    fn take_up(&mut self, at: Timestamp) {
        self.taken_up = at;
        for target in &mut self.targets {
            target.place = match target.place {
                Place::Accepted => Place::MaybeAccepted { at },
                Place::Sent { .. } => Place::Sent { at },
                other => other,
            };
        }
    }

    fn send(&mut self, index: u32, target: Target, attempt: u64, at: Timestamp) {
        if attempt != target.attempts + 1 {
            let what = format!("attempt {attempt} follows attempt {}", target.attempts);
            self.verdict.add(Law::OnceOnly, Some(index), what);
        }
        if matches!(target.place, Place::Over | Place::Accepted) {
            let what = "the work was sent although the node had it, or it was over".to_owned();
            self.verdict.add(Law::OnceOnly, Some(index), what);
        }
        if at >= self.ordered.deadline {
            let what = format!("sent at {at}, the deadline was {}", self.ordered.deadline);
            self.verdict.add(Law::OnceOnly, Some(index), what);
        }
        if self.is_breached {
            let what = format!(
                "sent after {} errors, where {} are allowed",
                self.errors, self.ordered.errors_allowed
            );
            self.verdict.add(Law::Limits, Some(index), what);
        }
        if self.is_cancelled {
            let what = "sent after the cancel".to_owned();
            self.verdict.add(Law::Limits, Some(index), what);
        }
        if target.attempts == 0 {
            let ramp = 2 * u64::from(self.answered) + 1;
            if self.sent < self.ordered.concurrency && u64::from(self.sent) >= ramp {
                let what = format!("target {} was sent with only {} answers", self.sent + 1, self.answered);
                self.verdict.add(Law::Limits, Some(index), what);
            }
            self.sent += 1;
        }
        if !is_in_flight(target.place) {
            self.in_flight += 1;
            if self.in_flight > self.ordered.concurrency {
                let what = format!("{} in flight, {} are allowed", self.in_flight, self.ordered.concurrency);
                self.verdict.add(Law::Limits, Some(index), what);
            }
        }
        let target = &mut self.targets[index as usize];
        target.attempts = attempt;
        target.place = Place::Sent { at };
    }

    fn accept(&mut self, index: u32, target: Target, _at: Timestamp) {
        match target.place {
            Place::Waiting => {
                let what = "the node has the work, which was never sent".to_owned();
                self.verdict.add(Law::OnceOnly, Some(index), what);
            }
            Place::Over => return,
            _ => {}
        }
        if !is_in_flight(target.place) {
            // It was parked: it runs beside the limit if its slot has gone to another.
            self.in_flight += 1;
        }
        self.answer(index);
        self.targets[index as usize].place = Place::Accepted;
    }

    fn end(&mut self, index: u32, target: Target, outcome: TargetOutcome, at: Timestamp) {
        if let Some(before) = target.outcome {
            let what = format!("ended as {outcome:?} after it had ended as {before:?}");
            self.verdict.add(Law::OneEnd, Some(index), what);
            return;
        }
        let latest = self.ordered.deadline.max(self.taken_up).saturating_add(GRACE);
        if at > latest.unwrap_or(Timestamp::MAX) {
            let what = format!("ended at {at}, the deadline was {}", self.ordered.deadline);
            self.verdict.add(Law::OneEnd, Some(index), what);
        }
        let needs_run = matches!(outcome, TargetOutcome::Success | TargetOutcome::ExecutionTimedOut);
        if needs_run && target.reported == 0 {
            let what = format!("ended as {outcome:?} without a report of the node");
            self.verdict.add(Law::OnceOnly, Some(index), what);
        }
        if outcome == TargetOutcome::Terminated && !self.is_breached {
            let what = "not sent for too many errors, which there were not".to_owned();
            self.verdict.add(Law::Limits, Some(index), what);
        }
        self.leave(target);
        if target.attempts > 0 {
            self.answer(index);
        }
        let target = &mut self.targets[index as usize];
        target.place = Place::Over;
        target.outcome = Some(outcome);
        target.ended_by_node = needs_run || (outcome == TargetOutcome::Failed && target.reported > 0);
        if outcome.is_counted() {
            self.errors += 1;
            self.is_breached |= self.errors > self.ordered.errors_allowed;
        }
    }

    fn leave(&mut self, target: Target) {
        if is_in_flight(target.place) {
            self.in_flight -= 1;
        }
    }

    fn answer(&mut self, index: u32) {
        let target = &mut self.targets[index as usize];
        if !target.answered {
            target.answered = true;
            self.answered += 1;
        }
    }

    fn finish(&mut self, now: Timestamp) {
        let is_late = now > self.ordered.deadline.saturating_add(GRACE).unwrap_or(Timestamp::MAX);
        let silence = (ACK_INTERVAL + GRACE, ACK_INTERVAL);
        for (index, target) in (0..).zip(self.targets.clone()) {
            if target.outcome.is_none() && is_late {
                let what = format!("not over, though the deadline was {}", self.ordered.deadline);
                self.verdict.add(Law::OneEnd, Some(index), what);
            }
            if let Place::Sent { at } | Place::MaybeAccepted { at } = target.place
                && target.outcome.is_none()
                && matches!(target.place, Place::Sent { .. })
                && now > at.saturating_add(silence.0).unwrap_or(Timestamp::MAX)
            {
                let what = format!(
                    "sent at {at}, no answer, and nobody noticed for more than {:#}",
                    silence.1
                );
                self.verdict.add(Law::Timers, Some(index), what);
            }
        }
        if self.is_breached && !self.said_breached {
            let what = format!("{} errors did not stop the sending", self.errors);
            self.verdict.add(Law::Limits, None, what);
        }
    }

    fn compare(&mut self, seen: &Seen) {
        let mut tally = Tally::default();
        seen.outcomes.iter().flatten().for_each(|outcome| tally.add(*outcome));
        let counters = [
            ("CompletedCount", seen.completed, tally.total()),
            ("ErrorCount", seen.errors, tally.errors()),
            (
                "DeliveryTimedOutCount",
                seen.delivery_timed_out,
                tally.of(TargetOutcome::DeliveryTimedOut),
            ),
        ];
        for (name, shown, counted) in counters {
            if shown != counted {
                let what = format!("{name} is {shown}, the invocations make {counted}");
                self.verdict.add(Law::Agreement, None, what);
            }
        }
        let all_over = tally.total() == self.ordered.targets;
        if seen.is_final != all_over {
            let what = format!(
                "the command is {}, with {} of {} over",
                seen.details,
                tally.total(),
                self.ordered.targets
            );
            self.verdict.add(Law::Agreement, None, what);
        }
        if all_over {
            let outcome = CommandOutcome::judge(&tally, self.ordered.errors_allowed, self.is_cancelled);
            // The owner marks a cancel before the coordinator hears of it, which may be too late to stop anything.
            let cancelled_late = seen.details == "Cancelled" && !self.is_cancelled;
            if details(outcome) != seen.details && !cancelled_late {
                let what = format!(
                    "the command is {}, its invocations make {}",
                    seen.details,
                    details(outcome)
                );
                self.verdict.add(Law::Agreement, None, what);
            }
        }
        if self.verdict.is_cut {
            return;
        }
        for (index, shown) in (0..).zip(&seen.outcomes) {
            let happened = self.targets.get(index as usize).and_then(|target| target.outcome);
            // What happened may not have been told yet; what was told must have happened.
            if shown.is_some() && happened != *shown {
                let what = format!("shown as {shown:?}, recorded as {happened:?}");
                self.verdict.add(Law::Agreement, Some(index), what);
            }
        }
    }
}

fn is_in_flight(place: Place) -> bool {
    matches!(
        place,
        Place::Sent { .. } | Place::Accepted | Place::MaybeAccepted { .. }
    )
}

fn details(outcome: CommandOutcome) -> &'static str {
    match outcome {
        CommandOutcome::Success => "Success",
        CommandOutcome::Failed => "Failed",
        CommandOutcome::ExecutionTimedOut => "ExecutionTimedOut",
        CommandOutcome::DeliveryTimedOut => "DeliveryTimedOut",
        CommandOutcome::Cancelled => "Cancelled",
        CommandOutcome::Incomplete => "Incomplete",
        CommandOutcome::NoInstancesInTag => "NoInstancesInTag",
    }
}
