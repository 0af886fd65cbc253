//! What a request is about, found in it by the facts of its operation: resources, and what conditions may ask for.

use std::collections::BTreeMap;

use muster_proto::aws::v1::ResourceFacts;
use muster_proto::facts;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, ReflectMessage as _, Value};

/// A resource as a request names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// What its ARN begins with behind the account, `document`; empty if the request does not say it.
    pub kind: String,
    /// Its name, id, path or ARN, as the caller wrote it.
    pub name: String,
    /// Its version, for kinds whose ARNs have one.
    pub version: Option<String>,
    /// What must be allowed on it, if it is not the operation itself.
    pub action: Option<&'static str>,
}

/// What a request is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The resources that it names; those that only the service can know are not among them.
    pub resources: Vec<Resource>,
    /// The tags that it sets.
    pub tags: BTreeMap<String, String>,
    /// The keys of tags that it takes away.
    pub tag_keys: Vec<String>,
    /// Whether what is there may be written over; `None` for operations that do not ask.
    pub overwrite: Option<bool>,
    /// Whether a path is read with all below it; `None` for operations that do not ask.
    pub recursive: Option<bool>,
    /// The policies of a parameter.
    pub policies: Option<String>,
    /// The type of a document that is made.
    pub document_type: Option<String>,
}

impl About {
    /// What a request of an operation is about.
    #[must_use]
    pub fn of(method: &MethodDescriptor, request: &DynamicMessage) -> Self {
        let resources = facts::operation(method).resources.iter();
        let resources = resources.filter(|facts| !facts.by_service);
        let flag = |name: &str| {
            let field = request.descriptor().get_field_by_name(name)?;
            request.get_field(&field).as_bool()
        };
        Self {
            resources: resources.flat_map(|facts| named(facts, request)).collect(),
            tags: tags(request),
            tag_keys: texts(request, "tag_keys"),
            overwrite: flag("overwrite"),
            recursive: flag("recursive"),
            policies: texts(request, "policies").pop(),
            document_type: document_type(request),
        }
    }
}

/// The resources that one member names.
fn named(facts: &'static ResourceFacts, request: &DynamicMessage) -> Vec<Resource> {
    if !facts.only_with.is_empty() && !has(request, &facts.only_with) {
        return Vec::new();
    }
    let kind = match facts.kind_field.as_str() {
        "" => facts.kind.clone(),
        field => kind(request, field).unwrap_or_default().to_owned(),
    };
    let version = match facts.version_field.as_str() {
        "" => None,
        field => texts(request, field).pop(),
    };
    let resource = |name| Resource {
        kind: kind.clone(),
        name,
        version: version.clone(),
        action: Some(facts.action.as_str()).filter(|action| !action.is_empty()),
    };
    texts(request, &facts.field).into_iter().map(resource).collect()
}

fn field(message: &DynamicMessage, name: &str) -> Option<FieldDescriptor> {
    message.descriptor().get_field_by_name(name)
}

fn has(message: &DynamicMessage, name: &str) -> bool {
    field(message, name).is_some_and(|field| message.has_field(&field))
}

/// The texts of a member, or of a member of each message in it: `entries.name`.
fn texts(message: &DynamicMessage, path: &str) -> Vec<String> {
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(field) = field(message, name).filter(|field| message.has_field(field)) else {
        return Vec::new();
    };
    match &*message.get_field(&field) {
        Value::List(elements) => elements.iter().flat_map(|each| of_value(each, rest)).collect(),
        value => of_value(value, rest),
    }
}

fn of_value(value: &Value, rest: &str) -> Vec<String> {
    match value {
        Value::String(text) if rest.is_empty() => vec![text.clone()],
        Value::Message(message) if !rest.is_empty() => texts(message, rest),
        _ => Vec::new(),
    }
}

/// What the kind of resource that a member names is called in ARNs.
fn kind(request: &DynamicMessage, name: &str) -> Option<&'static str> {
    let field = field(request, name)?;
    let Kind::Enum(kinds) = field.kind() else { return None };
    let number = request.get_field(&field).as_enum_number()?;
    facts::resource(&kinds.get_value(number)?)
}

fn tags(request: &DynamicMessage) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    let Some(field) = field(request, "tags") else {
        return tags;
    };
    if let Some(list) = request.get_field(&field).as_list() {
        for tag in list.iter().filter_map(Value::as_message) {
            let text = |name| texts(tag, name).pop().unwrap_or_default();
            tags.insert(text("key"), text("value"));
        }
    }
    tags
}

fn document_type(request: &DynamicMessage) -> Option<String> {
    let field = field(request, "document_type")?;
    let Kind::Enum(types) = field.kind() else { return None };
    let given = request
        .get_field(&field)
        .as_enum_number()
        .and_then(|n| types.get_value(n));
    let given = given.and_then(|value| facts::word(&value));
    let absent = facts::field(&field).absent_word.as_str();
    let word = given.or(Some(absent).filter(|word| !word.is_empty()))?;
    Some(word.to_owned())
}

#[cfg(test)]
mod tests {
    use muster_proto::facts::Target;
    use prost_reflect::MessageDescriptor;

    use super::*;

    fn about(operation: &str, json: &str) -> About {
        let (Target::Served(method) | Target::Planned(method)) =
            facts::target(&format!("AmazonSSM.{operation}")).expect(operation)
        else {
            panic!("{operation} is not described")
        };
        let decoded = crate::aws_json::decode(json.as_bytes(), method.input()).expect("JSON");
        About::of(method, &decoded.message)
    }

    fn names(operation: &str, json: &str) -> Vec<(String, String)> {
        let resources = about(operation, json).resources.into_iter();
        resources.map(|each| (each.kind, each.name)).collect()
    }

    fn pair(kind: &str, name: &str) -> (String, String) {
        (kind.to_owned(), name.to_owned())
    }

    #[test]
    fn members_lists_and_pairs_name_resources() {
        assert_eq!(
            names("GetParameters", r#"{"Names": ["/a", "/b"]}"#),
            [pair("parameter", "/a"), pair("parameter", "/b")]
        );
        assert_eq!(
            names(
                "AddTagsToResource",
                r#"{"ResourceType": "Automation", "ResourceId": "x", "Tags": []}"#
            ),
            [pair("automation-execution", "x")]
        );
        assert_eq!(
            names(
                "CreateAssociationBatch",
                r#"{"Entries": [{"Name": "A", "InstanceId": "mi-1"}, {"Name": "B"}]}"#
            ),
            [
                pair("document", "A"),
                pair("document", "B"),
                pair("managed-instance", "mi-1")
            ]
        );
        assert!(names("ListCommands", "{}").is_empty());
    }

    #[test]
    fn nodes_of_a_command_are_decided_by_the_service_alone() {
        let json = r#"{"DocumentName": "AWS-RunShellScript", "InstanceIds": ["mi-0123456789abcdef0"]}"#;
        assert_eq!(names("SendCommand", json), [pair("document", "AWS-RunShellScript")]);
    }

    #[test]
    fn a_role_that_is_passed_has_an_action_of_its_own() {
        let about = about("CreateActivation", r#"{"IamRole": "service-role/Node"}"#);
        assert_eq!(about.resources.len(), 1);
        assert_eq!(about.resources[0].action, Some("iam:PassRole"));
        assert_eq!(about.resources[0].name, "service-role/Node");
    }

    #[test]
    fn tags_and_flags_are_there_for_conditions() {
        let json = r#"{"Name": "/a", "Value": "v", "Policies": "[]", "Tags": [{"Key": "Env", "Value": "dev"}]}"#;
        let put = about("PutParameter", json);
        assert_eq!(put.tags["Env"], "dev");
        assert_eq!((put.overwrite, put.recursive), (Some(false), None));
        assert_eq!(put.policies.as_deref(), Some("[]"));
        let actions: Vec<_> = put.resources.iter().map(|each| each.action).collect();
        assert_eq!(actions, [None, Some("ssm:AddTagsToResource")]);
        let untagged = about("PutParameter", r#"{"Name": "/a", "Overwrite": true}"#);
        assert_eq!((untagged.resources.len(), untagged.overwrite), (1, Some(true)));
        let removed = about(
            "RemoveTagsFromResource",
            r#"{"ResourceType": "Document", "ResourceId": "D", "TagKeys": ["a", "b"]}"#,
        );
        assert_eq!(removed.tag_keys, ["a", "b"]);
    }

    #[test]
    fn a_document_without_a_type_is_what_it_becomes() {
        let of = |json| about("CreateDocument", json).document_type;
        assert_eq!(of(r#"{"Name": "D"}"#).as_deref(), Some("Command"));
        assert_eq!(
            of(r#"{"Name": "D", "DocumentType": "Automation"}"#).as_deref(),
            Some("Automation")
        );
        assert_eq!(about("GetDocument", r#"{"Name": "D"}"#).document_type, None);
    }

    /// The member that a path names is there, and is a text or a list of them.
    fn is_text(message: &MessageDescriptor, path: &str) -> bool {
        let (name, rest) = path.split_once('.').unwrap_or((path, ""));
        let Some(field) = message.get_field_by_name(name) else {
            return false;
        };
        match field.kind() {
            Kind::String => rest.is_empty(),
            Kind::Message(inner) => !rest.is_empty() && is_text(&inner, rest),
            _ => false,
        }
    }

    #[test]
    fn the_facts_of_the_contract_name_members_that_are_there() {
        let mut count = 0;
        for method in muster_proto::pool()
            .services()
            .flat_map(|s| s.methods().collect::<Vec<_>>())
        {
            let input = method.input();
            for facts in &facts::operation(&method).resources {
                let what = format!("{}: {facts:?}", method.full_name());
                assert_eq!(facts.kind.is_empty(), !facts.kind_field.is_empty(), "{what}");
                let last = facts.field.rsplit('.').next().unwrap();
                let is_list_of_targets = facts.by_service && last == "targets";
                assert!(is_list_of_targets || is_text(&input, &facts.field), "{what}");
                for field in [&facts.kind_field, &facts.version_field, &facts.only_with] {
                    assert!(field.is_empty() || input.get_field_by_name(field).is_some(), "{what}");
                }
                count += 1;
            }
        }
        assert!(count > 90, "{count}");
    }
}
