//! The rules: what follows from an event (schedules-and-rate-control 7.2, run-command 4.2, 5.4, 6 and 7).
//!
//! Decisions that the specification leaves open:
//!
//! - *Ramp-up and absent nodes.* A node that is unreachable counts as answered at once, as a silent one does after the
//!   ack interval: otherwise a few dead nodes at the head of the list would hold up the rest.
//! - *After the breach, or a cancel, nothing is sent again.* A target that surely never got the work ends at once.
//!   One that may have got it (a send was neither denied by the broker nor by the node) is left to report, or to the
//!   deadline; nobody can know whether its script runs.
//! - *A parked node that accepts after all* runs, whether a slot is free or not.
//!   Where none is free it runs beside the limit, and nothing is sent until there is room again.
//! - *A node that refuses the work* makes its target `Failed`: the document could not run there.

use muster_model::{SignedDuration, TargetOutcome, Timestamp};

use super::event::{Effect, Effects, Event, Note, Recipients, Report, TargetState};
use super::laws;
use super::rollout::Rollout;
use super::target::{Phase, Progress};

/// How long a node may take to say that the work is in its journal; then its slot goes to another.
/// Cancels are repeated as often.
pub const ACK_INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// Bounds for the time that a busy node may ask for.
const RETRY_AFTER: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(1), SignedDuration::from_secs(300));

/// Decides what follows from `event` at the time `now`: changes the rollout and adds to `effects`.
///
/// Asks nothing of the world, so it can be replayed.
/// Events that are late, repeated or meaningless change nothing.
pub fn step(rollout: &mut Rollout, event: &Event, now: Timestamp, effects: &mut Effects) {
    let was_stopped = rollout.is_stopped() || now >= rollout.deadline;
    let first_act = effects.acts.len();
    let mut step = Step { rollout, now, effects };
    if now >= step.rollout.deadline {
        step.expire();
    }
    step.apply(event);
    step.dispatch();
    debug_assert!(laws::in_flight_is_limited(rollout));
    debug_assert!(!was_stopped || laws::nothing_is_sent(&effects.acts[first_act..]));
}

struct Step<'a> {
    rollout: &'a mut Rollout,
    now: Timestamp,
    effects: &'a mut Effects,
}

impl Step<'_> {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::Started => self.take_up(),
            Event::Accepted { index } => self.accepted(*index),
            Event::Busy { index, retry_after } => self.busy(*index, *retry_after),
            Event::RefusedByNode { index, reason } => self.refused(*index, reason),
            Event::Unreachable { index, attempt } => self.unreachable(*index, *attempt),
            Event::Present { index, has_run } => self.present(*index, *has_run),
            Event::Replied { index, report } => self.replied(*index, *report),
            Event::Cancelled(Recipients::All) => self.cancel_all(),
            Event::Cancelled(Recipients::Some(indexes)) => {
                for index in indexes {
                    self.cancel(*index);
                }
            }
            Event::Cancelled(Recipients::Unsent) => self.cancel_unsent(),
            Event::Tick => self.tick(),
        }
    }

    // What the coordinator brings about itself

    /// Asks everybody again who has not answered: what was sent before a restart may never have left,
    /// and a node may have shown itself while nobody was there to see it.
    fn take_up(&mut self) {
        for index in 0..self.rollout.len() {
            let phase = self.progress(index).phase;
            match phase {
                Phase::Sent if self.may_send_to(index) => self.send(index),
                Phase::Sent => self.set_timer(index, ACK_INTERVAL),
                Phase::Parked if self.may_send_to(index) => self.make_returning(index),
                _ => {}
            }
        }
        self.send_cancels();
    }

    fn tick(&mut self) {
        while let Some((due, index)) = self.rollout.timers.first().copied()
            && due <= self.now
        {
            self.clear_timer(index);
            match self.progress(index).phase {
                Phase::Sent => self.park(index, Note::Silent),
                Phase::Parked if self.may_send_to(index) => self.make_returning(index),
                _ => {}
            }
        }
        if self.rollout.cancel_again.is_some_and(|due| due <= self.now) {
            self.send_cancels();
        }
    }

    /// Sends as much as slots and ramp allow: first to nodes that came back, then to new ones in their order.
    fn dispatch(&mut self) {
        while !self.rollout.is_stopped() && self.rollout.in_flight < self.rollout.concurrency {
            if let Some(index) = self.rollout.returning.pop_first() {
                self.send(index);
            } else if self.ramp_allows_another()
                && let Some(index) = self.next_waiting()
            {
                match self.rollout.targets[index as usize].refused {
                    Some(outcome) => self.end(index, outcome, None, None),
                    None => self.send(index),
                }
            } else {
                break;
            }
        }
        // The cursor stands on a waiting target, or at the end: the store relies on it.
        self.next_waiting();
    }

    /// One first, then two more for each answer, until the limit has been reached once.
    fn ramp_allows_another(&self) -> bool {
        let Rollout {
            sent,
            answered,
            concurrency,
            ..
        } = *self.rollout;
        sent >= concurrency || u64::from(sent) < 2 * u64::from(answered) + 1
    }

    fn next_waiting(&mut self) -> Option<u32> {
        let rollout = &mut *self.rollout;
        while let Some(target) = rollout.targets.get(rollout.cursor as usize) {
            if target.progress.phase == Phase::Waiting {
                return Some(rollout.cursor);
            }
            rollout.cursor += 1;
        }
        None
    }

    /// The deadline has passed: nobody can end otherwise any more.
    fn expire(&mut self) {
        self.end_all(TargetOutcome::DeliveryTimedOut, Note::DeadlinePassed, |_| true);
    }

    /// Too many have failed: nothing is sent any more, and those that never got the work are over.
    fn breach(&mut self) {
        self.rollout.breached = true;
        self.end_all(TargetOutcome::Terminated, Note::TooManyErrors, never_delivered);
    }

    // What the owner wants

    fn cancel_all(&mut self) {
        if self.rollout.is_finished() {
            return;
        }
        self.rollout.cancelled = true;
        for index in 0..self.rollout.len() {
            self.cancel(index);
        }
    }

    /// Nothing is sent any more, and those that never got the work are over.
    fn cancel_unsent(&mut self) {
        if self.rollout.is_finished() {
            return;
        }
        self.rollout.cancelled = true;
        self.end_all(TargetOutcome::Cancelled, Note::CancelledBeforeSending, never_delivered);
    }

    fn cancel(&mut self, index: u32) {
        let Some(progress) = self.open(index) else {
            return;
        };
        if never_delivered(&progress) {
            let note = Some(Note::CancelledBeforeSending);
            self.end(index, TargetOutcome::Cancelled, note, None);
        } else if !progress.cancel_requested {
            self.change(index).cancel_requested = true;
            if progress.phase == Phase::Returning {
                self.rollout.returning.remove(&index);
                self.change(index).phase = Phase::Parked;
            }
            self.rollout.cancelling.insert(index);
            self.rollout.cancel_again.get_or_insert(self.now + ACK_INTERVAL);
            self.effects.acts.push(Effect::SendCancel { index });
        }
    }

    fn send_cancels(&mut self) {
        let nodes = self.rollout.cancelling.iter();
        self.effects
            .acts
            .extend(nodes.map(|index| Effect::SendCancel { index: *index }));
        self.rollout.cancel_again = match self.rollout.cancelling.is_empty() {
            true => None,
            false => Some(self.now + ACK_INTERVAL),
        };
    }

    // What the nodes and the broker say

    fn accepted(&mut self, index: u32) {
        if self.take_in(index) {
            self.tell(index, None, None);
        }
    }

    /// The node has the work. Says whether that is news for the owner, who knew it as delayed.
    fn take_in(&mut self, index: u32) -> bool {
        let Some(progress) = self.open(index) else {
            return false;
        };
        match progress.phase {
            Phase::Sent => {
                self.clear_timer(index);
                self.answered(index);
                self.change(index).phase = Phase::Accepted;
                false
            }
            Phase::Parked | Phase::Returning => {
                self.clear_timer(index);
                self.rollout.returning.remove(&index);
                let late = self.rollout.in_flight >= self.rollout.concurrency;
                self.rollout.in_flight += 1;
                self.rollout.late += u32::from(late);
                let progress = self.change(index);
                progress.phase = Phase::Accepted;
                progress.late = late;
                progress.maybe_delivered = progress.maybe_delivered.max(1);
                true
            }
            Phase::Waiting | Phase::Accepted | Phase::Ended(_) => false,
        }
    }

    fn busy(&mut self, index: u32, retry_after: SignedDuration) {
        if self.denied(index, Note::Busy) {
            self.set_timer(index, retry_after.clamp(RETRY_AFTER.0, RETRY_AFTER.1));
        }
    }

    fn unreachable(&mut self, index: u32, attempt: u32) {
        // An older sending's answer says nothing about the one that followed it.
        if self.open(index).is_some_and(|progress| progress.attempts == attempt) {
            self.denied(index, Note::NotConnected);
        }
    }

    /// The last sending surely did not put the work into the node's journal. Says whether the target is parked now.
    fn denied(&mut self, index: u32, note: Note) -> bool {
        if self.open(index).is_none_or(|progress| progress.phase != Phase::Sent) {
            return false;
        }
        self.clear_timer(index);
        let progress = self.change(index);
        progress.maybe_delivered = progress.maybe_delivered.saturating_sub(1);
        let cancelled = progress.cancel_requested || self.rollout.cancelled;
        if !never_delivered(self.progress(index)) || self.may_send_to(index) {
            self.park(index, note);
            return true;
        }
        match cancelled {
            true => self.end(
                index,
                TargetOutcome::Cancelled,
                Some(Note::CancelledBeforeSending),
                None,
            ),
            false => self.end(index, TargetOutcome::Terminated, Some(Note::TooManyErrors), None),
        }
        false
    }

    fn refused(&mut self, index: u32, reason: &str) {
        let phase = self.open(index).map(|progress| progress.phase);
        if let Some(Phase::Sent | Phase::Parked | Phase::Returning) = phase {
            let note = Some(Note::Refused(reason.to_owned()));
            self.end(index, TargetOutcome::Failed, note, None);
        }
    }

    fn present(&mut self, index: u32, has_run: bool) {
        let Some(progress) = self.open(index) else {
            return;
        };
        if has_run {
            self.accepted(index);
        } else if self.may_send_to(index) {
            match progress.phase {
                // What was sent before it came may have been lost with its former connection.
                Phase::Sent => self.send(index),
                Phase::Parked => self.make_returning(index),
                Phase::Waiting | Phase::Accepted | Phase::Returning | Phase::Ended(_) => {}
            }
        }
        if progress.cancel_requested {
            self.effects.acts.push(Effect::SendCancel { index });
        }
    }

    fn replied(&mut self, index: u32, report: Report) {
        let Some(progress) = self.rollout.target(index).map(|target| target.progress) else {
            return;
        };
        if progress.phase == Phase::Waiting {
            return;
        }
        let was_delayed = self.take_in(index);
        let known = progress.last_sequence;
        // A gap is refused whole: the node still has the records before it and sends them again.
        let has_news = report.first <= known.saturating_add(1) && report.last > known;
        if has_news {
            self.change(index).last_sequence = report.last;
        }
        let news = has_news.then_some(known);
        match report.end {
            Some(outcome) if has_news && !progress.is_over() => self.end(index, outcome, None, news),
            _ if has_news || was_delayed => self.tell(index, None, news),
            _ => {}
        }
    }

    // Small steps that the rules are made of

    fn send(&mut self, index: u32) {
        let was_in_flight = self.progress(index).is_in_flight();
        let progress = self.change(index);
        let is_first = progress.attempts == 0;
        progress.phase = Phase::Sent;
        progress.attempts += 1;
        progress.maybe_delivered += 1;
        let attempt = progress.attempts;
        self.rollout.sent += u32::from(is_first);
        self.rollout.in_flight += u32::from(!was_in_flight);
        self.set_timer(index, ACK_INTERVAL);
        self.effects.acts.push(Effect::Send { index, attempt });
        if !was_in_flight {
            self.tell(index, None, None);
        }
    }

    fn park(&mut self, index: u32, note: Note) {
        self.answered(index);
        self.change(index).phase = Phase::Parked;
        self.rollout.in_flight -= 1;
        self.tell(index, Some(note), None);
    }

    fn make_returning(&mut self, index: u32) {
        self.clear_timer(index);
        self.change(index).phase = Phase::Returning;
        self.rollout.returning.insert(index);
    }

    fn end(&mut self, index: u32, outcome: TargetOutcome, note: Option<Note>, records_after: Option<u64>) {
        let before = *self.progress(index);
        debug_assert!(!before.is_over(), "terminal is final");
        self.clear_timer(index);
        if before.attempts > 0 {
            self.answered(index);
        }
        self.change(index).phase = Phase::Ended(outcome);
        self.rollout.in_flight -= u32::from(before.is_in_flight());
        self.rollout.late -= u32::from(before.is_in_flight() && before.late);
        self.rollout.returning.remove(&index);
        self.rollout.cancelling.remove(&index);
        self.rollout.tally.add(outcome);
        self.tell(index, note, records_after);
        if self.rollout.tally.errors() > self.rollout.errors_allowed && !self.rollout.breached {
            self.breach();
        }
    }

    fn end_all(&mut self, outcome: TargetOutcome, note: Note, which: fn(&Progress) -> bool) {
        for index in 0..self.rollout.len() {
            if self.open(index).is_some_and(|progress| which(&progress)) {
                self.end(index, outcome, Some(note.clone()), None);
            }
        }
    }

    fn tell(&mut self, index: u32, note: Option<Note>, records_after: Option<u64>) {
        let state = TargetState::from(self.progress(index).phase);
        self.effects.acts.push(Effect::Tell {
            index,
            state,
            note,
            records_after,
        });
    }

    fn answered(&mut self, index: u32) {
        if !self.progress(index).answered {
            self.change(index).answered = true;
            self.rollout.answered += 1;
        }
    }

    fn set_timer(&mut self, index: u32, after: SignedDuration) {
        self.clear_timer(index);
        let due = self.now + after;
        self.rollout.targets[index as usize].timer = Some(due);
        self.rollout.timers.insert((due, index));
    }

    fn clear_timer(&mut self, index: u32) {
        if let Some(due) = self.rollout.targets[index as usize].timer.take() {
            self.rollout.timers.remove(&(due, index));
        }
    }

    /// Whether the work may still be sent to this target, which is not over; the deadline leaves none that is not.
    fn may_send_to(&self, index: u32) -> bool {
        !self.rollout.is_stopped() && !self.progress(index).cancel_requested
    }

    /// The target's progress, if there is such a target and it is not over.
    fn open(&self, index: u32) -> Option<Progress> {
        let progress = self.rollout.target(index)?.progress;
        (!progress.is_over()).then_some(progress)
    }

    fn progress(&self, index: u32) -> &Progress {
        &self.rollout.targets[index as usize].progress
    }

    /// The target's progress to be changed, and stored afterwards.
    fn change(&mut self, index: u32) -> &mut Progress {
        if self.effects.changed.last() != Some(&index) {
            self.effects.changed.push(index);
        }
        &mut self.rollout.targets[index as usize].progress
    }
}

/// Whether it is certain that the node never got the work.
fn never_delivered(progress: &Progress) -> bool {
    progress.maybe_delivered == 0 && progress.phase != Phase::Accepted
}
