//! What must not run twice runs once.
//!
//! Clients repeat a request that was answered with a 5xx or not at all, under the same `amz-sdk-invocation-id`.
//! The first one runs; those that come while it runs wait for its answer, those that come later get the same answer,
//! for ten minutes. What surely did nothing (a refusal, a service that is away) is forgotten at once, so that the
//! repeat may try again.
//!
//! Limits: the memory is this process's own. A restart forgets, and another replica does not know.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_model::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::answer::Answer;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(600);
/// Most answers kept; beyond, the oldest are forgotten first.
const MOST: usize = 20_000;
/// Most bytes of answers kept.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Names a request and all its repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// The same caller, invocation, operation and body make the same key.
    pub(crate) fn of(access_key: &str, invocation: &str, operation: &str, body: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        for part in [access_key.as_bytes(), invocation.as_bytes(), operation.as_bytes(), body] {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// 64 hexadecimal digits.
    pub(crate) fn to_text(self) -> String {
        hex::encode(self.0)
    }
}

/// An answer that may still be on its way.
pub(crate) type Pending = watch::Receiver<Option<Answer>>;

/// What is to be done with a request.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is the first: run it, and settle the ticket.
    First(Ticket),
    /// It is a repeat: wait for the answer of the first.
    Repeat(Pending),
}

/// The duty to give an answer. Dropped unsettled, it leaves a closed channel behind: nobody knows what was done,
/// so nothing is done again.
#[derive(Debug)]
pub(crate) struct Ticket {
    key: Key,
    sequence: u64,
    answer: watch::Sender<Option<Answer>>,
}

impl Ticket {
    /// Of which request it is.
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// Hears of the answer.
    pub(crate) fn pending(&self) -> Pending {
        self.answer.subscribe()
    }
}

/// The requests of the last ten minutes.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    entries: HashMap<Key, Entry>,
    /// Oldest first; entries that are gone may still be named.
    order: VecDeque<(Key, u64)>,
    sequence: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    sequence: u64,
    since: Timestamp,
    answer: Pending,
    bytes: usize,
}

impl Entry {
    fn is_running(&self) -> bool {
        self.answer.borrow().is_none() && self.answer.has_changed().is_ok()
    }
}

impl Repeats {
    /// Says whether a request is the first of its kind.
    pub(crate) fn claim(&self, key: Key, now: Timestamp) -> Claim {
        let mut known = self.known();
        known.forget_old(now);
        if let Some(entry) = known.entries.get(&key) {
            return Claim::Repeat(entry.answer.clone());
        }
        known.sequence += 1;
        let sequence = known.sequence;
        let (answer, pending) = watch::channel(None);
        known.order.push_back((key, sequence));
        known.entries.insert(
            key,
            Entry {
                sequence,
                since: now,
                answer: pending,
                bytes: 0,
            },
        );
        Claim::First(Ticket { key, sequence, answer })
    }

    /// Gives the answer to all who wait. `done`: something was or may have been done, so the answer is kept.
    pub(crate) fn settle(&self, ticket: Ticket, answer: Answer, done: bool, now: Timestamp) {
        let mut known = self.known();
        if done {
            let bytes = answer.body.len();
            if let Some(entry) = known.entries.get_mut(&ticket.key)
                && entry.sequence == ticket.sequence
            {
                entry.bytes = bytes;
                known.bytes += bytes;
            }
            known.forget_old(now);
        } else {
            known.forget(&ticket.key, ticket.sequence);
        }
        drop(known);
        // Nobody may be waiting any more; then the answer is only kept.
        ticket.answer.send_replace(Some(answer));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget_old(&mut self, now: Timestamp) {
        // One that still runs is never forgotten: its repeat would run beside it. Those behind it are, all the same.
        let mut running = VecDeque::new();
        while let Some((key, sequence)) = self.order.pop_front() {
            let Some(entry) = self.entries.get(&key).filter(|entry| entry.sequence == sequence) else {
                continue;
            };
            let expired = now.duration_since(entry.since).unsigned_abs() >= KEPT;
            let too_many = self.entries.len() >= MOST || self.bytes > MOST_BYTES;
            if !(expired || too_many) {
                self.order.push_front((key, sequence));
                break;
            }
            match entry.is_running() {
                true => running.push_back((key, sequence)),
                false => self.forget(&key, sequence),
            }
        }
        running.append(&mut self.order);
        self.order = running;
    }

    fn forget(&mut self, key: &Key, sequence: u64) {
        if self.entries.get(key).is_some_and(|entry| entry.sequence == sequence)
            && let Some(entry) = self.entries.remove(key)
        {
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::SignedDuration;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn key(name: &str) -> Key {
        Key::of("AKID", name, "SendCommand", b"{}")
    }

    fn answer(body: &'static str) -> Answer {
        Answer::success(Bytes::from_static(body.as_bytes()))
    }

    fn first(repeats: &Repeats, name: &str, now: Timestamp) -> Ticket {
        match repeats.claim(key(name), now) {
            Claim::First(ticket) => ticket,
            Claim::Repeat(_) => panic!("{name} is known"),
        }
    }

    fn repeat(repeats: &Repeats, name: &str, now: Timestamp) -> Pending {
        match repeats.claim(key(name), now) {
            Claim::Repeat(pending) => pending,
            Claim::First(_) => panic!("{name} is not known"),
        }
    }

    #[tokio::test]
    async fn repeats_get_the_answer_of_the_first() {
        let repeats = Repeats::default();
        let ticket = first(&repeats, "a", NOW);
        let mut early = repeat(&repeats, "a", NOW);
        repeats.settle(ticket, answer("1"), true, NOW);
        let mut late = repeat(&repeats, "a", NOW + SignedDuration::from_secs(599));
        for pending in [&mut early, &mut late] {
            let got = pending.wait_for(Option::is_some).await.unwrap().clone();
            assert_eq!(got, Some(answer("1")));
        }
    }

    #[test]
    fn what_did_nothing_may_run_again() {
        let repeats = Repeats::default();
        repeats.settle(first(&repeats, "a", NOW), answer("away"), false, NOW);
        let second = first(&repeats, "a", NOW);
        repeats.settle(second, answer("done"), true, NOW);
        assert_eq!(*repeat(&repeats, "a", NOW).borrow(), Some(answer("done")));
    }

    #[test]
    fn what_ended_without_an_answer_does_not_run_again() {
        let repeats = Repeats::default();
        drop(first(&repeats, "a", NOW));
        assert!(repeat(&repeats, "a", NOW).has_changed().is_err());
        first(&repeats, "a", NOW + SignedDuration::from_mins(10));
    }

    #[test]
    fn after_ten_minutes_a_request_is_new() {
        let repeats = Repeats::default();
        repeats.settle(first(&repeats, "a", NOW), answer("1"), true, NOW);
        first(&repeats, "a", NOW + SignedDuration::from_mins(10));
        assert_eq!(repeats.known().entries.len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_what_runs_is_kept() {
        let repeats = Repeats::default();
        for number in 0..MOST + 10 {
            repeats.settle(first(&repeats, &number.to_string(), NOW), answer("x"), true, NOW);
        }
        let known = repeats.known();
        assert!(known.entries.len() <= MOST);
        assert!(known.order.len() <= MOST);
        assert_eq!(known.bytes, known.entries.len());
        drop(known);

        let runs = first(&repeats, "runs", NOW);
        let later = NOW + SignedDuration::from_hours(1);
        repeat(&repeats, "runs", later);
        drop(runs);
    }

    #[test]
    fn what_runs_keeps_nothing_else_in_memory() {
        let repeats = Repeats::default();
        let runs = first(&repeats, "runs", NOW);
        for number in 0..MOST + 10 {
            repeats.settle(first(&repeats, &number.to_string(), NOW), answer("x"), true, NOW);
        }
        assert!(repeats.known().entries.len() <= MOST);
        assert!(repeats.known().order.len() <= MOST);
        // The one that is to go next is still the oldest, and the newest is there.
        first(&repeats, "0", NOW);
        repeat(&repeats, &(MOST + 9).to_string(), NOW);
        repeat(&repeats, "runs", NOW);

        let long = Answer::success(vec![0; MOST_BYTES / 8].into());
        for number in 0..20 {
            repeats.settle(first(&repeats, &format!("long{number}"), NOW), long.clone(), true, NOW);
        }
        let after_ten_minutes = NOW + SignedDuration::from_mins(10);
        {
            let known = repeats.known();
            assert!(known.bytes <= MOST_BYTES + MOST_BYTES / 8, "{}", known.bytes);
        }
        first(&repeats, "other", after_ten_minutes);
        let kept = repeats.known().entries.len();
        assert_eq!(kept, 2, "what is old goes although something old runs");
        drop(runs);
    }

    #[test]
    fn other_callers_and_other_bodies_are_other_requests() {
        let keys = [
            Key::of("a", "b", "c", b"d"),
            Key::of("ab", "", "c", b"d"),
            Key::of("a", "b", "c", b"e"),
            Key::of("a", "b", "cd", b""),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key));
        }
    }
}
