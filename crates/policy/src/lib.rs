//! Who may do what: a strict subset of IAM's policy language, and its evaluator (aws-json-gateway 7).
//!
//! Everything here is a pure function of its arguments: no IO, no clock, no task, and no knowledge of any operation.
//! One evaluator serves every surface: the gateway, gRPC, NATS, and what nodes may do by their role.
//!
//! ```
//! use std::sync::Arc;
//! use muster_policy::{Action, Arn, Context, Policy, PolicySet, Principal};
//!
//! let policy = Policy::parse(
//!     r#"{"Version": "2012-10-17", "Statement": {"Sid": "Dev", "Effect": "Allow", "Action": "ssm:GetParameter*",
//!         "Resource": "arn:aws:ssm:*:*:parameter/app/dev/*"}}"#,
//! )?;
//! let set = PolicySet::new([("dev", Arc::new(policy))])?;
//! let alice = Principal::new("arn:aws:iam::000000000000:user/alice".parse()?);
//! let action: Action = "ssm:GetParameter".parse()?;
//! let resource: Arn = "arn:aws:ssm:us-east-1:000000000000:parameter/app/prod/x".parse()?;
//! let decision = set.decide(&alice, &action, &resource, &Context::default());
//! assert_eq!(
//!     decision.refusal(&alice, &action, &resource).as_deref(),
//!     Some(
//!         "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: ssm:GetParameter on resource: \
//!          arn:aws:ssm:us-east-1:000000000000:parameter/app/prod/x because no identity-based policy allows the \
//!          ssm:GetParameter action"
//!     )
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The language
//!
//! - `Version` must be `2012-10-17`. A statement has `Sid`, `Effect`, `Action` or `NotAction`, `Resource` or `NotResource`,
//!   `Condition`, and nothing else. What this crate does not know is refused with the place and the rule, never ignored.
//! - Actions are `*` or `service:glob`, and their case means nothing. Resources are `*` or ARNs, matched part by part: no
//!   star reaches over one of the first five colons.
//! - Operators: `String{Equals,NotEquals,EqualsIgnoreCase,NotEqualsIgnoreCase,Like,NotLike}`,
//!   `Arn{Equals,NotEquals,Like,NotLike}`, `Numeric…` and `Date…`
//!   `{Equals,NotEquals,LessThan,LessThanEquals,GreaterThan,GreaterThanEquals}`, `Bool`, `IpAddress`, `NotIpAddress`, `Null`;
//!   `…IfExists`; `ForAnyValue:` and `ForAllValues:` for the one key with many values, `aws:TagKeys`, which needs one of them.
//! - Keys: `aws:PrincipalArn`, `aws:username`, `aws:PrincipalTag/k`, `aws:SourceIp`, `aws:CurrentTime`,
//!   `aws:SecureTransport`, `aws:RequestTag/k`, `aws:TagKeys`, `aws:ResourceTag/k`, `ssm:resourceTag/k`, `ssm:Overwrite`,
//!   `ssm:Recursive`, `ssm:Policies`, `ssm:DocumentType`, `ssm:nodeId`. Their case means nothing.
//! - Variables `${aws:username}`, `${aws:PrincipalTag/k}`, `${ssm:nodeId}`, `${*}`, `${?}`, `${$}` may stand in resources
//!   (behind the fifth colon) and in the values of String and Arn operators.
//!
//! What cannot be said never allows: where a variable has no value, or a tag is no number, a pattern takes nothing, and a
//! negation (`NotResource`, `…NotEquals`) that would have to use it holds in a `Deny` only.
//!
//! Limits: a policy has at most 65,536 bytes, a principal at most 50 policies.

mod action;
mod arn;
pub mod builtin;
mod condition;
mod context;
mod decision;
mod glob;
mod json;
mod key;
mod moment;
mod net;
mod operator;
mod pattern;
mod policy;
mod principal;
mod refusal;
mod statement;

pub use action::{Action, ActionError};
pub use arn::{Arn, ArnError};
pub use context::{Context, ContextError};
pub use decision::{Decision, MAX_POLICIES, PolicySet, StatementId, TooManyPolicies};
pub use policy::{MAX_BYTES, Policy};
pub use principal::Principal;
pub use refusal::{PolicyError, Rule};
pub use statement::Effect;
