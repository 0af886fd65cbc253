//! Rules for tags of nodes (fleet 5).

use std::collections::BTreeMap;

use muster_model::NodeId;
use muster_proto::aws::v1::{Reason, Tag};
use muster_wire::Refusal;

/// Most tags on a node.
pub(crate) const MOST: usize = 50;

/// The node that a resource id names.
pub(crate) fn node(resource_id: &str, tag_i_nodes: bool) -> Result<NodeId, Refusal> {
    let hexadecimal = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_mi = resource_id
        .strip_prefix("mi-")
        .is_some_and(|rest| rest.len() == 17 && hexadecimal(rest));
    let is_i = tag_i_nodes && resource_id.starts_with("i-");
    match resource_id.parse() {
        Ok(node) if is_mi || is_i => Ok(node),
        _ => Err(Refusal::validation(format!(
            "resourceId {resource_id} should be in format mi-[0-9a-f]{{17}} for resource type ManagedInstance"
        ))),
    }
}

/// The tags after some were added; a key that is there gets the new value.
pub(crate) fn add(mut tags: BTreeMap<String, String>, new: &[Tag]) -> Result<BTreeMap<String, String>, Refusal> {
    for tag in new {
        let key = tag.key.clone().unwrap_or_default();
        if key.to_ascii_lowercase().starts_with("aws:") {
            let message = format!("tag key {key}: keys that begin with aws: are reserved");
            return Err(Refusal::validation(message));
        }
        tags.insert(key, tag.value.clone().unwrap_or_default());
    }
    match tags.len() > MOST {
        true => Err(Refusal::new(
            Reason::TooManyTagsError,
            format!("a node can have {MOST} tags, not {}", tags.len()),
        )),
        false => Ok(tags),
    }
}

#[cfg(test)]
mod tests {
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
        assert!(node("i-01234567", true).is_ok());
        assert!(node("i-01234567", false).is_err());
        for bad in ["mi-0123456789ABCDEF0", "mi-1", "web-1", ""] {
            let refusal = node(bad, true).unwrap_err();
            assert!(refusal.message.contains("mi-[0-9a-f]{17}"), "{bad}");
        }
    }

    #[test]
    fn the_fifty_first_tag_is_one_too_many() {
        let fifty: Vec<_> = (0..50).map(|number| tag(&format!("k{number}"), "v")).collect();
        let tags = add(BTreeMap::new(), &fifty).unwrap();
        assert_eq!(add(tags.clone(), &[tag("k0", "new")]).unwrap()["k0"], "new");
        assert_eq!(
            add(tags, &[tag("k50", "v")]).unwrap_err().reason,
            Reason::TooManyTagsError
        );
        assert!(add(BTreeMap::new(), &[tag("AWS:x", "v")]).is_err());
    }
}
