//! What holds of all policies.

use std::sync::Arc;

use muster_policy::{Context, Decision, Policy, PolicySet, Principal};
use proptest::prelude::*;

use super::{action, alice, node, policy, resource};

/// Who asks for what.
#[derive(Debug, Clone)]
struct Request {
    who: Principal,
    action: String,
    resource: String,
    context: Context,
}

fn request() -> impl Strategy<Value = Request> {
    let who = prop_oneof![
        Just(alice()),
        Just(alice().with_tags([("team", "a")])),
        Just(node("mi-1"))
    ];
    let action = prop::sample::select(vec!["ssm:GetA", "ssm:GetB", "ssm:Put", "muster:GetA"]);
    let resource = prop::sample::select(vec!["*", "p/a", "p/a/b", "p/alice", "q/a", "p/mi-1"]);
    let tag = prop::option::of(prop::sample::select(vec!["a", "b", "7"]));
    let keys = prop::collection::vec(prop::sample::select(vec!["k", "l"]), 0..3);
    (who, action, resource, tag, keys, any::<Option<bool>>()).prop_map(|(who, action, resource, tag, keys, flag)| {
        let mut context = Context {
            secure_transport: flag,
            tag_keys: keys.into_iter().map(str::to_owned).collect(),
            ..Context::default()
        };
        if let Some(tag) = tag {
            context.set("ssm:resourceTag/t", tag).unwrap();
        }
        Request {
            who,
            action: action.to_owned(),
            resource: resource.to_owned(),
            context,
        }
    })
}

fn list(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(of), 1..3).prop_map(|all| {
        let all: Vec<String> = all.iter().map(|one| format!("{one:?}")).collect();
        format!("[{}]", all.join(","))
    })
}

fn actions() -> impl Strategy<Value = String> {
    list(&["ssm:*", "ssm:Get*", "ssm:GetA", "*", "SSM:put", "muster:*"])
}

fn resources() -> impl Strategy<Value = String> {
    list(&[
        "*",
        "arn:aws:ssm:*:*:p/*",
        "arn:aws:ssm:*:*:p/?",
        "arn:aws:ssm:*:*:p/${aws:username}",
        "arn:aws:ssm:*:*:p/${aws:PrincipalTag/team}*",
        "arn:*:*:*:*:*${ssm:nodeId}",
        "arn:aws:ssm:eu-*:*:*",
    ])
}

const CONDITIONS: &[&str] = &[
    "",
    r#","Condition":{"StringEquals":{"ssm:resourceTag/t":"a"}}"#,
    r#","Condition":{"StringNotEquals":{"ssm:resourceTag/t":"${aws:PrincipalTag/team}"}}"#,
    r#","Condition":{"NumericNotEqualsIfExists":{"ssm:resourceTag/t":7}}"#,
    r#","Condition":{"Bool":{"aws:SecureTransport":true}}"#,
    r#","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"k"}}"#,
    r#","Condition":{"ForAnyValue:StringLike":{"aws:TagKeys":"?"},"Null":{"ssm:nodeId":true}}"#,
];

fn statement(effect: &'static str) -> impl Strategy<Value = String> {
    let names = (any::<bool>(), any::<bool>());
    (names, actions(), resources(), prop::sample::select(CONDITIONS)).prop_map(
        move |((not_action, not_resource), actions, resources, condition)| {
            let action = if not_action { "NotAction" } else { "Action" };
            let resource = if not_resource { "NotResource" } else { "Resource" };
            format!(r#"{{"Effect":"{effect}","{action}":{actions},"{resource}":{resources}{condition}}}"#)
        },
    )
}

fn statements() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof![statement("Allow"), statement("Deny")], 1..6)
}

/// One policy for each statement.
fn decide(statements: &[String], request: &Request) -> Decision {
    let policies = statements.iter().enumerate();
    let policies = policies.map(|(number, statement)| (format!("p{number}"), Arc::new(policy(statement))));
    PolicySet::new(policies).unwrap().decide(
        &request.who,
        &action(&request.action),
        &resource(&request.resource),
        &request.context,
    )
}

fn is_denial(decision: &Decision) -> bool {
    matches!(decision, Decision::ExplicitDeny(_))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_order_of_statements_means_nothing(all in statements(), request in request(), turn in 0_usize..6) {
        let there = decide(&all, &request);
        let mut turned = all.clone();
        turned.rotate_left(turn % all.len());
        turned.reverse();
        let back = decide(&turned, &request);
        prop_assert_eq!(there.is_allowed(), back.is_allowed());
        prop_assert_eq!(is_denial(&there), is_denial(&back));
        prop_assert_eq!(there.statements().len(), back.statements().len());
        // One policy of all statements says the same.
        let together = decide(&[all.join(",")], &request);
        prop_assert_eq!(there.is_allowed(), together.is_allowed());
        prop_assert_eq!(is_denial(&there), is_denial(&together));
    }

    #[test]
    fn a_denial_that_applies_outweighs_all(all in statements(), deny in statement("Deny"), request in request()) {
        let alone = decide(std::slice::from_ref(&deny), &request);
        let mut with = all.clone();
        with.push(deny);
        let with = decide(&with, &request);
        if is_denial(&alone) {
            prop_assert!(is_denial(&with));
        } else {
            // And one that does not apply changes nothing.
            prop_assert_eq!(with, decide(&all, &request));
        }
    }

    #[test]
    fn more_denials_never_grant(all in statements(), deny in statement("Deny"), request in request()) {
        let before = decide(&all, &request);
        let mut with = all;
        with.push(deny);
        prop_assert!(before.is_allowed() || !decide(&with, &request).is_allowed());
    }

    #[test]
    fn more_allowance_never_denies(all in statements(), allow in statement("Allow"), request in request()) {
        let before = decide(&all, &request);
        let mut with = all;
        with.push(allow);
        let after = decide(&with, &request);
        prop_assert!(!before.is_allowed() || after.is_allowed());
        prop_assert_eq!(is_denial(&before), is_denial(&after));
    }

    #[test]
    fn the_reasons_alone_give_the_same_answer(all in statements(), request in request()) {
        let decision = decide(&all, &request);
        let reasons: Vec<String> = decision.statements().iter()
            .map(|id| all[id.policy[1..].parse::<usize>().unwrap()].clone())
            .collect();
        if !reasons.is_empty() {
            let again = decide(&reasons, &request);
            prop_assert_eq!(again.is_allowed(), decision.is_allowed());
            prop_assert_eq!(again.statements().len(), reasons.len());
        }
    }

    #[test]
    fn not_action_is_the_rest_of_action(actions in actions(), request in request()) {
        let allow = |name: &str| decide(&[format!(r#"{{"Effect":"Allow","{name}":{actions},"Resource":"*"}}"#)], &request);
        prop_assert_ne!(allow("Action").is_allowed(), allow("NotAction").is_allowed());
    }

    #[test]
    fn not_resource_is_the_rest_of_resource_in_denials(resources in resources(), request in request()) {
        let deny = |name: &str| decide(&[format!(r#"{{"Effect":"Deny","Action":"*","{name}":{resources}}}"#)], &request);
        prop_assert_ne!(is_denial(&deny("Resource")), is_denial(&deny("NotResource")));
    }

    #[test]
    fn not_resource_allows_nothing_that_resource_allows(resources in resources(), request in request()) {
        let allow = |name: &str| {
            decide(&[format!(r#"{{"Effect":"Allow","Action":"*","{name}":{resources}}}"#)], &request).is_allowed()
        };
        prop_assert!(!(allow("Resource") && allow("NotResource")));
        if !resources.contains("${") {
            prop_assert!(allow("Resource") || allow("NotResource"));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Policy::from_bytes(&bytes);
    }

    #[test]
    fn any_text_in_any_place_is_read_or_refused(text in "\\PC{0,12}", place in 0_usize..8) {
        let text = format!("{text:?}").replace("\\u{", "\\\\u{");
        let mut parts = [r#""2012-10-17""#, r#""Allow""#, r#""ssm:*""#, r#""*""#, r#""StringLike""#, r#""aws:username""#,
            r#""a""#, r#""A""#].map(str::to_owned);
        parts[place] = text;
        let [version, effect, action, resource, operator, key, value, sid] = parts;
        let whole = format!(r#"{{"Version":{version},"Statement":{{"Sid":{sid},"Effect":{effect},"Action":{action},
            "Resource":{resource},"Condition":{{{operator}:{{{key}:{value}}}}}}}}}"#);
        let _ = Policy::parse(&whole).map_err(|error| error.to_string());
    }
}
