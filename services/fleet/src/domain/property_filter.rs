//! Filters of `DescribeInstanceProperties` (fleet 3). They know more fields, and more ways to compare.

use muster_proto::Word;
use muster_proto::aws::v1::Reason;
use muster_proto::fleet::v1::{
    DescribeInstancePropertiesRequest, InstancePropertyFilterKey, InstancePropertyFilterOperator,
};
use muster_wire::Refusal;

use super::condition::{Condition, Field, Operator};
use super::facts::version_order;
use super::filter::{beyond, shared, storable, unknown_key};

const KEYS: &str = "InstanceIds, AgentVersion, PingStatus, PlatformTypes, DocumentName, ActivationIds, IamRole, \
                    ResourceType, AssociationStatus, SourceIds, SourceTypes, Name, ComputerName, IPAddress, \
                    PlatformName, PlatformVersion, Architecture, AvailabilityZone, tag:<key> and tag-key";

/// Reads the filters of a request.
///
/// # Errors
/// A word of the operation: an unknown key, a malformed id or a value that the filter does not take.
pub(crate) fn parse(request: &DescribeInstancePropertiesRequest) -> Result<Vec<Condition>, Refusal> {
    let older = &request.instance_property_filter_list;
    let newer = &request.filters_with_operator;
    if !older.is_empty() && !newer.is_empty() {
        return Err(Refusal::validation(
            "InstancePropertyFilterList and FiltersWithOperator exclude each other: give one of them",
        ));
    }
    let older = older
        .iter()
        .map(|filter| read(filter.key().word(), &filter.value_set, Operator::Equal));
    let newer = newer.iter().map(|filter| {
        let key = filter.key.as_deref().unwrap_or_default();
        read(key, &filter.values, operator(filter.operator()))
    });
    older.chain(newer).collect()
}

fn operator(word: InstancePropertyFilterOperator) -> Operator {
    match word {
        InstancePropertyFilterOperator::Unset | InstancePropertyFilterOperator::Equal => Operator::Equal,
        InstancePropertyFilterOperator::NotEqual => Operator::NotEqual,
        InstancePropertyFilterOperator::BeginWith => Operator::BeginWith,
        InstancePropertyFilterOperator::LessThan => Operator::LessThan,
        InstancePropertyFilterOperator::GreaterThan => Operator::GreaterThan,
    }
}

fn read(key: &str, values: &[String], operator: Operator) -> Result<Condition, Refusal> {
    match operator {
        Operator::Equal | Operator::NotEqual => Ok(Condition {
            operator,
            ..exact(key, values)?
        }),
        Operator::BeginWith => {
            let field = field_of_text(key)?;
            storable(key, values, bad_value)?;
            Ok(Condition {
                field,
                operator,
                values: values.to_vec(),
            })
        }
        Operator::LessThan | Operator::GreaterThan => ordered(key, values, operator),
    }
}

/// Whole values: the words of enums and the form of ids are checked.
fn exact(key: &str, values: &[String]) -> Result<Condition, Refusal> {
    if InstancePropertyFilterKey::from_word(key) == Some(InstancePropertyFilterKey::ActivationIds)
        && let Some(bad) = values.iter().find(|value| !is_activation_id(value))
    {
        let message = format!("{key} filter: {bad} is no id of an activation");
        return Err(Refusal::new(Reason::InvalidActivationId, message));
    }
    match key {
        "SourceIds" | "SourceTypes" | "tag-key" => beyond(key, values, bad_value),
        _ if key.starts_with("tag:") => beyond(key, values, bad_value),
        _ => match property(key) {
            Some(field) => {
                storable(key, values, bad_value)?;
                Ok(Condition::equal(field, values.to_vec()))
            }
            None => shared(key, values, bad_value).map_err(name_all_keys(key)),
        },
    }
}

/// The fields that only this operation filters by.
fn property(key: &str) -> Option<Field> {
    Some(match key {
        "DocumentName" => Field::Association,
        "Name" => Field::Name,
        "ComputerName" => Field::ComputerName,
        "IPAddress" => Field::IpAddress,
        "PlatformName" => Field::PlatformName,
        "PlatformVersion" => Field::PlatformVersion,
        "Architecture" => Field::Architecture,
        "AvailabilityZone" => Field::AvailabilityZone,
        _ => return None,
    })
}

/// Beginnings are not checked against words or forms: a beginning is no whole.
fn field_of_text(key: &str) -> Result<Field, Refusal> {
    if let Some(field) = property(key) {
        return Ok(field);
    }
    Ok(match key {
        "InstanceIds" | "SourceIds" => Field::NodeId,
        "AgentVersion" => Field::AgentVersion,
        "PingStatus" => Field::PingStatus,
        "PlatformTypes" => Field::PlatformType,
        "ActivationIds" => Field::ActivationId,
        "IamRole" => Field::IamRole,
        "ResourceType" => Field::ResourceType,
        "SourceTypes" => Field::SourceType,
        "AssociationStatus" => Field::Association,
        "tag-key" => Field::TagKey,
        _ => match key.strip_prefix("tag:") {
            Some(tag) if !tag.is_empty() && !tag.contains('\0') => Field::Tag(tag.to_owned()),
            _ => return Err(unknown_key(key, KEYS)),
        },
    })
}

/// Only versions have an order that means something.
fn ordered(key: &str, values: &[String], operator: Operator) -> Result<Condition, Refusal> {
    if field_of_text(key)? != Field::AgentVersion {
        return Err(bad_value(format!(
            "{key} filter is invalid, LessThan and GreaterThan compare AgentVersion only"
        )));
    }
    let order = |version: &String| {
        version_order(version).ok_or_else(|| {
            bad_value(format!(
                "{key} filter is invalid, {} is no version of three or four numbers",
                version.escape_debug()
            ))
        })
    };
    Ok(Condition {
        field: Field::AgentVersionOrder,
        operator,
        values: values.iter().map(order).collect::<Result<_, _>>()?,
    })
}

fn is_activation_id(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    let is_hexadecimal = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    parts.iter().map(|part| part.len()).eq(lengths) && parts.iter().all(is_hexadecimal)
}

fn name_all_keys(key: &str) -> impl Fn(Refusal) -> Refusal + '_ {
    move |refusal| match refusal.reason {
        Reason::InvalidFilterKey => unknown_key(key, KEYS),
        _ => refusal,
    }
}

fn bad_value(message: String) -> Refusal {
    Refusal::new(Reason::InvalidInstancePropertyFilterValue, message)
}

#[cfg(test)]
mod tests {
    use muster_proto::fleet::v1::{InstancePropertyFilter, InstancePropertyStringFilter};

    use super::*;

    fn ask(key: &str, operator: InstancePropertyFilterOperator, values: &[&str]) -> Result<Condition, Refusal> {
        let request = DescribeInstancePropertiesRequest {
            filters_with_operator: vec![InstancePropertyStringFilter {
                key: Some(key.to_owned()),
                values: values.iter().map(|value| (*value).to_owned()).collect(),
                operator: Some(operator.into()),
            }],
            ..DescribeInstancePropertiesRequest::default()
        };
        parse(&request).map(|mut conditions| conditions.remove(0))
    }

    #[test]
    fn operators_compare_as_they_say() {
        use InstancePropertyFilterOperator as O;
        let check = |key: &str, operator: O, values: &[&str], has: &str, expected: bool| {
            let condition = ask(key, operator, values).unwrap();
            assert_eq!(condition.holds(&[has]), expected, "{key} {operator:?} {values:?}");
        };
        check("Name", O::Equal, &["web", "db"], "db", true);
        check("Name", O::NotEqual, &["web", "db"], "db", false);
        check("Name", O::NotEqual, &["web", "db"], "cache", true);
        check("ComputerName", O::BeginWith, &["web-", "db-"], "db-1", true);
        check("ComputerName", O::BeginWith, &["web-"], "db-1", false);
        check("PlatformTypes", O::BeginWith, &["Li"], "Linux", true);
        let version = version_order("3.10.0").unwrap();
        check("AgentVersion", O::GreaterThan, &["3.9.0"], &version, true);
        check("AgentVersion", O::LessThan, &["3.9.0"], &version, false);
        check("AgentVersion", O::LessThan, &["3.10.0"], &version, false);
    }

    #[test]
    fn refusals_have_the_words_of_the_operation() {
        use InstancePropertyFilterOperator as O;
        let check = |key: &str, operator: O, values: &[&str], reason: Reason| {
            assert_eq!(
                ask(key, operator, values).unwrap_err().reason,
                reason,
                "{key} {values:?}"
            );
        };
        check("Color", O::Equal, &["red"], Reason::InvalidFilterKey);
        check("Color", O::BeginWith, &["red"], Reason::InvalidFilterKey);
        check("Color", O::LessThan, &["red"], Reason::InvalidFilterKey);
        check("InstanceIds", O::Equal, &["web"], Reason::InvalidInstanceId);
        check("ActivationIds", O::Equal, &["web"], Reason::InvalidActivationId);
        let value = Reason::InvalidInstancePropertyFilterValue;
        check("PingStatus", O::Equal, &["Asleep"], value);
        check("ResourceType", O::Equal, &["EC2Instance", "ManagedInstance"], value);
        check("PlatformName", O::LessThan, &["Debian"], value);
        check("AgentVersion", O::LessThan, &["new"], value);
        check("Name", O::Equal, &["a\0b"], value);
        assert!(ask("ActivationIds", O::Equal, &["01234567-89ab-cdef-0123-456789abcdef"]).is_ok());
    }

    #[test]
    fn the_older_form_compares_whole_values() {
        let request = DescribeInstancePropertiesRequest {
            instance_property_filter_list: vec![InstancePropertyFilter {
                key: Some(InstancePropertyFilterKey::DocumentName.into()),
                value_set: vec!["AWS-GatherSoftwareInventory".to_owned()],
            }],
            ..DescribeInstancePropertiesRequest::default()
        };
        let conditions = parse(&request).unwrap();
        assert_eq!(conditions[0].field, Field::Association);
        assert_eq!(conditions[0].operator, Operator::Equal);
    }
}
