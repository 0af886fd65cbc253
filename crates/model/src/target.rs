//! Target expressions: how a caller names nodes without listing them (run-command 3).

use std::fmt;
use std::str::FromStr;

/// A text that is no target key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a target key (InstanceIds, tag:<key>, tag-key or resource-groups:Name)")]
pub struct TargetError {
    text: String,
}

/// What a target expression looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TargetKey {
    /// Node ids; the single value `*` means every managed node.
    InstanceIds,
    /// Nodes whose tag with this key has one of the values.
    Tag(String),
    /// Nodes that have any of the values as a tag key.
    TagKey,
    /// Members of a resource group.
    ResourceGroup,
    /// Narrows a resource group to resource types.
    ResourceGroupTypes,
}

impl FromStr for TargetKey {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.eq_ignore_ascii_case("InstanceIds") {
            return Ok(Self::InstanceIds);
        }
        match text {
            "tag-key" => Ok(Self::TagKey),
            "resource-groups:Name" => Ok(Self::ResourceGroup),
            "resource-groups:ResourceTypeFilters" => Ok(Self::ResourceGroupTypes),
            _ => match text.strip_prefix("tag:") {
                Some(key) if !key.is_empty() => Ok(Self::Tag(key.to_owned())),
                _ => Err(TargetError { text: text.to_owned() }),
            },
        }
    }
}

impl fmt::Display for TargetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InstanceIds => f.write_str("InstanceIds"),
            Self::Tag(key) => write!(f, "tag:{key}"),
            Self::TagKey => f.write_str("tag-key"),
            Self::ResourceGroup => f.write_str("resource-groups:Name"),
            Self::ResourceGroupTypes => f.write_str("resource-groups:ResourceTypeFilters"),
        }
    }
}

/// One expression; a node matches when any value does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// What is looked at.
    pub key: TargetKey,
    /// The values, any of which is enough.
    pub values: Vec<String>,
}

impl Target {
    /// Whether this is `InstanceIds=*`: every managed node.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.key == TargetKey::InstanceIds && self.values == ["*"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_parse_as_the_spec_says() {
        assert_eq!("instanceids".parse(), Ok(TargetKey::InstanceIds));
        assert_eq!("InstanceIds".parse(), Ok(TargetKey::InstanceIds));
        assert_eq!("tag:Server Role".parse(), Ok(TargetKey::Tag("Server Role".to_owned())));
        assert_eq!("tag-key".parse(), Ok(TargetKey::TagKey));
        for bad in ["tag:", "tags:x", "Tag:x", "resource-groups:name", "", "platform"] {
            assert!(bad.parse::<TargetKey>().is_err(), "{bad:?}");
        }
    }
}
