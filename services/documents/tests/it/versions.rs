//! Versions, the default, deletion.

use futures::future::join_all;
use muster_document::hash;
use muster_proto::aws::v1::Reason;
use muster_proto::documents::v1::{
    DeleteDocumentRequest, DocumentFormat, DocumentStatus, DocumentType, GetDocumentRequest,
    UpdateDocumentDefaultVersionRequest, UpdateDocumentRequest,
};

use crate::service::{Service, by_grpc, describe, get, new, on_each_surface, reason, refusal, saying, update};

fn default(name: &str, version: &str) -> UpdateDocumentDefaultVersionRequest {
    UpdateDocumentDefaultVersionRequest {
        name: Some(name.to_owned()),
        document_version: Some(version.to_owned()),
    }
}

fn delete(name: &str, version: &str) -> DeleteDocumentRequest {
    DeleteDocumentRequest {
        name: Some(name.to_owned()),
        document_version: (!version.is_empty()).then(|| version.to_owned()),
        ..DeleteDocumentRequest::default()
    }
}

#[tokio::test]
async fn a_document_goes_from_its_creation_to_its_end() {
    on_each_surface!(service, documents => {
        let created = documents.create_document(new("Mine", saying("one"))).await.unwrap().into_inner();
        let created = created.document_description.unwrap();
        assert_eq!(created.status(), DocumentStatus::Creating);
        assert_eq!(created.owner.as_deref(), Some("000000000000"));
        assert_eq!(created.hash.as_deref(), Some(hash(&saying("one")).as_str()));

        let described = documents.describe_document(describe("Mine", "")).await.unwrap().into_inner();
        let described = described.document.unwrap();
        assert_eq!(described.status(), DocumentStatus::Active);
        assert_eq!((described.document_type(), described.document_format()), (DocumentType::Command, DocumentFormat::Json));
        assert_eq!(described.created_date, created.created_date);
        assert_eq!(described.description.as_deref(), Some("Says one"));
        assert_eq!(described.schema_version.as_deref(), Some("2.2"));

        let two = UpdateDocumentRequest {
            version_name: Some("blue".to_owned()),
            ..update("Mine", saying("two"))
        };
        let updated = documents.update_document(two).await.unwrap().into_inner().document_description.unwrap();
        assert_eq!(updated.status(), DocumentStatus::Updating);
        let versions = (updated.document_version.as_deref(), updated.latest_version.as_deref(), updated.default_version.as_deref());
        assert_eq!(versions, (Some("2"), Some("2"), Some("1")));


        assert_eq!(documents.get_document(get("Mine", "")).await.unwrap().into_inner().content, Some(saying("one")));
        assert_eq!(documents.get_document(get("Mine", "$LATEST")).await.unwrap().into_inner().content, Some(saying("two")));
        let named = GetDocumentRequest { version_name: Some("blue".to_owned()), ..get("Mine", "") };
        assert_eq!(documents.get_document(named).await.unwrap().into_inner().document_version.as_deref(), Some("2"));

        let moved = documents.update_document_default_version(default("Mine", "2")).await.unwrap().into_inner();
        let moved = moved.description.unwrap();
        assert_eq!((moved.default_version.as_deref(), moved.default_version_name.as_deref()), (Some("2"), Some("blue")));
        assert_eq!(documents.get_document(get("Mine", "")).await.unwrap().into_inner().content, Some(saying("two")));

        documents.delete_document(delete("Mine", "1")).await.unwrap();
        assert_eq!(reason(documents.get_document(get("Mine", "1")).await), Reason::InvalidDocumentVersion);
        documents.delete_document(delete("Mine", "")).await.unwrap();
        assert_eq!(reason(documents.get_document(get("Mine", "")).await), Reason::InvalidDocument);
        assert_eq!(reason(documents.describe_document(describe("Mine", "")).await), Reason::InvalidDocument);
    });
}

#[tokio::test]
async fn an_update_that_cannot_be_has_its_own_word() {
    let service = Service::with(|settings| settings.max_versions = 2).await;
    let mut documents = service.by_nats();
    documents.create_document(new("Mine", saying("one"))).await.unwrap();
    let named = |name: &str, content: String| UpdateDocumentRequest {
        version_name: Some(name.to_owned()),
        ..update("Mine", content)
    };
    let expecting = |version: &str| UpdateDocumentRequest {
        document_version: Some(version.to_owned()),
        ..update("Mine", saying("three"))
    };
    documents.update_document(named("v2", saying("two"))).await.unwrap();
    let check = async |request: UpdateDocumentRequest, expected| {
        let outcome = refusal(service.by_nats().update_document(request).await);
        assert_eq!(outcome.0, expected, "{}", outcome.1);
    };
    check(update("Other", saying("x")), Reason::InvalidDocument).await;
    check(
        update("AWS-RunShellScript", saying("x")),
        Reason::InvalidDocumentOperation,
    )
    .await;
    check(update("Mine", saying("one")), Reason::DuplicateDocumentContent).await;
    check(
        update("Mine", saying("two").replace('\n', "\r\n")),
        Reason::DuplicateDocumentContent,
    )
    .await;
    check(expecting("1"), Reason::InvalidDocumentVersion).await;
    check(expecting("$DEFAULT"), Reason::InvalidDocumentVersion).await;
    check(named("v2", saying("three")), Reason::DuplicateDocumentVersionName).await;
    check(update("Mine", "{"), Reason::InvalidDocumentContent).await;
    check(update("Mine", "x".repeat(65_537)), Reason::MaxDocumentSizeExceeded).await;
    check(
        update("Mine", r#"{"schemaVersion":"3.0"}"#),
        Reason::InvalidDocumentSchemaVersion,
    )
    .await;
    check(expecting("2"), Reason::DocumentVersionLimitExceeded).await;

    let old =
        r#"{"schemaVersion":"1.2","runtimeConfig":{"aws:runShellScript":{"properties":[{"runCommand":["id"]}]}}}"#;
    documents.create_document(new("Old", old)).await.unwrap();
    check(update("Old", saying("new")), Reason::InvalidDocumentSchemaVersion).await;
    let missing = documents.update_document_default_version(default("Mine", "7")).await;
    assert_eq!(reason(missing), Reason::InvalidDocumentVersion);
    let missing = documents.update_document_default_version(default("Other", "1")).await;
    assert_eq!(reason(missing), Reason::InvalidDocument);
    service.stop().await;
}

#[tokio::test]
async fn a_deletion_that_cannot_be_has_its_own_word() {
    let service = Service::start().await;
    let mut documents = service.by_nats();
    documents.create_document(new("Mine", saying("one"))).await.unwrap();
    documents.update_document(update("Mine", saying("two"))).await.unwrap();
    let check = async |request: DeleteDocumentRequest, expected| {
        let outcome = refusal(service.by_nats().delete_document(request).await);
        assert_eq!(outcome.0, expected, "{}", outcome.1);
    };
    check(delete("Other", ""), Reason::InvalidDocument).await;
    check(delete("Mine", "9"), Reason::InvalidDocument).await;
    check(delete("Mine", "1"), Reason::InvalidDocumentOperation).await;
    check(delete("Mine", "$DEFAULT"), Reason::InvalidDocumentOperation).await;
    check(delete("AWS-RunShellScript", ""), Reason::InvalidDocumentOperation).await;
    documents.delete_document(delete("Mine", "$LATEST")).await.unwrap();
    documents
        .update_document(update("Mine", saying("three")))
        .await
        .unwrap();
    let latest = documents.describe_document(describe("Mine", "$LATEST")).await.unwrap();
    assert_eq!(
        latest.into_inner().document.unwrap().document_version.as_deref(),
        Some("3"),
        "a number is never given twice"
    );
    service.stop().await;
}

#[tokio::test]
async fn replicas_agree_at_once_on_what_a_name_means() {
    let service = Service::start().await;
    let other = service.replica().await;
    let (mut here, mut there) = (service.by_grpc().await, by_grpc(&other).await);
    here.create_document(new("Mine", saying("one"))).await.unwrap();
    for round in 2..12 {
        let (writer, reader) = match round % 2 {
            0 => (&mut here, &mut there),
            _ => (&mut there, &mut here),
        };
        let number = round.to_string();
        writer.update_document(update("Mine", saying(&number))).await.unwrap();
        let latest = reader.get_document(get("Mine", "$LATEST")).await.unwrap().into_inner();
        assert_eq!(latest.content, Some(saying(&number)));
        writer
            .update_document_default_version(default("Mine", &number))
            .await
            .unwrap();
        let meant = reader.get_document(get("Mine", "")).await.unwrap().into_inner();
        assert_eq!(meant.content, Some(saying(&number)));
    }
    here.delete_document(delete("Mine", "")).await.unwrap();
    there.create_document(new("Mine", saying("again"))).await.unwrap();
    let again = here.get_document(get("Mine", "1")).await.unwrap().into_inner();
    assert_eq!(
        again.content,
        Some(saying("again")),
        "not what the deleted document had under this number"
    );
    other.stop(std::time::Duration::from_secs(5)).await;
    service.stop().await;
}

#[tokio::test]
async fn updates_at_once_become_versions_one_by_one() {
    let service = Service::start().await;
    let other = service.replica().await;
    let clients = [service.by_grpc().await, by_grpc(&other).await];
    let mut documents = service.by_nats();
    documents.create_document(new("Mine", saying("one"))).await.unwrap();
    let updates = (0..24).map(|n| {
        let mut documents = clients[n % 2].clone();
        async move {
            let updated = documents.update_document(update("Mine", saying(&n.to_string()))).await;
            updated
                .unwrap()
                .into_inner()
                .document_description
                .unwrap()
                .document_version
        }
    });
    let mut numbers: Vec<i32> = join_all(updates)
        .await
        .into_iter()
        .map(|number| number.unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (2..=25).collect::<Vec<_>>());
    other.stop(std::time::Duration::from_secs(5)).await;
    service.stop().await;
}

#[tokio::test]
async fn documents_outlive_the_service() {
    let service = Service::start().await;
    service
        .by_nats()
        .create_document(new("Mine", saying("one")))
        .await
        .unwrap();
    let service = service.restart().await;
    let found = service
        .by_nats()
        .get_document(get("Mine", ""))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.content, Some(saying("one")));
    service.stop().await;
}
