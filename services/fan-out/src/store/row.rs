//! How values stand in columns.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use muster_model::{TargetOutcome, Timestamp};
use muster_store::StoreError;

use crate::domain::{Phase, Progress};

/// Bytes as text.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// Those bytes again.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, StoreError> {
    STANDARD_NO_PAD.decode(text).map_err(StoreError::corrupt)
}

/// A time in microseconds.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// A number that was written as one of ours.
pub(crate) fn number<T: TryFrom<i64>>(value: i64) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::corrupt(format!("{value} is out of its range")))
}

/// The word for a phase.
pub(crate) fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "Waiting",
        Phase::Sent => "Sent",
        Phase::Accepted => "Accepted",
        Phase::Parked => "Parked",
        Phase::Returning => "Returning",
        Phase::Ended(TargetOutcome::Success) => "Success",
        Phase::Ended(TargetOutcome::Failed) => "Failed",
        Phase::Ended(TargetOutcome::ExecutionTimedOut) => "ExecutionTimedOut",
        Phase::Ended(TargetOutcome::Cancelled) => "Cancelled",
        Phase::Ended(TargetOutcome::DeliveryTimedOut) => "DeliveryTimedOut",
        Phase::Ended(TargetOutcome::Undeliverable) => "Undeliverable",
        Phase::Ended(TargetOutcome::InvalidPlatform) => "InvalidPlatform",
        Phase::Ended(TargetOutcome::AccessDenied) => "AccessDenied",
        Phase::Ended(TargetOutcome::Terminated) => "Terminated",
    }
}

fn phase(text: &str) -> Option<Phase> {
    let open = [
        Phase::Waiting,
        Phase::Sent,
        Phase::Accepted,
        Phase::Parked,
        Phase::Returning,
    ];
    let ended = TargetOutcome::ALL.into_iter().map(Phase::Ended);
    open.into_iter().chain(ended).find(|phase| word(*phase) == text)
}

/// A row of `rollout_target`.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct TargetRow {
    position: i64,
    phase: String,
    attempts: i64,
    maybe_delivered: i64,
    answered: bool,
    late: bool,
    cancel_requested: bool,
    last_sequence: i64,
}

impl TargetRow {
    /// The position and what has happened there.
    pub(crate) fn progress(&self) -> Result<(u32, Progress), StoreError> {
        let phase = phase(&self.phase)
            .ok_or_else(|| StoreError::corrupt(format!("{:?} is no phase of a target", self.phase)))?;
        let progress = Progress {
            phase,
            attempts: number(self.attempts)?,
            maybe_delivered: number(self.maybe_delivered)?,
            answered: self.answered,
            late: self.late,
            cancel_requested: self.cancel_requested,
            last_sequence: number(self.last_sequence)?,
        };
        Ok((number(self.position)?, progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_a_word_of_its_own() {
        let open = [
            Phase::Waiting,
            Phase::Sent,
            Phase::Accepted,
            Phase::Parked,
            Phase::Returning,
        ];
        for each in open.into_iter().chain(TargetOutcome::ALL.into_iter().map(Phase::Ended)) {
            assert_eq!(phase(word(each)), Some(each));
        }
        assert_eq!(phase("Napping"), None);
    }
}
