//! Values given for a run: run-command.md 2.3.

use muster_document::{ParameterRule as Rule, ParameterType as Type, check_parameters};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{bind, command, document_2_2, given, shell};

/// What comes of these values for the one parameter `p`; `None`: not given.
fn bound(definition: &Value, values: Option<&[&str]>) -> Result<Value, Rule> {
    let document = command(&document_2_2(
        &json!({"p": definition}),
        &json!([shell("a", &json!(["true"]))]),
    ));
    let values: Vec<(&str, &[&str])> = values.map(|values| ("p", values)).into_iter().collect();
    match check_parameters(&document, &given(&values)) {
        Ok(parameters) => Ok(parameters.get("p").unwrap().clone()),
        Err(error) => {
            assert_eq!(error.name, "p");
            Err(error.rule)
        }
    }
}

#[test]
fn unknown_names_are_refused_by_name() {
    let document = command(&document_2_2(
        &json!({"a": {"type": "String", "default": ""}}),
        &json!([shell("a", &json!(["true"]))]),
    ));
    let error = check_parameters(&document, &given(&[("secretive", &["hunter2"])])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameter secretive: the document does not support it"
    );
    let none = command(&json!({"schemaVersion": "2.2", "mainSteps": [shell("a", &json!(["true"]))]}));
    assert_eq!(
        check_parameters(&none, &given(&[("a", &["x"])])).unwrap_err().rule,
        Rule::Undeclared
    );
    assert!(check_parameters(&none, &given(&[])).is_ok());
}

#[test]
fn each_type_takes_its_own_form() {
    let wrong = |kind: Type| Err(Rule::Type(kind));
    for (definition, values, expected) in [
        (json!({"type": "String"}), Some(&["x"][..]), Ok(json!("x"))),
        (json!({"type": "String"}), Some(&[""]), Ok(json!(""))),
        (json!({"type": "String"}), Some(&["a", "b"]), Err(Rule::OneValue)),
        (json!({"type": "String"}), Some(&[]), Err(Rule::Required)),
        (json!({"type": "String"}), None, Err(Rule::Required)),
        (json!({"type": "String", "default": "d"}), None, Ok(json!("d"))),
        (json!({"type": "String", "default": "d"}), Some(&[]), Ok(json!("d"))),
        (json!({"type": "StringList"}), Some(&["a", "b"]), Ok(json!(["a", "b"]))),
        (json!({"type": "StringList"}), Some(&[]), Ok(json!([]))),
        (
            json!({"type": "StringList", "default": ["d"]}),
            Some(&[]),
            Ok(json!([])),
        ),
        (
            json!({"type": "StringList", "default": "[\"d\"]"}),
            None,
            Ok(json!(["d"])),
        ),
        (json!({"type": "StringList"}), None, Err(Rule::Required)),
        (json!({"type": "Boolean"}), Some(&["true"]), Ok(json!(true))),
        (json!({"type": "Boolean"}), Some(&["FALSE"]), Ok(json!(false))),
        (json!({"type": "Boolean"}), Some(&["yes"]), wrong(Type::Boolean)),
        (json!({"type": "Boolean"}), Some(&["true", "true"]), Err(Rule::OneValue)),
        (json!({"type": "Boolean", "default": "true"}), None, Ok(json!(true))),
        (json!({"type": "Integer"}), Some(&["42"]), Ok(json!(42))),
        (json!({"type": "Integer"}), Some(&["-1"]), Ok(json!(-1))),
        (json!({"type": "Integer"}), Some(&["4.0"]), wrong(Type::Integer)),
        (json!({"type": "Integer"}), Some(&["0x10"]), wrong(Type::Integer)),
        (json!({"type": "Integer"}), Some(&[""]), wrong(Type::Integer)),
        (
            json!({"type": "Integer"}),
            Some(&["99999999999999999999"]),
            wrong(Type::Integer),
        ),
        (json!({"type": "Integer"}), Some(&["1", "2"]), Err(Rule::OneValue)),
        (
            json!({"type": "StringMap"}),
            Some(&[r#"{"a": {"b": 1}}"#]),
            Ok(json!({"a": {"b": 1}})),
        ),
        (json!({"type": "StringMap"}), Some(&["[]"]), wrong(Type::StringMap)),
        (json!({"type": "StringMap"}), Some(&["a=b"]), wrong(Type::StringMap)),
        (json!({"type": "StringMap"}), Some(&["{}", "{}"]), Err(Rule::OneValue)),
        (
            json!({"type": "MapList"}),
            Some(&[r#"[{"a": 1}, {}]"#]),
            Ok(json!([{"a": 1}, {}])),
        ),
        (
            json!({"type": "MapList"}),
            Some(&[r#"{"a": 1}"#, "{}"]),
            Ok(json!([{"a": 1}, {}])),
        ),
        (
            json!({"type": "MapList"}),
            Some(&[r#"{"a": 1}"#]),
            Ok(json!([{"a": 1}])),
        ),
        (json!({"type": "MapList"}), Some(&["[1]"]), wrong(Type::MapList)),
        (json!({"type": "MapList"}), Some(&["{}", "[]"]), wrong(Type::MapList)),
        (json!({"type": "MapList"}), Some(&[]), Err(Rule::Required)),
        (
            json!({"type": "MapList", "default": [{"d": 1}]}),
            Some(&[]),
            Ok(json!([{"d": 1}])),
        ),
    ] {
        assert_eq!(bound(&definition, values), expected, "{definition} given {values:?}");
    }
}

#[test]
fn values_keep_the_declared_rules() {
    for (definition, values, expected) in [
        (
            json!({"type": "String", "allowedValues": ["Scan", "Install"]}),
            &["Scan"][..],
            None,
        ),
        (
            json!({"type": "String", "allowedValues": ["Scan", "Install"]}),
            &["scan"],
            Some(Rule::AllowedValues),
        ),
        (
            json!({"type": "String", "allowedValues": ["true", "false"]}),
            &["true"],
            None,
        ),
        (json!({"type": "Boolean", "allowedValues": [true]}), &["True"], None),
        (
            json!({"type": "Boolean", "allowedValues": [true]}),
            &["false"],
            Some(Rule::AllowedValues),
        ),
        (json!({"type": "Integer", "allowedValues": [1, "2"]}), &["2"], None),
        (
            json!({"type": "Integer", "allowedValues": [1, "2"]}),
            &["3"],
            Some(Rule::AllowedValues),
        ),
        (
            json!({"type": "StringList", "allowedValues": ["a", "b"]}),
            &["b", "a", "b"],
            None,
        ),
        (
            json!({"type": "StringList", "allowedValues": ["a", "b"]}),
            &["a", "c"],
            Some(Rule::AllowedValues),
        ),
        (
            json!({"type": "StringMap", "allowedValues": [{"a": "1"}]}),
            &["{\"a\":\"1\"}"],
            None,
        ),
        (
            json!({"type": "StringMap", "allowedValues": [{"a": "1"}]}),
            &["{}"],
            Some(Rule::AllowedValues),
        ),
        (json!({"type": "String", "allowedPattern": "^[0-9]+$"}), &["12"], None),
        (
            json!({"type": "String", "allowedPattern": "^[0-9]+$"}),
            &["12a"],
            Some(Rule::AllowedPattern),
        ),
        (json!({"type": "String", "allowedPattern": "[0-9]"}), &["a1b"], None),
        (
            json!({"type": "StringList", "allowedPattern": "^(?!rm).*$"}),
            &["ls", "rm x"],
            Some(Rule::AllowedPattern),
        ),
        (
            json!({"type": "String", "allowedPattern": "^(?=a)((a+)+)+\\1$"}),
            &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"],
            Some(Rule::PatternTooCostly),
        ),
        (
            json!({"type": "StringList", "minItems": 1}),
            &[],
            Some(Rule::MinItems(1)),
        ),
        (
            json!({"type": "StringList", "minItems": 1, "maxItems": 2}),
            &["a", "b"],
            None,
        ),
        (
            json!({"type": "StringList", "maxItems": 2}),
            &["a", "b", "c"],
            Some(Rule::MaxItems(2)),
        ),
        (
            json!({"type": "MapList", "maxItems": 1}),
            &["[{}, {}]"],
            Some(Rule::MaxItems(1)),
        ),
        (
            json!({"type": "String", "minChars": 2}),
            &["é"],
            Some(Rule::MinChars(2)),
        ),
        (json!({"type": "String", "maxChars": 2}), &["éé"], None),
        (
            json!({"type": "String", "maxChars": 2}),
            &["éée"],
            Some(Rule::MaxChars(2)),
        ),
        (
            json!({"type": "StringList", "maxChars": 2}),
            &["ab", "abc"],
            Some(Rule::MaxChars(2)),
        ),
    ] {
        assert_eq!(
            bound(&definition, Some(values)).err(),
            expected,
            "{definition} given {values:?}"
        );
    }
}

#[test]
fn a_reference_to_the_parameter_store_is_checked_later() {
    for definition in [
        json!({"type": "String", "allowedPattern": "^[0-9]+$"}),
        json!({"type": "String", "allowedValues": ["a"]}),
        json!({"type": "String", "maxChars": 2}),
        json!({"type": "Integer"}),
        json!({"type": "Boolean"}),
        json!({"type": "StringMap"}),
        json!({"type": "MapList"}),
    ] {
        for reference in ["{{ssm:name}}", "{{ ssm:/a/b.c-d:3 }}", "x {{ssm-secure:n}} y"] {
            assert_eq!(
                bound(&definition, Some(&[reference])),
                Ok(json!(reference)),
                "{definition}"
            );
        }
        assert!(
            bound(&definition, Some(&["{{ssm:}}"])).is_err(),
            "{definition}: not a reference"
        );
        assert!(
            bound(&definition, Some(&["{{ssm:a b}}"])).is_err(),
            "{definition}: not a reference"
        );
    }
    let list = json!({"type": "StringList", "allowedValues": ["a"], "minItems": 2});
    assert_eq!(bound(&list, Some(&["{{ssm:all}}"])), Ok(json!(["{{ssm:all}}"])));
    assert_eq!(
        bound(&list, Some(&["{{ssm:all}}", "b"])),
        Err(Rule::AllowedValues),
        "the other elements are known"
    );
}

#[test]
fn an_environment_variable_holds_only_what_it_can() {
    let variable = json!({"type": "String", "interpolationType": "ENV_VAR"});
    assert_eq!(bound(&variable, Some(&["a\0b"])), Err(Rule::Nul));
    assert_eq!(bound(&json!({"type": "String"}), Some(&["a\0b"])), Ok(json!("a\0b")));
    let room = 128 * 1024 - "SSM_p=".len() - 1;
    assert!(bound(&variable, Some(&["x".repeat(room).as_str()])).is_ok());
    assert_eq!(
        bound(&variable, Some(&["x".repeat(room + 1).as_str()])),
        Err(Rule::VariableTooLong)
    );
}

#[test]
fn an_error_names_the_parameter_and_the_rule_but_never_the_value() {
    for (definition, values) in [
        (
            json!({"type": "String", "allowedValues": ["s3cret-a"]}),
            &["hunter2"][..],
        ),
        (json!({"type": "String", "allowedPattern": "^x$"}), &["hunter2"]),
        (json!({"type": "Integer"}), &["hunter2"]),
        (json!({"type": "StringMap"}), &["hunter2"]),
        (json!({"type": "MapList"}), &["hunter2"]),
        (json!({"type": "String"}), &["hunter2", "hunter2"]),
        (json!({"type": "String", "maxChars": 1}), &["hunter2"]),
    ] {
        let document = command(&document_2_2(
            &json!({"token": definition}),
            &json!([shell("a", &json!(["true"]))]),
        ));
        let error = check_parameters(&document, &given(&[("token", values)])).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            shown.starts_with("parameter token: ") && !shown.contains("hunter2") && !shown.contains("s3cret"),
            "{shown}"
        );
    }
    let document = command(&document_2_2(
        &json!({"token": {"type": "String"}}),
        &json!([shell("a", &json!(["true"]))]),
    ));
    assert_eq!(
        format!("{:?}", bind(&document, &[("token", &["hunter2"])])),
        "{\"token\"}"
    );
}

proptest! {
    #[test]
    fn any_values_for_any_type_have_an_answer(
        word in prop_oneof!["String", "StringList", "Boolean", "Integer", "StringMap", "MapList"],
        values in prop::collection::vec(any::<String>(), 0..4),
    ) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let answer = bound(&json!({"type": word}), Some(&values));
        if word == "StringList" {
            prop_assert_eq!(answer, Ok(json!(values)));
        }
    }

    #[test]
    fn no_pattern_hangs(pattern in "[ab()*+?|=!.\\\\1^$\\[\\]{}2,:<>-]{0,40}", text in "[ab]{0,200}!?") {
        if let Ok(pattern) = muster_document::parameter::Pattern::new(&pattern, &Type::String) {
            let _ = pattern.find(&text);
        }
    }
}
