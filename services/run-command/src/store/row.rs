//! Rows as they are stored.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use muster_proto::runcommand::v1::Command;
use muster_store::StoreError;
use prost::Message;
use sqlx::FromRow;

use crate::domain::command::Progress;
use crate::domain::invocation::Invocation;
use crate::domain::status::InvocationStatus;

/// A row of `command`.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct CommandRow {
    pub(crate) command_id: String,
    pub(crate) requested_at: i64,
    pub(crate) facts: String,
    pub(crate) status: String,
    pub(crate) status_details: String,
    pub(crate) finished: bool,
    pub(crate) cancelled: bool,
    pub(crate) errors_allowed: i64,
    pub(crate) target_count: i64,
    pub(crate) in_progress_count: i64,
    pub(crate) success_count: i64,
    pub(crate) failed_count: i64,
    pub(crate) execution_timed_out_count: i64,
    pub(crate) delivery_timed_out_count: i64,
    pub(crate) other_count: i64,
    /// ARN of who sent it; empty of commands from before that was kept.
    pub(crate) sender: String,
    /// `ALARM` or `UNKNOWN` if its alarm has stopped the command.
    pub(crate) triggered_alarm: String,
}

impl CommandRow {
    /// What is counted over the invocations.
    pub(crate) fn progress(&self) -> Progress {
        let count = |value: i64| u32::try_from(value).unwrap_or_default();
        Progress {
            targets: count(self.target_count),
            in_progress: count(self.in_progress_count),
            success: count(self.success_count),
            failed: count(self.failed_count),
            execution_timed_out: count(self.execution_timed_out_count),
            delivery_timed_out: count(self.delivery_timed_out_count),
            other: count(self.other_count),
            errors_allowed: count(self.errors_allowed),
            cancelled: self.cancelled,
        }
    }

    /// The command as the caller gave it.
    pub(crate) fn facts(&self) -> Result<Command, StoreError> {
        decode(&self.facts)
    }
}

/// A row of `invocation`.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct InvocationRow {
    pub(crate) command_id: String,
    pub(crate) node_id: String,
    pub(crate) instance_name: String,
    pub(crate) requested_at: i64,
    pub(crate) status_details: String,
    pub(crate) trace: String,
}

impl InvocationRow {
    /// What changes in it.
    pub(crate) fn invocation(&self) -> Result<Invocation, StoreError> {
        let status = InvocationStatus::from_details(&self.status_details)
            .ok_or_else(|| StoreError::corrupt(format!("{} is no status of an invocation", self.status_details)))?;
        Ok(Invocation {
            status,
            requested_at: self.requested_at,
            trace: self.trace.clone(),
        })
    }
}

/// A message as text for a column.
pub(crate) fn encode(message: &impl Message) -> String {
    STANDARD_NO_PAD.encode(message.encode_to_vec())
}

/// The message in a column.
pub(crate) fn decode<M: Message + Default>(text: &str) -> Result<M, StoreError> {
    let bytes = STANDARD_NO_PAD.decode(text).map_err(StoreError::corrupt)?;
    M::decode(bytes.as_slice()).map_err(StoreError::corrupt)
}
