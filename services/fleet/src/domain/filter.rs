//! Filters of `DescribeInstanceInformation`, in their older and their newer form (fleet 3).

use muster_model::NodeId;
use muster_proto::Word;
use muster_proto::aws::v1::{PlatformType, Reason};
use muster_proto::fleet::v1::{DescribeInstanceInformationRequest, PingStatus, ResourceType, SourceType};
use muster_wire::Refusal;

use super::condition::{Condition, Field};

/// What the associations of a node can come to.
const ASSOCIATION_STATUS: &[&str] = &["Success", "Pending", "Failed"];

const KEYS: &str = "InstanceIds, AgentVersion, PingStatus, PlatformTypes, ActivationIds, IamRole, ResourceType, \
                    AssociationStatus, SourceIds, SourceTypes, tag:<key> and tag-key";

/// Reads the filters of a request.
///
/// # Errors
/// The words and texts of fleet.md 3.
pub(crate) fn parse(request: &DescribeInstanceInformationRequest) -> Result<Vec<Condition>, Refusal> {
    let older = &request.instance_information_filter_list;
    let newer = &request.filters;
    if !older.is_empty() && !newer.is_empty() {
        return Err(Refusal::validation(
            "InstanceInformationFilterList and Filters exclude each other: give one of them",
        ));
    }
    let mut conditions = Vec::with_capacity(older.len() + newer.len());
    for filter in older {
        conditions.push(shared(filter.key().word(), &filter.value_set, bad_value)?);
    }
    for filter in newer {
        conditions.push(newer_only(filter.key.as_deref().unwrap_or_default(), &filter.values)?);
    }
    if conditions.iter().any(Condition::is_of_tags) && !conditions.iter().all(Condition::is_of_tags) {
        return Err(Refusal::validation(
            "Cannot mix tag or inventory filter with any other filter.",
        ));
    }
    Ok(conditions)
}

fn newer_only(key: &str, values: &[String]) -> Result<Condition, Refusal> {
    match key {
        "SourceIds" | "SourceTypes" | "tag-key" => beyond(key, values, bad_value),
        _ if key.starts_with("tag:") => beyond(key, values, bad_value),
        _ => shared(key, values, bad_value),
    }
}

/// The keys that all forms of filters of both operations know.
/// `bad_value` makes the refusal of the operation whose filter it is.
pub(super) fn shared(key: &str, values: &[String], bad_value: fn(String) -> Refusal) -> Result<Condition, Refusal> {
    let field = match key {
        "InstanceIds" => {
            if let Some(bad) = values.iter().find(|value| value.parse::<NodeId>().is_err()) {
                let message = format!("{key} filter: {bad} is no id of a managed node");
                return Err(Refusal::new(Reason::InvalidInstanceId, message));
            }
            Field::NodeId
        }
        "AgentVersion" => Field::AgentVersion,
        "PingStatus" => {
            among(key, values, PingStatus::WORDS, bad_value)?;
            Field::PingStatus
        }
        "PlatformTypes" => {
            among(key, values, PlatformType::WORDS, bad_value)?;
            Field::PlatformType
        }
        "ActivationIds" => Field::ActivationId,
        "IamRole" => Field::IamRole,
        "ResourceType" => {
            resource_type(values, bad_value)?;
            Field::ResourceType
        }
        "AssociationStatus" => {
            among(key, values, ASSOCIATION_STATUS, bad_value)?;
            Field::Association
        }
        _ => return Err(unknown_key(key, KEYS)),
    };
    storable(key, values, bad_value)?;
    Ok(Condition::equal(field, values.to_vec()))
}

/// The keys that only the newer forms know.
pub(super) fn beyond(key: &str, values: &[String], bad_value: fn(String) -> Refusal) -> Result<Condition, Refusal> {
    let field = match key {
        // A managed node is its own source.
        "SourceIds" => Field::NodeId,
        "SourceTypes" => {
            among(key, values, SourceType::WORDS, bad_value)?;
            Field::SourceType
        }
        "tag-key" => Field::TagKey,
        _ => match key.strip_prefix("tag:") {
            Some(tag) if !tag.is_empty() && !tag.contains('\0') => Field::Tag(tag.to_owned()),
            _ => return Err(unknown_key(key, KEYS)),
        },
    };
    storable(key, values, bad_value)?;
    Ok(Condition::equal(field, values.to_vec()))
}

pub(super) fn unknown_key(key: &str, known: &str) -> Refusal {
    let message = format!("{} is no filter of nodes; there are {known}", key.escape_debug());
    Refusal::new(Reason::InvalidFilterKey, message)
}

/// A text with a NUL is nowhere stored, and a database may refuse even the question.
pub(super) fn storable(key: &str, values: &[String], bad_value: fn(String) -> Refusal) -> Result<(), Refusal> {
    match values.iter().any(|value| value.contains('\0')) {
        true => Err(bad_value(format!(
            "{key} filter is invalid, a value holds a NUL character"
        ))),
        false => Ok(()),
    }
}

fn bad_value(message: String) -> Refusal {
    Refusal::new(Reason::InvalidInstanceInformationFilterValue, message)
}

fn among(key: &str, values: &[String], words: &[&str], bad_value: fn(String) -> Refusal) -> Result<(), Refusal> {
    match values.iter().all(|value| words.contains(&value.as_str())) {
        true => Ok(()),
        false => Err(bad_value(format!(
            "{key} filter is invalid, valid values are {}",
            words.join(", ")
        ))),
    }
}

fn resource_type(values: &[String], bad_value: fn(String) -> Refusal) -> Result<(), Refusal> {
    let [value] = values else {
        return Err(bad_value("ResourceType filter may contain only one value.".to_owned()));
    };
    match ResourceType::from_word(value) {
        Some(_) => Ok(()),
        None => Err(bad_value(
            "ResourceType filter is invalid, valid values are EC2Instance, ManagedInstance".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::fleet::v1::{
        InstanceInformationFilter, InstanceInformationFilterKey, InstanceInformationStringFilter,
    };
    use proptest::prelude::*;

    use super::*;

    const NODE: &str = "mi-0123456789abcdef0";

    fn newer(filters: &[(&str, &[&str])]) -> DescribeInstanceInformationRequest {
        DescribeInstanceInformationRequest {
            filters: filters
                .iter()
                .map(|(key, values)| InstanceInformationStringFilter {
                    key: Some((*key).to_owned()),
                    values: values.iter().map(|value| (*value).to_owned()).collect(),
                })
                .collect(),
            ..DescribeInstanceInformationRequest::default()
        }
    }

    fn older(key: InstanceInformationFilterKey, values: &[&str]) -> DescribeInstanceInformationRequest {
        DescribeInstanceInformationRequest {
            instance_information_filter_list: vec![InstanceInformationFilter {
                key: Some(key.into()),
                value_set: values.iter().map(|value| (*value).to_owned()).collect(),
            }],
            ..DescribeInstanceInformationRequest::default()
        }
    }

    #[test]
    fn each_key_has_its_field() {
        let check = |key: &str, value: &str, field: Field| {
            let expected = Condition::equal(field, vec![value.to_owned()]);
            assert_eq!(parse(&newer(&[(key, &[value])])), Ok(vec![expected]), "{key}");
        };
        check("InstanceIds", NODE, Field::NodeId);
        check("SourceIds", NODE, Field::NodeId);
        check("SourceIds", "anything", Field::NodeId);
        check("AgentVersion", "3.2.1", Field::AgentVersion);
        check("PingStatus", "Inactive", Field::PingStatus);
        check("PlatformTypes", "MacOS", Field::PlatformType);
        check("ActivationIds", "any", Field::ActivationId);
        check("IamRole", "any", Field::IamRole);
        check("ResourceType", "EC2Instance", Field::ResourceType);
        check("AssociationStatus", "Pending", Field::Association);
        check("SourceTypes", "AWS::IoT::Thing", Field::SourceType);
        check("tag-key", "Role", Field::TagKey);
        check("tag:Server Role", "web", Field::Tag("Server Role".to_owned()));
    }

    #[test]
    fn refusals_have_the_words_and_texts_of_the_spec() {
        let value = Reason::InvalidInstanceInformationFilterValue;
        let check = |filters: &[(&str, &[&str])], reason: Reason, text: &str| {
            let refusal = parse(&newer(filters)).unwrap_err();
            assert_eq!(refusal.reason, reason, "{filters:?}");
            assert!(refusal.message.contains(text), "{}", refusal.message);
        };
        check(&[("Color", &["red"])], Reason::InvalidFilterKey, "Color");
        check(&[("tag:", &["red"])], Reason::InvalidFilterKey, "tag:<key>");
        check(&[("instanceids", &[NODE])], Reason::InvalidFilterKey, "InstanceIds");
        check(&[("InstanceIds", &[NODE, "web"])], Reason::InvalidInstanceId, "web");
        check(
            &[("ResourceType", &["EC2Instance", "ManagedInstance"])],
            value,
            "ResourceType filter may contain only one value.",
        );
        check(
            &[("ResourceType", &["Toaster"])],
            value,
            "ResourceType filter is invalid, valid values are EC2Instance, ManagedInstance",
        );
        check(&[("PingStatus", &["Online", "online"])], value, "ConnectionLost");
        check(&[("PlatformTypes", &["linux"])], value, "Windows, Linux, MacOS");
        check(&[("AssociationStatus", &["Done"])], value, "Success, Pending, Failed");
        check(&[("SourceTypes", &["Toaster"])], value, "AWS::EC2::Instance");
        check(&[("AgentVersion", &["1\0"])], value, "NUL");
        let mixed = "Cannot mix tag or inventory filter with any other filter.";
        check(
            &[("tag:Role", &["web"]), ("PingStatus", &["Online"])],
            Reason::ValidationException,
            mixed,
        );
        check(
            &[("IamRole", &["r"]), ("tag-key", &["Role"])],
            Reason::ValidationException,
            mixed,
        );
        assert!(parse(&newer(&[("tag:Role", &["web"]), ("tag-key", &["Env"])])).is_ok());
    }

    #[test]
    fn the_older_form_reads_the_same() {
        let read = parse(&older(InstanceInformationFilterKey::PlatformTypes, &["Linux"]));
        let expected = Condition::equal(Field::PlatformType, vec!["Linux".to_owned()]);
        assert_eq!(read, Ok(vec![expected]));
        let many = ["ManagedInstance", "EC2Instance"];
        let refusal = parse(&older(InstanceInformationFilterKey::ResourceType, &many)).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidInstanceInformationFilterValue);
    }

    #[test]
    fn the_two_forms_exclude_each_other() {
        let mut both = newer(&[("PingStatus", &["Online"])]);
        let other = older(InstanceInformationFilterKey::PingStatus, &["Online"]);
        both.instance_information_filter_list = other.instance_information_filter_list;
        assert_eq!(parse(&both).unwrap_err().reason, Reason::ValidationException);
    }

    proptest! {
        #[test]
        fn any_filter_is_read_or_refused(key in "(tag:)?.{0,20}", values in prop::collection::vec(".{0,20}", 1..4)) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            if let Ok(conditions) = parse(&newer(&[(key.as_str(), values.as_slice())])) {
                prop_assert_eq!(conditions.len(), 1);
                prop_assert!(conditions[0].values.iter().all(|value| !value.contains('\0')));
            }
        }
    }
}
