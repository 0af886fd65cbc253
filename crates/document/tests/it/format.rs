//! JSON and YAML, there and back.

use muster_document::{Format, FormatError, convert, parse, render};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn yaml(content: &str) -> Result<Value, String> {
    parse(content, Format::Yaml).map_err(|error| error.to_string())
}

fn json(content: &str) -> Result<Value, String> {
    parse(content, Format::Json).map_err(|error| error.to_string())
}

#[test]
fn json_that_is_not_well_formed_says_where() {
    for (content, expected) in [
        ("{\"a\" x}", "JSON not well-formed. at Line: 1, Column: 6"),
        ("{\n  \"a\": 1,\n}", "JSON not well-formed. at Line: 3, Column: 1"),
        ("", "JSON not well-formed. at Line: 1, Column: 1"),
        ("{} {}", "JSON not well-formed. at Line: 1, Column: 4"),
        ("schemaVersion: '2.2'", "JSON not well-formed. at Line: 1, Column: 1"),
        ("[1e400]", "JSON not well-formed. at Line: 1"),
        ("\"\\ud800\"", "JSON not well-formed. at Line: 1"),
    ] {
        let error = json(content).unwrap_err();
        assert!(error.starts_with(expected), "{content:?}: {error}");
    }
}

#[test]
fn in_json_the_last_of_two_equal_keys_wins() {
    assert_eq!(json(r#"{"a": 1, "b": 2, "a": 3}"#), Ok(json!({"a": 3, "b": 2})));
    // Keys that a JSON library may keep for itself are ordinary keys.
    let odd = r#"{"$serde_json::private::RawValue":"[1]"}"#;
    assert_eq!(
        render(&json(odd).unwrap(), Format::Json)
            .unwrap()
            .replace([' ', '\n'], ""),
        odd
    );
}

#[test]
fn depth_is_bounded_in_both_formats() {
    for (depth, fits) in [(64, true), (65, false), (30_000, false)] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(json(&nested).is_ok(), fits, "JSON, {depth} levels");
        assert_eq!(yaml(&nested).is_ok(), fits, "YAML, {depth} levels");
        let blocks: String = (0..depth.min(300)).map(|level| format!("{:level$}a:\n", "")).collect();
        assert_eq!(yaml(&blocks).is_ok(), fits, "YAML blocks, {depth} levels");
    }
}

#[test]
fn yaml_knows_the_types_of_its_core_schema_only() {
    for (scalar, expected) in [
        ("true", json!(true)),
        ("False", json!(false)),
        ("TRUE", json!(true)),
        ("tRUE", json!("tRUE")),
        ("yes", json!("yes")),
        ("no", json!("no")),
        ("on", json!("on")),
        ("off", json!("off")),
        ("y", json!("y")),
        ("null", Value::Null),
        ("~", Value::Null),
        ("", Value::Null),
        ("2.2", json!(2.2)),
        ("'2.2'", json!("2.2")),
        ("\"2.2\"", json!("2.2")),
        ("12", json!(12)),
        ("-12", json!(-12)),
        ("+12", json!(12)),
        ("0644", json!(644)),
        ("0o644", json!(420)),
        ("0x1F", json!(31)),
        ("0x", json!("0x")),
        ("1_000", json!("1_000")),
        ("190:20:30", json!("190:20:30")),
        ("1e3", json!(1000.0)),
        (".5", json!(0.5)),
        ("1.", json!(1.0)),
        (".", json!(".")),
        ("1e", json!("1e")),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("2026-01-02", json!("2026-01-02")),
        ("12:30", json!("12:30")),
        ("!!str 12", json!("12")),
        ("! 12", json!("12")),
        ("!!int 12", json!(12)),
        ("!!bool true", json!(true)),
    ] {
        assert_eq!(yaml(&format!("v: {scalar}")), Ok(json!({"v": expected})), "{scalar}");
    }
}

#[test]
fn yaml_as_people_write_it_is_read() {
    let text = "# a comment first\n---\n# another\n  schemaVersion: \"2.2\"\n  steps:\n  - name: a # trailing\n    run: |\n      one\n        two\n\n      three\n    fold: >-\n      x\n      y\n  - {name: b, 'run': [\"x\", y]}\n...\n";
    let expected = json!({
        "schemaVersion": "2.2",
        "steps": [
            {"name": "a", "run": "one\n  two\n\nthree\n", "fold": "x y"},
            {"name": "b", "run": ["x", "y"]},
        ],
    });
    assert_eq!(yaml(text), Ok(expected));
    assert_eq!(
        yaml("a: &x [1, 2]\nb: *x\n&k c: 1\nd: {e: *k}"),
        Ok(json!({"a": [1, 2], "b": [1, 2], "c": 1, "d": {"e": "c"}}))
    );
    assert_eq!(
        yaml("<<: 1\na: {'<<': {b: 2}}"),
        Ok(json!({"<<": 1, "a": {"<<": {"b": 2}}})),
        "nothing that merges"
    );
    assert_eq!(
        yaml("{\"a\": [true, null]}"),
        Ok(json!({"a": [true, null]})),
        "JSON is YAML"
    );
}

#[test]
fn yaml_that_json_cannot_say_is_refused() {
    for (content, reason) in [
        ("a: 1\nb: 2\na: 3", "the key \"a\" stands twice"),
        ("a: {b: 1, b: 2}", "the key \"b\" stands twice"),
        ("1: a", "a key is not a text"),
        ("true: a", "a key is not a text"),
        ("? [a]\n: b", "a key is not a text"),
        (": a", "a key is not a text"),
        ("a: .inf", "the number has no JSON form"),
        ("a: -.Inf", "the number has no JSON form"),
        ("a: .nan", "the number has no JSON form"),
        ("a: 1e999", "the number has no JSON form"),
        ("a: !custom b", "tags other than"),
        ("a: !!binary aGk=", "tags other than"),
        ("a: !!set {b: null}", "tags other than"),
        ("--- !x\na: 1", "tags other than"),
        ("a: !!int x", "not of the type !!int"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("", "there is no document"),
        ("# nothing", "there is no document"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "YAML 1.2 has no merge key"),
        ("<<: [{a: 1}]", "YAML 1.2 has no merge key"),
        ("a: &x [*x]", "an alias stands inside the node it names"),
        ("a: *nobody", ""),
        ("a: [", ""),
        ("a: \"", ""),
        ("a: b: c", ""),
    ] {
        let error = yaml(content).expect_err(content);
        assert!(
            error.starts_with("YAML not well-formed. at Line: "),
            "{content:?}: {error}"
        );
        assert!(error.contains(reason), "{content:?}: {error}");
    }
}

#[test]
fn a_yaml_error_has_its_line_and_column() {
    let FormatError::NotWellFormed { line, column, .. } = parse("a: 1\nb:\n  c: !x 2", Format::Yaml).unwrap_err()
    else {
        panic!("another error");
    };
    assert_eq!((line, column), (3, 6));
}

#[test]
fn aliases_cannot_grow_a_document_without_bound() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..40 {
        let inner = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![inner; 9].join(",")));
    }
    assert!(yaml(&bomb).unwrap_err().contains("aliases expand to too much"));
    // Deep through aliases is deep as well.
    let mut tower = "a0: &a0 [x]\n".to_owned();
    for level in 1..70 {
        tower.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(yaml(&tower).unwrap_err().contains("nested deeper"));
}

#[test]
fn a_conversion_keeps_order_and_types() {
    let content = json!({
        "schemaVersion": "2.2", "description": "yes", "z": {"b": 1, "a": [true, "true", null, "null", "~", ""]},
        "empty": {}, "none": [], "n": -0.5, "lines": "#!/bin/sh\nset -e\n\necho \"a: b\"\n", "tail": "a\nb",
        "odd": " lead", "end": "trail ", "tab": "\tx", "nl": "\n", "many": "a\n\n\n", "cr": "a\r\nb", "colon": "a: b",
        "key with: colon": "- dash", "1": "01", "@": "`x", "é": "ü\u{85}\u{2028}\u{feff}\u{7}", "list": [[1, []], [{"a": {"b": "c\nd"}}]],
        "hash": "a #b", "date": "2026-01-01", "time": "12:30:45", "big": "1e9",
    });
    let as_yaml = render(&content, Format::Yaml).unwrap();
    let back = parse(&as_yaml, Format::Yaml).unwrap();
    assert_eq!(render(&back, Format::Json), render(&content, Format::Json), "{as_yaml}");
    assert!(
        as_yaml.contains("lines: |\n  #!/bin/sh\n  set -e\n"),
        "scripts stay readable:\n{as_yaml}"
    );
    assert!(as_yaml.contains("schemaVersion: \"2.2\"\n"), "{as_yaml}");
    for text in ["2026-01-01T12:30:45Z", "0b1010", "12:30", "1_000"] {
        let quoted = format!("{text:?}\n");
        assert_eq!(
            render(&json!(text), Format::Yaml),
            Ok(quoted),
            "older readers would see no text"
        );
    }
}

#[test]
fn in_its_own_format_a_document_comes_back_byte_for_byte() {
    let odd = "{ \"a\":1 ,\r\n\"b\" : [ ]}";
    assert_eq!(convert(odd, Format::Json, Format::Json).as_deref(), Ok(odd));
    assert_eq!(
        convert("BEGIN:VCALENDAR", Format::Text, Format::Text).as_deref(),
        Ok("BEGIN:VCALENDAR")
    );
    assert_eq!(
        convert("a: '1'\nb: [x]", Format::Yaml, Format::Json).as_deref(),
        Ok("{\n  \"a\": \"1\",\n  \"b\": [\n    \"x\"\n  ]\n}")
    );
    assert_eq!(
        convert("{\"a\":\"1\"}", Format::Json, Format::Yaml).as_deref(),
        Ok("a: \"1\"\n")
    );
    for (from, to) in [(Format::Text, Format::Json), (Format::Yaml, Format::Text)] {
        assert_eq!(convert("a: 1", from, to), Err(FormatError::NoConversion { from, to }));
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}",
        "[a-z:# \\-'\"{}\\[\\],&*!|>%@`~?\n\t\r]{0,30}",
        "(yes|no|on|off|null|true|~|1|0x1|1e5|\\.inf|2026-01-01|=|<<)",
        any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("JSON has no such number", |number| serde_json::Number::from_f64(number)
            .map(Value::Number)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn json_through_yaml_is_the_same_json(value in value()) {
        let first = render(&value, Format::Json).unwrap();
        let as_yaml = convert(&first, Format::Json, Format::Yaml).unwrap();
        let back = convert(&as_yaml, Format::Yaml, Format::Json);
        prop_assert_eq!(back.as_deref(), Ok(first.as_str()), "through\n{}", as_yaml);
    }

    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), yamlish in "([a: \\-\n?&*!|>'\"\\[\\]{},#%\t\\\\]|---\n|\\.\\.\\.\n){0,80}") {
        let text = String::from_utf8_lossy(&bytes);
        for content in [text.as_ref(), yamlish.as_str()] {
            let _ = parse(content, Format::Json);
            if let Ok(value) = parse(content, Format::Yaml) {
                let as_yaml = render(&value, Format::Yaml).unwrap();
                prop_assert_eq!(parse(&as_yaml, Format::Yaml), Ok(value));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_long_key_survives(key in "[a-z :#\n]{0,3000}") {
        let value = json!({key: {"a": [1]}});
        let as_yaml = render(&value, Format::Yaml).unwrap();
        prop_assert_eq!(parse(&as_yaml, Format::Yaml), Ok(value), "through\n{}", as_yaml);
    }
}
