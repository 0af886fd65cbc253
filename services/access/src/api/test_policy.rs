//! `TestPolicy`: what would be decided.

use std::sync::Arc;

use muster_policy::{Action, Arn, Context, Decision, Policy, PolicySet, Principal, builtin};
use muster_proto::access::v1::{ContextEntry, Decision as Word, TestPolicyRequest, TestPolicyResult};
use muster_wire::Failure;

use super::access::AccessApi;
use super::policies;
use crate::domain::identity::{NODE_CORE, Who};
use crate::domain::session::is_node_name;
use crate::error::{AccessError, from_store};
use crate::store::identity::place;
use crate::store::principal::{self, Holdings};

/// Under which name a text speaks that is no policy yet.
const GIVEN: &str = "given";

pub(super) async fn test(api: &AccessApi, request: TestPolicyRequest) -> Result<TestPolicyResult, Failure> {
    let text = request.principal();
    AccessError::refuse_nul("principal", text)?;
    let who = api.account.principal(text).ok_or_else(|| {
        let own = api.account.arn(crate::domain::identity::Kind::User, "<name>");
        AccessError::Invalid(format!(
            "{text:?} is no user or role of this account: {own}, user/<name> and role/<name> are"
        ))
    })?;
    let action: Action = request.action().parse().map_err(invalid)?;
    let resource: Arn = match request.resource() {
        "" => Arn::any(),
        text => text.parse().map_err(invalid)?,
    };
    let context = context(api, &request.context)?;
    let (_, held) = principal::holdings(&api.db, &who).await.map_err(from_store)?;
    let (policies, tags) = match (&request.policy_document, held) {
        (Some(text), held) => {
            let policy = Arc::new(policies::parse(text)?);
            (vec![(GIVEN.to_owned(), policy)], held.unwrap_or_default().tags)
        }
        (None, Some(held)) if !held.policies.is_empty() || !is_node(text) => (compiled(&who, &held)?, held.tags),
        // A node whose role is not known or has no policies has these rights and no others.
        (None, held) if is_node(text) => {
            let core = builtin::policy(NODE_CORE).ok_or_else(|| Failure::internal("there is no policy of nodes"))?;
            (vec![(NODE_CORE.to_owned(), core)], held.unwrap_or_default().tags)
        }
        (None, _) => return Err(who.missing().into()),
    };
    let names = policies.iter().map(|(name, _)| name.clone()).collect();
    let set = PolicySet::new(policies).map_err(Failure::internal)?;
    let principal = asking(api, &who, text)?.with_tags(tags);
    let decision = set.decide(&principal, &action, &resource, &context);
    Ok(TestPolicyResult {
        decision: Some(word(&decision).into()),
        statements: decision.statements().iter().map(ToString::to_string).collect(),
        message: decision.refusal(&principal, &action, &resource),
        policy_names: names,
    })
}

fn invalid(error: impl std::fmt::Display) -> AccessError {
    AccessError::Invalid(error.to_string())
}

/// Whether it is a node in its role: sessions of people are not called as nodes are.
fn is_node(text: &str) -> bool {
    let name = text.rsplit_once('/').map_or("", |(_, name)| name);
    text.starts_with("arn:") && text.contains(":assumed-role/") && is_node_name(name)
}

/// As the decisions on requests see it.
fn asking(api: &AccessApi, who: &Who, text: &str) -> Result<Principal, Failure> {
    let arn = match text.contains(":assumed-role/") {
        true => text.to_owned(),
        false => api.account.arn(who.kind, &who.name),
    };
    let principal = Principal::new(arn.parse().map_err(invalid)?);
    Ok(match text.rsplit_once('/').filter(|_| is_node(text)) {
        Some((_, node)) => principal.with_node(node),
        None => principal,
    })
}

fn context(api: &AccessApi, entries: &[ContextEntry]) -> Result<Context, AccessError> {
    let mut context = Context {
        current_time: Some(api.pages.now()),
        ..Context::default()
    };
    for entry in entries {
        context.set(entry.key(), entry.value()).map_err(invalid)?;
    }
    Ok(context)
}

/// What a principal has, read.
pub(super) fn compiled(who: &Who, held: &Holdings) -> Result<Vec<(String, Arc<Policy>)>, Failure> {
    let read = |(name, text): &(String, Option<String>)| {
        let policy = match text {
            None => builtin::policy(name).ok_or_else(|| format!("{} has no policy {name}", place(who)).into()),
            Some(text) => Policy::parse(text).map(Arc::new).map_err(Into::into),
        };
        policy.map(|policy| (name.clone(), policy)).map_err(Failure::Internal)
    };
    held.policies.iter().map(read).collect()
}

/// The contract's word for a decision.
pub(super) fn word(decision: &Decision) -> Word {
    match decision {
        Decision::Allow(_) => Word::Allow,
        Decision::ExplicitDeny(_) => Word::ExplicitDeny,
        Decision::ImplicitDeny => Word::ImplicitDeny,
    }
}
