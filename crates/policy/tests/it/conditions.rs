//! Each operator, on keys that are there, that are not, and that hold what the operator cannot read.

use muster_policy::{Arn, Context, Decision, Principal};

use super::{action, alice, node, set};

/// Whether a statement with this condition applies; asked of an `Allow`.
fn holds(condition: &str, who: &Principal, context: &Context) -> bool {
    applies("Allow", condition, who, context)
}

fn applies(effect: &str, condition: &str, who: &Principal, context: &Context) -> bool {
    let statement = format!(r#"{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{{{condition}}}}}"#);
    let decision = set(&statement).decide(who, &action("ssm:AddTagsToResource"), &Arn::any(), context);
    decision != Decision::ImplicitDeny
}

fn context(keys: &[(&str, &str)]) -> Context {
    let mut context = Context::default();
    for (key, value) in keys {
        context.set(key, value).unwrap();
    }
    context
}

fn check(condition: &str, keys: &[(&str, &str)], expected: bool) {
    let found = holds(condition, &alice(), &context(keys));
    assert_eq!(found, expected, "{condition} with {keys:?}");
}

#[test]
fn texts() {
    let env = |value| [("ssm:resourceTag/Env", value)];
    for (condition, value, expected) in [
        (r#""StringEquals":{"ssm:resourceTag/Env":"dev"}"#, "dev", true),
        (r#""StringEquals":{"ssm:resourceTag/Env":"dev"}"#, "Dev", false),
        (r#""StringEquals":{"aws:ResourceTag/Env":["test","dev"]}"#, "dev", true),
        (r#""StringEquals":{"aws:ResourceTag/Env":"d*"}"#, "dev", false),
        (r#""StringEquals":{"aws:ResourceTag/Env":"d*"}"#, "d*", true),
        (
            r#""StringNotEquals":{"aws:ResourceTag/Env":["test","dev"]}"#,
            "dev",
            false,
        ),
        (
            r#""StringNotEquals":{"aws:ResourceTag/Env":["test","dev"]}"#,
            "prod",
            true,
        ),
        (r#""StringEqualsIgnoreCase":{"aws:ResourceTag/Env":"DÉV"}"#, "dév", true),
        (
            r#""StringNotEqualsIgnoreCase":{"aws:ResourceTag/Env":"DEV"}"#,
            "dev",
            false,
        ),
        (r#""StringLike":{"aws:ResourceTag/Env":"d?v*"}"#, "dev-1", true),
        (r#""StringLike":{"aws:ResourceTag/Env":"d?v${*}"}"#, "dev-1", false),
        (r#""StringNotLike":{"aws:ResourceTag/Env":"d*"}"#, "dev", false),
        (r#""StringLike":{"aws:resourcetag/env":"dev"}"#, "dev", true),
        (
            r#""StringEquals":{"ssm:resourceTag/Env":"${aws:username}"}"#,
            "alice",
            true,
        ),
        (
            r#""StringEqualsIgnoreCase":{"ssm:resourceTag/Env":"X-${aws:username}"}"#,
            "x-ALICE",
            true,
        ),
    ] {
        check(condition, &env(value), expected);
    }
}

#[test]
fn all_conditions_must_hold_and_one_value_of_each() {
    let both =
        r#""StringEquals":{"ssm:resourceTag/a":["1","2"],"ssm:resourceTag/b":"1"},"Bool":{"ssm:Overwrite":"true"}"#;
    check(
        both,
        &[
            ("ssm:resourceTag/a", "2"),
            ("ssm:resourceTag/b", "1"),
            ("ssm:Overwrite", "true"),
        ],
        true,
    );
    check(
        both,
        &[
            ("ssm:resourceTag/a", "2"),
            ("ssm:resourceTag/b", "2"),
            ("ssm:Overwrite", "true"),
        ],
        false,
    );
    check(both, &[("ssm:resourceTag/a", "2"), ("ssm:resourceTag/b", "1")], false);
}

#[test]
fn numbers() {
    for (operator, value, expected) in [
        ("NumericEquals", "2.0", true),
        ("NumericNotEquals", "2", false),
        ("NumericNotEquals", "3", true),
        ("NumericLessThan", "2", false),
        ("NumericLessThan", "-1", true),
        ("NumericLessThanEquals", "2", true),
        ("NumericGreaterThan", "2", false),
        ("NumericGreaterThan", "10", true),
        ("NumericGreaterThanEquals", "2", true),
    ] {
        let text = format!(r#""{operator}":{{"aws:RequestTag/n":"2"}}"#);
        check(&text, &[("aws:RequestTag/n", value)], expected);
        let number = format!(r#""{operator}":{{"aws:RequestTag/n":2}}"#);
        check(&number, &[("aws:RequestTag/n", value)], expected);
    }
}

#[test]
fn what_cannot_be_read_never_allows() {
    let odd = context(&[("aws:RequestTag/n", "many")]);
    for operator in [
        "NumericEquals",
        "NumericNotEquals",
        "NumericLessThan",
        "DateGreaterThan",
        "DateNotEquals",
        "Bool",
    ] {
        let value = if operator == "Bool" { "true" } else { "1700000000" };
        let condition = format!(r#""{operator}":{{"aws:RequestTag/n":"{value}"}}"#);
        assert!(!holds(&condition, &alice(), &odd), "{operator}");
        let denies = applies("Deny", &condition, &alice(), &odd);
        assert_eq!(denies, operator.contains("Not"), "{operator}");
    }
    // The same for a variable without a value.
    let tagged = context(&[("ssm:resourceTag/team", "red")]);
    for operator in [
        "StringEquals",
        "StringNotEquals",
        "StringNotLike",
        "StringNotEqualsIgnoreCase",
    ] {
        let condition = format!(r#""{operator}":{{"ssm:resourceTag/team":"${{aws:PrincipalTag/team}}"}}"#);
        assert!(!holds(&condition, &alice(), &tagged), "{operator}");
        assert_eq!(
            applies("Deny", &condition, &alice(), &tagged),
            operator.contains("Not"),
            "{operator}"
        );
    }
}

#[test]
fn times() {
    for (operator, expected) in [
        ("DateEquals", [false, true, false]),
        ("DateNotEquals", [true, false, true]),
        ("DateLessThan", [true, false, false]),
        ("DateLessThanEquals", [true, true, false]),
        ("DateGreaterThan", [false, false, true]),
        ("DateGreaterThanEquals", [false, true, true]),
    ] {
        let now = ["2026-01-31T11:59:59Z", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5Z"];
        for (now, expected) in now.into_iter().zip(expected) {
            for value in [r#""2026-01-31T13:00:00+01:00""#, r#""1769860800""#, "1769860800"] {
                let condition = format!(r#""{operator}":{{"aws:CurrentTime":{value}}}"#);
                check(&condition, &[("aws:CurrentTime", now)], expected);
            }
        }
    }
}

#[test]
fn flags_addresses_and_arns() {
    check(
        r#""Bool":{"aws:SecureTransport":true}"#,
        &[("aws:SecureTransport", "true")],
        true,
    );
    check(
        r#""Bool":{"aws:SecureTransport":"false"}"#,
        &[("aws:SecureTransport", "true")],
        false,
    );
    check(
        r#""StringEquals":{"ssm:Recursive":"true"}"#,
        &[("ssm:Recursive", "true")],
        true,
    );
    let inside = r#""IpAddress":{"aws:SourceIp":["10.0.0.0/8","2001:db8::/32"]}"#;
    check(inside, &[("aws:SourceIp", "10.9.9.9")], true);
    check(inside, &[("aws:SourceIp", "::ffff:10.9.9.9")], true);
    check(inside, &[("aws:SourceIp", "192.0.2.1")], false);
    check(
        r#""NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}"#,
        &[("aws:SourceIp", "10.9.9.9")],
        false,
    );
    check(
        r#""NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}"#,
        &[("aws:SourceIp", "11.9.9.9")],
        true,
    );

    let nobody = Context::default();
    for operator in ["ArnEquals", "ArnLike"] {
        let users = format!(r#""{operator}":{{"aws:PrincipalArn":"arn:aws:iam::*:user/al*"}}"#);
        assert!(holds(&users, &alice(), &nobody), "{operator}");
        // A session is its role here.
        let role = format!(r#""{operator}":{{"aws:PrincipalArn":"arn:aws:iam::000000000000:role/Nodes"}}"#);
        assert!(holds(&role, &node("mi-1"), &nobody), "{operator}");
    }
    for operator in ["ArnNotEquals", "ArnNotLike"] {
        let others = format!(r#""{operator}":{{"aws:PrincipalArn":"arn:aws:iam::*:user/al*"}}"#);
        assert!(!holds(&others, &alice(), &nobody), "{operator}");
        assert!(holds(&others, &node("mi-1"), &nobody), "{operator}");
    }
    assert!(holds(r#""StringEquals":{"ssm:nodeId":"mi-1"}"#, &node("mi-1"), &nobody));
    assert!(holds(r#""StringEquals":{"aws:username":"alice"}"#, &alice(), &nobody));
}

#[test]
fn a_key_without_a_value_fits_negations_and_if_exists() {
    for (operator, key, value) in [
        ("StringEquals", "ssm:DocumentType", r#""Command""#),
        ("StringLike", "ssm:Policies", r#""*""#),
        ("StringEqualsIgnoreCase", "aws:RequestTag/k", r#""*""#),
        ("NumericGreaterThan", "aws:ResourceTag/k", "0"),
        ("DateLessThan", "aws:CurrentTime", r#""2030-01-01""#),
        ("Bool", "aws:SecureTransport", "false"),
        ("IpAddress", "aws:SourceIp", r#""0.0.0.0/0""#),
        ("StringLike", "ssm:nodeId", r#""*""#),
    ] {
        check(&format!(r#""{operator}":{{"{key}":{value}}}"#), &[], false);
        check(&format!(r#""{operator}IfExists":{{"{key}":{value}}}"#), &[], true);
    }
    for operator in [
        "StringNotEquals",
        "StringNotLike",
        "StringNotEqualsIgnoreCase",
        "NumericNotEquals",
    ] {
        check(&format!(r#""{operator}":{{"ssm:resourceTag/k":"1"}}"#), &[], true);
    }
    check(r#""NotIpAddress":{"aws:SourceIp":"0.0.0.0/0"}"#, &[], true);
    // With a value `IfExists` changes nothing.
    check(
        r#""StringEqualsIfExists":{"ssm:DocumentType":"Command"}"#,
        &[("ssm:DocumentType", "Policy")],
        false,
    );
    check(
        r#""StringEqualsIfExists":{"ssm:DocumentType":"Command"}"#,
        &[("ssm:DocumentType", "Command")],
        true,
    );
}

#[test]
fn null_asks_whether_a_key_is_there() {
    let (there, away) = (
        r#""Null":{"aws:RequestTag/k":"false"}"#,
        r#""Null":{"aws:RequestTag/k":true}"#,
    );
    check(there, &[("aws:RequestTag/k", "")], true);
    check(there, &[], false);
    check(away, &[], true);
    check(away, &[("aws:RequestTag/k", "")], false);
    check(r#""Null":{"aws:TagKeys":"true"}"#, &[], true);
    check(r#""Null":{"aws:TagKeys":"true"}"#, &[("aws:RequestTag/k", "v")], false);
}

#[test]
fn many_values() {
    let keys = |keys: &[&'static str]| -> Vec<(&'static str, &'static str)> {
        keys.iter().map(|key| ("aws:TagKeys", *key)).collect()
    };
    for (condition, present, expected) in [
        (
            r#""ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}"#,
            &["a", "b"][..],
            true,
        ),
        (
            r#""ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}"#,
            &["a", "c"],
            false,
        ),
        (r#""ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}"#, &[], true),
        (
            r#""ForAllValues:StringNotEquals":{"aws:TagKeys":["a","b"]}"#,
            &["c"],
            true,
        ),
        (
            r#""ForAllValues:StringNotEquals":{"aws:TagKeys":["a","b"]}"#,
            &["c", "a"],
            false,
        ),
        (r#""ForAllValues:StringNotEquals":{"aws:TagKeys":["a","b"]}"#, &[], true),
        (r#""ForAnyValue:StringLike":{"aws:TagKeys":["a*"]}"#, &["b", "ab"], true),
        (r#""ForAnyValue:StringLike":{"aws:TagKeys":["a*"]}"#, &["b"], false),
        (r#""ForAnyValue:StringLike":{"aws:TagKeys":["a*"]}"#, &[], false),
        (
            r#""ForAnyValue:StringNotLike":{"aws:TagKeys":["a*"]}"#,
            &["a", "b"],
            true,
        ),
        (r#""ForAnyValue:StringNotLike":{"aws:TagKeys":["a*"]}"#, &[], false),
        (r#""ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a*"]}"#, &[], true),
        (
            r#""ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a*"]}"#,
            &["b"],
            false,
        ),
    ] {
        check(condition, &keys(present), expected);
    }
    // The tags that a request sets are among them, whoever forgets to say so.
    let only_a = r#""ForAllValues:StringEquals":{"aws:TagKeys":"a"}"#;
    check(only_a, &[("aws:RequestTag/a", "1"), ("aws:RequestTag/b", "1")], false);
}

#[test]
fn tags_that_nobody_knows_deny_and_never_allow() {
    let unknown = Context {
        resource_tags_unknown: true,
        ..Context::default()
    };
    for condition in [
        r#""StringEquals":{"ssm:resourceTag/Env":"prod"}"#,
        r#""StringNotLike":{"aws:ResourceTag/Env":"prod"}"#,
        r#""StringEqualsIfExists":{"aws:ResourceTag/Env":"prod"}"#,
        r#""Null":{"aws:ResourceTag/Env":true}"#,
        r#""Null":{"aws:ResourceTag/Env":false}"#,
    ] {
        assert!(!applies("Allow", condition, &alice(), &unknown), "{condition}");
        assert!(applies("Deny", condition, &alice(), &unknown), "{condition}");
    }
}

#[test]
fn a_tag_is_looked_for_as_it_is_written_first() {
    let tags = [("Env", "prod"), ("env", "dev")];
    let two = Context {
        resource_tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Context::default()
    };
    assert!(holds(
        r#""StringEquals":{"ssm:resourceTag/Env":"prod"}"#,
        &alice(),
        &two
    ));
    assert!(holds(r#""StringEquals":{"ssm:resourceTag/env":"dev"}"#, &alice(), &two));
}

#[test]
fn a_context_refuses_what_it_does_not_know() {
    let mut context = Context::default();
    for (key, value) in [
        ("aws:userid", "x"),
        ("aws:username", "root"),
        ("aws:PrincipalTag/team", "red"),
        ("ssm:nodeId", "mi-1"),
        ("aws:SourceIp", "10.0.0.0/8"),
        ("aws:CurrentTime", "now"),
        ("ssm:Overwrite", "yes"),
    ] {
        let error = context.set(key, value).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    assert_eq!(context, Context::default());
}
