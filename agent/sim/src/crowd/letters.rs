//! News of runs: requests that are repeated until they are confirmed.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use muster_proto::agent::v1::{ReplyRequest, ReplyResult};
use muster_wire::subject;

use super::{Crowd, Event, Timer, jittered};
use crate::RunId;
use crate::calls::{self, CallError};

/// The first wait of an unanswered request, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Crowd {
    pub(super) fn send_news(&mut self, number: usize, run: RunId) {
        if !self.is_present(number) {
            return;
        }
        let Some(node) = self.node(number) else { return };
        let Some((records, traceparent, copies)) = node.news(run) else {
            return;
        };
        let subject = subject::rpc(&node.id, subject::RPC_REPLY);
        let letter = self.letters.entry((number, run)).or_default();
        if letter.is_on_its_way {
            letter.is_wanted_again = true;
            return;
        }
        letter.is_on_its_way = true;
        let connection = self.connection;
        let question = ReplyRequest {
            run_id: run.to_string(),
            records,
        };
        let mut headers = HeaderMap::new();
        if let Some(traceparent) = traceparent {
            headers.insert("traceparent", traceparent);
        }
        for copy in 0..copies {
            let (client, subject, headers, question) =
                (self.client.clone(), subject.clone(), headers.clone(), question.clone());
            self.tasks.push(Box::pin(async move {
                let answer = calls::call(&client, subject, headers, &question).await;
                if copy == 0 {
                    Event::Replied(number, run, connection, answer)
                } else {
                    Event::Published
                }
            }));
        }
    }

    pub(super) fn replied(
        &mut self,
        number: usize,
        run: RunId,
        connection: u64,
        answer: Result<ReplyResult, CallError>,
    ) {
        if answer.is_err() && connection != self.connection {
            // A request of a lost connection has been sent anew already.
            return;
        }
        let Some(letter) = self.letters.get_mut(&(number, run)) else {
            return;
        };
        letter.is_on_its_way = false;
        let is_wanted_again = std::mem::take(&mut letter.is_wanted_again);
        match answer {
            Ok(answer) => {
                letter.failures = 0;
                let node = self.places.get_mut(&number).and_then(|place| place.node.as_mut());
                let has_more = node.is_some_and(|node| node.confirm(run, answer.confirmed_sequence));
                if has_more || is_wanted_again {
                    self.send_news(number, run);
                } else {
                    self.letters.remove(&(number, run));
                }
            }
            Err(error) => {
                tracing::debug!(%error, number, run = %run, "a reply was not taken");
                letter.failures += 1;
                let wait = FIRST_WAIT.saturating_mul(1 << letter.failures.min(8)).min(LONGEST_WAIT);
                self.timers
                    .push(Reverse((Instant::now() + jittered(wait), Timer::Resend(number, run))));
            }
        }
    }
}
