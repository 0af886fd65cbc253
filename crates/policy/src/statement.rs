//! Statements: an effect on actions and resources, under conditions.

use crate::action::{Action, ActionPattern};
use crate::arn::{Arn, ArnPattern};
use crate::condition::Condition;
use crate::context::Context;
use crate::pattern::Match;
use crate::principal::Principal;

/// What a statement does where it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Allows, unless another statement denies.
    Allow,
    /// Denies, whatever other statements say.
    Deny,
}

/// These, or all but these.
#[derive(Debug, Clone)]
pub(crate) enum Choice<T> {
    Of(Vec<T>),
    AllBut(Vec<T>),
}

impl<T> Choice<T> {
    pub(crate) fn named(&self) -> &[T] {
        match self {
            Self::Of(all) | Self::AllBut(all) => all,
        }
    }
}

/// One statement.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    pub(crate) actions: Choice<ActionPattern>,
    pub(crate) resources: Choice<ArnPattern>,
    pub(crate) conditions: Vec<Condition>,
}

impl Statement {
    /// Whether it has anything to say about the request.
    pub(crate) fn applies(&self, who: &Principal, action: &Action, resource: &Arn, context: &Context) -> bool {
        self.is_about(action)
            && self.takes(resource, who)
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(who, context, self.effect))
    }

    fn is_about(&self, action: &Action) -> bool {
        let is_named = || self.actions.named().iter().any(|pattern| pattern.matches(action));
        match self.actions {
            Choice::Of(_) => is_named(),
            Choice::AllBut(_) => !is_named(),
        }
    }

    fn takes(&self, resource: &Arn, who: &Principal) -> bool {
        let named = self.resources.named().iter();
        let found = Match::any(named.map(|pattern| pattern.matches(resource, who)));
        match (&self.resources, found) {
            (Choice::Of(_), found) => found == Match::Yes,
            (Choice::AllBut(_), Match::Yes) => false,
            (Choice::AllBut(_), Match::No) => true,
            // All but what nobody knows: never allowed, always denied.
            (Choice::AllBut(_), Match::Unknown) => self.effect == Effect::Deny,
        }
    }
}
