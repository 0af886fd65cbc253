//! `muster parameters tags`, `tag` and `untag`: the tags of parameters that are there.

use std::collections::BTreeMap;

use muster_proto::aws::v1::{
    AddTagsToResourceRequest, ListTagsForResourceRequest, RemoveTagsFromResourceRequest, ResourceTypeForTagging, Tag,
};

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::server::Server;
use crate::table::Table;

/// Tags by their keys.
pub(super) type Tags = BTreeMap<String, String>;

/// What the contract has for each of these.
pub(super) fn listed(tags: Tags) -> Vec<Tag> {
    let tag = |(key, value)| Tag {
        key: Some(key),
        value: Some(value),
    };
    tags.into_iter().map(tag).collect()
}

pub(super) async fn show(name: String, server: &Server) -> Result<Exit, Complaint> {
    let tags = of(name, server).await?;
    if tags.is_empty() {
        print::say("no tags");
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["KEY", "VALUE"]);
    for (key, value) in tags {
        table.row([key, value]);
    }
    print::data(&table.text())?;
    Ok(Exit::Success)
}

/// All tags of a parameter.
pub(super) async fn of(name: String, server: &Server) -> Result<Tags, Complaint> {
    let request = ListTagsForResourceRequest {
        resource_type: Some(ResourceTypeForTagging::Parameter as i32),
        resource_id: Some(name),
    };
    let answer = server.tags().list_tags_for_resource(request).await;
    let answer = answer.map_err(|status| Complaint::answered("Tags.ListTagsForResource", status))?;
    let pair = |tag: Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
    Ok(answer.into_inner().tag_list.into_iter().map(pair).collect())
}

/// Sets tags; those that are there with other keys stay.
pub(super) async fn add(name: String, tags: Tags, server: &Server) -> Result<(), Complaint> {
    let request = AddTagsToResourceRequest {
        resource_type: Some(ResourceTypeForTagging::Parameter as i32),
        resource_id: Some(name),
        tags: listed(tags),
    };
    let answer = server.tags().add_tags_to_resource(request).await;
    answer.map_err(|status| Complaint::answered("Tags.AddTagsToResource", status))?;
    Ok(())
}

/// Takes tags off.
pub(super) async fn remove(name: String, keys: Vec<String>, server: &Server) -> Result<(), Complaint> {
    let request = RemoveTagsFromResourceRequest {
        resource_type: Some(ResourceTypeForTagging::Parameter as i32),
        resource_id: Some(name),
        tag_keys: keys,
    };
    let answer = server.tags().remove_tags_from_resource(request).await;
    answer.map_err(|status| Complaint::answered("Tags.RemoveTagsFromResource", status))?;
    Ok(())
}
