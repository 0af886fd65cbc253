//! Runs and their runner processes: from the journal to the end that is in the journal.

use std::sync::Arc;
use std::time::Instant;

use super::agent::{Agent, Event, Phase, Run};
use super::backoff::RUNNER;
use super::runners::{self, RunnerProcess};
use super::trust::Trust;
use crate::journal::{self, History, Ledger, RunId};

impl Agent {
    /// Takes up everything that a former agent left.
    ///
    /// # Errors
    /// If the journal cannot be listed, or the pinned keys cannot be read.
    pub(crate) fn open_journal(&mut self) -> std::io::Result<()> {
        self.upkeep.ledger = Arc::new(Ledger::read(&self.state.journal().ledger())?);
        // Keys that cannot be read must not be taken for none: then anybody's would be pinned.
        self.trust = Trust::new(self.state.work_keys()?);
        let mut runs: Vec<(i64, RunId)> = Vec::new();
        for run in self.state.journal().open_runs()? {
            match journal::read(&self.state.journal().open_log(run)) {
                Ok(history) if history.is_empty() => {
                    // Torn while it was accepted: nobody was told about it.
                    std::fs::remove_file(self.state.journal().open_log(run))?;
                }
                Ok(history) => runs.push((age_of(&history), run)),
                Err(error) => tracing::error!(%error, run = %run, "cannot read the run's log"),
            }
        }
        runs.sort_unstable();
        for (_, run) in runs {
            self.take_up(run);
        }
        Ok(())
    }

    /// Puts an open run where it belongs: the outbox, the queue, or back to its runner.
    pub(super) fn take_up(&mut self, run: RunId) {
        let path = self.state.journal().open_log(run);
        let history = match journal::read(&path) {
            Ok(history) => history,
            Err(error) => {
                tracing::error!(%error, run = %run, "cannot read the run's log");
                self.runs.remove(&run);
                return;
            }
        };
        let age = age_of(&history);
        let accepted = history.accepted.as_ref();
        let traceparent = accepted
            .map(|accepted| accepted.traceparent.clone())
            .unwrap_or_default();
        let has_begun = history.runner.is_some();
        let phase = match () {
            () if history.is_finished() => Phase::Over,
            () if history.awaits_reboot(&self.boot_id) => Phase::Rebooting,
            () if has_begun => Phase::Running(None),
            () => Phase::Waiting(accepted.and_then(|accepted| accepted.deadline.clone())),
        };
        self.runs.insert(
            run,
            Run {
                age,
                traceparent,
                phase,
                confirmed: 0,
                failures: 0,
            },
        );
        if history.is_finished() {
            self.digest(run, &history);
        } else if has_begun {
            self.queue.start_out_of_turn(run);
            self.digest(run, &history);
            if history.awaits_reboot(&self.boot_id) {
                self.take_up_reboot(&history.reboot_asked);
            }
            if !history.awaits_reboot(&self.boot_id) || self.state.journal().cancel_mark(run).exists() {
                self.find_or_start_runner(run);
            }
        } else if self.state.journal().cancel_mark(run).exists() {
            self.queue.start_out_of_turn(run);
            self.start_runner(run);
        } else {
            self.queue.push(run);
        }
    }

    /// Starts runs whose turn has come, and those that expired while they waited: their runner notices and drops them.
    pub(super) fn start_what_may(&mut self) {
        while !self.wants_reboot()
            && let Some(run) = self.queue.next()
        {
            self.start_runner(run);
        }
        if self.queue.waiting().len() == 0 {
            return;
        }
        let moment = self.moment();
        let is_expired = |run: &RunId| matches!(self.runs.get(run), Some(Run { phase: Phase::Waiting(Some(deadline)), .. }) if deadline.has_passed(&moment));
        let expired: Vec<RunId> = self.queue.waiting().filter(is_expired).collect();
        for run in expired {
            tracing::info!(run = %run, "expired in the queue");
            self.queue.start_out_of_turn(run);
            self.start_runner(run);
        }
    }

    /// Goes on with a run that has begun: its runner may live, or another must take over.
    pub(super) fn find_or_start_runner(&mut self, run: RunId) {
        let path = self.state.journal().open_log(run);
        let runner = match journal::is_locked(&path) {
            Ok(true) => journal::read(&path)
                .ok()
                .and_then(|history| RunnerProcess::find(&history, &self.boot_id)),
            _ => None,
        };
        match runner {
            Some(runner) => {
                tracing::info!(run = %run, "found its runner again");
                self.watch(run, runner);
            }
            None => self.start_runner(run),
        }
    }

    /// Starts a runner for a run that has left the queue.
    pub(super) fn start_runner(&mut self, run: RunId) {
        if self.is_stopping() {
            return;
        }
        let Some(known) = self.runs.get_mut(&run) else { return };
        if matches!(known.phase, Phase::Over | Phase::Running(Some(_))) {
            return;
        }
        known.phase = Phase::Running(None);
        match self.starter.start(run) {
            Ok(Some(runner)) => self.watch(run, runner),
            Ok(None) => self.runner_ended(run, None),
            Err(error) => {
                tracing::error!(%error, run = %run, "cannot start a runner");
                self.try_again(run);
            }
        }
    }

    fn watch(&mut self, run: RunId, runner: RunnerProcess) {
        if let Some(known) = self.runs.get_mut(&run) {
            known.phase = Phase::Running(Some(runner.clone()));
            self.report.wish(Instant::now());
            self.tasks
                .push(Box::pin(async move { Event::RunnerEnded(run, runner.ended().await) }));
        }
    }

    /// A runner is gone: usually because the run is over.
    pub(super) fn runner_ended(&mut self, run: RunId, code: Option<i32>) {
        runners::bury_orphans();
        let Some(known) = self.runs.get_mut(&run) else { return };
        if matches!(known.phase, Phase::Over) {
            return;
        }
        known.phase = Phase::Running(None);
        self.look_at(run);
        if let Some(Run {
            phase: Phase::Running(None),
            ..
        }) = self.runs.get(&run)
        {
            tracing::warn!(run = %run, code, "the runner ended and the run did not");
            self.try_again(run);
        }
    }

    fn try_again(&mut self, run: RunId) {
        let Some(known) = self.runs.get_mut(&run) else { return };
        known.failures += 1;
        // The first death is worth no wait: whoever killed it is waiting for the result.
        let wait = match known.failures {
            1 => std::time::Duration::ZERO,
            failures => RUNNER.wait(failures - 1, 1.0),
        };
        self.tasks.push(Box::pin(async move {
            tokio::time::sleep(wait).await;
            Event::RunnerDue(run)
        }));
    }

    /// There is news of a run; of one that was filed away it is the late fate of its outputs.
    pub(super) fn heard_of(&mut self, run: RunId) {
        if self.runs.contains_key(&run) {
            return self.look_at(run);
        }
        let is_late = journal::read(&self.state.journal().open_log(run)).is_ok_and(|history| history.is_finished());
        if is_late {
            self.take_up(run);
        }
    }

    /// Reads what a run's log says by now.
    pub(super) fn look_at(&mut self, run: RunId) {
        if !self.runs.contains_key(&run) {
            return;
        }
        match journal::read(&self.state.journal().open_log(run)) {
            Ok(history) => self.digest(run, &history),
            Err(error) => tracing::error!(%error, run = %run, "cannot read the run's log"),
        }
    }

    /// Posts what is new, and notices the end.
    fn digest(&mut self, run: RunId, history: &History) {
        let Some(known) = self.runs.get_mut(&run) else { return };
        if history.is_finished() && !matches!(known.phase, Phase::Over) {
            known.phase = Phase::Over;
            self.queue.end(run);
            let status = history.result().map(|result| result.status().as_str_name());
            tracing::info!(run = %run, status, "run over");
            let written = history.step_results().map(|step| step.stdout_bytes + step.stderr_bytes);
            let bytes = written.fold(0, u64::saturating_add);
            self.upkeep.ended(bytes, Instant::now());
            self.report.wish(Instant::now());
        }
        if history.awaits_reboot(&self.boot_id) && matches!(known.phase, Phase::Running(None)) {
            known.phase = Phase::Rebooting;
            tracing::info!(run = %run, "waits for a reboot");
            self.report.wish(Instant::now());
        }
        if history.last_sequence() > known.confirmed {
            self.outbox.post(known.age, run, Instant::now());
        } else if history.is_finished() {
            self.file_away(run);
        }
    }

    /// The end is confirmed, or there was nothing to tell.
    pub(super) fn file_away(&mut self, run: RunId) {
        if let Some(known) = self.runs.remove(&run) {
            self.outbox.withdraw(known.age, run);
        }
        if let Err(error) = self.state.journal().close(run) {
            // It stays open on the disk and is told once more after the next start.
            tracing::error!(%error, run = %run, "cannot file the run away");
        }
    }
}

/// When the run was accepted; for one that never was, when its only record was made.
fn age_of(history: &History) -> i64 {
    match (&history.accepted, history.records.first().and_then(|record| record.at)) {
        (Some(accepted), _) => accepted.at_us,
        (None, Some(at)) => at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000,
        (None, None) => 0,
    }
}
