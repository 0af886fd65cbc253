//! What `ListNodes` and `ListNodesSummary` ask for (fleet 3).

use muster_model::{Account, NodeId};
use muster_proto::Word;
use muster_proto::aws::v1::{PlatformType, Reason};
use muster_proto::fleet::v1::{
    ManagedStatus, NodeAggregator, NodeAttributeName as Attribute, NodeFilter, NodeFilterKey as Key,
    NodeFilterOperatorType, PingStatus, ResourceType, SourceType,
};
use muster_wire::Refusal;

use super::condition::{Condition, Field, Operator};

/// What all agents are called.
pub(crate) const AGENT: &str = "muster-agent";
/// An attribute within an attribute, and no more: a group has three members.
const DEEPEST: usize = 2;

/// One or two attributes by which nodes are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grouping(pub(crate) Vec<Attribute>);

/// Refuses a data sync: there are none.
///
/// # Errors
/// If one is named.
pub(crate) fn no_sync(name: &str) -> Result<(), Refusal> {
    match name {
        "" => Ok(()),
        name => {
            let message = format!("there is no resource data sync {}", name.escape_debug());
            Err(Refusal::new(Reason::ResourceDataSyncNotFoundException, message))
        }
    }
}

/// Reads filters that are within the contract's limits.
///
/// # Errors
/// `InvalidFilter` if a value is none of those that the key has.
pub(crate) fn conditions(filters: &[NodeFilter], account: &Account) -> Result<Vec<Condition>, Refusal> {
    filters.iter().map(|filter| condition(filter, account)).collect()
}

fn condition(filter: &NodeFilter, account: &Account) -> Result<Condition, Refusal> {
    let key = filter.key();
    let operator = match filter.r#type() {
        NodeFilterOperatorType::Unset | NodeFilterOperatorType::Equal => Operator::Equal,
        NodeFilterOperatorType::NotEqual => Operator::NotEqual,
        NodeFilterOperatorType::BeginWith => Operator::BeginWith,
    };
    if operator != Operator::BeginWith {
        check(key, &filter.values)?;
    }
    let mut values = filter.values.clone();
    if key == Key::ManagedStatus && values.iter().any(|value| value == ManagedStatus::All.word()) {
        values = vec![
            ManagedStatus::Managed.word().to_owned(),
            ManagedStatus::Unmanaged.word().to_owned(),
        ];
    }
    Ok(Condition {
        field: field(key, account)?,
        operator,
        values,
    })
}

/// Whole values of keys that have words, or ids.
fn check(key: Key, values: &[String]) -> Result<(), Refusal> {
    let words = match key {
        Key::InstanceId => {
            return match values.iter().find(|value| value.parse::<NodeId>().is_err()) {
                Some(bad) => Err(bad_filter(format!(
                    "InstanceId filter: {bad} is no id of a managed node"
                ))),
                None => Ok(()),
            };
        }
        Key::InstanceStatus => PingStatus::WORDS,
        Key::ManagedStatus => ManagedStatus::WORDS,
        Key::PlatformType => PlatformType::WORDS,
        Key::ResourceType => ResourceType::WORDS,
        Key::SourceType => SourceType::WORDS,
        _ => return Ok(()),
    };
    match values.iter().all(|value| words.contains(&value.as_str())) {
        true => Ok(()),
        false => {
            let message = format!(
                "{} filter is invalid, valid values are {}",
                key.word(),
                words.join(", ")
            );
            Err(bad_filter(message))
        }
    }
}

fn field(key: Key, account: &Account) -> Result<Field, Refusal> {
    Ok(match key {
        Key::AgentType => Field::Same(AGENT.to_owned()),
        Key::AgentVersion => Field::AgentVersion,
        Key::ComputerName => Field::ComputerName,
        Key::InstanceId | Key::SourceId => Field::NodeId,
        Key::InstanceStatus => Field::PingStatus,
        Key::IpAddress => Field::IpAddress,
        Key::ManagedStatus => Field::Same(ManagedStatus::Managed.word().to_owned()),
        Key::PlatformName => Field::PlatformName,
        Key::PlatformType => Field::PlatformType,
        Key::PlatformVersion => Field::PlatformVersion,
        Key::ResourceType => Field::ResourceType,
        Key::SourceType => Field::SourceType,
        Key::Region => Field::Same(account.region().to_owned()),
        Key::AccountId => Field::Same(account.id().to_owned()),
        Key::AvailabilityZone => Field::AvailabilityZone,
        // What no node has.
        Key::OrganizationalUnitId | Key::OrganizationalUnitPath | Key::SourceLocation | Key::AvailabilityZoneId => {
            Field::Same(String::new())
        }
        Key::Unset => return Err(bad_filter("a filter has no key".to_owned())),
    })
}

/// Reads by what nodes are to be counted.
///
/// # Errors
/// `InvalidAggregatorException` if attributes are nested deeper than two, or an attribute within itself.
pub(crate) fn groupings(aggregators: &[NodeAggregator]) -> Result<Vec<Grouping>, Refusal> {
    let mut found = Vec::new();
    for aggregator in aggregators {
        collect(aggregator, Vec::new(), &mut found)?;
    }
    Ok(found)
}

fn collect(aggregator: &NodeAggregator, mut path: Vec<Attribute>, found: &mut Vec<Grouping>) -> Result<(), Refusal> {
    let attribute = aggregator.attribute_name();
    if path.contains(&attribute) {
        return Err(bad_aggregator(format!("{} is counted within itself", attribute.word())));
    }
    path.push(attribute);
    if path.len() > DEEPEST {
        return Err(bad_aggregator(format!("aggregators are nested deeper than {DEEPEST}")));
    }
    if aggregator.aggregators.is_empty() {
        found.push(Grouping(path));
        return Ok(());
    }
    for inner in &aggregator.aggregators {
        collect(inner, path.clone(), found)?;
    }
    Ok(())
}

/// What an attribute is of a node.
pub(crate) fn attribute(name: Attribute, account: &Account) -> Field {
    match name {
        Attribute::AgentVersion => Field::AgentVersion,
        Attribute::PlatformName => Field::PlatformName,
        Attribute::PlatformType => Field::PlatformType,
        Attribute::PlatformVersion => Field::PlatformVersion,
        Attribute::Region => Field::Same(account.region().to_owned()),
        Attribute::ResourceType => Field::ResourceType,
        Attribute::SourceType => Field::SourceType,
        Attribute::AvailabilityZone => Field::AvailabilityZone,
        // The contract requires one.
        Attribute::Unset => Field::Same(String::new()),
    }
}

fn bad_filter(message: String) -> Refusal {
    Refusal::new(Reason::InvalidFilter, message)
}

fn bad_aggregator(message: String) -> Refusal {
    Refusal::new(Reason::InvalidAggregatorException, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: Key, operator: NodeFilterOperatorType, values: &[&str]) -> Result<Condition, Refusal> {
        let filter = NodeFilter {
            key: Some(key.into()),
            r#type: Some(operator.into()),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        conditions(&[filter], &Account::default()).map(|mut read| read.remove(0))
    }

    #[test]
    fn words_and_ids_are_checked_where_they_are_compared_as_a_whole() {
        use NodeFilterOperatorType::{BeginWith, Equal, NotEqual, Unset};
        for (key, bad) in [
            (Key::InstanceId, "web"),
            (Key::InstanceStatus, "online"),
            (Key::ManagedStatus, "Any"),
            (Key::PlatformType, "linux"),
            (Key::ResourceType, "Toaster"),
            (Key::SourceType, "Toaster"),
        ] {
            for operator in [Unset, Equal, NotEqual] {
                assert_eq!(
                    read(key, operator, &[bad]).unwrap_err().reason,
                    Reason::InvalidFilter,
                    "{key:?}"
                );
            }
            assert!(read(key, BeginWith, &[bad]).is_ok(), "{key:?}");
        }
        assert_eq!(
            read(Key::Unset, Equal, &["x"]).unwrap_err().reason,
            Reason::InvalidFilter
        );
    }

    #[test]
    fn all_nodes_are_managed_ones_of_one_account_in_one_region() {
        use NodeFilterOperatorType::{Equal, NotEqual};
        let holds = |key, operator, value: &str| {
            let condition = read(key, operator, &[value]).unwrap();
            let Field::Same(has) = &condition.field else {
                panic!("{condition:?}")
            };
            condition.holds(&[has])
        };
        assert!(holds(Key::Region, Equal, "us-east-1") && !holds(Key::Region, Equal, "eu-west-1"));
        assert!(holds(Key::AccountId, NotEqual, "111111111111"));
        assert!(holds(Key::AgentType, Equal, "muster-agent"));
        assert!(holds(Key::ManagedStatus, Equal, "Managed") && holds(Key::ManagedStatus, Equal, "All"));
        assert!(!holds(Key::ManagedStatus, Equal, "Unmanaged") && !holds(Key::ManagedStatus, NotEqual, "All"));
        assert!(!holds(Key::OrganizationalUnitId, Equal, "ou-ab12-cdefghij"));
    }

    fn by(attribute: Attribute, within: Vec<NodeAggregator>) -> NodeAggregator {
        NodeAggregator {
            attribute_name: Some(attribute.into()),
            aggregators: within,
            ..NodeAggregator::default()
        }
    }

    #[test]
    fn each_leaf_is_a_grouping() {
        use Attribute::{AgentVersion, PlatformName, PlatformType, Region};
        let tree = [
            by(PlatformType, vec![by(PlatformName, vec![]), by(AgentVersion, vec![])]),
            by(Region, vec![]),
        ];
        let expected = [
            vec![PlatformType, PlatformName],
            vec![PlatformType, AgentVersion],
            vec![Region],
        ];
        assert_eq!(groupings(&tree).unwrap(), expected.map(Grouping));
        for bad in [
            by(Region, vec![by(Region, vec![])]),
            by(Region, vec![by(PlatformType, vec![by(PlatformName, vec![])])]),
        ] {
            assert_eq!(
                groupings(&[bad]).unwrap_err().reason,
                Reason::InvalidAggregatorException
            );
        }
    }

    #[test]
    fn there_are_no_data_syncs() {
        assert_eq!(no_sync(""), Ok(()));
        assert_eq!(
            no_sync("all").unwrap_err().reason,
            Reason::ResourceDataSyncNotFoundException
        );
    }
}
