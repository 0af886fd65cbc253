//! The contract says what the public API says: nothing is missing, nothing is invented.
//!
//! `public_api_facts.json` holds the facts of the public API model (names, types, words, limits, errors) for the
//! operations that the contract describes. The same table is built here from the descriptors and compared with it.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use muster_proto::aws::v1::{FieldFacts, Reason};
use muster_proto::facts::{self, Target};
use muster_proto::{Word, pool};

const PREFIX: &str = "AmazonSSM";

/// Operations that agents ask for and the model does not have (spec/fleet.md 6).
const OPERATIONS_BEYOND_THE_MODEL: &[&str] = &["RegisterManagedInstance"];

/// Words that real answers have and the model lacks (spec/documents.md 3).
const WORDS_BEYOND_THE_MODEL: &[(&str, &[&str])] =
    &[("DocumentParameterType", &["StringMap", "Boolean", "Integer", "MapList"])];

/// Words that real answers spell in upper case (spec/inventory-and-compliance.md 2).
const WORDS_IN_UPPER_CASE: &[&str] = &["InventoryAttributeDataType"];

/// Members whose pattern the service writes without the anchors of the model (spec/aws-json-gateway.md 4).
const PATTERNS_WITHOUT_ANCHORS: &[(&str, &str, &str)] = &[(
    "ParameterStringFilter",
    "Key",
    "tag:.+|Name|Type|KeyId|Path|Label|Tier|DataType",
)];

/// Members whose pattern admits more than the model's (spec/documents.md 8): a version is shared by its number, too.
const PATTERNS_BEYOND_THE_MODEL: &[(&str, &str, &str)] = &[
    (
        "AccountSharingInfo",
        "SharedDocumentVersion",
        "([$]LATEST|[$]DEFAULT|[$]ALL|^[1-9][0-9]*$)",
    ),
    (
        "ModifyDocumentPermissionRequest",
        "SharedDocumentVersion",
        "([$]LATEST|[$]DEFAULT|[$]ALL|^[1-9][0-9]*$)",
    ),
];

/// Members that are never logged although the model does not say so: a secret, contents of documents, outputs.
const SENSITIVE_BEYOND_THE_MODEL: &[(&str, &str)] = &[
    ("CreateActivationResult", "ActivationCode"),
    ("CreateDocumentRequest", "Content"),
    ("UpdateDocumentRequest", "Content"),
    ("GetDocumentResult", "Content"),
    ("InstanceAssociation", "Content"),
    ("CommandPlugin", "Output"),
    ("GetCommandInvocationResult", "StandardOutputContent"),
    ("GetCommandInvocationResult", "StandardErrorContent"),
];

/// Modelled errors that the surface itself answers, with the member its other errors use (spec/aws-json-gateway.md 2).
const ERRORS_OF_THE_SURFACE: &[&str] = &["AccessDeniedException", "ThrottlingException", "ValidationException"];

/// Errors that no model lists (spec/aws-json-gateway.md 2).
const ERRORS_BEYOND_THE_MODEL: &[(&str, i32)] = &[
    ("ExpiredTokenException", 400),
    ("IncompleteSignatureException", 400),
    ("InvalidSignatureException", 400),
    ("MissingAuthenticationTokenException", 400),
    ("RequestEntityTooLargeException", 413),
    ("SerializationException", 400),
    ("ServiceUnavailable", 503),
    ("UnknownOperationException", 400),
    ("UnrecognizedClientException", 400),
    // Of `Access`, which speaks IAM's words.
    ("DeleteConflict", 409),
    ("EntityAlreadyExists", 409),
    ("IDPCommunicationError", 400),
    ("InvalidIdentityToken", 400),
    ("LimitExceeded", 409),
    ("MalformedPolicyDocument", 400),
    ("NoSuchEntity", 404),
    ("UnmodifiableEntity", 409),
];

#[test]
fn every_public_operation_is_described_or_listed_as_unserved() {
    let (mut described, mut unserved) = (BTreeSet::new(), BTreeSet::new());
    for (name, target) in public_targets() {
        let operation = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix('.'))
            .expect(name);
        match target {
            Target::Served(_) | Target::Planned(_) => described.insert(operation.to_owned()),
            Target::Unserved => unserved.insert(operation.to_owned()),
        };
    }
    assert_eq!(described, keys(&public_api()["operations"]));
    assert_eq!(json!(unserved), public_api()["unserved_operations"]);
    assert_eq!((described.len(), unserved.len()), (113, 41));
}

#[test]
fn operations_take_answer_and_refuse_as_the_public_api_does() {
    let mut described = Map::new();
    for (_, target) in public_targets() {
        let (Target::Served(method) | Target::Planned(method)) = target else {
            continue;
        };
        let errors: BTreeSet<_> = facts::operation(method).errors.iter().collect();
        let shape = json!({"input": method.input().name(), "output": method.output().name(), "errors": errors});
        described.insert(method.name().to_owned(), shape);
    }
    assert_same(&Value::Object(described), &public_api()["operations"]);
}

#[test]
fn structures_have_the_public_members_types_and_limits() {
    let mut expected = public_api()["structures"].clone();
    for (structure, member) in SENSITIVE_BEYOND_THE_MODEL {
        expected[structure][member]["sensitive"] = json!(true);
    }
    for (structure, member, pattern) in PATTERNS_BEYOND_THE_MODEL.iter().chain(PATTERNS_WITHOUT_ANCHORS) {
        expected[structure][member]["pattern"] = json!(pattern);
    }
    let described: Map<_, _> = shapes()
        .structures
        .into_iter()
        .map(|(name, message)| {
            let members = message
                .fields()
                .map(|field| (field.json_name().to_owned(), member(&field)))
                .collect();
            (name, Value::Object(members))
        })
        .collect();
    assert_same(&Value::Object(described), &expected);
}

#[test]
fn enums_have_the_public_words() {
    let mut expected = public_api()["enums"].clone();
    for (name, words) in WORDS_BEYOND_THE_MODEL {
        expected[name]
            .as_array_mut()
            .expect(name)
            .extend(words.iter().map(|word| json!(word)));
    }
    for name in WORDS_IN_UPPER_CASE {
        for word in expected[name].as_array_mut().expect(name) {
            *word = json!(word.as_str().expect("a word").to_uppercase());
        }
    }
    let described: Map<_, _> = shapes()
        .enums
        .into_iter()
        .map(|(name, each)| (name, json!(facts::words(&each))))
        .collect();
    assert_same(&Value::Object(described), &expected);
}

#[test]
fn reasons_are_the_public_errors_and_those_of_the_surface() {
    let mut expected = Map::new();
    for (word, facts) in public_api()["errors"].as_object().expect("a table") {
        let fault = facts["fault"].as_bool().expect("a flag");
        let member = if ERRORS_OF_THE_SURFACE.contains(&word.as_str()) {
            &json!("message")
        } else {
            &facts["member"]
        };
        let status = if fault { 500 } else { 400 };
        expected.insert(
            word.clone(),
            json!({"status": status, "member": member, "fault": fault}),
        );
    }
    for (word, status) in ERRORS_BEYOND_THE_MODEL {
        let facts = json!({"status": status, "member": "message", "fault": *status >= 500});
        assert!(
            expected.insert((*word).to_owned(), facts).is_none(),
            "{word} is modelled"
        );
    }
    let described: Map<_, _> = Reason::WORDS
        .iter()
        .map(|word| {
            let facts = facts::error(facts::reason(word).expect(word));
            let facts = json!({"status": facts.status, "member": facts.member, "fault": facts.fault});
            ((*word).to_owned(), facts)
        })
        .collect();
    assert_same(&Value::Object(described), &Value::Object(expected));
}

#[test]
fn every_error_of_an_operation_is_a_reason() {
    for service in pool().services() {
        for method in service.methods() {
            for word in &facts::operation(&method).errors {
                assert!(facts::reason(word).is_some(), "{}: {word}", method.full_name());
            }
        }
    }
}

#[test]
fn every_scalar_of_a_public_message_can_be_absent() {
    for message in shapes().messages.into_values() {
        for field in message.fields() {
            let present = field.is_list() || field.is_map() || field.supports_presence();
            assert!(present, "{} is not optional", field.full_name());
        }
    }
}

fn public_targets() -> impl Iterator<Item = (&'static str, &'static Target)> {
    facts::targets().filter(|(name, _)| {
        let operation = name.rsplit('.').next().unwrap_or(name);
        !OPERATIONS_BEYOND_THE_MODEL.contains(&operation)
    })
}

fn public_api() -> Value {
    serde_json::from_str(include_str!("public_api_facts.json")).expect("the table is JSON")
}

/// What the public operations reach, by name.
#[derive(Default)]
struct Shapes {
    messages: BTreeMap<String, MessageDescriptor>,
    structures: BTreeMap<String, MessageDescriptor>,
    enums: BTreeMap<String, EnumDescriptor>,
}

fn shapes() -> Shapes {
    let mut shapes = Shapes::default();
    for (_, target) in public_targets() {
        if let Target::Served(method) | Target::Planned(method) = target {
            shapes.add_message(&method.input());
            shapes.add_message(&method.output());
        }
    }
    shapes
}

impl Shapes {
    fn add_message(&mut self, message: &MessageDescriptor) {
        if message.full_name().starts_with("google.protobuf.")
            || self
                .messages
                .insert(message.name().to_owned(), message.clone())
                .is_some()
        {
            return;
        }
        if !facts::message(message).transparent {
            self.structures.insert(message.name().to_owned(), message.clone());
        }
        for field in message.fields() {
            match value_kind(&field) {
                Kind::Message(inner) => self.add_message(&inner),
                Kind::Enum(inner) => {
                    self.enums.insert(inner.name().to_owned(), inner);
                }
                _ => {}
            }
        }
    }
}

/// The kind of a field's value, of a list's element, of a map's value.
fn value_kind(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

/// A member as the table shows it: its type and its limits.
fn member(field: &FieldDescriptor) -> Value {
    let mut shown = limits(facts::field(field));
    shown.insert("type".to_owned(), json!(public_type(field)));
    add_limits_of_elements(field, &mut shown);
    Value::Object(shown)
}

/// Limits of elements that are messages stand with the message: on the single field of a transparent one.
fn add_limits_of_elements(field: &FieldDescriptor, shown: &mut Map<String, Value>) {
    let Kind::Message(held) = value_kind(field) else { return };
    let mut element = Map::new();
    if facts::message(&held).transparent {
        let items = held.fields().next().expect("a transparent message has one field");
        element = limits(facts::field(&items));
        add_limits_of_elements(&items, &mut element);
    }
    if facts::message(&held).sensitive {
        element.insert("sensitive".to_owned(), json!(true));
    }
    if (field.is_list() || field.is_map()) && !element.is_empty() {
        assert!(
            shown.insert("element".to_owned(), Value::Object(element)).is_none(),
            "{}",
            field.full_name()
        );
    }
}

fn limits(facts: &FieldFacts) -> Map<String, Value> {
    let mut shown = Map::new();
    let mut show = |name: &str, value: Option<Value>| {
        shown.extend(value.map(|value| (name.to_owned(), value)));
    };
    show("required", facts.required.then(|| json!(true)));
    show("min_length", facts.min_length.map(|n| json!(n)));
    show("max_length", facts.max_length.map(|n| json!(n)));
    show("min", facts.min.map(|n| json!(n)));
    show("max", facts.max.map(|n| json!(n)));
    show("pattern", facts.pattern.as_ref().map(|pattern| json!(pattern)));
    show("sensitive", facts.sensitive.then(|| json!(true)));
    show(
        "element",
        facts.element.as_ref().map(|element| Value::Object(limits(element))),
    );
    show("key", facts.key.as_ref().map(|key| Value::Object(limits(key))));
    shown
}

fn public_type(field: &FieldDescriptor) -> String {
    let value = match value_kind(field) {
        Kind::String => "string".to_owned(),
        Kind::Int32 => "integer".to_owned(),
        Kind::Int64 => "long".to_owned(),
        Kind::Bool => "boolean".to_owned(),
        Kind::Bytes => "blob".to_owned(),
        Kind::Enum(each) => format!("enum {}", each.name()),
        Kind::Message(each) if each.full_name() == "google.protobuf.Timestamp" => "timestamp".to_owned(),
        Kind::Message(each) if facts::message(&each).transparent => {
            public_type(&each.fields().next().expect("a transparent message has one field"))
        }
        Kind::Message(each) => format!("structure {}", each.name()),
        other => panic!("{}: {other:?} has no counterpart", field.full_name()),
    };
    if field.is_map() {
        format!("map<{value}>")
    } else if field.is_list() {
        format!("list<{value}>")
    } else {
        value
    }
}

fn keys(table: &Value) -> BTreeSet<String> {
    table.as_object().expect("a table").keys().cloned().collect()
}

/// Compares tables entry by entry, so that a failure names what differs and not everything.
fn assert_same(described: &Value, public: &Value) {
    assert_eq!(keys(described), keys(public));
    for (name, entry) in described.as_object().expect("a table") {
        assert_eq!(entry, &public[name], "{name}");
    }
}
