//! Outputs that could not be stored when their step ended: a process of its own tries again, so that the agent itself
//! needs no client of an object store.

use std::time::{Duration, Instant};

use super::agent::{Agent, Event};
use crate::runner::awaits_end_of_run;

/// After a runner has left outputs behind.
const SOON: Duration = Duration::from_secs(5);

impl Agent {
    /// Looks whether outputs were left behind. Log streams of a run that goes on are its runner's business.
    pub(super) fn look_for_uploads(&mut self, wait: Duration) {
        match self.state.pending_uploads() {
            Ok(pending) if pending.iter().all(|note| awaits_end_of_run(&self.state, note)) => {}
            Ok(_) => self.uploads.wish(Instant::now() + wait),
            Err(error) => tracing::error!(%error, "cannot look for outputs that are not stored"),
        }
    }

    /// The same after a runner has ended.
    pub(super) fn look_for_new_uploads(&mut self) {
        self.look_for_uploads(SOON);
    }

    /// Starts the process if it is time.
    pub(super) fn store_if_due(&mut self, now: Instant) {
        if !self.uploads.start(now) {
            return;
        }
        match self.starter.start_uploads() {
            Ok(process) => self.tasks.push(Box::pin(async move {
                Event::UploadsEnded(process.ended().await == Some(0))
            })),
            Err(error) => {
                tracing::error!(%error, "cannot start storing outputs");
                self.uploads.failed(now, rand::random());
            }
        }
    }

    /// The process ended.
    pub(super) fn uploads_ended(&mut self, is_done: bool) {
        let now = Instant::now();
        if is_done {
            self.uploads.answered(now, None);
            // More may have come meanwhile.
            self.look_for_new_uploads();
        } else {
            tracing::warn!("some outputs are not in the object store yet");
            self.uploads.failed(now, 1.0);
        }
    }
}
