//! Policies: an action, a resource and the text of a policy, with a byte 1 between them.
//!
//! Whatever the policy says, a policy that denies everything beside it denies, and one that allows everything never makes
//! something forbidden that was not denied.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_policy::{Action, Arn, Context, Decision, Policy, PolicySet, Principal, builtin};

const DENY_ALL: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;

/// Reads the policy and asks it.
pub fn run(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == 1);
    let (action, resource, policy) = (text(parts.next()), text(parts.next()), parts.next().unwrap_or_default());
    let policy = match Policy::from_bytes(policy) {
        Ok(policy) => Arc::new(policy),
        Err(error) => {
            let shown = error.to_string();
            assert!(
                !shown.is_empty() && shown.len() < 4_096,
                "an error of {} bytes",
                shown.len()
            );
            return;
        }
    };
    assert!(policy.statements() > 0);
    let action: Action = action
        .parse()
        .unwrap_or_else(|_| "ssm:GetParameter".parse().expect("an action"));
    let resource: Arn = resource.parse().unwrap_or_else(|_| Arn::any());
    let alone = [("given", Arc::clone(&policy))];
    let denied = [
        ("given", Arc::clone(&policy)),
        ("deny", Arc::new(Policy::parse(DENY_ALL).expect("a policy"))),
    ];
    let allowed = [
        ("given", policy),
        ("admin", builtin::policy("admin").expect("it is built in")),
    ];
    for who in principals() {
        for context in contexts() {
            let decide = |policies: &[(&str, Arc<Policy>)]| {
                let set = PolicySet::new(policies.iter().cloned()).expect("two policies are not too many");
                set.decide(&who, &action, &resource, &context)
            };
            let decision = decide(&alone);
            assert_eq!(
                decision.is_allowed(),
                decision.refusal(&who, &action, &resource).is_none()
            );
            assert_eq!(decision.statements().is_empty(), decision == Decision::ImplicitDeny);
            assert!(matches!(decide(&denied), Decision::ExplicitDeny(_)));
            assert_eq!(
                decide(&allowed).is_allowed(),
                !matches!(decision, Decision::ExplicitDeny(_))
            );
        }
    }
}

fn text(bytes: Option<&[u8]>) -> &str {
    bytes
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .unwrap_or_default()
}

fn principals() -> [Principal; 2] {
    let of = |arn: &str| Principal::new(arn.parse().expect("an ARN"));
    [
        of("arn:aws:iam::000000000000:user/alice").with_tags([("team", "*"), ("level", "2")]),
        of("arn:aws:sts::000000000000:assumed-role/Nodes/mi-0123456789abcdef0").with_node("mi-0123456789abcdef0"),
    ]
}

fn contexts() -> [Context; 2] {
    let tags = |value: &str| BTreeMap::from([("Env".to_owned(), value.to_owned()), ("k".to_owned(), "x".to_owned())]);
    let full = Context {
        source_ip: "10.1.2.3".parse().ok(),
        secure_transport: Some(true),
        request_tags: tags("a"),
        resource_tags: tags("dev"),
        overwrite: Some(false),
        document_type: Some("Command".to_owned()),
        ..Context::default()
    };
    [Context::default(), full]
}
