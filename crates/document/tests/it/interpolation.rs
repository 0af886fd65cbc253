//! `{{ name }}` in inputs: documents.md 3.1.

use muster_document::interpolate;
use muster_document::{PlanError, Platform, plan};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{bind, command, document_2_2, plan_on_linux, shell};

fn parameters() -> Value {
    json!({
        "s": {"type": "String", "default": "text"},
        "l": {"type": "StringList", "default": ["a", "b"]},
        "none": {"type": "StringList", "default": []},
        "b": {"type": "Boolean", "default": true},
        "i": {"type": "Integer", "default": 7},
        "m": {"type": "StringMap", "default": {"k": "v", "n": [1]}},
        "ml": {"type": "MapList", "default": [{"k": "v"}]},
        "tricky": {"type": "String", "default": "{{ s }} {{l}} $$"},
        "tricks": {"type": "StringList", "default": ["{{ s }}", "{{ l }}"]},
    })
}

/// What becomes of an input.
fn check(written: Value, expected: Value) {
    let document = command(&document_2_2(&parameters(), &json!([shell("a", &json!(["true"]))])));
    let values = bind(&document, &[]);
    let found = interpolate::value(&written, &values, &mut interpolate::Budget::default()).unwrap();
    assert_eq!(found, expected, "{written}");
    // A script without environment variables follows the same rules.
    let document = command(&document_2_2(&parameters(), &json!([shell("a", &json!(["true"]))])));
    if matches!(written, Value::String(_)) || written.as_array().is_some_and(|list| list.iter().all(Value::is_string)) {
        let step = command(&document_2_2(&parameters(), &json!([shell("a", &written)])));
        let plan = plan(&step, &bind(&document, &[]), Platform::Linux).unwrap();
        let muster_document::Verdict::Run(parts) = plan.steps()[0].verdict() else {
            panic!("not run")
        };
        assert_eq!(parts[0].inputs()["runCommand"], expected, "as a script: {written}");
    }
}

#[test]
fn a_whole_token_becomes_the_raw_value() {
    check(json!("{{ s }}"), json!("text"));
    check(json!("{{s}}"), json!("text"));
    check(json!("{{  \t s}}"), json!("text"));
    check(json!("{{ l }}"), json!(["a", "b"]));
    check(json!("{{ b }}"), json!(true));
    check(json!("{{ i }}"), json!(7));
    check(json!("{{ m }}"), json!({"k": "v", "n": [1]}));
    check(json!("{{ ml }}"), json!([{"k": "v"}]));
}

#[test]
fn inside_text_a_value_becomes_text() {
    check(json!("<{{ s }}>"), json!("<text>"));
    check(json!(" {{ s }}"), json!(" text"));
    check(json!("{{s}}{{s}}"), json!("texttext"));
    check(json!("x={{ l }}"), json!("x=[\"a\",\"b\"]"));
    check(json!("x={{ b }},{{i}}"), json!("x=true,7"));
    check(json!("x={{ m }}"), json!("x={\"k\":\"v\",\"n\":[1]}"));
}

#[test]
fn a_list_is_spliced_where_it_is_a_whole_element() {
    check(json!(["{{ l }}"]), json!(["a", "b"]));
    check(json!(["x", "{{ l }}", "y"]), json!(["x", "a", "b", "y"]));
    check(json!(["{{ none }}", "y"]), json!(["y"]));
    check(json!(["x {{ l }}"]), json!(["x [\"a\",\"b\"]"]));
    check(json!(["{{ s }}", "{{ s }} "]), json!(["text", "text "]));
    check(
        json!([["{{ l }}"], {"k": "{{ l }}"}]),
        json!([["a", "b"], {"k": ["a", "b"]}]),
    );
    check(json!({"k": ["{{ ml }}"]}), json!({"k": [[{"k": "v"}]]}));
}

#[test]
fn only_known_names_are_tokens() {
    for text in [
        "{{ unknown }}",
        "{{.State}}",
        "{{ .Values.s }}",
        "{{ s | upper }}",
        "{{ s.t }}",
        "{{-s-}}",
        "{ { s } }",
        "{{ s }",
        "{ s }}",
        "{{}}",
        "{{ }}",
        "{{ platformType }}",
        "{{ssm:s}}",
        "{{ s\n}}",
        "{{ S }}",
        "$$",
        "${{ unknown }}",
        "{{ é }}",
    ] {
        check(json!(text), json!(text));
    }
    check(json!("{{{ s }}}"), json!("{text}"));
    check(json!("{{ {{ s }} }}"), json!("{{ text }}"));
    check(json!("{{ssm:{{ s }}}}"), json!("{{ssm:text}}"));
    check(json!("{{ x {{s}}"), json!("{{ x text"));
    check(json!({"{{ s }}": "k"}), json!({"{{ s }}": "k"}));
}

#[test]
fn what_was_put_in_is_not_looked_at_again() {
    check(json!("{{ tricky }}"), json!("{{ s }} {{l}} $$"));
    check(json!("<{{ tricky }}>"), json!("<{{ s }} {{l}} $$>"));
    check(json!(["{{ tricks }}"]), json!(["{{ s }}", "{{ l }}"]));
    check(json!("{{ tricks }}"), json!(["{{ s }}", "{{ l }}"]));
}

#[test]
fn expansion_is_bounded() {
    let many = vec![json!("{{ s }}{{ s }}{{ s }}{{ s }}{{ s }}"); 1000];
    let document = command(&document_2_2(
        &json!({"s": {"type": "String"}, "v": {"type": "String", "default": "", "interpolationType": "ENV_VAR"}}),
        &json!([shell("a", &json!(many))]),
    ));
    let big = "x".repeat(30_000);
    assert!(matches!(
        plan(&document, &bind(&document, &[("s", &[&big])]), Platform::Linux),
        Err(PlanError::TooLong(_))
    ));
    assert!(plan(&document, &bind(&document, &[("s", &["x"])]), Platform::Linux).is_ok());
    let list = command(&document_2_2(
        &json!({"l": {"type": "StringList"}}),
        &json!([shell("a", &json!(vec!["{{ l }}"; 5000]))]),
    ));
    assert!(matches!(
        plan(&list, &bind(&list, &[("l", &[&big])]), Platform::Linux),
        Err(PlanError::TooLong(_))
    ));
}

#[test]
fn store_references_are_listed_and_left_alone() {
    for (value, expected) in [
        (json!("{{ssm:name}}"), &["ssm:name"][..]),
        (
            json!("a {{ ssm:/x/y.z-1:3 }} b {{ssm:b:label}}"),
            &["ssm:/x/y.z-1:3", "ssm:b:label"],
        ),
        (json!(["{{ssm:b}}", {"k": "{{ssm:a}}{{ssm:b}}"}]), &["ssm:a", "ssm:b"]),
        (json!("{{ssm-secure:token}}"), &["ssm-secure:token"]),
        (json!("{{ssm:}} {{ssm:a b}} {{ssm:a} {{ssm:a }x} ssm:a {{ssm:é}}"), &[]),
        (json!("{{ssm:a"), &[]),
        // Only a secret may have other blanks than spaces around it, and only text a version.
        (json!("{{  ssm:a  }}"), &["ssm:a"]),
        (json!("{{\tssm:a}} {{ssm:a\n}} {{\u{a0}ssm:a}}"), &[]),
        (
            json!("{{ \t\r\n\u{c}ssm-secure:/a/b_c.d-1\n\t }}"),
            &["ssm-secure:/a/b_c.d-1"],
        ),
        (
            json!("{{\u{a0}ssm-secure:a}} {{\u{b}ssm-secure:a}} {{ssm-secure:}}"),
            &[],
        ),
        (
            json!("{{ssm-secure:a:3}} {{ssm-secure:a:label}} {{ssm-secure: a}}"),
            &[],
        ),
    ] {
        assert_eq!(interpolate::references(&value), expected, "{value}");
    }
    let document = command(&document_2_2(
        &json!({"p": {"type": "String"}, "e": {"type": "String", "interpolationType": "ENV_VAR"}}),
        &json!([
            shell("a", &json!(["echo {{ p }} {{ssm:direct}}"])),
            {"action": "aws:runPowerShellScript", "name": "w", "precondition": {"StringEquals": ["platformType", "Windows"]}, "inputs": {"runCommand": ["{{ssm:skipped}}"]}},
        ]),
    ));
    let plan = plan_on_linux(&document, &[("p", &["{{ssm:given}}"]), ("e", &["{{ssm:variable}}"])]);
    assert_eq!(
        plan.references(),
        ["ssm:direct", "ssm:given", "ssm:variable"],
        "a skipped step needs nothing"
    );
}

proptest! {
    #[test]
    fn a_value_is_put_in_once_and_unchanged(value in any::<String>(), before in "[^{}]{0,20}", after in "[^{}]{0,20}") {
        let document = command(&document_2_2(&json!({"p": {"type": "String"}, "q": {"type": "String", "default": "other"}}), &json!([shell("a", &json!(["true"]))])));
        let values = bind(&document, &[("p", &[&value])]);
        let written = json!(format!("{before}{{{{ p }}}}{after}"));
        let found = interpolate::value(&written, &values, &mut interpolate::Budget::default()).unwrap();
        prop_assert_eq!(found, json!(format!("{before}{value}{after}")));
    }

    #[test]
    fn text_without_known_tokens_stays(text in "([{} a-z.:]|\\{\\{|\\}\\}){0,60}") {
        let document = command(&document_2_2(&json!({"XX": {"type": "String", "default": "other"}}), &json!([shell("a", &json!(["true"]))])));
        let values = bind(&document, &[]);
        let found = interpolate::value(&json!(text), &values, &mut interpolate::Budget::default()).unwrap();
        prop_assert_eq!(found, json!(text));
    }
}
