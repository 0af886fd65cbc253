//! What happened to a rollout since the last commit, on its way to the store.

use muster_model::Timestamp;

use crate::domain::history::{Entry, Happening, Page};

/// Entries that a rollout may have for each target, and beside that; what comes after is not written down.
const FOR_EACH: u64 = 32;
const FOR_ALL: u64 = 4_096;

/// The part of a rollout's history that is not stored yet.
#[derive(Debug)]
pub(crate) struct Diary {
    entries: Vec<Entry>,
    since: Option<Timestamp>,
    /// Entries that may still be written in this life.
    left: u64,
    is_cut: bool,
    /// Sequence of the last stored page.
    pub(crate) sequence: i64,
}

impl Diary {
    pub(crate) fn new(targets: u32) -> Self {
        Self {
            entries: Vec::new(),
            since: None,
            left: FOR_ALL + FOR_EACH * u64::from(targets),
            is_cut: false,
            sequence: 0,
        }
    }

    /// Lets `tell` add entries.
    pub(crate) fn write(&mut self, now: Timestamp, tell: impl FnOnce(&mut Vec<Entry>)) {
        if self.is_cut {
            return;
        }
        let before = self.entries.len();
        tell(&mut self.entries);
        let added = self.entries.len() - before;
        if added == 0 {
            return;
        }
        self.since.get_or_insert(now);
        self.left = self.left.saturating_sub(added as u64);
        if self.left == 0 {
            self.is_cut = true;
            self.entries.push(Entry {
                what: Happening::Cut,
                target: 0,
                detail: 0,
            });
        }
    }

    /// The next page with its sequence, if anything happened.
    pub(crate) fn take(&mut self) -> Option<(i64, Page)> {
        let at = self.since.take()?;
        self.sequence += 1;
        let entries = std::mem::take(&mut self.entries);
        Some((self.sequence, Page { at, entries }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            what: Happening::Accepted,
            target: 0,
            detail: 0,
        }
    }

    #[test]
    fn pages_follow_each_other_and_empty_ones_are_left_out() {
        let mut diary = Diary::new(1);
        diary.write(Timestamp::UNIX_EPOCH, |_| {});
        assert!(diary.take().is_none());
        diary.write(Timestamp::UNIX_EPOCH, |entries| entries.push(entry()));
        diary.write(Timestamp::MAX, |entries| entries.push(entry()));
        let (sequence, page) = diary.take().unwrap();
        assert_eq!((sequence, page.at, page.entries.len()), (1, Timestamp::UNIX_EPOCH, 2));
        diary.write(Timestamp::MAX, |entries| entries.push(entry()));
        assert_eq!(diary.take().unwrap().0, 2);
    }

    #[test]
    fn a_rollout_in_which_too_much_happens_says_where_its_history_ends() {
        let mut diary = Diary::new(1);
        for _ in 0..10_000 {
            diary.write(Timestamp::UNIX_EPOCH, |entries| entries.push(entry()));
        }
        let (_, page) = diary.take().unwrap();
        assert_eq!(page.entries.len() as u64, FOR_ALL + FOR_EACH + 1);
        assert_eq!(page.entries.last().unwrap().what, Happening::Cut);
    }
}
