//! Ids. Each kind is a type of its own and exists only parsed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is no id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// A new random id.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                // Only the hyphenated form of 36 characters; the library would accept others.
                if text.len() == 36
                    && let Ok(id) = Uuid::try_parse(text)
                {
                    return Ok(Self(id));
                }
                Err(IdError { text: text.to_owned(), expected: $expected })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

uuid_id!(
    /// A command of Run Command: a UUID in its 36 character form.
    CommandId,
    "a command id (a UUID of 36 characters)"
);
uuid_id!(
    /// A rollout of the coordinator, chosen by its owner; also the run id on each node.
    RolloutId,
    "a rollout id (a UUID of 36 characters)"
);

impl From<CommandId> for RolloutId {
    fn from(id: CommandId) -> Self {
        Self(id.0)
    }
}

impl From<RolloutId> for CommandId {
    fn from(id: RolloutId) -> Self {
        Self(id.0)
    }
}

/// A managed node: `mi-` with 17 word characters, or `i-` with 8 or 17 (fleet 1).
/// Muster itself makes only lower-case hexadecimal ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(Box<str>);

impl NodeId {
    /// A new random `mi-` id.
    #[must_use]
    pub fn random() -> Self {
        let hex = Uuid::new_v4().simple().to_string();
        Self(format!("mi-{}", &hex[..17]).into_boxed_str())
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = match text.split_once('-') {
            Some(("mi", rest)) => rest.len() == 17 && is_word(rest),
            Some(("i", rest)) => matches!(rest.len(), 8 | 17) && is_word(rest),
            _ => false,
        };
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(IdError {
                text: text.to_owned(),
                expected: "a node id (mi- and 17, or i- and 8 or 17 word characters)",
            })
        }
    }
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for NodeId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> String {
        id.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_have_two_forms() {
        for good in [
            "mi-0123456789abcdef0",
            "i-01234567",
            "i-0123456789abcdef0",
            "mi-ABCDEFGHIJKLMNOP_",
        ] {
            assert_eq!(good.parse::<NodeId>().map(|id| id.to_string()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "mi-",
            "mi-0123456789abcde",
            "i-012345678",
            "x-01234567",
            "mi-0123456789abcde.>",
            "i-0123456\n",
        ] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn made_node_ids_parse_again() {
        let id = NodeId::random();
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
    }

    #[test]
    fn command_ids_are_hyphenated_uuids_only() {
        let id = CommandId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("0123456789abcdef0123456789abcdef".parse::<CommandId>().is_err());
        assert!("not-a-uuid-but-36-characters-long-xx".parse::<CommandId>().is_err());
    }
}
