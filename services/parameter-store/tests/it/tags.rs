//! Tags of parameters, as fleet asks for them.

use muster_proto::aws::v1::{
    AddTagsToResourceRequest, ListTagsForResourceRequest, Reason, RemoveTagsFromResourceRequest,
    ResourceTypeForTagging, Tag,
};
use muster_proto::parameterstore::v1::DeleteParameterRequest;

use crate::service::{Service, put, reason};

fn add(kind: ResourceTypeForTagging, id: &str, tags: &[(&str, &str)]) -> AddTagsToResourceRequest {
    let tag = |(key, value): &(&str, &str)| Tag {
        key: Some((*key).to_owned()),
        value: Some((*value).to_owned()),
    };
    let mut request = AddTagsToResourceRequest {
        resource_id: Some(id.to_owned()),
        tags: tags.iter().map(tag).collect(),
        ..AddTagsToResourceRequest::default()
    };
    request.set_resource_type(kind);
    request
}

fn list(id: &str) -> ListTagsForResourceRequest {
    let mut request = ListTagsForResourceRequest {
        resource_id: Some(id.to_owned()),
        ..ListTagsForResourceRequest::default()
    };
    request.set_resource_type(ResourceTypeForTagging::Parameter);
    request
}

async fn listed(service: &Service, id: &str) -> Vec<(String, String)> {
    let answer = service.tags().list(list(id)).await.unwrap().into_inner();
    let pair = |tag: Tag| (tag.key.unwrap(), tag.value.unwrap());
    answer.tag_list.into_iter().map(pair).collect()
}

#[tokio::test]
async fn tags_belong_to_the_parameter_in_either_spelling_and_go_with_it() {
    let service = Service::start().await;
    let (mut parameters, mut tags) = (service.by_nats(), service.tags());
    let mut request = put("x", "1");
    request.tags = vec![Tag {
        key: Some("a".to_owned()),
        value: Some("1".to_owned()),
    }];
    parameters.put_parameter(request).await.unwrap();
    const PARAMETER: ResourceTypeForTagging = ResourceTypeForTagging::Parameter;
    tags.add(add(PARAMETER, "/x", &[("b", "2"), ("a", "3")])).await.unwrap();
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    assert_eq!(listed(&service, "x").await, pairs(&[("a", "3"), ("b", "2")]));
    let mut remove = RemoveTagsFromResourceRequest {
        resource_id: Some("/x".to_owned()),
        tag_keys: vec!["a".to_owned(), "nope".to_owned()],
        ..RemoveTagsFromResourceRequest::default()
    };
    remove.set_resource_type(PARAMETER);
    tags.remove(remove.clone()).await.unwrap();
    assert_eq!(listed(&service, "/x").await, pairs(&[("b", "2")]));
    for bad in ["nope", "a b", "/x/", "ssm", ""] {
        assert_eq!(reason(tags.list(list(bad)).await), Reason::InvalidResourceId, "{bad}");
    }
    assert_eq!(
        reason(tags.add(add(PARAMETER, "x", &[("aws:k", "v")])).await),
        Reason::ValidationException
    );
    let wrong = add(ResourceTypeForTagging::Document, "x", &[("k", "v")]);
    assert_eq!(reason(tags.add(wrong).await), Reason::InvalidResourceType);
    let many: Vec<String> = (0..50).map(|number| format!("k{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "v")).collect();
    assert_eq!(
        reason(tags.add(add(PARAMETER, "x", &many)).await),
        Reason::TooManyTagsError
    );
    parameters
        .delete_parameter(DeleteParameterRequest {
            name: Some("x".to_owned()),
        })
        .await
        .unwrap();
    assert_eq!(reason(tags.list(list("x")).await), Reason::InvalidResourceId);
    assert_eq!(reason(tags.remove(remove).await), Reason::InvalidResourceId);
    parameters.put_parameter(put("x", "1")).await.unwrap();
    assert!(listed(&service, "x").await.is_empty());
    service.stop().await;
}
