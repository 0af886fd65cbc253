//! Reviews of versions: asked for, approved, rejected (documents.md 8).

use crate::error::DocumentError;

/// Where a review stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Pending,
    Approved,
    Rejected,
}

impl Standing {
    /// The word in the store and on the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
        }
    }

    /// The standing of a stored word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Pending, Self::Approved, Self::Rejected]
            .into_iter()
            .find(|standing| standing.word() == word)
    }
}

/// What somebody does in a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    SendForReview,
    UpdateReview,
    Approve,
    Reject,
}

/// What an action does to the steps of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Another step, after which the review stands so.
    Add(Standing),
    /// The last step is said anew.
    Amend,
}

/// What `action` does to a version whose review stands at `present`; nothing: there was none.
pub(crate) fn decide(present: Option<Standing>, action: Action) -> Result<Change, DocumentError> {
    let refused = |message: &str| Err(DocumentError::Review(message.to_owned()));
    match (action, present) {
        (Action::SendForReview, Some(Standing::Pending)) => refused("the version is being reviewed already"),
        (Action::SendForReview, Some(Standing::Approved)) => refused("the version is approved already"),
        (Action::SendForReview, _) => Ok(Change::Add(Standing::Pending)),
        (Action::UpdateReview, Some(_)) => Ok(Change::Amend),
        (Action::Approve, Some(Standing::Pending)) => Ok(Change::Add(Standing::Approved)),
        (Action::Reject, Some(Standing::Pending)) => Ok(Change::Add(Standing::Rejected)),
        (_, _) => refused("nobody asked for a review of the version: SendForReview comes first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_is_asked_for_before_it_is_given() {
        use Action::{Approve, Reject, SendForReview, UpdateReview};
        use Standing::{Approved, Pending, Rejected};
        let check = |present, action, change: Option<Change>| {
            assert_eq!(decide(present, action).ok(), change, "{present:?} {action:?}");
        };
        check(None, SendForReview, Some(Change::Add(Pending)));
        check(Some(Rejected), SendForReview, Some(Change::Add(Pending)));
        check(Some(Pending), SendForReview, None);
        check(Some(Approved), SendForReview, None);
        check(Some(Pending), Approve, Some(Change::Add(Approved)));
        check(Some(Pending), Reject, Some(Change::Add(Rejected)));
        check(Some(Pending), UpdateReview, Some(Change::Amend));
        for action in [Approve, Reject, UpdateReview] {
            check(None, action, None);
        }
        check(Some(Approved), Reject, None);
        for standing in [Pending, Approved, Rejected] {
            assert_eq!(Standing::from_word(standing.word()), Some(standing));
        }
    }
}
