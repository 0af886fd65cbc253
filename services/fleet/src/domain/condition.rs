//! What a list of nodes is narrowed to. Filters of both list operations become conditions; the store knows only these.

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    NodeId,
    Name,
    AgentVersion,
    /// The version in the form that sorts.
    AgentVersionOrder,
    PingStatus,
    PlatformType,
    PlatformName,
    PlatformVersion,
    ComputerName,
    IpAddress,
    Architecture,
    AvailabilityZone,
    ActivationId,
    IamRole,
    ResourceType,
    SourceType,
    /// Something that is the same for all nodes, as the account.
    Same(String),
    /// Something that no node has yet: the status of its associations, their documents.
    Association,
    /// The value of the tag with this key. A node without the tag has none, which is not the empty one.
    Tag(String),
    /// The keys of all tags.
    TagKey,
}

/// How it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Equal to any of the values.
    Equal,
    /// Equal to none of the values.
    NotEqual,
    /// Begins with any of the values.
    BeginWith,
    /// Smaller than each of the values.
    LessThan,
    /// Greater than each of the values.
    GreaterThan,
}

/// One condition. All conditions of a list must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) field: Field,
    pub(crate) operator: Operator,
    pub(crate) values: Vec<String>,
}

impl Condition {
    /// Equal to any of the values.
    pub(crate) fn equal(field: Field, values: Vec<String>) -> Self {
        Self {
            field,
            operator: Operator::Equal,
            values,
        }
    }

    /// Whether it looks at tags.
    pub(crate) fn is_of_tags(&self) -> bool {
        matches!(self.field, Field::Tag(_) | Field::TagKey)
    }

    /// Whether it needs to know who was heard of lately.
    pub(crate) fn is_of_presence(&self) -> bool {
        self.field == Field::PingStatus
    }
}

#[cfg(test)]
impl Condition {
    /// Whether a node with these values meets it: what the SQL must agree with.
    /// A node has many values for `TagKey` and none for a tag that it lacks.
    pub(crate) fn holds(&self, has: &[&str]) -> bool {
        let any =
            |fits: &dyn Fn(&str, &str) -> bool| has.iter().any(|own| self.values.iter().any(|value| fits(own, value)));
        let each =
            |fits: &dyn Fn(&str, &str) -> bool| has.iter().any(|own| self.values.iter().all(|value| fits(own, value)));
        match self.operator {
            Operator::Equal => any(&|own, value| own == value),
            Operator::NotEqual => !any(&|own, value| own == value),
            Operator::BeginWith => any(&|own, value| own.starts_with(value)),
            Operator::LessThan => each(&|own, value| own < value),
            Operator::GreaterThan => each(&|own, value| own > value),
        }
    }
}
