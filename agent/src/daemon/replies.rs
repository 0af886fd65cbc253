//! The outbox's requests: records of the logs go to the coordinator and stay until it confirms them (agent.md B6).

use std::time::Instant;

use async_nats::HeaderMap;
use muster_proto::agent::v1::{Record, ReplyRequest, ReplyResult};
use muster_wire::subject;
use prost::Message;

use super::agent::{Agent, Event, Phase};
use super::bus::{self, CallError};
use crate::journal::{self, RunId};

/// What one request may carry; messages are limited to 1 MiB, and one record is never above 150 KiB.
const BATCH: usize = 512 * 1024;

impl Agent {
    /// Sends what is due, as far as the width of the outbox goes.
    pub(super) fn send_replies(&mut self, now: Instant) {
        while let Some(run) = self.outbox.take(now) {
            self.send_reply(run);
        }
    }

    fn send_reply(&mut self, run: RunId) {
        let Some(known) = self.runs.get(&run) else { return };
        let history = match journal::read(&self.state.journal().open_log(run)) {
            Ok(history) => history,
            Err(error) => {
                tracing::error!(%error, run = %run, "cannot read the run's log");
                self.outbox.withdraw(known.age, run);
                return;
            }
        };
        let records = batch(history.records_after(known.confirmed));
        if records.is_empty() {
            // Posted while its news was on its way already: there is nothing to wait for.
            let is_over = matches!(known.phase, Phase::Over);
            self.outbox.delivered(known.age, run);
            if is_over {
                self.look_at(run);
            }
            return;
        }
        let mut headers = HeaderMap::new();
        if !known.traceparent.is_empty() {
            headers.insert("traceparent", known.traceparent.as_str());
        }
        let question = ReplyRequest {
            run_id: run.to_string(),
            records,
        };
        let (client, connection) = (self.client.clone(), self.connection);
        let subject = subject::rpc(&self.node, subject::RPC_REPLY);
        self.tasks.push(Box::pin(async move {
            Event::Replied(run, connection, bus::call(&client, subject, headers, &question).await)
        }));
    }

    /// The coordinator has committed the records, or nobody knows.
    pub(super) fn replied(&mut self, run: RunId, connection: u64, answer: Result<ReplyResult, CallError>) {
        let Some(known) = self.runs.get_mut(&run) else { return };
        let age = known.age;
        match answer {
            Ok(answer) if answer.confirmed_sequence > known.confirmed => {
                known.confirmed = answer.confirmed_sequence;
                let is_over = matches!(known.phase, Phase::Over);
                self.outbox.delivered(age, run);
                if is_over {
                    // More may have been written than one request carried.
                    self.look_at(run);
                }
            }
            Ok(answer) => {
                tracing::warn!(run = %run, confirmed = answer.confirmed_sequence, "a reply was answered but not confirmed");
                self.outbox.failed(age, run, Instant::now(), rand::random());
            }
            // A request of a lost connection has been sent anew already.
            Err(_) if connection != self.connection => {}
            Err(error) => {
                tracing::warn!(%error, run = %run, "a reply was not taken; it is kept");
                self.outbox.failed(age, run, Instant::now(), rand::random());
            }
        }
    }
}

/// As many of the records as fit, but at least one.
fn batch(records: &[Record]) -> Vec<Record> {
    let mut size = 0;
    let fits = |record: &&Record| {
        let is_first = size == 0;
        size += record.encoded_len();
        is_first || size <= BATCH
    };
    records.iter().take_while(fits).cloned().collect()
}

#[cfg(test)]
mod tests {
    use muster_proto::agent::v1::StepResult;
    use muster_proto::agent::v1::record::Fact as News;

    use super::*;

    #[test]
    fn a_batch_fits_one_message_but_is_never_empty() {
        let record = |sequence, bytes| {
            let result = StepResult {
                stdout: "x".repeat(bytes),
                ..StepResult::default()
            };
            Record {
                sequence,
                at: None,
                fact: Some(News::StepResult(result)),
            }
        };
        let records: Vec<Record> = (1..=9).map(|sequence| record(sequence, 100_000)).collect();
        assert_eq!(batch(&records).len(), 5);
        assert_eq!(batch(&[record(1, 600_000), record(2, 1)]).len(), 1);
        assert!(batch(&[]).is_empty());
    }
}
