//! What a caller may do, for a service that alone knows what a request is about.

use std::sync::Arc;

use futures::future::BoxFuture;
use muster_policy::{Action, Arn, Context, Decision};
use muster_proto::access::v1::{Decision as Word, DecisionRecord};
use muster_wire::{Caller, Conclude, Failure, OK, Reason, Refusal, Resource, Surface, aws_json};
use prost_types::Timestamp;

use super::holdings::Holdings;
use super::story::{StoryOf, Touched};
use super::{Inner, TagMap, arn};

/// Characters of a resource in the audit log, and of a statement; statements of a record.
const LONGEST_NAME: usize = 2_048;
const LONGEST_STATEMENT: usize = 256;
const MOST_STATEMENTS: usize = 100;
/// What became of a call whose caller did not wait for the answer.
const UNANSWERED: &str = "Unanswered";

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

    /// Who hears what became of the call, where the audit log is to have that.
    pub(super) fn told(&self) -> Option<Arc<dyn Conclude>> {
        let asking = self.0.as_ref().filter(|asking| asking.is_told)?;
        Some(Arc::clone(asking) as Arc<dyn Conclude>)
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

    /// Notes something that the operation has shown or changed, or could not although it was allowed: it stands in the audit
    /// log with what became of the call (`audit_outcome` of the contract). The answer waits for the log if it was a secret.
    pub fn note(&self, touched: Touched) {
        if let Some(asking) = &self.0 {
            asking.story.note(touched);
        }
    }

    /// Gives an answer when the audit log has what is to be there before, for calls that came by no mount: of others the
    /// mount does so.
    ///
    /// # Errors
    /// The answer's own; and if a secret was noted that cannot be written down.
    pub async fn conclude<T>(&self, answer: Result<T, Failure>) -> Result<T, Failure> {
        let Some(asking) = &self.0 else {
            return answer;
        };
        let outcome = match &answer {
            Ok(_) => OK.to_owned(),
            Err(failure) => aws_json::word_and_status(failure).0,
        };
        asking.conclude(&outcome).await?;
        answer
    }
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
    /// What becomes of the call is to be in the audit log.
    pub(super) is_told: bool,
    /// What was decided before the service was asked.
    pub(super) allowed: Vec<(Action, Arn, Context)>,
    pub(super) story: StoryOf,
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

    /// Writes down what was decided before the service is asked. Where the audit log is to have what became of the call, a
    /// plain read that goes on is written down with that.
    pub(super) async fn begin(&mut self, decisions: &[(Action, Arn, Decision)], goes_on: bool) -> Result<(), Failure> {
        if !self.is_told {
            return self.record(decisions).await;
        }
        let entry =
            |(action, on, decision): &(Action, Arn, Decision)| self.entry(action.to_string(), on.to_string(), decision);
        let mut records: Vec<_> = decisions.iter().map(entry).collect();
        if !goes_on {
            let made_with = made_with(&self.caller);
            for record in &mut records {
                record.details.extend(made_with.clone());
            }
            return self.write(records).await;
        }
        if !self.is_plain_read {
            self.write(records.clone()).await?;
            // What goes with the operation is not told twice.
            let own = self.action.to_string();
            records.retain(|record| record.action() == own);
        }
        self.story.begin(records);
        Ok(())
    }

    /// Writes down what became of the call, once.
    pub(super) async fn conclude(&self, outcome: &str) -> Result<(), Failure> {
        let Some(end) = self.story.end(outcome, made_with(&self.caller)) else {
            return Ok(());
        };
        if end.shows_secrets {
            return self.gate.ledger.write(end.records).await;
        }
        if self.is_plain_read {
            return self.gate.ledger.note(end.records).await;
        }
        // What was changed stays changed: whoever heard otherwise would do it again.
        self.gate.ledger.note_at_once(end.records);
        Ok(())
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

impl Conclude for Asking {
    fn conclude<'a>(&'a self, outcome: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.conclude(outcome))
    }
}

impl Drop for Asking {
    /// Who goes away before the answer has asked all the same.
    fn drop(&mut self) {
        if let Some(end) = self.story.end(UNANSWERED, made_with(&self.caller)) {
            self.gate.ledger.note_at_once(end.records);
        }
    }
}

/// What the audit log says of it.
fn made_with(caller: &Caller) -> Option<String> {
    let said = caller.user_agent.as_deref()?;
    Some(format!("user-agent={said}"))
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
