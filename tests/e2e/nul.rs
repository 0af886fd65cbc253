//! A NUL character in every text of every operation. PostgreSQL takes it in no text at all, so where one came through,
//! the caller would get an error of ours, and whoever is stored with it too.

use muster_harness::Postgres;
use muster_proto::facts;
use muster_tests::{Cluster, SERVICES};
use muster_wire::{Failure, NatsStatus, aws_json, subject};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, MethodDescriptor, ReflectMessage as _, Value,
};

use crate::authorization_matrix::{body, operations};

/// Deepest message in a message that is looked into: conditions may nest without end.
const DEEPEST: usize = 5;
const DOCUMENT: &str = r#"{"schemaVersion": "2.2", "mainSteps": [{"action": "aws:runShellScript", "name": "one", "inputs": {"runCommand": ["true"]}}]}"#;

/// Requests that get further than those that name nothing that is there.
fn good(operation: &str) -> Option<String> {
    let document = DOCUMENT.replace('"', "\\\"");
    let members = match operation {
        "SendCommand" => r#""DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]},
            "Targets": [{"Key": "tag:a", "Values": ["b"]}]"#
            .to_owned(),
        "CreateDocument" => format!(r#""Name": "Nul", "DocumentType": "Command", "Content": "{document}""#),
        "UpdateDocument" => format!(r#""Name": "Nul", "DocumentVersion": "$LATEST", "Content": "{document}""#),
        "PutParameter" => r#""Name": "/nul", "Value": "v", "Type": "String", "Overwrite": true"#.to_owned(),
        "AddTagsToResource" => {
            r#""ResourceType": "Document", "ResourceId": "Nul", "Tags": [{"Key": "a", "Value": "b"}]"#.to_owned()
        }
        "LabelParameterVersion" => r#""Name": "/nul", "Labels": ["label"]"#.to_owned(),
        _ => return None,
    };
    Some(format!("{{{members}}}"))
}

/// Words that lists can be filtered by, where the contract takes any text.
const KEYS: [&str; 8] = [
    "Name",
    "tag:a",
    "tag-key",
    "InstanceIds",
    "AgentVersion",
    "IamRole",
    "Owner",
    "SearchKeyword",
];

/// This request with a NUL in one of its texts, once for each, with the path of that text.
fn with_nul(request: &DynamicMessage, depth: usize) -> Vec<(String, DynamicMessage)> {
    let mut all = Vec::new();
    if depth > DEEPEST || request.descriptor().full_name().starts_with("google.") {
        return all;
    }
    for field in request.descriptor().fields() {
        let name = field.json_name();
        let of = |kind: &Kind, current: Option<&Value>| of_kind(kind, &field, current, depth);
        let present = request
            .has_field(&field)
            .then(|| request.get_field(&field).into_owned());
        let values: Vec<(String, Value)> = if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let value = entry.map_entry_value_field().kind();
            let key = (
                String::new(),
                Value::Map([(MapKey::String("a\0b".to_owned()), plain(&value))].into()),
            );
            let held = of(&value, None);
            let held = held
                .into_iter()
                .map(|(path, value)| (path, Value::Map([(MapKey::String("a".to_owned()), value)].into())));
            std::iter::once(key).chain(held).collect()
        } else if field.is_list() {
            let first = present.as_ref().and_then(Value::as_list).and_then(|list| list.first());
            let held = of(&field.kind(), first);
            held.into_iter()
                .map(|(path, value)| (path, Value::List(vec![value])))
                .collect()
        } else {
            of(&field.kind(), present.as_ref())
        };
        for (path, value) in values {
            let mut changed = request.clone();
            changed.set_field(&field, value);
            all.push((format!("{name}{path}"), changed));
        }
    }
    all
}

fn of_kind(kind: &Kind, field: &FieldDescriptor, current: Option<&Value>, depth: usize) -> Vec<(String, Value)> {
    match kind {
        Kind::String => {
            let text = current.and_then(Value::as_str).map(str::to_owned);
            let text = text.unwrap_or_else(|| sample(field));
            vec![(String::new(), Value::String(format!("{text}\0")))]
        }
        Kind::Message(held) => {
            let begun = match current {
                Some(Value::Message(present)) => vec![present.clone()],
                _ => filled(held),
            };
            let all = begun.iter().flat_map(|message| with_nul(message, depth + 1));
            all.map(|(path, message)| (format!(".{path}"), Value::Message(message)))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Messages of a kind with what they must have, once for each word of their keys.
fn filled(of: &MessageDescriptor) -> Vec<DynamicMessage> {
    let mut all = vec![DynamicMessage::new(of.clone())];
    for field in of.fields().filter(|field| !field.is_map()) {
        let facts = facts::field(&field);
        let is_key = field.json_name().to_lowercase().ends_with("key");
        let values: Vec<Value> = match field.kind() {
            Kind::Enum(words) if is_key || facts.required => {
                let numbers = words.values().map(|value| value.number()).filter(|number| *number != 0);
                numbers.map(Value::EnumNumber).collect()
            }
            Kind::String if is_key && !field.is_list() => KEYS.map(|key| Value::String(key.to_owned())).to_vec(),
            _ if facts.required => vec![plain(&field.kind())],
            _ => continue,
        };
        let put = |value: Value| match field.is_list() {
            true => Value::List(vec![value]),
            false => value,
        };
        let each = values.into_iter().flat_map(|value| {
            all.iter().map({
                let (field, value) = (field.clone(), put(value));
                move |message| {
                    let mut message = message.clone();
                    message.set_field(&field, value.clone());
                    message
                }
            })
        });
        all = each.collect();
    }
    all
}

fn sample(field: &FieldDescriptor) -> String {
    let least = facts::field(field).min_length.unwrap_or(1);
    "x".repeat(usize::try_from(least).unwrap_or(1).max(1))
}

fn plain(kind: &Kind) -> Value {
    match kind {
        Kind::String => Value::String("x".to_owned()),
        Kind::Message(of) => Value::Message(filled(of).swap_remove(0)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(1),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(1),
        other => Value::default_value(other),
    }
}

async fn call(nats: &async_nats::Client, method: &MethodDescriptor, request: &DynamicMessage) -> Result<(), Failure> {
    use prost::Message as _;
    let subject = subject::api(method.parent_service().name(), method.name());
    let answer = nats.request(subject, request.encode_to_vec().into()).await.unwrap();
    let status = answer.headers.as_ref().and_then(NatsStatus::of);
    status.map_or(Ok(()), |status| Err(Failure::from_status(&status)))
}

fn request(method: &MethodDescriptor, body: &str) -> DynamicMessage {
    aws_json::decode(body.as_bytes(), method.input()).unwrap().message
}

/// Everything with a NUL, by NATS, where a request comes in without AWS's form being in the way.
async fn put_everywhere(settings: &[(&'static str, &'static str, String)]) {
    let mut cluster = Cluster::start_with(&[], settings).await;
    cluster.add_service("muster-parameter-store").await;
    let nats = cluster.bus().await;
    let all = operations();
    for name in ["CreateDocument", "PutParameter"] {
        let (method, _) = all.iter().find(|(method, _)| method.name() == name).unwrap();
        let made = call(&nats, method, &request(method, &good(name).unwrap())).await;
        made.unwrap_or_else(|failure| panic!("{name}: {failure}"));
    }
    let (mut tried, mut bad) = (0, Vec::new());
    for (method, _) in &all {
        let body = good(method.name()).unwrap_or_else(|| body(method.name()));
        for (path, request) in with_nul(&request(method, &body), 0) {
            tried += 1;
            if let Err(failure) = call(&nats, method, &request).await
                && !matches!(failure, Failure::Refused(_) | Failure::Unsupported { .. })
            {
                bad.push(format!("{} {path}: {failure:?}", method.name()));
            }
        }
    }
    assert!(tried > 300, "{tried} texts");
    assert!(bad.is_empty(), "{tried} tried, of which bad:\n{}", bad.join("\n"));
}

#[tokio::test]
async fn a_nul_in_any_text_is_refused_or_does_no_harm() {
    put_everywhere(&[]).await;
}

#[tokio::test]
async fn a_nul_in_any_text_is_no_fault_of_ours_on_postgresql() {
    let (mut databases, mut settings) = (Vec::new(), Vec::new());
    for service in SERVICES.into_iter().chain(["muster-parameter-store"]) {
        if service == "muster-gateway" {
            continue;
        }
        let Some(postgres) = Postgres::start().await else {
            return;
        };
        settings.push((service, "MUSTER_DATABASE__URL", postgres.url()));
        databases.push(postgres);
    }
    put_everywhere(&settings).await;
}
