//! What others are told of parameters (parameter-store 12). No value is ever in it.

use muster_model::Timestamp;
use muster_proto::Word;
use muster_proto::parameterstore::v1::{ParameterChange, ParameterType};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::policy::Policy;
use crate::domain::scope::Scope;

/// What happened to a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Create,
    Update,
    Delete,
    LabelParameterVersion,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Delete => "Delete",
            Self::LabelParameterVersion => "LabelParameterVersion",
        }
    }

    /// The last word of the event's type and subject.
    fn what(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Update => "updated",
            Self::Delete => "deleted",
            Self::LabelParameterVersion => "labelled",
        }
    }
}

/// What of a parameter stands in an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: ParameterType,
    pub(crate) data_type: &'a str,
    pub(crate) description: Option<&'a str>,
}

/// An event that is to be published: the last word of its subject, and the CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) what: String,
    pub(crate) payload: String,
}

/// A change of a parameter.
pub(crate) fn changed(change: Change, of: Subject<'_>, scope: &Scope, now: Timestamp) -> Event {
    let mut detail = json!({
        "operation": change.word(),
        "name": of.name,
        "type": of.kind.word(),
        "dataType": of.data_type,
    });
    if let Some(description) = of.description {
        detail["description"] = Value::from(description);
    }
    event(change.what(), "Parameter Store Change", of.name, &detail, scope, now)
}

/// A policy that had its say.
pub(crate) fn policy_acted(policy: &Policy, of: Subject<'_>, scope: &Scope, now: Timestamp) -> Event {
    let detail = json!({
        "parameter-name": of.name,
        "policy-type": policy.rule.word(),
        "parameter-type": of.kind.word(),
        "policy-content": policy.text,
    });
    event(
        "policy-action",
        "Parameter Store Policy Action",
        of.name,
        &detail,
        scope,
        now,
    )
}

/// What an event says, for those who watch.
pub(crate) fn read(payload: &[u8]) -> Option<ParameterChange> {
    let event: Value = serde_json::from_slice(payload).ok()?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let kind = text("/data/detail/type").or_else(|| text("/data/detail/parameter-type"));
    let time: Timestamp = text("/time")?.parse().ok()?;
    Some(ParameterChange {
        time: Some(prost_types::Timestamp {
            seconds: time.as_second(),
            nanos: time.subsec_nanosecond(),
        }),
        what: Some(text("/type")?.rsplit('.').next()?.to_owned()),
        name: Some(text("/subject")?.to_owned()),
        r#type: kind.and_then(ParameterType::from_word).map(Into::into),
        policy_type: text("/data/detail/policy-type").map(str::to_owned),
    })
}

fn event(what: &str, detail_type: &str, name: &str, detail: &Value, scope: &Scope, now: Timestamp) -> Event {
    let arn = scope.arn(name);
    let event = json!({
        "specversion": "1.0",
        "id": Uuid::now_v7(),
        "source": "muster/parameter-store",
        "type": format!("parameter-store.parameter.{what}"),
        "subject": name,
        "time": now.to_string(),
        "datacontenttype": "application/json",
        // As the public service writes its events.
        "data": {
            "source": "aws.ssm",
            "detail-type": detail_type,
            "resources": [arn],
            "detail": detail,
        },
    });
    Event {
        what: what.to_owned(),
        payload: event.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::tests::scope;
    use crate::domain::policy;

    #[test]
    fn events_have_the_public_shape_inside() {
        let of = Subject {
            name: "/a/b",
            kind: ParameterType::SecureString,
            data_type: "text",
            description: Some("why"),
        };
        let now = Timestamp::UNIX_EPOCH;
        let told = changed(Change::LabelParameterVersion, of, &scope(), now);
        let read = read(told.payload.as_bytes()).unwrap();
        assert_eq!(
            (read.what(), read.name(), read.r#type()),
            ("labelled", "/a/b", ParameterType::SecureString)
        );
        let event: Value = serde_json::from_str(&told.payload).unwrap();
        assert_eq!(told.what, "labelled");
        assert_eq!(event["type"], "parameter-store.parameter.labelled");
        let arn = "arn:aws:ssm:us-east-1:000000000000:parameter/a/b";
        assert_eq!(
            event["data"],
            json!({
                "source": "aws.ssm", "detail-type": "Parameter Store Change", "resources": [arn],
                "detail": {"operation": "LabelParameterVersion", "name": "/a/b", "type": "SecureString",
                    "dataType": "text", "description": "why"},
            })
        );
        let text = r#"{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"1","Unit":"Days"}}"#;
        let policy = &policy::parse(&format!("[{text}]")).unwrap()[0];
        let told = policy_acted(policy, of, &scope(), now);
        let event: Value = serde_json::from_str(&told.payload).unwrap();
        assert_eq!(event["data"]["detail-type"], "Parameter Store Policy Action");
        assert_eq!(event["data"]["detail"]["policy-type"], "NoChangeNotification");
        assert_eq!(event["data"]["detail"]["policy-content"], text);
    }
}
