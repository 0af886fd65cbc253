//! What must always hold (DESIGN 5), as plain predicates for property tests and debug assertions.

use muster_model::Tally;

use super::event::{Effect, TargetState};
use super::rollout::Rollout;
use super::target::{Phase, Progress, Target};

/// Law 3: no more in flight than max-concurrency allows, but for those that accepted after their slot was given away.
#[must_use]
pub fn in_flight_is_limited(rollout: &Rollout) -> bool {
    rollout.in_flight() - rollout.late() <= rollout.concurrency()
}

/// Law 3: no new slot is taken beyond max-concurrency, whoever runs beside the limit.
/// Asking one again that holds a slot already is no new one.
#[must_use]
pub fn sends_leave_room(before: &Rollout, after: &Rollout, effects: &[Effect]) -> bool {
    let takes_slot = |effect: &Effect| match effect {
        Effect::Send { index, .. } => before
            .target(*index)
            .is_some_and(|target| !target.progress().is_in_flight()),
        _ => false,
    };
    after.in_flight() <= after.concurrency() || !effects.iter().any(takes_slot)
}

/// Laws 2 and 3: what must be true of the effects once the errors are too many, the user has cancelled, or the
/// deadline has passed.
#[must_use]
pub fn nothing_is_sent(effects: &[Effect]) -> bool {
    !effects.iter().any(|effect| matches!(effect, Effect::Send { .. }))
}

/// Law 1: a target that is over stays as it is.
#[must_use]
pub fn over_is_final(before: &Rollout, after: &Rollout) -> bool {
    let pairs = before.targets().iter().zip(after.targets());
    pairs
        .filter(|(before, _)| before.progress().is_over())
        .all(|(before, after)| before.progress().outcome() == after.progress().outcome())
}

/// Law 2: each send is the next attempt of its own target, and a target that is over, or has the work, gets none.
#[must_use]
pub fn sends_are_next_attempts(before: &Rollout, effects: &[Effect]) -> bool {
    let mut attempts: Vec<u32> = before
        .targets()
        .iter()
        .map(|target| target.progress().attempts)
        .collect();
    effects.iter().all(|effect| {
        let Effect::Send { index, attempt } = effect else {
            return true;
        };
        let Some(target) = before.target(*index) else {
            return false;
        };
        let last = &mut attempts[*index as usize];
        *last += 1;
        target.refused.is_none()
            && !matches!(target.progress().phase, Phase::Ended(_) | Phase::Accepted)
            && *attempt == *last
    })
}

/// Law 1: the owner hears of an end when it comes, and of no end that did not come.
/// A target that is over is mentioned again only with news of its run.
#[must_use]
pub fn ends_are_told_once(before: &Rollout, after: &Rollout, effects: &[Effect]) -> bool {
    let over = |rollout: &Rollout, index| {
        let target: Option<&Target> = rollout.target(index);
        target.and_then(|target| target.progress().outcome())
    };
    let mut told: Vec<bool> = (0..before.len()).map(|index| over(before, index).is_some()).collect();
    for effect in effects {
        let Effect::Tell {
            index,
            state,
            records_after,
            ..
        } = effect
        else {
            continue;
        };
        let told = &mut told[*index as usize];
        match state {
            TargetState::Ended(outcome) => {
                if over(after, *index) != Some(*outcome) || (*told && records_after.is_none()) {
                    return false;
                }
                *told = true;
            }
            _ if *told => return false,
            _ => {}
        }
    }
    (0..after.len()).all(|index| told[index as usize] == over(after, index).is_some())
}

/// Law 5: counters and queues say what the targets say.
#[must_use]
pub fn counters_agree(rollout: &Rollout) -> bool {
    let targets = rollout.targets();
    let number = |test: &dyn Fn(&Progress) -> bool| targets.iter().filter(|target| test(target.progress())).count();
    let tally: Tally = targets
        .iter()
        .filter_map(|target| target.progress().outcome())
        .collect();
    rollout.in_flight as usize == number(&|progress| progress.is_in_flight())
        && rollout.late as usize == number(&|progress| progress.is_in_flight() && progress.late)
        && rollout.sent as usize == number(&|progress| progress.attempts > 0)
        && rollout.answered as usize == number(&|progress| progress.answered)
        && rollout.returning.len() == number(&|progress| progress.phase == Phase::Returning)
        && rollout.cancelling.len() == number(&|progress| progress.cancel_requested && !progress.is_over())
        && rollout.timers.len() == targets.iter().filter(|target| target.timer.is_some()).count()
        && *rollout.tally() == tally
        && targets
            .iter()
            .take(rollout.cursor() as usize)
            .all(|target| target.progress().phase != Phase::Waiting)
}

/// Law 1: the deadline leaves nobody behind.
#[must_use]
pub fn all_are_over(rollout: &Rollout) -> bool {
    rollout.is_finished() && rollout.targets().iter().all(|target| target.progress().is_over())
}

/// Law 8: a sent target that has not answered has a timer, so that its slot comes back.
#[must_use]
pub fn silence_is_timed(rollout: &Rollout) -> bool {
    let targets = rollout.targets().iter();
    targets
        .filter(|target| target.progress().phase == Phase::Sent)
        .all(|target| target.timer.is_some())
}
