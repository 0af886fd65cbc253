//! Answers that are believed for five seconds.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer is believed: what was taken away ends within this time even if nobody tells.
const BELIEVED: Duration = Duration::from_secs(5);
/// Most answers kept; beyond, all that are out of date are forgotten, and then all others.
const MOST: usize = 10_000;

/// Answers of the last seconds. What was asked before everything was forgotten is not kept after.
#[derive(Debug)]
pub(super) struct Fresh<K, V> {
    known: Mutex<Known<K, V>>,
}

#[derive(Debug)]
struct Known<K, V> {
    answers: HashMap<K, (Instant, V)>,
    /// Counts how often everything was forgotten.
    forgotten: u64,
}

/// When a question was asked, so that its answer can be kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    forgotten: u64,
    asked: Instant,
}

impl<K: Eq + Hash, V: Clone> Fresh<K, V> {
    pub(super) fn new() -> Self {
        Self {
            known: Mutex::new(Known {
                answers: HashMap::new(),
                forgotten: 0,
            }),
        }
    }

    /// The answer, if it is fresh; else what an answer is kept with.
    pub(super) fn get(&self, key: &K, now: Instant) -> Result<V, Question> {
        let known = self.known();
        match known.answers.get(key) {
            Some((since, answer)) if is_fresh(*since, now) => Ok(answer.clone()),
            _ => Err(Question {
                forgotten: known.forgotten,
                asked: now,
            }),
        }
    }

    /// Keeps an answer from when it was asked for.
    pub(super) fn keep(&self, question: Question, key: K, answer: V) {
        let mut known = self.known();
        if known.forgotten != question.forgotten {
            return;
        }
        if known.answers.len() >= MOST {
            known.answers.retain(|_, (since, _)| is_fresh(*since, question.asked));
        }
        if known.answers.len() >= MOST {
            known.answers.clear();
        }
        known.answers.insert(key, (question.asked, answer));
    }

    pub(super) fn forget_all(&self) {
        let mut known = self.known();
        known.forgotten += 1;
        known.answers.clear();
    }

    fn known(&self) -> MutexGuard<'_, Known<K, V>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < BELIEVED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lives_five_seconds_from_when_it_was_asked_for() {
        let (fresh, now) = (Fresh::new(), Instant::now());
        let question = fresh.get(&"a", now).unwrap_err();
        fresh.keep(question, "a", 1);
        assert_eq!(fresh.get(&"a", now + Duration::from_millis(4_999)).unwrap(), 1);
        assert!(fresh.get(&"a", now + Duration::from_secs(5)).is_err());
        assert!(fresh.get(&"b", now).is_err());
    }

    #[test]
    fn an_answer_from_before_a_change_is_not_kept() {
        let (fresh, now) = (Fresh::new(), Instant::now());
        let question = fresh.get(&"a", now).unwrap_err();
        fresh.forget_all();
        fresh.keep(question, "a", 1);
        assert!(fresh.get(&"a", now).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let (fresh, now) = (Fresh::new(), Instant::now());
        for number in 0..MOST + 5 {
            let question = fresh.get(&number, now).unwrap_err();
            fresh.keep(question, number, ());
        }
        assert!(fresh.known().answers.len() <= MOST);
    }
}
