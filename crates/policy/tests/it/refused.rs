//! What is no policy: each with the place and the rule that the author is told.

use muster_policy::{Policy, Rule};

/// A policy of one statement with these members.
fn statement(members: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{{members}}}]}}"#)
}

/// A statement that would be fine but for its condition.
fn condition(condition: &str) -> String {
    statement(&format!(
        r#""Effect":"Allow","Action":"ssm:*","Resource":"*","Condition":{condition}"#
    ))
}

fn check(text: &str, path: &str, rule: Rule) {
    let error = match Policy::parse(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error,
    };
    assert_eq!((error.path(), error.rule()), (path, rule), "{error}: {text}");
    let place = if path.is_empty() { "policy" } else { path };
    assert!(error.to_string().starts_with(&format!("{place}: {rule}: ")), "{error}");
}

#[test]
fn a_text_that_is_no_object_of_version_and_statements() {
    check("", "", Rule::NotJson);
    check("{} x", "", Rule::NotJson);
    check("[]", "", Rule::WrongType);
    check("{}", "", Rule::Empty);
    check(r#"{"Statement":[]}"#, "", Rule::MissingElement);
    check(r#"{"Version":"2012-10-17"}"#, "", Rule::MissingElement);
    check(r#"{"Version":"2008-10-17","Statement":[]}"#, "/Version", Rule::Version);
    check(r#"{"Version":20121017,"Statement":[]}"#, "/Version", Rule::WrongType);
    check(r#"{"Version":"2012-10-17","Statement":[]}"#, "/Statement", Rule::Empty);
    check(
        r#"{"Version":"2012-10-17","Statement":["x"]}"#,
        "/Statement/0",
        Rule::WrongType,
    );
    check(
        r#"{"Version":"2012-10-17","Statement":null}"#,
        "/Statement",
        Rule::WrongType,
    );
    check(
        r#"{"version":"2012-10-17","Statement":[]}"#,
        "/version",
        Rule::UnknownElement,
    );
    check(
        r#"{"Version":"2012-10-17","Id":"x","Statement":[]}"#,
        "/Id",
        Rule::UnknownElement,
    );
    let twice = r#"{"Version":"2012-10-17","Statement":[],"Version":"2012-10-17"}"#;
    check(twice, "/Version", Rule::DuplicateMember);
    check(&"[".repeat(60_000), "", Rule::NotJson);
}

#[test]
fn a_statement_with_a_member_too_many_too_few_or_of_another_type() {
    let at = "/Statement/0";
    for (members, path, rule) in [
        (r#""Effect":"Allow","Action":"a:b""#, at, Rule::MissingElement),
        (r#""Effect":"Allow","Resource":"*""#, at, Rule::MissingElement),
        (r#""Action":"a:b","Resource":"*""#, at, Rule::MissingElement),
        (
            r#""Effect":"Allow","Action":"a:b","NotAction":"a:c","Resource":"*""#,
            at,
            Rule::Conflict,
        ),
        (
            r#""Effect":"Allow","Action":"a:b","Resource":"*","NotResource":"*""#,
            at,
            Rule::Conflict,
        ),
        (
            r#""Effect":"Allow","Principal":"*","Action":"a:b","Resource":"*""#,
            "/Statement/0/Principal",
            Rule::UnknownElement,
        ),
        (
            r#""Effect":"Allow","Effect":"Deny","Action":"a:b","Resource":"*""#,
            "/Statement/0/Effect",
            Rule::DuplicateMember,
        ),
        (
            r#""Effect":"allow","Action":"a:b","Resource":"*""#,
            "/Statement/0/Effect",
            Rule::Effect,
        ),
        (
            r#""Effect":true,"Action":"a:b","Resource":"*""#,
            "/Statement/0/Effect",
            Rule::WrongType,
        ),
        (
            r#""Sid":"a b","Effect":"Deny","Action":"a:b","Resource":"*""#,
            "/Statement/0/Sid",
            Rule::Sid,
        ),
        (
            r#""Sid":"","Effect":"Deny","Action":"a:b","Resource":"*""#,
            "/Statement/0/Sid",
            Rule::Sid,
        ),
        (
            r#""Sid":1,"Effect":"Deny","Action":"a:b","Resource":"*""#,
            "/Statement/0/Sid",
            Rule::WrongType,
        ),
        (
            r#""Effect":"Deny","Action":[],"Resource":"*""#,
            "/Statement/0/Action",
            Rule::Empty,
        ),
        (
            r#""Effect":"Deny","Action":{},"Resource":"*""#,
            "/Statement/0/Action",
            Rule::WrongType,
        ),
        (
            r#""Effect":"Deny","Action":["a:b",1],"Resource":"*""#,
            "/Statement/0/Action/1",
            Rule::WrongType,
        ),
        (
            r#""Effect":"Deny","Action":"a:b","Resource":[]"#,
            "/Statement/0/Resource",
            Rule::Empty,
        ),
        (
            r#""Effect":"Deny","NotAction":"a:b","NotResource":[]"#,
            "/Statement/0/NotResource",
            Rule::Empty,
        ),
    ] {
        check(&statement(members), path, rule);
    }
    let same = r#"{"Sid":"A","Effect":"Deny","Action":"a:b","Resource":"*"}"#;
    let two = format!(r#"{{"Version":"2012-10-17","Statement":[{same},{same}]}}"#);
    check(&two, "/Statement/1/Sid", Rule::Sid);
}

#[test]
fn actions_and_resources_that_could_never_be_meant() {
    for action in [
        "",
        "ssm",
        "ssm:",
        ":Get",
        "*:*",
        "s*:Get",
        "ssm:Get Parameter",
        "ssm:${aws:username}",
        "ssm:a:b",
    ] {
        let members = format!(r#""Effect":"Allow","Action":["{action}"],"Resource":"*""#);
        check(&statement(&members), "/Statement/0/Action/0", Rule::Action);
    }
    for (resource, rule) in [
        ("", Rule::Resource),
        ("**", Rule::Resource),
        ("parameter/x", Rule::Resource),
        ("arn:aws:ssm:*", Rule::Resource),
        ("arn:aws:ssm:*:*", Rule::Resource),
        ("arn:aws:ssm:*:*:", Rule::Resource),
        ("arn::ssm:*:*:x", Rule::Resource),
        ("a*:aws:ssm:*:*:x", Rule::Resource),
        ("arn:aws:ssm:*:${aws:username}:x", Rule::Resource),
        ("arn:aws:s m:*:*:x", Rule::Resource),
        ("arn:aws:ssm:*:*:parameter/${aws:userid}", Rule::UnknownVariable),
        ("arn:aws:ssm:*:*:parameter/${aws:PrincipalTag/}", Rule::UnknownVariable),
        ("arn:aws:ssm:*:*:parameter/${aws:RequestTag/k}", Rule::UnknownVariable),
        ("arn:aws:ssm:*:*:parameter/${aws:username", Rule::UnknownVariable),
        ("arn:aws:ssm:*:*:parameter/${aws:username, 'x'}", Rule::UnknownVariable),
        ("arn:aws:ssm:*:*:parameter/${}", Rule::UnknownVariable),
    ] {
        let members = format!(r#""Effect":"Allow","Action":"ssm:*","Resource":"{resource}""#);
        check(&statement(&members), "/Statement/0/Resource", rule);
    }
}

#[test]
fn conditions_that_are_not_understood_or_do_not_fit() {
    let at = "/Statement/0/Condition";
    check(&condition("[]"), at, Rule::WrongType);
    check(&condition("{}"), at, Rule::Empty);
    check(
        &condition(r#"{"StringEquals":{}}"#),
        "/Statement/0/Condition/StringEquals",
        Rule::Empty,
    );
    for (operator, key, value, rule) in [
        ("stringEquals", "aws:username", r#""a""#, Rule::UnknownOperator),
        ("StringMatches", "aws:username", r#""a""#, Rule::UnknownOperator),
        ("BinaryEquals", "aws:username", r#""a""#, Rule::UnknownOperator),
        (
            "StringEqualsIfExistsIfExists",
            "aws:username",
            r#""a""#,
            Rule::UnknownOperator,
        ),
        (
            "ForSomeValues:StringEquals",
            "aws:TagKeys",
            r#""a""#,
            Rule::UnknownOperator,
        ),
        ("NullIfExists", "aws:username", "true", Rule::UnknownOperator),
        ("ForAnyValue:Null", "aws:TagKeys", "true", Rule::UnknownOperator),
        ("BoolNot", "aws:SecureTransport", "true", Rule::UnknownOperator),
        ("StringEquals", "aws:userid", r#""a""#, Rule::UnknownKey),
        ("StringEquals", "ssm:resourceTag", r#""a""#, Rule::UnknownKey),
        ("StringEquals", "aws:PrincipalTag", r#""a""#, Rule::UnknownKey),
        ("StringEquals", "aws:TagKeys", r#""a""#, Rule::Unfit),
        ("ForAnyValue:StringEquals", "aws:username", r#""a""#, Rule::Unfit),
        ("ForAllValues:StringEquals", "ssm:resourceTag/k", r#""a""#, Rule::Unfit),
        ("StringEquals", "aws:SourceIp", r#""10.0.0.1""#, Rule::Unfit),
        ("IpAddress", "aws:username", r#""10.0.0.1""#, Rule::Unfit),
        ("NumericEquals", "aws:CurrentTime", "1", Rule::Unfit),
        ("ArnLike", "aws:username", r#""*""#, Rule::Unfit),
        ("Bool", "aws:PrincipalArn", "true", Rule::Unfit),
        ("StringEquals", "aws:username", "[]", Rule::Empty),
        ("StringEquals", "aws:username", "1", Rule::WrongType),
        ("StringEquals", "aws:username", "null", Rule::WrongType),
        ("StringEquals", "aws:username", r#"{"a":"b"}"#, Rule::WrongType),
        ("StringEquals", "ssm:Overwrite", "true", Rule::WrongType),
        (
            "StringLike",
            "aws:username",
            r#""${aws:nobody}""#,
            Rule::UnknownVariable,
        ),
        ("NumericEquals", "ssm:resourceTag/n", r#""one""#, Rule::Value),
        ("NumericEquals", "ssm:resourceTag/n", r#""NaN""#, Rule::Value),
        ("NumericEquals", "ssm:resourceTag/n", "true", Rule::WrongType),
        ("DateLessThan", "aws:CurrentTime", r#""20260131""#, Rule::Value),
        ("Bool", "aws:SecureTransport", r#""yes""#, Rule::Value),
        ("Bool", "aws:SecureTransport", "1", Rule::WrongType),
        ("IpAddress", "aws:SourceIp", r#""10.0.0.0/40""#, Rule::Value),
        ("ArnLike", "aws:PrincipalArn", r#""role/x""#, Rule::Resource),
        ("Null", "aws:username", r#"["true","false"]"#, Rule::Value),
    ] {
        let text = condition(&format!(r#"{{"{operator}":{{"{key}":{value}}}}}"#));
        let path = format!("{at}/{operator}/{}", key.replace('/', "~1"));
        check(&text, &path, rule);
    }
    let second = condition(r#"{"StringLike":{"aws:username":["a",["b"]]}}"#);
    check(
        &second,
        "/Statement/0/Condition/StringLike/aws:username/1",
        Rule::WrongType,
    );
    let twice = condition(r#"{"Bool":{"ssm:Overwrite":true},"Bool":{"ssm:Overwrite":false}}"#);
    check(&twice, "/Statement/0/Condition/Bool", Rule::DuplicateMember);
    let twice = condition(r#"{"Bool":{"ssm:Overwrite":true,"ssm:Overwrite":false}}"#);
    check(
        &twice,
        "/Statement/0/Condition/Bool/ssm:Overwrite",
        Rule::DuplicateMember,
    );
}

#[test]
fn a_policy_of_more_than_64_kib() {
    let fine = statement(r#""Effect":"Allow","Action":"ssm:*","Resource":"*""#);
    let filled = |bytes: usize| format!("{fine}{}", " ".repeat(bytes - fine.len()));
    assert!(Policy::parse(&filled(65_536)).is_ok());
    check(&filled(65_537), "", Rule::TooLarge);
}

#[test]
fn a_message_neither_repeats_a_long_text_nor_breaks_a_line() {
    let long = format!(r#"{{"{}":1}}"#, "x".repeat(10_000));
    assert!(Policy::parse(&long).unwrap_err().to_string().len() < 400);
    let broken = Policy::parse("{\"a\\nb\":1}").unwrap_err().to_string();
    assert!(!broken.contains('\n'), "{broken}");
}

#[test]
fn actions_that_nobody_knows_are_named_and_valid() {
    let text = statement(r#""Effect":"Allow","Action":["ssm:GetParamter","ssm:Get*","s3:GetObject"],"Resource":"*""#);
    let policy = Policy::parse(&text).unwrap();
    let known = ["ssm:GetParameter".parse().unwrap()];
    let unknown: Vec<_> = policy.unknown_actions(&known).collect();
    assert_eq!(unknown, ["ssm:GetParamter", "s3:GetObject"]);
}
