//! What a caller may do, for a service that alone knows what a request is about.

use std::sync::Arc;

use muster_policy::{Action, Arn, Context, Decision};
use muster_proto::access::v1::{Decision as Word, DecisionRecord};
use muster_wire::{Caller, Failure, Reason, Refusal, Resource, Surface};
use prost_types::Timestamp;

use super::holdings::Holdings;
use super::{Inner, TagMap, arn};

/// Characters of a resource in the audit log, and of a statement; statements of a record.
const LONGEST_NAME: usize = 2_048;
const LONGEST_STATEMENT: usize = 256;
const MOST_STATEMENTS: usize = 100;

/// What the caller of a request may do beyond what was decided before the service was asked.
///
/// Whoever serves an operation whose facts say `by_service` asks [`Rights::judge`] about those resources.
#[derive(Debug, Clone)]
pub struct Rights(Option<Arc<Asking>>);

impl Rights {
    /// Of a service, and in development.
    pub(super) fn everything() -> Self {
        Self(None)
    }

    pub(super) fn decided(asking: Asking) -> Self {
        Self(Some(Arc::new(asking)))
    }

    /// The rights of a request's caller.
    ///
    /// # Errors
    /// If nobody asked for them: such a request has none.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self, Failure> {
        let rights = request.extensions().get::<Self>().cloned();
        rights.ok_or_else(|| Failure::internal("a request came by no mount: the rights of its caller are not known"))
    }

    /// Whether nothing is refused: the caller is a service, or development asks nobody.
    #[must_use]
    pub fn are_unlimited(&self) -> bool {
        self.0.is_none()
    }

    /// Whether what is judged may depend on tags; if not, nobody needs to look for them.
    #[must_use]
    pub fn ask_for_tags(&self) -> bool {
        self.0.as_ref().is_some_and(|asking| asking.asks_for_tags())
    }

    /// Whether each of these resources of a kind may be what the operation does something to: `None`, or how it is
    /// refused. All of it is in the audit log when this returns.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub async fn judge(
        &self,
        kind: &str,
        named: impl IntoIterator<Item = (String, TagMap)>,
    ) -> Result<Vec<Option<Refusal>>, Failure> {
        let named = named.into_iter();
        let Some(asking) = &self.0 else {
            return Ok(named.map(|_| None).collect());
        };
        let mut context = asking.context.clone();
        let decisions: Vec<_> = named
            .map(|(name, tags)| {
                let resource = Resource {
                    kind: kind.to_owned(),
                    name,
                    version: None,
                    action: None,
                };
                let (on, _) = arn(&asking.gate.account, &resource);
                context.resource_tags = tags;
                let decision = asking.decide(&asking.action, &on, &context);
                (asking.action.clone(), on, decision)
            })
            .collect();
        asking.record(&decisions).await?;
        let refusals = decisions
            .iter()
            .map(|(action, on, decision)| asking.refusal(action, on, decision));
        Ok(refusals.collect())
    }

    /// Whether the caller could do something else, too, on a resource by its ARN, where that changes what it is shown and
    /// refuses nothing: it is in no audit log.
    ///
    /// # Errors
    /// If one of the two is no action or ARN.
    pub fn may(&self, action: &str, on: &str) -> Result<bool, Failure> {
        let Some(asking) = &self.0 else {
            return Ok(true);
        };
        let action = super::action(action)?;
        let on: Arn = on.parse().map_err(Failure::internal)?;
        let decision = asking.decide(&action, &on, &asking.context);
        Ok(matches!(decision, Decision::Allow(_)))
    }

    /// Whether the caller may still do what was allowed, by what is known of it now: for what goes on for longer than a
    /// decision is believed. It is in no audit log.
    ///
    /// # Errors
    /// If it may not, or that cannot be found out.
    pub(super) async fn still_hold(&self) -> Result<(), Failure> {
        let Some(asking) = &self.0 else {
            return Ok(());
        };
        let holdings = asking
            .gate
            .holdings
            .now(&asking.caller, asking.gate.clock.now())
            .await?;
        for (action, on, context) in &asking.allowed {
            let context = Context {
                current_time: Some(asking.gate.clock.now()),
                ..context.clone()
            };
            let decision = holdings.policies.decide(&holdings.who, action, on, &context);
            if let Some(refused) = asking.refusal(action, on, &decision) {
                return Err(refused.into());
            }
        }
        Ok(())
    }

    /// Lets the caller do something else too, on a resource by its ARN: use a key, for example. It is in the audit log when
    /// this returns, unless nobody said anything of what needs no leave.
    ///
    /// # Errors
    /// If it may not, or that cannot be written down.
    pub async fn require(&self, action: &str, on: &str, leave: Leave) -> Result<(), Failure> {
        let Some(asking) = &self.0 else {
            return Ok(());
        };
        let action = super::action(action)?;
        let on: Arn = on.parse().map_err(Failure::internal)?;
        let decision = asking.decide(&action, &on, &asking.context);
        if leave == Leave::Given && matches!(decision, Decision::ImplicitDeny) {
            return Ok(());
        }
        let refusal = asking.refusal(&action, &on, &decision);
        asking.record(&[(action, on, decision)]).await?;
        match refusal {
            Some(refusal) => Err(refusal.into()),
            None => Ok(()),
        }
    }

    /// Writes down what the operation has read, or could not read although it was allowed, beside the decision on the
    /// operation itself. It is in the audit log when this returns.
    ///
    /// # Errors
    /// If it cannot be written down: then it must not be shown.
    pub async fn record_reads(&self, reads: Vec<Read>) -> Result<(), Failure> {
        let Some(asking) = self.0.as_ref().filter(|_| !reads.is_empty()) else {
            return Ok(());
        };
        let records = reads.into_iter().map(|read| {
            // By leave of what was said of it, or of what it was found by.
            let own = |(_, on, _): &&(Action, Arn, Context)| on.to_string() == read.resource;
            let of_operation = || asking.allowed.iter().filter(|(action, ..)| *action == asking.action);
            let leave = of_operation().find(own).or_else(|| of_operation().next());
            let decision = leave.map(|(action, on, context)| asking.decide(action, on, context));
            let decision = decision.unwrap_or_else(|| Decision::Allow(Vec::new()));
            DecisionRecord {
                details: read.details,
                ..asking.entry(asking.action.to_string(), read.resource, &decision)
            }
        });
        asking.write(records.collect()).await
    }
}

/// Something that an operation has read, for the audit log: a secret, for example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Its ARN.
    pub resource: String,
    /// What is known of it: `version=3`. Never what was read.
    pub details: Vec<String>,
}

/// Whether the caller needs leave for what is not the operation itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Somebody must have allowed it.
    Needed,
    /// It is allowed unless somebody denied it.
    Given,
}

/// A caller with what it has, and the operation that it asked for.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) gate: Arc<Inner>,
    pub(super) holdings: Arc<Holdings>,
    pub(super) caller: Caller,
    pub(super) surface: Surface,
    pub(super) action: Action,
    /// Without tags of resources.
    pub(super) context: Context,
    pub(super) is_plain_read: bool,
    /// What was decided before the service was asked.
    pub(super) allowed: Vec<(Action, Arn, Context)>,
}

impl Asking {
    pub(super) fn asks_for_tags(&self) -> bool {
        self.holdings.policies.asks_for_tags()
    }

    pub(super) fn decide(&self, action: &Action, on: &Arn, context: &Context) -> Decision {
        self.holdings.policies.decide(&self.holdings.who, action, on, context)
    }

    /// How a decision refuses; it says nothing of whether the resource is there.
    pub(super) fn refusal(&self, action: &Action, on: &Arn, decision: &Decision) -> Option<Refusal> {
        let text = decision.refusal(&self.holdings.who, action, on)?;
        Some(Refusal::new(Reason::AccessDeniedException, text))
    }

    /// Writes decisions down: before anything is done, or for plain reads a moment later.
    pub(super) async fn record(&self, decisions: &[(Action, Arn, Decision)]) -> Result<(), Failure> {
        let entry =
            |(action, on, decision): &(Action, Arn, Decision)| self.entry(action.to_string(), on.to_string(), decision);
        self.write(decisions.iter().map(entry).collect()).await
    }

    fn entry(&self, action: String, on: String, decision: &Decision) -> DecisionRecord {
        let now = self.gate.clock.now();
        let word = match decision {
            Decision::Allow(_) => Word::Allow,
            Decision::ExplicitDeny(_) => Word::ExplicitDeny,
            Decision::ImplicitDeny => Word::ImplicitDeny,
        };
        DecisionRecord {
            time: Some(Timestamp {
                seconds: now.as_second(),
                nanos: now.subsec_nanosecond(),
            }),
            principal: Some(self.caller.principal.to_string()),
            access_key_id: self.caller.access_key.clone(),
            surface: Some(self.surface.word().to_owned()),
            source_ip: self.caller.source_ip.map(|address| address.to_string()),
            action: Some(action),
            resource: Some(cut(on, LONGEST_NAME)),
            decision: Some(word.into()),
            statements: statements(decision),
            request_id: self.caller.request_id.map(|id| id.to_string()),
            details: Vec::new(),
        }
    }

    async fn write(&self, records: Vec<DecisionRecord>) -> Result<(), Failure> {
        match self.is_plain_read {
            true => self.gate.ledger.note(records).await,
            false => self.gate.ledger.write(records).await,
        }
    }
}

/// The statements that decided, as many as the audit log keeps, each with as much of its name as says which one it is.
fn statements(decision: &Decision) -> Vec<String> {
    let kept = decision.statements().iter().take(MOST_STATEMENTS);
    kept.map(|statement| cut(statement.to_string(), LONGEST_STATEMENT))
        .collect()
}

/// Callers choose names: none may be too long to be written down, or have a NUL, which PostgreSQL takes in no text.
fn cut(text: String, longest: usize) -> String {
    let text = text.replace('\0', "\u{fffd}");
    match text.len() <= longest {
        true => text,
        false => text.chars().take(longest).collect(),
    }
}
