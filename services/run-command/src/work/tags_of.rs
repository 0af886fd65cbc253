//! The tags of documents, by which decisions on commands may be made. Those of nodes come with the nodes.

use async_nats::Client;
use futures::future::BoxFuture;
use muster_boot::{ResourceTags, TagMap};
use muster_proto::aws::v1::{ListTagsForResourceRequest, ResourceTypeForTagging};
use muster_proto::documents::v1::document_tags_client::DocumentTagsClient;
use muster_wire::{Failure, NatsChannel};

/// Asks for the tags of documents.
#[derive(Debug)]
pub(crate) struct TagsOf(Client);

impl TagsOf {
    pub(crate) fn new(nats: Client) -> Self {
        Self(nats)
    }

    async fn document(&self, name: &str) -> Result<TagMap, Failure> {
        let request = ListTagsForResourceRequest {
            resource_type: Some(ResourceTypeForTagging::Document.into()),
            resource_id: Some(name.to_owned()),
        };
        let answer = DocumentTagsClient::new(NatsChannel::new(self.0.clone()))
            .list(request)
            .await;
        match answer.map_err(Failure::from) {
            Ok(answer) => {
                let tags = answer.into_inner().tag_list.into_iter();
                Ok(tags
                    .map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()))
                    .collect())
            }
            // What is not there has no tags.
            Err(Failure::Refused(_)) => Ok(TagMap::new()),
            Err(failure) => Err(failure),
        }
    }
}

impl ResourceTags for TagsOf {
    fn tags<'a>(&'a self, kind: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<TagMap>, Failure>> {
        Box::pin(async move {
            match kind {
                "document" => self.document(name).await.map(Some),
                _ => Ok(None),
            }
        })
    }
}
