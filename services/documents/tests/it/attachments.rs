//! Files that belong to a document.

use muster_proto::aws::v1::Reason;
use muster_proto::documents::v1::{
    AttachmentContent, AttachmentHashType, AttachmentsSource, AttachmentsSourceKey, CreateDocumentRequest, DocumentType,
};
use serde_json::json;

use crate::service::{Service, describe, get, new, on_each_surface, reason, refusal, saying, update};

fn source(key: AttachmentsSourceKey, value: &str, name: Option<&str>) -> AttachmentsSource {
    let mut source = AttachmentsSource {
        values: vec![value.to_owned()],
        name: name.map(str::to_owned),
        ..AttachmentsSource::default()
    };
    source.set_key(key);
    source
}

/// A package of two files, the second without a checksum.
fn package(attachments: Vec<AttachmentsSource>) -> CreateDocumentRequest {
    let content = json!({
        "schemaVersion": "2.0", "version": "1.0", "publisher": "us",
        "packages": {"linux": {"_any": {"x86_64": {"file": "tool.zip"}, "arm64": {"file": "arm.zip"}}}},
        "files": {"tool.zip": {"checksums": {"sha256": "AB".repeat(32)}, "size": 12}, "arm.zip": {"checksums": {}}},
    });
    let mut request = CreateDocumentRequest {
        attachments,
        ..new("Tool", content.to_string())
    };
    request.set_document_type(DocumentType::Package);
    request
}

fn shown(attachments: &[AttachmentContent]) -> Vec<(&str, &str, &str, i64)> {
    let shown = attachments.iter().map(|a| (a.name(), a.url(), a.hash(), a.size()));
    shown.collect()
}

#[tokio::test]
async fn the_files_of_a_package_are_shown_with_their_places_and_checksums() {
    on_each_surface!(service, documents => {
        let folder = source(AttachmentsSourceKey::SourceUrl, "s3://bucket/tool/", None);
        let made = documents.create_document(package(vec![folder])).await.unwrap().into_inner();
        let made = made.document_description.unwrap();
        let names: Vec<_> = made.attachments_information.iter().map(|a| a.name().to_owned()).collect();
        assert_eq!(names, ["tool.zip", "arm.zip"]);
        assert_eq!(made.schema_version(), "2.0");
        let stored = documents.get_document(get("Tool", "")).await.unwrap().into_inner();
        let hash = "ab".repeat(32);
        assert_eq!(
            shown(&stored.attachments_content),
            [
                ("tool.zip", "s3://bucket/tool/tool.zip", hash.as_str(), 12),
                ("arm.zip", "s3://bucket/tool/arm.zip", "", 0),
            ]
        );
        let kinds: Vec<_> = stored.attachments_content.iter().map(|a| a.hash_type).collect();
        assert_eq!(kinds, [Some(AttachmentHashType::Sha256.into()), None]);
    });
}

#[tokio::test]
async fn a_version_can_take_over_a_file_of_another_one() {
    let service = Service::start().await;
    let mut documents = service.by_nats();
    let file = source(
        AttachmentsSourceKey::S3FileUrl,
        "https://example.com/run.sh?v=1",
        Some("run.sh"),
    );
    let request = CreateDocumentRequest {
        attachments: vec![file],
        ..new("Mine", saying("one"))
    };
    documents.create_document(request).await.unwrap();
    let mut second = update("Mine", saying("two"));
    second.attachments = vec![source(
        AttachmentsSourceKey::AttachmentReference,
        "arn:aws:ssm:eu-west-1:000000000000:document/Mine/1/run.sh",
        Some("again.sh"),
    )];
    documents.update_document(second).await.unwrap();
    documents
        .update_document(update("Mine", saying("three")))
        .await
        .unwrap();
    let stored = async |version: &str| {
        let answer = service.by_nats().get_document(get("Mine", version)).await.unwrap();
        answer.into_inner().attachments_content
    };
    assert_eq!(
        shown(&stored("1").await),
        [("run.sh", "https://example.com/run.sh?v=1", "", 0)]
    );
    assert_eq!(
        shown(&stored("2").await),
        [("again.sh", "https://example.com/run.sh?v=1", "", 0)]
    );
    assert!(stored("3").await.is_empty(), "files are not taken over silently");
    let described = documents
        .describe_document(describe("Mine", "2"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        described.document.unwrap().attachments_information[0].name(),
        "again.sh"
    );
    service.stop().await;
}

#[tokio::test]
async fn files_that_cannot_be_are_refused_with_a_reason() {
    let service = Service::start().await;
    let check = async |attachments: Vec<AttachmentsSource>, word: &str| {
        let request = CreateDocumentRequest {
            attachments,
            ..new("Mine", saying("x"))
        };
        let (reason, message) = refusal(service.by_nats().create_document(request).await);
        assert_eq!(reason, Reason::ValidationException, "{message}");
        assert!(message.contains(word), "{message}");
    };
    let file = |url: &str, name| source(AttachmentsSourceKey::S3FileUrl, url, name);
    check(vec![file("/etc/passwd", Some("passwd"))], "URL").await;
    check(
        vec![file("s3://b/a", None), file("s3://c/a", None)],
        "two files called a",
    )
    .await;
    check(
        vec![source(AttachmentsSourceKey::SourceUrl, "s3://b/", None)],
        "whose content lists its files",
    )
    .await;
    check(
        vec![source(
            AttachmentsSourceKey::AttachmentReference,
            "AWS-Noop/1/none.sh",
            None,
        )],
        "no file none.sh",
    )
    .await;
    let missing = CreateDocumentRequest {
        attachments: vec![source(AttachmentsSourceKey::AttachmentReference, "Nothing/1/a", None)],
        ..new("Mine", saying("x"))
    };
    assert_eq!(
        reason(service.by_nats().create_document(missing).await),
        Reason::InvalidDocument
    );
    assert_eq!(
        reason(service.by_nats().get_document(get("Mine", "")).await),
        Reason::InvalidDocument
    );
    service.stop().await;
}
