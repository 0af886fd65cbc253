//! Policies as their authors and those who are judged by them see them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod builtin;
mod conditions;
mod decisions;
mod properties;
mod refused;

use std::sync::Arc;

use muster_policy::{Action, Arn, Context, Decision, Policy, PolicySet, Principal};

const ALICE: &str = "arn:aws:iam::000000000000:user/alice";

fn alice() -> Principal {
    Principal::new(ALICE.parse().unwrap())
}

fn node(id: &str) -> Principal {
    let arn = format!("arn:aws:sts::000000000000:assumed-role/Nodes/{id}");
    Principal::new(arn.parse().unwrap()).with_node(id)
}

fn action(text: &str) -> Action {
    text.parse().unwrap()
}

/// `*`, or what stands behind the account of a resource of the service `ssm`.
fn resource(text: &str) -> Arn {
    match text {
        "*" => Arn::any(),
        resource => Arn::new("aws", "ssm", "us-east-1", "000000000000", resource).unwrap(),
    }
}

/// A policy of these statements.
fn policy(statements: &str) -> Policy {
    let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#);
    Policy::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn set(statements: &str) -> PolicySet {
    PolicySet::new([("p", Arc::new(policy(statements)))]).unwrap()
}

/// What the statements say to `ssm:GetParameter` on a resource, without a context.
fn decide(statements: &str, who: &Principal, on: &str) -> Decision {
    let get = action("ssm:GetParameter");
    set(statements).decide(who, &get, &resource(on), &Context::default())
}
