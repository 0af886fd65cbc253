//! Whatever comes in, nothing panics, and nothing secret comes out.

use muster_wire::{aws_json, limits};
use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use serde_json::Value;

use crate::documents::{Choices, document, messages};

/// Any JSON, with members that the message has and words that its enums have among the texts.
fn any_json(names: Vec<String>) -> impl Strategy<Value = Value> {
    let name = proptest::sample::select(names);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        name.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(name.clone(), inner, 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn all_names() -> Vec<String> {
    let mut names: Vec<String> = messages()
        .iter()
        .flat_map(|each| {
            each.fields()
                .map(|field| field.json_name().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Reads, checks and writes: all that a request meets on its way.
fn meet(text: &[u8], of: prost_reflect::MessageDescriptor) {
    if let Ok(decoded) = aws_json::decode(text, of) {
        let mut violations = decoded.violations;
        violations.extend(limits::check(&decoded.message));
        let text = limits::message(&violations);
        assert!(text.len() < 10_000, "{}", text.len());
        let _ = aws_json::encode(&decoded.message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..200), at in any::<usize>()) {
        let all = messages();
        meet(&bytes, all[at % all.len()].clone());
    }

    #[test]
    fn any_json_is_answered(json in any_json(all_names()), at in any::<usize>()) {
        let all = messages();
        meet(json.to_string().as_bytes(), all[at % all.len()].clone());
    }

    #[test]
    fn damaged_documents_are_answered(
        bytes in vec(any::<u8>(), 0..400),
        at in any::<usize>(),
        place in any::<usize>(),
        damage in any::<u8>(),
    ) {
        let all = messages();
        let of = &all[at % all.len()];
        let mut text = document(of, &mut Choices::new(&bytes), 0).to_string().into_bytes();
        let place = place % text.len();
        text[place] = damage;
        meet(&text, of.clone());
        text.truncate(place);
        meet(&text, of.clone());
    }
}
