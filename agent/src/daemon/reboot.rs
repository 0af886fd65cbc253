//! Booting the machine because a script asked for it (run-command.md 10, agent.md B3).
//!
//! The run itself waits in the journal: after the boot its next runner repeats the step that asked.
//! Nothing new starts meanwhile; the boot waits for other runs and for the reply, but not for ever.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::agent::{Agent, Event, Phase};
use crate::journal::{Fact, Log, RebootAsked, RebootRefused, RunId};

/// How long the command itself may take.
const COMMAND: Duration = Duration::from_secs(60);
/// After a command that succeeded the machine has this long to go down.
const GOING_DOWN: Duration = Duration::from_secs(10 * 60);
/// Between two attempts when the command fails.
const AGAIN: Duration = Duration::from_secs(2);
/// What is said of a machine that was told to boot and did not.
const STAYED_UP: &str = "the command succeeded, but the machine did not go down";
/// After so many attempts the step has failed.
const ATTEMPTS: u32 = 3;

/// How far the boot has come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reboot {
    wanted: Option<Instant>,
    attempts: u32,
    /// When to ask next; nothing while a command is on its way.
    due: Option<Instant>,
    is_asking: bool,
}

/// What to do about it now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait,
    Ask,
    GiveUp,
}

impl Reboot {
    /// Decides. `is_quiet`: no other run is under way and every reply is out.
    pub(crate) fn decide(&mut self, is_wanted: bool, is_quiet: bool, patience: Duration, now: Instant) -> Step {
        if !is_wanted {
            *self = Self::default();
            return Step::Wait;
        }
        let wanted = *self.wanted.get_or_insert(now);
        let is_time = is_quiet || now >= wanted + patience;
        if self.is_asking || !is_time || self.due.is_some_and(|due| now < due) {
            return Step::Wait;
        }
        if self.attempts >= ATTEMPTS {
            *self = Self::default();
            return Step::GiveUp;
        }
        self.attempts += 1;
        self.is_asking = true;
        Step::Ask
    }

    /// Goes on from the attempts of an agent that was here before, as a run's log tells them; `up_ms` is the present.
    pub(crate) fn take_up(&mut self, attempts: &[RebootAsked], up_ms: u64, now: Instant) {
        let Some(last) = attempts.last() else { return };
        let pause = if last.failure.is_empty() { GOING_DOWN } else { AGAIN };
        let past = Duration::from_millis(up_ms.saturating_sub(last.up_ms));
        let due = now + pause.saturating_sub(past);
        self.attempts = self.attempts.max(u32::try_from(attempts.len()).unwrap_or(u32::MAX));
        self.due = self.due.max(Some(due));
        self.wanted = Some(now);
    }

    /// The command ended.
    pub(crate) fn asked(&mut self, has_succeeded: bool, now: Instant) {
        self.is_asking = false;
        self.due = Some(now + if has_succeeded { GOING_DOWN } else { AGAIN });
    }

    /// When `decide` may say something else although nothing has happened.
    pub(crate) fn due(&self, patience: Duration) -> Option<Instant> {
        match (self.wanted, self.is_asking) {
            (Some(wanted), false) => Some(self.due.unwrap_or(wanted + patience)),
            _ => None,
        }
    }
}

impl Agent {
    /// The runs that wait for the machine to boot.
    fn rebooting(&self) -> impl Iterator<Item = RunId> {
        let is_rebooting =
            |run: &RunId| matches!(self.runs.get(run), Some(run) if matches!(run.phase, Phase::Rebooting));
        self.queue.running_ones().filter(is_rebooting)
    }

    /// Whether a run waits for the machine to boot.
    pub(super) fn wants_reboot(&self) -> bool {
        self.rebooting().next().is_some()
    }

    /// Boots the machine if it is time to.
    pub(super) fn reboot_if_due(&mut self, now: Instant) {
        let asking: Vec<RunId> = self.rebooting().collect();
        let is_quiet = asking.len() == self.queue.running() && self.outbox.is_empty() && self.intake.is_empty();
        let patience = self.reboot_patience();
        match self.reboot.decide(!asking.is_empty(), is_quiet, patience, now) {
            Step::Wait => {}
            Step::Ask => {
                tracing::warn!(command = ?self.settings.reboot_command, "a script asked for a reboot; booting");
                let attempt = RebootAsked {
                    up_ms: self.moment().up_ms,
                    failure: String::new(),
                };
                self.note_reboot(&asking, Fact::RebootAsked(attempt.clone()));
                let command = self.settings.reboot_command.clone();
                self.tasks.push(Box::pin(
                    async move { Event::RebootAsked(attempt, ask(&command).await) },
                ));
            }
            Step::GiveUp => {
                for run in asking {
                    self.go_on_without_reboot(run);
                }
            }
        }
    }

    pub(super) fn reboot_patience(&self) -> Duration {
        Duration::from_secs(self.settings.reboot_patience_seconds)
    }

    /// The command ended.
    pub(super) fn reboot_asked(&mut self, attempt: RebootAsked, outcome: Result<(), String>) {
        self.reboot.asked(outcome.is_ok(), Instant::now());
        if let Err(error) = outcome {
            tracing::error!(error, "cannot boot the machine");
            let asking: Vec<RunId> = self.rebooting().collect();
            let failure = error.clone();
            self.note_reboot(&asking, Fact::RebootAsked(RebootAsked { failure, ..attempt }));
            self.reboot_failure = error;
        } else {
            STAYED_UP.clone_into(&mut self.reboot_failure);
        }
    }

    /// Goes on with the attempts that a run's log tells of.
    pub(super) fn take_up_reboot(&mut self, attempts: &[RebootAsked]) {
        let up_ms = self.moment().up_ms;
        self.reboot.take_up(attempts, up_ms, Instant::now());
        if let Some(last) = attempts.last() {
            self.reboot_failure = match last.failure.is_empty() {
                true => STAYED_UP.to_owned(),
                false => last.failure.clone(),
            };
        }
    }

    /// Tells the run's next runner that its step has failed.
    fn go_on_without_reboot(&mut self, run: RunId) {
        let reason = self.reboot_failure.clone();
        if self.note_reboot(&[run], Fact::RebootRefused(RebootRefused { reason })) {
            self.start_runner(run);
        }
    }

    /// Writes down what became of a reboot with each run that asks for it, and whether it is there. There is no runner
    /// now, so the logs are free.
    fn note_reboot(&self, asking: &[RunId], fact: Fact) -> bool {
        let note = |run: &RunId| {
            let Some((mut log, _)) = Log::lock(&self.state.journal().open_log(*run))? else {
                return Ok(());
            };
            log.add(fact.clone());
            log.commit()
        };
        asking.iter().all(|run| {
            let noted: std::io::Result<()> = note(run);
            if let Err(error) = &noted {
                tracing::error!(%error, run = %run, "cannot write the run's log");
            }
            noted.is_ok()
        })
    }
}

/// Runs the command.
async fn ask(command: &[String]) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("there is no command")?;
    let running = tokio::process::Command::new(program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(false)
        .output();
    let output = tokio::time::timeout(COMMAND, running)
        .await
        .map_err(|_| format!("{program:?} did not end within {} seconds", COMMAND.as_secs()))?
        .map_err(|error| format!("cannot start {program:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let words: String = words.trim().chars().take(200).collect();
    Err(format!("{program:?} ended with {}: {words}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(300);

    #[test]
    fn a_boot_waits_for_quiet_but_not_for_ever() {
        let now = Instant::now();
        let mut reboot = Reboot::default();
        assert_eq!(reboot.decide(true, false, PATIENCE, now), Step::Wait);
        assert_eq!(reboot.due(PATIENCE), Some(now + PATIENCE));
        assert_eq!(reboot.decide(true, true, PATIENCE, now), Step::Ask);
        assert_eq!(reboot.decide(true, true, PATIENCE, now), Step::Wait, "one at a time");

        let mut reboot = Reboot::default();
        reboot.decide(true, false, PATIENCE, now);
        assert_eq!(reboot.decide(true, false, PATIENCE, now + PATIENCE), Step::Ask);
    }

    #[test]
    fn after_three_attempts_it_is_given_up() {
        let now = Instant::now();
        let mut reboot = Reboot::default();
        for attempt in 0..3 {
            let moment = now + attempt * AGAIN;
            assert_eq!(reboot.decide(true, true, PATIENCE, moment), Step::Ask);
            reboot.asked(false, moment);
            assert_eq!(reboot.decide(true, true, PATIENCE, moment), Step::Wait);
        }
        assert_eq!(reboot.decide(true, true, PATIENCE, now + 3 * AGAIN), Step::GiveUp);
    }

    #[test]
    fn the_next_agent_goes_on_counting_and_does_not_ask_at_once() {
        let attempt = |up_ms, failure: &str| RebootAsked {
            up_ms,
            failure: failure.to_owned(),
        };
        let now = Instant::now();
        let second = |seconds| now + Duration::from_secs(seconds);
        let mut reboot = Reboot::default();
        // The command succeeded ten seconds ago: the machine has ten minutes to go down.
        reboot.take_up(&[attempt(5_000, "no"), attempt(90_000, "")], 100_000, now);
        assert_eq!(reboot.decide(true, true, PATIENCE, second(589)), Step::Wait);
        assert_eq!(reboot.decide(true, true, PATIENCE, second(590)), Step::Ask);
        reboot.asked(true, second(590));
        assert_eq!(reboot.decide(true, true, PATIENCE, second(2_000)), Step::GiveUp);

        // It failed a long time ago: at once, but for the last time.
        let mut reboot = Reboot::default();
        reboot.take_up(&[attempt(1, "no"), attempt(2, "no")], 100_000, now);
        assert_eq!(reboot.decide(true, true, PATIENCE, now), Step::Ask);
        reboot.asked(false, now);
        assert_eq!(reboot.decide(true, true, PATIENCE, now + AGAIN), Step::GiveUp);
    }

    #[test]
    fn a_run_that_was_cancelled_boots_nothing() {
        let now = Instant::now();
        let mut reboot = Reboot::default();
        reboot.decide(true, false, PATIENCE, now);
        assert_eq!(reboot.decide(false, true, PATIENCE, now), Step::Wait);
        assert_eq!(reboot, Reboot::default());
    }
}
