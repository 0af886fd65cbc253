//! Effects, actions, resources, variables, and what is said about a decision.

use std::sync::Arc;

use muster_policy::{Action, Arn, Context, Decision, PolicySet, Principal, builtin};

use super::{action, alice, decide, node, policy, resource, set};

#[test]
fn nothing_is_allowed_by_itself() {
    let nobody = PolicySet::default().decide(&alice(), &action("ssm:ListCommands"), &Arn::any(), &Context::default());
    assert_eq!(nobody, Decision::ImplicitDeny);
    assert_eq!(
        nobody
            .refusal(&alice(), &action("ssm:ListCommands"), &Arn::any())
            .unwrap(),
        "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: ssm:ListCommands on resource: * \
         because no identity-based policy allows the ssm:ListCommands action"
    );
}

#[test]
fn a_denial_outweighs_and_is_said_to_be_one() {
    let set = PolicySet::new([
        ("admin", builtin::policy("admin").unwrap()),
        (
            "no-secrets",
            Arc::new(policy(
                r#"{"Effect":"Allow","Action":"ssm:*","Resource":"*"},
                   {"Effect":"Deny","Action":"ssm:GetParameter*","Resource":"arn:aws:ssm:*:*:parameter/secret/*"},
                   {"Sid":"Never","Effect":"Deny","Action":"*","Resource":"arn:aws:ssm:*:*:parameter/secret/root"}"#,
            )),
        ),
    ])
    .unwrap();
    let get = action("ssm:GetParameter");
    let ask = |on: &str| set.decide(&alice(), &get, &resource(on), &Context::default());
    let said = |decision: &Decision| -> Vec<String> { decision.statements().iter().map(ToString::to_string).collect() };

    let allowed = ask("parameter/app/x");
    assert!(allowed.is_allowed());
    assert_eq!(said(&allowed), ["admin/Everything", "no-secrets[0]"]);
    assert_eq!(allowed.refusal(&alice(), &get, &resource("parameter/app/x")), None);

    let denied = ask("parameter/secret/root");
    assert_eq!(said(&denied), ["no-secrets[1]", "no-secrets/Never"]);
    assert_eq!(
        denied
            .refusal(&alice(), &get, &resource("parameter/secret/root"))
            .unwrap(),
        "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: ssm:GetParameter on resource: \
         arn:aws:ssm:us-east-1:000000000000:parameter/secret/root with an explicit deny in an identity-based policy"
    );
}

#[test]
fn a_principal_has_at_most_fifty_policies() {
    let many = |count: usize| PolicySet::new((0..count).map(|i| (format!("p{i}"), builtin::policy("admin").unwrap())));
    assert!(many(50).is_ok());
    assert_eq!(
        many(51).unwrap_err().to_string(),
        "51 policies, at most 50 for a principal"
    );
}

#[test]
fn the_case_of_actions_means_nothing_and_that_of_resources_does() {
    let allow =
        |of: &str| format!(r#"{{"Effect":"Allow","Action":"{of}","Resource":"arn:aws:ssm:*:*:parameter/App"}}"#);
    for (of, expected) in [
        ("SSM:getparameter", true),
        ("ssm:GET*", true),
        ("ssm:?etParameter", true),
        ("ssm:GetParameter?", false),
        ("ssm:Put*", false),
        ("s3:*", false),
        ("*", true),
    ] {
        assert_eq!(
            decide(&allow(of), &alice(), "parameter/App").is_allowed(),
            expected,
            "{of}"
        );
        assert!(!decide(&allow(of), &alice(), "parameter/app").is_allowed(), "{of}");
    }
    assert_eq!(action("ssm:getparameter"), action("SSM:GetParameter"));
    for bad in ["", "ssm", "ssm:", "ssm:*", "ssm:Get Parameter", "*"] {
        assert!(bad.parse::<Action>().is_err(), "{bad}");
    }
}

#[test]
fn arns_are_matched_part_by_part() {
    let arn = "arn:aws:ssm:us-east-1:000000000000:parameter/app/dev:x";
    for (pattern, expected) in [
        ("*", true),
        ("arn:aws:ssm:us-east-1:000000000000:parameter/app/dev:x", true),
        ("arn:*:*:*:*:*", true),
        ("arn:aws:ssm:us-*-?:0000*:parameter/app/*", true),
        ("arn:aws:ssm:*:*:*:x", true),
        // No star reaches over one of the first colons.
        ("arn:aws:s*1:*:*:x", false),
        ("arn:a*m:*:*:*:*", false),
        ("arn:aws:ssm::*:parameter/*", false),
        ("arn:aws:ssm:*::parameter/*", false),
        ("arn:aws-cn:ssm:*:*:parameter/*", false),
        ("arn:aws:ssm:*:*:parameter/app", false),
        ("arn:aws:ssm:*:*:parameter/app/dev", false),
    ] {
        let policy = set(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"{pattern}"}}"#));
        let decision = policy.decide(&alice(), &action("a:B"), &arn.parse().unwrap(), &Context::default());
        assert_eq!(decision.is_allowed(), expected, "{pattern}");
    }
}

#[test]
fn documents_without_an_account_are_found() {
    let arn: Arn = "arn:aws:ssm:us-east-1::document/AWS-RunShellScript".parse().unwrap();
    assert_eq!((arn.account(), arn.resource()), ("", "document/AWS-RunShellScript"));
    let allow = set(r#"{"Effect":"Allow","Action":"ssm:SendCommand","Resource":"arn:aws:ssm:*:*:document/AWS-*"}"#);
    assert!(
        allow
            .decide(&alice(), &action("ssm:SendCommand"), &arn, &Context::default())
            .is_allowed()
    );
}

#[test]
fn what_is_about_no_resource_is_taken_by_a_star_and_by_what_is_not_named() {
    let allow =
        |what: &str| decide(&format!(r#"{{"Effect":"Allow","Action":"*",{what}}}"#), &alice(), "*").is_allowed();
    assert!(allow(r#""Resource":"*""#));
    assert!(!allow(r#""Resource":"arn:*:*:*:*:*""#));
    assert!(allow(r#""NotResource":"arn:*:*:*:*:*""#));
    assert!(!allow(r#""NotResource":"*""#));
}

#[test]
fn texts_that_are_no_arn_are_refused() {
    for bad in [
        "",
        "arn",
        "arn:aws:ssm:r:a",
        "arn::ssm:r:a:x",
        "arn:aws::r:a:x",
        "arn:aws:ssm:r:a:",
        "urn:aws:ssm:r:a:x",
        "arn:aws:ssm:r/s:a:x",
        "arn:aws:ssm:*:a:x",
        "arn:aws:ssm:r:a:x\ny",
    ] {
        assert!(bad.parse::<Arn>().is_err(), "{bad}");
    }
}

#[test]
fn variables_stand_for_what_the_principal_is() {
    let own = r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:parameter/users/${aws:username}/*"}"#;
    assert!(decide(own, &alice(), "parameter/users/alice/x").is_allowed());
    assert!(!decide(own, &alice(), "parameter/users/bob/x").is_allowed());
    // A role has no user name, and no name is nobody's.
    assert!(!decide(own, &node("mi-0123456789abcdef0"), "parameter/users//x").is_allowed());

    let node_own = r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:managed-instance/${SSM:NodeId}"}"#;
    assert!(decide(node_own, &node("mi-1"), "managed-instance/mi-1").is_allowed());
    assert!(!decide(node_own, &node("mi-1"), "managed-instance/mi-2").is_allowed());
    assert!(!decide(node_own, &alice(), "managed-instance/mi-1").is_allowed());

    let team = r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:parameter/${aws:PrincipalTag/team}/*"}"#;
    let of = |team: &str| alice().with_tags([("Team", team)]);
    assert!(decide(team, &of("red"), "parameter/red/x").is_allowed());
    // A star in a value is only a star.
    assert!(!decide(team, &of("*"), "parameter/red/x").is_allowed());
    assert!(decide(team, &of("*"), "parameter/*/x").is_allowed());
    // Nor does a value name another variable.
    let odd = of("${aws:username}");
    assert!(!decide(team, &odd, "parameter/alice/x").is_allowed());

    let signs = r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:a${*}b${?}c${$}{d}*"}"#;
    assert!(decide(signs, &alice(), "a*b?c${d}e").is_allowed());
    assert!(!decide(signs, &alice(), "axbyc${d}e").is_allowed());
}

#[test]
fn all_but_what_nobody_knows_is_never_allowed_and_always_denied() {
    let statement = |effect: &str, what: &str| {
        let arn = "arn:aws:ssm:*:*:parameter/${aws:PrincipalTag/team}/*";
        format!(r#"{{"Effect":"{effect}","Action":"*","{what}":"{arn}"}}"#)
    };
    let on = "parameter/red/x";
    assert_eq!(
        decide(&statement("Allow", "Resource"), &alice(), on),
        Decision::ImplicitDeny
    );
    assert_eq!(
        decide(&statement("Allow", "NotResource"), &alice(), on),
        Decision::ImplicitDeny
    );
    let deny = decide(&statement("Deny", "NotResource"), &alice(), on);
    assert!(matches!(deny, Decision::ExplicitDeny(_)));
    let of_red = alice().with_tags([("team", "red")]);
    assert_eq!(
        decide(&statement("Allow", "NotResource"), &of_red, on),
        Decision::ImplicitDeny
    );
    let of_blue = alice().with_tags([("team", "blue")]);
    assert!(decide(&statement("Allow", "NotResource"), &of_blue, on).is_allowed());
}

#[test]
fn a_principal_is_called_by_the_last_part_of_its_arn() {
    let of = |arn: &str| Principal::new(arn.parse().unwrap());
    assert_eq!(of("arn:aws:iam::000000000000:user/team/alice").name(), "alice");
    assert_eq!(of("arn:aws:sts::000000000000:assumed-role/Nodes/mi-1").name(), "mi-1");
    assert_eq!(of("arn:aws:iam::000000000000:root").name(), "root");
}
