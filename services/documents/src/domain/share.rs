//! With whom a document is shared (documents.md 8).

use std::collections::BTreeSet;

use crate::error::DocumentError;

/// The account that stands for everybody.
pub(crate) const EVERYBODY: &str = "all";

/// What is to change in the accounts that a document is shared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) add: BTreeSet<String>,
    pub(crate) remove: BTreeSet<String>,
}

impl Change {
    /// What a request asks for; an account in both lists is removed.
    pub(crate) fn new(add: Vec<String>, remove: Vec<String>) -> Self {
        // `All` in any case is the only word among ids.
        let plain = |ids: Vec<String>| -> BTreeSet<String> { ids.iter().map(|id| id.to_lowercase()).collect() };
        let remove = plain(remove);
        let add = &plain(add) - &remove;
        Self { add, remove }
    }

    /// Holds a document that is shared with `present` to the limits. `public` other documents are shared with everybody.
    pub(crate) fn check(
        &self,
        present: &BTreeSet<String>,
        public: i64,
        max_shares: u32,
        max_public: u32,
    ) -> Result<(), DocumentError> {
        let after = &(present - &self.remove) | &self.add;
        if self.add.contains(EVERYBODY) && public >= i64::from(max_public) {
            return Err(DocumentError::TooManyPublic { limit: max_public });
        }
        let accounts = after.iter().filter(|id| *id != EVERYBODY).count();
        match !self.add.is_empty() && accounts > max_shares as usize {
            true => Err(DocumentError::TooManyShares { limit: max_shares }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn removing_wins() {
        let change = Change::new(ids(&["All", "111111111111"]), ids(&["all"]));
        assert_eq!(change.add, BTreeSet::from(["111111111111".to_owned()]));
        assert_eq!(change.remove, BTreeSet::from(["all".to_owned()]));
    }

    #[test]
    fn limits_count_what_there_would_be() {
        let present: BTreeSet<_> = ids(&["111111111111", "222222222222"]).into_iter().collect();
        let check =
            |add: &[&str], remove: &[&str], public| Change::new(ids(add), ids(remove)).check(&present, public, 2, 5);
        assert_eq!(check(&["222222222222"], &[], 0), Ok(()));
        assert_eq!(check(&["333333333333"], &["111111111111"], 0), Ok(()));
        assert_eq!(
            check(&["333333333333"], &[], 0),
            Err(DocumentError::TooManyShares { limit: 2 })
        );
        assert_eq!(check(&["all"], &[], 4), Ok(()));
        assert_eq!(check(&["all"], &[], 5), Err(DocumentError::TooManyPublic { limit: 5 }));
        assert_eq!(check(&[], &["all"], 9), Ok(()));
    }
}
