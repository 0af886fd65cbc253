//! Policies: those that are always there, and those of people's own.

use std::sync::LazyLock;

use muster_policy::{Action, builtin};
use muster_proto::access::v1::{
    DeletePolicyRequest, DeletePolicyResult, GetPolicyRequest, GetPolicyResult, ListPoliciesRequest,
    ListPoliciesResult, Policy, PutPolicyRequest, PutPolicyResult,
};
use muster_proto::facts;
use muster_wire::{Failure, Principal};

use super::access::AccessApi;
use super::{pages, view};
use crate::error::{AccessError, from_store, settle};
use crate::store::policy::{self, NewPolicy};

/// Stands before the names of people's own policies in tokens, so that the first of them has one, too.
const OWN: &str = "own ";
/// Actions that are asked for and are no operations.
const BESIDES: [&str; 7] = [
    "iam:PassRole",
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "muster:ReadAllCommands",
    "ssm:UpdateInstanceInformation",
    "sts:AssumeRole",
];

/// Every action that somebody may ask about.
static KNOWN: LazyLock<Vec<Action>> = LazyLock::new(|| {
    let public = facts::targets().filter_map(|(target, _)| Some(format!("ssm:{}", target.rsplit('.').next()?)));
    // What people ask is decided by this name and by no other.
    let own = muster_proto::pool().services().flat_map(|service| {
        let methods = service.methods().filter(facts::is_for_people);
        methods.map(|method| facts::action(&method)).collect::<Vec<_>>()
    });
    let all = public.chain(own).chain(BESIDES.map(str::to_owned));
    all.filter_map(|action| action.parse().ok()).collect()
});

/// Reads a text as a policy.
pub(super) fn parse(text: &str) -> Result<muster_policy::Policy, AccessError> {
    muster_policy::Policy::parse(text).map_err(|error| AccessError::Malformed(error.to_string()))
}

pub(super) async fn put(api: &AccessApi, request: PutPolicyRequest) -> Result<PutPolicyResult, Failure> {
    let name = request.policy_name.unwrap_or_default();
    let document = request.policy_document.unwrap_or_default();
    let parsed = parse(&document)?;
    let new = NewPolicy {
        name: &name,
        description: request.description.as_deref().unwrap_or_default(),
        document: &document,
        now: api.now(),
    };
    let row = settle(policy::put(&api.db, new, api.settings.max_policies).await)?;
    api.teller.wake();
    let unknown = parsed.unknown_actions(&KNOWN);
    Ok(PutPolicyResult {
        policy: Some(view::policy(row)),
        // An answer is no place for thousands of them.
        warnings: unknown
            .take(20)
            .map(|name| format!("Muster has no action {name}"))
            .collect(),
    })
}

pub(super) async fn get(api: &AccessApi, request: GetPolicyRequest) -> Result<GetPolicyResult, Failure> {
    let name = request.policy_name.unwrap_or_default();
    let found = match built_in(&name) {
        Some(text) => {
            let attachments = policy::attachments(&api.db, &name).await.map_err(from_store)?;
            Policy {
                policy_document: Some(text.to_owned()),
                ..shown_built_in(&name, attachments)
            }
        }
        None => view::policy(settle(policy::find(&api.db, &name).await)?),
    };
    Ok(GetPolicyResult { policy: Some(found) })
}

/// The text of a built-in policy.
fn built_in(name: &str) -> Option<&'static str> {
    let found = builtin::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text)
}

fn shown_built_in(name: &str, attachments: i64) -> Policy {
    Policy {
        policy_name: Some(name.to_owned()),
        built_in: Some(true),
        attachment_count: Some(i32::try_from(attachments).unwrap_or(i32::MAX)),
        ..Policy::default()
    }
}

pub(super) async fn list(
    api: &AccessApi,
    request: ListPoliciesRequest,
    asker: &Principal,
) -> Result<ListPoliciesResult, Failure> {
    let question = format!("{asker} ListPolicies");
    let after = api.pages.position(&question, request.next_token.as_deref())?;
    let size = request.max_results;
    let mut policies = Vec::new();
    // The built-in ones come first, and a page may end among them.
    let own_after = after.strip_prefix(OWN);
    if own_after.is_none() {
        for (name, _) in builtin::ALL.iter().skip_while(|(name, _)| !is_behind(name, &after)) {
            let attachments = policy::attachments(&api.db, name).await.map_err(from_store)?;
            policies.push(shown_built_in(name, attachments));
        }
    }
    let rows = policy::list(&api.db, own_after.unwrap_or_default(), pages::limit(size)).await;
    policies.extend(rows.map_err(from_store)?.into_iter().map(view::policy));
    let next_token = api.pages.cut(&question, &mut policies, size, |last| {
        let name = last.policy_name();
        match last.built_in() {
            true => name.to_owned(),
            false => format!("{OWN}{}", name.to_lowercase()),
        }
    });
    Ok(ListPoliciesResult { policies, next_token })
}

/// Whether a built-in policy stands behind this one; all stand behind the empty name.
fn is_behind(name: &str, after: &str) -> bool {
    let place = |wanted: &str| builtin::ALL.iter().position(|(known, _)| *known == wanted);
    after.is_empty() || place(name) > place(after)
}

pub(super) async fn delete(api: &AccessApi, request: DeletePolicyRequest) -> Result<DeletePolicyResult, Failure> {
    let name = request.policy_name.unwrap_or_default();
    settle(policy::delete(&api.db, &name).await)?;
    Ok(DeletePolicyResult {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_actions_of_the_contract_are_known_and_slips_of_the_pen_are_not() {
        let text = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Resource": "*",
            "Action": ["ssm:SendCommand", "muster:CreateUser", "muster:Verify*", "ssm:SendComand", "s3:*", "iam:PassRole"]}}"#;
        let policy = parse(text).unwrap();
        let unknown: Vec<_> = policy.unknown_actions(&KNOWN).collect();
        assert_eq!(unknown, ["ssm:SendComand", "s3:*"]);
    }

    #[test]
    fn a_page_may_end_among_the_built_in_policies() {
        let behind = |after| {
            let names = builtin::ALL.iter().map(|(name, _)| *name);
            names.filter(|name| is_behind(name, after)).count()
        };
        assert_eq!((behind(""), behind("admin"), behind("node-core")), (4, 3, 0));
    }
}
