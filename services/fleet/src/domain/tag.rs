//! Rules for tags of nodes (fleet 5). Lengths and characters are the contract's and checked before.

use std::collections::BTreeMap;

use muster_model::NodeId;
use muster_proto::aws::v1::{Reason, Tag};
use muster_wire::Refusal;

/// Most tags on a node.
pub(crate) const MOST: usize = 50;

/// The node that a resource id names.
///
/// # Errors
/// If the text is no `mi-` id, nor, where that is allowed, an `i-` id.
pub(crate) fn node(resource_id: &str, tag_i_nodes: bool) -> Result<NodeId, Refusal> {
    let hexadecimal = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_allowed = match resource_id.split_once('-') {
        Some(("mi", rest)) => hexadecimal(rest),
        Some(("i", _)) => tag_i_nodes,
        _ => false,
    };
    match resource_id.parse() {
        Ok(node) if is_allowed => Ok(node),
        _ => Err(Refusal::validation(format!(
            "resourceId {resource_id} should be in format mi-[0-9a-f]{{17}} for resource type ManagedInstance"
        ))),
    }
}

/// The tags that a request sets, by key; of one key the last value counts.
///
/// # Errors
/// If a key is reserved, or there are more tags than a node can have.
pub(crate) fn wanted(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, Refusal> {
    let mut wanted = BTreeMap::new();
    for tag in tags {
        let key = tag.key.unwrap_or_default();
        if key.to_ascii_lowercase().starts_with("aws:") {
            let message = format!("tag key {key}: keys that begin with aws: are reserved");
            return Err(Refusal::validation(message));
        }
        wanted.insert(key, tag.value.unwrap_or_default());
    }
    fits(wanted.len())?;
    Ok(wanted)
}

/// Whether a node can have so many tags.
///
/// # Errors
/// If it cannot.
pub(crate) fn fits(tags: usize) -> Result<(), Refusal> {
    match tags > MOST {
        true => {
            let message = format!("a node can have {MOST} tags, not {tags}");
            Err(Refusal::new(Reason::TooManyTagsError, message))
        }
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        }
    }

    #[test]
    fn only_node_ids_are_tagged() {
        assert!(node("mi-0123456789abcdef0", true).is_ok());
        assert!(node("mi-0123456789abcdef0", false).is_ok());
        assert!(node("i-01234567", true).is_ok());
        assert!(node("i-01234567", false).is_err());
        for bad in ["mi-0123456789ABCDEF0", "mi-1", "web-1", "i-", ""] {
            let refusal = node(bad, true).unwrap_err();
            let expected =
                format!("resourceId {bad} should be in format mi-[0-9a-f]{{17}} for resource type ManagedInstance");
            assert_eq!(
                (refusal.reason, refusal.message),
                (Reason::ValidationException, expected)
            );
        }
    }

    #[test]
    fn reserved_keys_are_refused_in_any_case() {
        for key in ["aws:x", "AWS:x", "Aws:"] {
            assert_eq!(
                wanted(vec![tag(key, "v")]).unwrap_err().reason,
                Reason::ValidationException
            );
        }
        assert!(wanted(vec![tag("awsome", "v"), tag("x:aws:", "v")]).is_ok());
    }

    #[test]
    fn of_one_key_the_last_value_counts() {
        let tags = wanted(vec![tag("a", "1"), tag("b", "2"), tag("a", "3")]).unwrap();
        assert_eq!(
            tags,
            BTreeMap::from([("a", "3"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned())))
        );
    }

    proptest! {
        #[test]
        fn fifty_are_the_most(count in 0_usize..120) {
            let tags = (0..count).map(|number| tag(&number.to_string(), "v")).collect();
            match wanted(tags) {
                Ok(tags) => prop_assert!(tags.len() == count && count <= 50),
                Err(refusal) => prop_assert!(refusal.reason == Reason::TooManyTagsError && count > 50),
            }
        }
    }
}
