//! Tags of documents, as fleet asks for them.

use muster_proto::aws::v1::{
    AddTagsToResourceRequest, ListTagsForResourceRequest, Reason, RemoveTagsFromResourceRequest,
    ResourceTypeForTagging, Tag,
};
use muster_proto::documents::v1::DeleteDocumentRequest;

use crate::service::{Service, new, reason, saying};

const DOCUMENT: ResourceTypeForTagging = ResourceTypeForTagging::Document;

fn add(id: &str, tags: &[(&str, &str)]) -> AddTagsToResourceRequest {
    let tag = |(key, value): &(&str, &str)| Tag {
        key: Some((*key).to_owned()),
        value: Some((*value).to_owned()),
    };
    let mut request = AddTagsToResourceRequest {
        resource_id: Some(id.to_owned()),
        tags: tags.iter().map(tag).collect(),
        ..AddTagsToResourceRequest::default()
    };
    request.set_resource_type(DOCUMENT);
    request
}

fn remove(id: &str, keys: &[&str]) -> RemoveTagsFromResourceRequest {
    let mut request = RemoveTagsFromResourceRequest {
        resource_id: Some(id.to_owned()),
        tag_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..RemoveTagsFromResourceRequest::default()
    };
    request.set_resource_type(DOCUMENT);
    request
}

fn list(id: &str) -> ListTagsForResourceRequest {
    let mut request = ListTagsForResourceRequest {
        resource_id: Some(id.to_owned()),
        ..ListTagsForResourceRequest::default()
    };
    request.set_resource_type(DOCUMENT);
    request
}

async fn listed(service: &Service, id: &str) -> Vec<(String, String)> {
    let answer = service.tags().list(list(id)).await.unwrap().into_inner();
    let pair = |tag: Tag| (tag.key.unwrap(), tag.value.unwrap());
    answer.tag_list.into_iter().map(pair).collect()
}

#[tokio::test]
async fn tags_are_set_shown_in_order_and_removed() {
    let service = Service::start().await;
    service
        .by_nats()
        .create_document(new("Mine", saying("x")))
        .await
        .unwrap();
    let mut tags = service.tags();
    assert!(listed(&service, "Mine").await.is_empty());
    tags.add(add("Mine", &[("b", "1"), ("a", "2"), ("b", "3")]))
        .await
        .unwrap();
    tags.add(add("Mine", &[("a", "4"), ("c", "")])).await.unwrap();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let arn = "arn:aws:ssm:us-east-1:000000000000:document/Mine";
    for id in ["Mine", arn] {
        assert_eq!(
            listed(&service, id).await,
            [pair("a", "4"), pair("b", "3"), pair("c", "")]
        );
    }
    tags.remove(remove("Mine", &["b", "none"])).await.unwrap();
    assert_eq!(listed(&service, "Mine").await, [pair("a", "4"), pair("c", "")]);

    let mut documents = service.by_nats();
    let delete = DeleteDocumentRequest {
        name: Some("Mine".to_owned()),
        ..DeleteDocumentRequest::default()
    };
    documents.delete_document(delete).await.unwrap();
    documents.create_document(new("Mine", saying("x"))).await.unwrap();
    assert!(
        listed(&service, "Mine").await.is_empty(),
        "tags do not pass to another document of the name"
    );
    service.stop().await;
}

#[tokio::test]
async fn bad_tags_and_unknown_documents_are_refused() {
    let service = Service::start().await;
    service
        .by_nats()
        .create_document(new("Mine", saying("x")))
        .await
        .unwrap();
    let mut tags = service.tags();
    let keys: Vec<_> = (0..51).map(|n| format!("k{n}")).collect();
    let many: Vec<_> = keys.iter().map(|key| (key.as_str(), "v")).collect();
    tags.add(add("Mine", &many[..50])).await.unwrap();
    assert_eq!(
        reason(tags.add(add("Mine", &many[50..])).await),
        Reason::TooManyTagsError
    );
    assert_eq!(
        reason(tags.add(add("Mine", &[("aws:x", "v")])).await),
        Reason::ValidationException
    );
    for id in ["None", "", "nul\0", "arn:aws:ssm:us-east-1:999999999999:document/Mine"] {
        assert_eq!(reason(tags.list(list(id)).await), Reason::InvalidResourceId, "{id:?}");
        assert_eq!(
            reason(tags.add(add(id, &[("a", "b")])).await),
            Reason::InvalidResourceId,
            "{id:?}"
        );
        assert_eq!(
            reason(tags.remove(remove(id, &["a"])).await),
            Reason::InvalidResourceId,
            "{id:?}"
        );
    }
    let mut node = list("Mine");
    node.set_resource_type(ResourceTypeForTagging::ManagedInstance);
    assert_eq!(reason(tags.list(node).await), Reason::InvalidResourceType);
    service.stop().await;
}
