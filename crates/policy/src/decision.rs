//! Deciding: all policies of a principal against one request.

use std::fmt;
use std::sync::Arc;

use crate::action::Action;
use crate::arn::Arn;
use crate::condition::Condition;
use crate::context::Context;
use crate::policy::Policy;
use crate::principal::Principal;
use crate::statement::Effect;

/// How many policies a principal may have, those of its groups included.
pub const MAX_POLICIES: usize = 50;

/// More policies than a principal may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} policies, at most {MAX_POLICIES} for a principal")]
pub struct TooManyPolicies(usize);

/// All policies of a principal, or of all sessions of a role, read once and asked many times.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    policies: Vec<(Arc<str>, Arc<Policy>)>,
}

/// A statement that had its say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId {
    /// The policy's name.
    pub policy: Arc<str>,
    /// The statement's `Sid`, where it has one.
    pub sid: Option<String>,
    /// Its place in the policy, from 0.
    pub index: usize,
}

/// `operator/RunCommands` by its Sid, `operator[2]` where it has none.
impl fmt::Display for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sid {
            Some(sid) => write!(f, "{}/{sid}", self.policy),
            None => write!(f, "{}[{}]", self.policy, self.index),
        }
    }
}

/// What came out, and the statements that made it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// These allow, and nothing denies.
    Allow(Vec<StatementId>),
    /// These deny, whatever allows.
    ExplicitDeny(Vec<StatementId>),
    /// Nothing allows.
    ImplicitDeny,
}

impl PolicySet {
    /// Policies with the names under which decisions speak of them.
    ///
    /// # Errors
    /// If they are more than [`MAX_POLICIES`].
    pub fn new<N: Into<Arc<str>>>(
        policies: impl IntoIterator<Item = (N, Arc<Policy>)>,
    ) -> Result<Self, TooManyPolicies> {
        let named = policies.into_iter().map(|(name, policy)| (name.into(), policy));
        let policies: Vec<_> = named.collect();
        match policies.len() {
            0..=MAX_POLICIES => Ok(Self { policies }),
            many => Err(TooManyPolicies(many)),
        }
    }

    /// Whether a decision may depend on the tags of resources; if not, nobody needs to look for them.
    #[must_use]
    pub fn asks_for_tags(&self) -> bool {
        let statements = self.policies.iter().flat_map(|(_, policy)| &policy.statements);
        let mut conditions = statements.flat_map(|statement| &statement.conditions);
        conditions.any(Condition::asks_for_tags)
    }

    /// Whether the principal may do that to the resource: what is not allowed is denied, and a denial outweighs everything.
    ///
    /// A request about several resources is allowed if each of them is.
    #[must_use]
    pub fn decide(&self, who: &Principal, action: &Action, resource: &Arn, context: &Context) -> Decision {
        let (mut allowed, mut denied) = (Vec::new(), Vec::new());
        for (name, policy) in &self.policies {
            for (index, statement) in policy.statements.iter().enumerate() {
                if statement.applies(who, action, resource, context) {
                    let matched = match statement.effect {
                        Effect::Allow => &mut allowed,
                        Effect::Deny => &mut denied,
                    };
                    matched.push(StatementId {
                        policy: Arc::clone(name),
                        sid: statement.sid.clone(),
                        index,
                    });
                }
            }
        }
        match (denied.is_empty(), allowed.is_empty()) {
            (false, _) => Decision::ExplicitDeny(denied),
            (true, false) => Decision::Allow(allowed),
            (true, true) => Decision::ImplicitDeny,
        }
    }
}

impl Decision {
    /// Whether it may be done.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The statements that made it so; none where nothing allows.
    #[must_use]
    pub fn statements(&self) -> &[StatementId] {
        match self {
            Self::Allow(statements) | Self::ExplicitDeny(statements) => statements,
            Self::ImplicitDeny => &[],
        }
    }

    /// The text of `AccessDeniedException` (aws-json-gateway 2). It names no policy: that is for the audit log.
    /// `None` if it may be done.
    #[must_use]
    pub fn refusal(&self, who: &Principal, action: &Action, resource: &Arn) -> Option<String> {
        let because = match self {
            Self::Allow(_) => return None,
            Self::ExplicitDeny(_) => "with an explicit deny in an identity-based policy".to_owned(),
            Self::ImplicitDeny => format!("because no identity-based policy allows the {action} action"),
        };
        let who = who.arn();
        Some(format!(
            "User: {who} is not authorized to perform: {action} on resource: {resource} {because}"
        ))
    }
}
