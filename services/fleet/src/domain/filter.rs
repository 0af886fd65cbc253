//! Filters of `DescribeInstanceInformation`, in their older and their newer form (fleet 3).

use muster_model::NodeId;
use muster_proto::Word;
use muster_proto::aws::v1::{PlatformType, Reason};
use muster_proto::fleet::v1::{DescribeInstanceInformationRequest, PingStatus, ResourceType, SourceType};
use muster_wire::Refusal;

/// What a node is asked about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    pub(crate) node_id: &'a str,
    pub(crate) agent_version: &'a str,
    pub(crate) platform_type: &'a str,
    pub(crate) ping: PingStatus,
}

/// One filter; a node passes when any value fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    InstanceIds(Vec<String>),
    AgentVersion(Vec<String>),
    PingStatus(Vec<String>),
    PlatformTypes(Vec<String>),
    ResourceType(String),
    SourceIds(Vec<String>),
    SourceTypes(Vec<String>),
    /// Something no node has yet: activations, roles, associations.
    Nothing,
    Tag(String, Vec<String>),
    TagKey(Vec<String>),
}

/// Reads the filters of a request; together they must all hold.
pub(crate) fn parse(request: &DescribeInstanceInformationRequest) -> Result<Vec<Filter>, Refusal> {
    let older = &request.instance_information_filter_list;
    if !older.is_empty() && !request.filters.is_empty() {
        return Err(Refusal::validation(
            "InstanceInformationFilterList and Filters exclude each other: give one of them",
        ));
    }
    let mut filters = Vec::new();
    for filter in older {
        filters.push(read(filter.key().word(), &filter.value_set, false)?);
    }
    for filter in &request.filters {
        filters.push(read(filter.key.as_deref().unwrap_or_default(), &filter.values, true)?);
    }
    let is_tag = |filter: &Filter| matches!(filter, Filter::Tag(..) | Filter::TagKey(_));
    if filters.iter().any(is_tag) && !filters.iter().all(is_tag) {
        return Err(Refusal::validation(
            "Cannot mix tag or inventory filter with any other filter.",
        ));
    }
    Ok(filters)
}

fn read(key: &str, values: &[String], newer: bool) -> Result<Filter, Refusal> {
    let values = values.to_vec();
    match key {
        "InstanceIds" => {
            if let Some(bad) = values.iter().find(|value| value.parse::<NodeId>().is_err()) {
                let message = format!("the filter InstanceIds: {bad} is no node id");
                return Err(Refusal::new(Reason::InvalidInstanceId, message));
            }
            Ok(Filter::InstanceIds(values))
        }
        "AgentVersion" => Ok(Filter::AgentVersion(values)),
        "PingStatus" => among(key, &values, PingStatus::WORDS).map(|()| Filter::PingStatus(values)),
        "PlatformTypes" => among(key, &values, PlatformType::WORDS).map(|()| Filter::PlatformTypes(values)),
        "ResourceType" => resource_type(&values),
        "ActivationIds" | "IamRole" => Ok(Filter::Nothing),
        "AssociationStatus" => among(key, &values, &["Success", "Pending", "Failed"]).map(|()| Filter::Nothing),
        "SourceIds" if newer => Ok(Filter::SourceIds(values)),
        "SourceTypes" if newer => among(key, &values, SourceType::WORDS).map(|()| Filter::SourceTypes(values)),
        "tag-key" if newer => Ok(Filter::TagKey(values)),
        _ => match key.strip_prefix("tag:").filter(|tag| newer && !tag.is_empty()) {
            Some(tag) => Ok(Filter::Tag(tag.to_owned(), values)),
            None => Err(Refusal::new(
                Reason::InvalidFilterKey,
                format!("{key} is no filter of nodes; there are {KEYS}"),
            )),
        },
    }
}

const KEYS: &str = "InstanceIds, AgentVersion, PingStatus, PlatformTypes, ResourceType, ActivationIds, IamRole, \
                    AssociationStatus, SourceIds, SourceTypes, tag:<key> and tag-key";

fn bad_value(message: String) -> Refusal {
    Refusal::new(Reason::InvalidInstanceInformationFilterValue, message)
}

fn among(key: &str, values: &[String], words: &[&str]) -> Result<(), Refusal> {
    match values.iter().all(|value| words.contains(&value.as_str())) {
        true => Ok(()),
        false => Err(bad_value(format!(
            "{key} filter is invalid, valid values are {}",
            words.join(", ")
        ))),
    }
}

fn resource_type(values: &[String]) -> Result<Filter, Refusal> {
    let [value] = values else {
        return Err(bad_value("ResourceType filter may contain only one value.".to_owned()));
    };
    match ResourceType::from_word(value) {
        Some(_) => Ok(Filter::ResourceType(value.clone())),
        None => Err(bad_value(
            "ResourceType filter is invalid, valid values are EC2Instance, ManagedInstance".to_owned(),
        )),
    }
}

impl Filter {
    /// Whether a node passes. Tags are looked up in the database and pass here.
    pub(crate) fn passes(&self, facts: &Facts<'_>) -> bool {
        let has = |values: &[String], value: &str| values.iter().any(|each| each == value);
        match self {
            Self::InstanceIds(ids) | Self::SourceIds(ids) => has(ids, facts.node_id),
            Self::AgentVersion(versions) => has(versions, facts.agent_version),
            Self::PingStatus(words) => has(words, facts.ping.word()),
            Self::PlatformTypes(words) => has(words, facts.platform_type),
            Self::ResourceType(word) => word == resource_type_of(facts.node_id).word(),
            Self::SourceTypes(words) => has(words, source_type_of(facts.node_id).word()),
            Self::Nothing => false,
            Self::Tag(..) | Self::TagKey(_) => true,
        }
    }
}

/// How a node with this id came to be one.
pub(crate) fn resource_type_of(node_id: &str) -> ResourceType {
    match node_id.starts_with("i-") {
        true => ResourceType::Ec2Instance,
        false => ResourceType::ManagedInstance,
    }
}

/// What a node with this id is elsewhere.
pub(crate) fn source_type_of(node_id: &str) -> SourceType {
    match node_id.starts_with("i-") {
        true => SourceType::AwsEc2Instance,
        false => SourceType::AwsSsmManagedInstance,
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::fleet::v1::{
        InstanceInformationFilter, InstanceInformationFilterKey, InstanceInformationStringFilter,
    };

    use super::*;

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

    fn refused(filters: &[(&str, &[&str])]) -> (Reason, String) {
        let refusal = parse(&newer(filters)).unwrap_err();
        (refusal.reason, refusal.message)
    }

    #[test]
    fn bad_filters_have_the_words_of_the_spec() {
        assert_eq!(refused(&[("Color", &["red"])]).0, Reason::InvalidFilterKey);
        assert_eq!(refused(&[("tag:", &["red"])]).0, Reason::InvalidFilterKey);
        assert_eq!(refused(&[("InstanceIds", &["web"])]).0, Reason::InvalidInstanceId);
        let value = Reason::InvalidInstanceInformationFilterValue;
        let (reason, text) = refused(&[("ResourceType", &["EC2Instance", "ManagedInstance"])]);
        assert_eq!(
            (reason, text.as_str()),
            (value, "ResourceType filter may contain only one value.")
        );
        let (reason, text) = refused(&[("ResourceType", &["Toaster"])]);
        assert_eq!(reason, value);
        assert_eq!(
            text,
            "ResourceType filter is invalid, valid values are EC2Instance, ManagedInstance"
        );
        assert_eq!(refused(&[("PingStatus", &["Asleep"])]).0, value);
        let (reason, text) = refused(&[("tag:Role", &["web"]), ("PingStatus", &["Online"])]);
        assert_eq!(reason, Reason::ValidationException);
        assert_eq!(text, "Cannot mix tag or inventory filter with any other filter.");
    }

    #[test]
    fn the_two_forms_exclude_each_other() {
        let mut both = newer(&[("PingStatus", &["Online"])]);
        both.instance_information_filter_list.push(InstanceInformationFilter {
            key: Some(InstanceInformationFilterKey::PingStatus.into()),
            value_set: vec!["Online".to_owned()],
        });
        assert_eq!(parse(&both).unwrap_err().reason, Reason::ValidationException);
    }

    #[test]
    fn filters_pass_what_they_name() {
        let facts = Facts {
            node_id: "mi-0123456789abcdef0",
            agent_version: "0.1.0",
            platform_type: "Linux",
            ping: PingStatus::Online,
        };
        let check = |key: &str, value: &str, passes: bool| {
            let filters = parse(&newer(&[(key, &[value])])).unwrap();
            assert_eq!(filters[0].passes(&facts), passes, "{key}={value}");
        };
        check("InstanceIds", "mi-0123456789abcdef0", true);
        check("InstanceIds", "mi-0123456789abcdef1", false);
        check("SourceIds", "mi-0123456789abcdef0", true);
        check("SourceTypes", "AWS::SSM::ManagedInstance", true);
        check("SourceTypes", "AWS::EC2::Instance", false);
        check("AgentVersion", "0.1.0", true);
        check("PlatformTypes", "Linux", true);
        check("PlatformTypes", "Windows", false);
        check("PingStatus", "Online", true);
        check("PingStatus", "ConnectionLost", false);
        check("ResourceType", "ManagedInstance", true);
        check("ActivationIds", "any", false);
    }
}
