//! Tags of nodes and of documents.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use muster_harness::Anybody;
use muster_model::NodeId;
use muster_proto::aws::v1::{
    AddTagsToResourceRequest, AddTagsToResourceResult, ListTagsForResourceRequest, ListTagsForResourceResult,
    RemoveTagsFromResourceRequest, RemoveTagsFromResourceResult, ResourceTypeForTagging,
};
use muster_proto::documents::v1::document_tags_server::{DocumentTags, DocumentTagsServer};
use muster_proto::fleet::v1::{ResolveTargetsRequest, TargetExpression};
use muster_wire::{CallMetrics, Failure, Mount, Reason, Refusal, subject};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use crate::world::{World, facts, refusal, tags};

const NODE: ResourceTypeForTagging = ResourceTypeForTagging::ManagedInstance;

fn add(kind: ResourceTypeForTagging, id: &str, pairs: &[(&str, &str)]) -> AddTagsToResourceRequest {
    AddTagsToResourceRequest {
        resource_type: Some(kind.into()),
        resource_id: Some(id.to_owned()),
        tags: tags(pairs),
    }
}

fn remove(kind: ResourceTypeForTagging, id: &str, keys: &[&str]) -> RemoveTagsFromResourceRequest {
    RemoveTagsFromResourceRequest {
        resource_type: Some(kind.into()),
        resource_id: Some(id.to_owned()),
        tag_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    }
}

fn list(kind: ResourceTypeForTagging, id: &str) -> ListTagsForResourceRequest {
    ListTagsForResourceRequest {
        resource_type: Some(kind.into()),
        resource_id: Some(id.to_owned()),
    }
}

by_both_surfaces!(
    tags_of_a_node_are_set_overwritten_removed_and_listed_by_key,
    |world, clients| {
        let id = world.register("a", &[("Role", "web")]).await;
        clients
            .tags
            .add_tags_to_resource(add(NODE, &id, &[("b", "2"), ("Role", "db"), ("a", "")]))
            .await
            .unwrap();
        let listed = clients
            .tags
            .list_tags_for_resource(list(NODE, &id))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(listed.tag_list, tags(&[("Role", "db"), ("a", ""), ("b", "2")]));
        clients
            .tags
            .remove_tags_from_resource(remove(NODE, &id, &["a", "absent"]))
            .await
            .unwrap();
        let listed = clients
            .tags
            .list_tags_for_resource(list(NODE, &id))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(listed.tag_list, tags(&[("Role", "db"), ("b", "2")]));
    }
);

by_both_surfaces!(a_change_of_tags_counts_at_once_and_calls_the_node, |world, clients| {
    let id = world.register("a", &[]).await;
    let node: NodeId = id.parse().unwrap();
    let mut called = world.nats.subscribe(subject::config(&node)).await.unwrap();
    world.nats.flush().await.unwrap();
    let resolve = || ResolveTargetsRequest {
        instance_ids: Vec::new(),
        targets: vec![TargetExpression {
            key: "tag:Role".to_owned(),
            values: vec!["web".to_owned()],
        }],
        ..ResolveTargetsRequest::default()
    };
    clients
        .tags
        .add_tags_to_resource(add(NODE, &id, &[("Role", "web")]))
        .await
        .unwrap();
    let resolved = clients.nodes.resolve_targets(resolve()).await.unwrap().into_inner();
    assert_eq!(resolved.nodes.len(), 1);
    called.next().await.unwrap();
    assert_eq!(world.hello(&id, facts("a")).await.unwrap().tags["Role"], "web");

    // What changes nothing calls nobody: the next call is that of the removal.
    clients
        .tags
        .add_tags_to_resource(add(NODE, &id, &[("Role", "web")]))
        .await
        .unwrap();
    clients
        .tags
        .remove_tags_from_resource(remove(NODE, &id, &["Role"]))
        .await
        .unwrap();
    called.next().await.unwrap();
    let resolved = clients.nodes.resolve_targets(resolve()).await.unwrap().into_inner();
    assert!(resolved.nodes.is_empty());
    assert!(world.hello(&id, facts("a")).await.unwrap().tags.is_empty());
    world.nats.flush().await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, called.next()).await.is_err());
});

by_both_surfaces!(refusals_have_the_words_of_the_spec, |world, clients| {
    let id = world.register("a", &[]).await;
    let stranger = "mi-00000000000000000";
    for (request, reason, text) in [
        (add(NODE, stranger, &[("a", "b")]), Reason::InvalidResourceId, stranger),
        (
            add(NODE, "i-01234567", &[("a", "b")]),
            Reason::InvalidResourceId,
            "i-01234567",
        ),
        (
            add(NODE, "web", &[("a", "b")]),
            Reason::ValidationException,
            "resourceId web should be in format mi-[0-9a-f]{17} for resource type ManagedInstance",
        ),
        (add(NODE, &id, &[("aws:a", "b")]), Reason::ValidationException, "aws:"),
        (
            add(NODE, &id, &[("a*", "b")]),
            Reason::ValidationException,
            "tags.1.member.key",
        ),
        (
            add(ResourceTypeForTagging::OpsItem, "oi-1", &[]),
            Reason::InvalidResourceId,
            "oi-1",
        ),
        (
            add(ResourceTypeForTagging::MaintenanceWindow, "mw-1", &[]),
            Reason::UnsupportedOperationException,
            "MaintenanceWindow",
        ),
    ] {
        let status = clients.tags.add_tags_to_resource(request.clone()).await.unwrap_err();
        let refusal = refusal(status);
        assert_eq!(refusal.0, reason, "{request:?}");
        assert!(refusal.1.contains(text), "{}", refusal.1);
    }
    let fifty: Vec<_> = (0..50).map(|number| format!("k{number}")).collect();
    let fifty: Vec<_> = fifty.iter().map(|key| (key.as_str(), "v")).collect();
    clients.tags.add_tags_to_resource(add(NODE, &id, &fifty)).await.unwrap();
    let status = clients
        .tags
        .add_tags_to_resource(add(NODE, &id, &[("k50", "v")]))
        .await
        .unwrap_err();
    assert_eq!(refusal(status).0, Reason::TooManyTagsError);
    clients
        .tags
        .add_tags_to_resource(add(NODE, &id, &[("k49", "w")]))
        .await
        .unwrap();

    let status = clients
        .tags
        .list_tags_for_resource(list(NODE, stranger))
        .await
        .unwrap_err();
    assert_eq!(refusal(status).0, Reason::InvalidResourceId);
    let status = clients
        .tags
        .remove_tags_from_resource(remove(NODE, stranger, &["a"]))
        .await
        .unwrap_err();
    assert_eq!(refusal(status).0, Reason::InvalidResourceId);
});

/// Stands in for the documents service and remembers what it was asked.
#[derive(Debug, Default)]
struct Documents(Mutex<Vec<String>>);

impl Documents {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

#[tonic::async_trait]
impl DocumentTags for Documents {
    async fn add(
        &self,
        request: Request<AddTagsToResourceRequest>,
    ) -> Result<Response<AddTagsToResourceResult>, Status> {
        let id = request.into_inner().resource_id.unwrap_or_default();
        if id == "Missing" {
            return Err(Refusal::new(Reason::InvalidResourceId, "there is no Document Missing").into());
        }
        self.note(format!("add {id}"));
        Ok(Response::new(AddTagsToResourceResult {}))
    }

    async fn remove(
        &self,
        request: Request<RemoveTagsFromResourceRequest>,
    ) -> Result<Response<RemoveTagsFromResourceResult>, Status> {
        self.note(format!("remove {:?}", request.into_inner().tag_keys));
        Ok(Response::new(RemoveTagsFromResourceResult {}))
    }

    async fn list(
        &self,
        _: Request<ListTagsForResourceRequest>,
    ) -> Result<Response<ListTagsForResourceResult>, Status> {
        Ok(Response::new(ListTagsForResourceResult {
            tag_list: tags(&[("Team", "ops")]),
        }))
    }
}

#[tokio::test]
async fn tags_of_documents_are_the_documents_service_s() {
    let document = ResourceTypeForTagging::Document;
    let world = World::start().await;
    let mut clients = world.by_nats();
    let status = clients
        .tags
        .list_tags_for_resource(list(document, "Mine"))
        .await
        .unwrap_err();
    assert!(matches!(Failure::from(status), Failure::Unavailable { .. }));

    let documents = Arc::new(Documents::default());
    let metrics = CallMetrics::register(&mut Registry::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mounted = Mount::new(world.nats.clone(), metrics, Arc::new(Anybody::default()))
        .add(DocumentTagsServer::from_arc(Arc::clone(&documents)))
        .start(listener, axum::Router::new())
        .await
        .unwrap();
    clients
        .tags
        .add_tags_to_resource(add(document, "Mine", &[("Team", "ops")]))
        .await
        .unwrap();
    clients
        .tags
        .remove_tags_from_resource(remove(document, "Mine", &["Team"]))
        .await
        .unwrap();
    let listed = clients
        .tags
        .list_tags_for_resource(list(document, "Mine"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.tag_list, tags(&[("Team", "ops")]));
    assert_eq!(*documents.0.lock().unwrap(), ["add Mine", "remove [\"Team\"]"]);
    // Its refusals are passed on as they are.
    let status = clients
        .tags
        .add_tags_to_resource(add(document, "Missing", &[]))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(status),
        (Reason::InvalidResourceId, "there is no Document Missing".to_owned())
    );
    mounted.stop(Duration::from_secs(5)).await;
    world.end().await;
}
