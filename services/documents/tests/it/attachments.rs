//! Files that belong to a document.

use std::time::Duration;

use muster_harness::until;
use muster_proto::agent::v1::{DocumentRequest, DocumentResult};
use muster_proto::aws::v1::Reason;
use muster_proto::documents::v1::{
    AttachmentHashType, AttachmentsSource, AttachmentsSourceKey, CreateDocumentRequest, DeleteDocumentRequest,
    DocumentStatus, DocumentType, GetDocumentResult,
};
use prost::Message as _;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::nodes;
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

pub(crate) const BUCKET: &str = "muster-attachments";

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A package of two files, the second without a checksum.
pub(crate) fn package(sum: &str, attachments: Vec<AttachmentsSource>) -> CreateDocumentRequest {
    let content = json!({
        "schemaVersion": "2.0", "version": "1.0", "publisher": "us",
        "packages": {"linux": {"_any": {"x86_64": {"file": "tool.zip"}, "arm64": {"file": "arm.zip"}}}},
        "files": {"tool.zip": {"checksums": {"sha256": sum.to_uppercase()}, "size": 4}, "arm.zip": {"checksums": {}}},
    });
    let mut request = CreateDocumentRequest {
        attachments,
        ..new("Tool", content.to_string())
    };
    request.set_document_type(DocumentType::Package);
    request
}

pub(crate) fn folder() -> AttachmentsSource {
    source(AttachmentsSourceKey::SourceUrl, "s3://source/tool/", None)
}

fn with_file(name: &str, url: &str) -> CreateDocumentRequest {
    CreateDocumentRequest {
        attachments: vec![source(AttachmentsSourceKey::S3FileUrl, url, Some("run.sh"))],
        ..new(name, saying(name))
    }
}

/// Waits until the files of a version are there, or cannot be.
pub(crate) async fn settled(service: &Service, name: &str, version: &str) -> GetDocumentResult {
    until("its files are settled", async || {
        let answer = service.by_nats().get_document(get(name, version)).await;
        let answer = answer.map_err(|status| status.to_string())?.into_inner();
        match answer.status() {
            DocumentStatus::Active | DocumentStatus::Failed => Ok(answer),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn the_files_of_a_package_are_fetched_checked_and_kept() {
    on_each_surface!(service, documents => {
        service.put("source", "tool/tool.zip", b"tool");
        service.put("source", "tool/arm.zip", b"arm");
        let made = documents.create_document(package(&sha256(b"tool"), vec![folder()])).await.unwrap().into_inner();
        let made = made.document_description.unwrap();
        let names: Vec<_> = made.attachments_information.iter().map(|a| a.name().to_owned()).collect();
        assert_eq!(names, ["tool.zip", "arm.zip"]);
        assert_eq!((made.schema_version(), made.status()), ("2.0", DocumentStatus::Creating));
        let stored = settled(&service, "Tool", "").await;
        assert_eq!(stored.status(), DocumentStatus::Active, "{:?}", stored.status_information);
        let mut shown = Vec::new();
        for file in &stored.attachments_content {
            assert_eq!(file.hash_type(), AttachmentHashType::Sha256);
            let content = std::fs::read(file.url().strip_prefix("file://").unwrap()).unwrap();
            assert_eq!(file.hash(), sha256(&content));
            shown.push((file.name(), content, file.size()));
        }
        assert_eq!(shown, [("tool.zip", b"tool".to_vec(), 4), ("arm.zip", b"arm".to_vec(), 3)]);
        let described = documents.describe_document(describe("Tool", "")).await.unwrap().into_inner();
        assert_eq!(described.document.unwrap().status(), DocumentStatus::Active);

        let gone = DeleteDocumentRequest { name: Some("Tool".to_owned()), ..DeleteDocumentRequest::default() };
        assert_eq!(service.objects(BUCKET).len(), 2);
        documents.delete_document(gone).await.unwrap();
        until("its objects are removed", async || match service.objects(BUCKET) {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        })
        .await;
    });
}

#[tokio::test]
async fn a_file_that_is_not_the_stated_one_fails_the_version_and_is_not_kept() {
    let service = Service::start().await;
    let fleet = nodes::fleet(&service).await;
    service.put("source", "tool/tool.zip", b"fool");
    service.put("source", "tool/arm.zip", b"arm");
    service
        .by_nats()
        .create_document(package(&sha256(b"tool"), vec![folder()]))
        .await
        .unwrap();
    let stored = settled(&service, "Tool", "").await;
    assert_eq!(stored.status(), DocumentStatus::Failed);
    let why = stored.status_information();
    for words in ["tool.zip: its sha256 is", &sha256(b"fool"), &sha256(b"tool")] {
        assert!(why.contains(words), "{why}");
    }
    assert!(stored.attachments_content.is_empty());
    assert!(service.objects(BUCKET).is_empty());

    // A node does not get half a package.
    let question = DocumentRequest {
        name: "Tool".to_owned(),
        ..DocumentRequest::default()
    };
    let answer = service
        .nats
        .request(
            "muster.v1.rpc.mi-0123456789abcdef0.doc.get",
            question.encode_to_vec().into(),
        )
        .await
        .unwrap();
    let refused = format!("{:?}", answer.headers);
    assert!(refused.contains("Tool is Failed"), "{refused}");
    fleet.stop(Duration::from_secs(5)).await;
    service.stop().await;
}

#[tokio::test]
async fn a_node_gets_the_files_of_a_version_by_its_name() {
    let service = Service::start().await;
    let fleet = nodes::fleet(&service).await;
    service.put("source", "x/run.sh", b"echo");
    let request = CreateDocumentRequest {
        version_name: Some("blue".to_owned()),
        ..with_file("Mine", "s3://source/x/run.sh")
    };
    service.by_nats().create_document(request).await.unwrap();
    settled(&service, "Mine", "").await;
    let ask = async |version_name: &str| {
        let question = DocumentRequest {
            name: "Mine".to_owned(),
            version_name: version_name.to_owned(),
            ..DocumentRequest::default()
        };
        let subject = "muster.v1.rpc.mi-0123456789abcdef0.doc.get";
        let answer = service.nats.request(subject, question.encode_to_vec().into()).await;
        answer.unwrap()
    };
    let given = DocumentResult::decode(ask("blue").await.payload).unwrap();
    let file = &given.files[0];
    assert_eq!((file.name.as_str(), file.size), ("run.sh", 4));
    assert_eq!(file.sha256, sha256(b"echo"));
    let key = &service.objects(BUCKET)[0];
    assert_eq!(file.url, format!("s3://{BUCKET}/{key}"));
    assert!(ask("red").await.headers.is_some(), "there is no such version");
    fleet.stop(Duration::from_secs(5)).await;
    service.stop().await;
}

#[tokio::test]
async fn a_version_can_take_over_a_file_of_another_one() {
    let service = Service::start().await;
    let mut documents = service.by_nats();
    service.put("source", "run.sh", b"echo");
    documents
        .create_document(with_file("Mine", "s3://source/run.sh"))
        .await
        .unwrap();
    settled(&service, "Mine", "1").await;
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
    let second = settled(&service, "Mine", "2").await;
    let file = &second.attachments_content[0];
    assert_eq!((file.name(), file.hash()), ("again.sh", sha256(b"echo").as_str()));
    let third = settled(&service, "Mine", "3").await;
    assert!(
        third.attachments_content.is_empty(),
        "files are not taken over silently"
    );
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

/// A web server that answers every request with this; where it listens.
async fn web(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/run.sh?token=s3cret", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\necho";

#[tokio::test]
async fn this_machines_own_addresses_are_refused_unless_they_are_allowed() {
    let url = web(GOOD).await;
    let service = Service::start().await;
    let named = url.replace("127.0.0.1", "localhost");
    for (name, url) in [("Number", url.as_str()), ("Named", &named)] {
        service.by_nats().create_document(with_file(name, url)).await.unwrap();
        let stored = settled(&service, name, "").await;
        assert_eq!(stored.status(), DocumentStatus::Failed);
        let why = stored.status_information();
        assert!(
            why.contains("fetch_from_local_addresses") && !why.contains("s3cret"),
            "{why}"
        );
    }
    service.stop().await;

    let service = Service::with(|settings| {
        settings.fetch_from_local_addresses = true;
        settings.max_attachment_bytes = 4;
    })
    .await;
    let status = async |name: &str, url: &str| {
        service.by_nats().create_document(with_file(name, url)).await.unwrap();
        let stored = settled(&service, name, "").await;
        (stored.status(), stored.status_information().to_owned())
    };
    assert_eq!(status("Good", &url).await.0, DocumentStatus::Active);
    let long = web("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nechoo").await;
    let (failed, why) = status("Long", &long).await;
    assert!(
        failed == DocumentStatus::Failed && why.contains("longer than 4 bytes"),
        "{why}"
    );
    let none = web("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let (failed, why) = status("None", &none).await;
    assert!(failed == DocumentStatus::Failed && why.contains("answers 404"), "{why}");
    service.stop().await;
}

#[tokio::test]
async fn what_a_service_that_ended_had_in_hand_is_fetched_by_the_next_one() {
    // It takes the question and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/run.sh", listener.local_addr().unwrap());
    let service = Service::with(|settings| settings.fetch_from_local_addresses = true).await;
    service
        .by_nats()
        .create_document(with_file("Mine", &url))
        .await
        .unwrap();
    let (mut held, _) = listener.accept().await.unwrap();
    held.read_exact(&mut [0; 4]).await.unwrap();
    let creating = service
        .by_nats()
        .get_document(get("Mine", ""))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(creating.status(), DocumentStatus::Creating);
    let service = service
        .restart_with(|settings| settings.fetch_from_local_addresses = true)
        .await;
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    stream.write_all(GOOD.as_bytes()).await.unwrap();
    assert_eq!(settled(&service, "Mine", "").await.status(), DocumentStatus::Active);
    service.stop().await;
}

#[tokio::test]
async fn all_attachments_together_are_bounded_and_a_version_that_fails_keeps_none() {
    let service = Service::with(|settings| settings.max_total_attachment_bytes = 9).await;
    service.put("source", "tool/tool.zip", b"tool");
    service.put("source", "tool/arm.zip", b"arm");
    service.put("source", "run.sh", b"echo");
    let mut documents = service.by_nats();
    documents
        .create_document(with_file("Mine", "s3://source/run.sh"))
        .await
        .unwrap();
    assert_eq!(settled(&service, "Mine", "").await.status(), DocumentStatus::Active);
    // Its first file would fit.
    documents
        .create_document(package(&sha256(b"tool"), vec![folder()]))
        .await
        .unwrap();
    let failed = settled(&service, "Tool", "").await;
    assert_eq!(failed.status(), DocumentStatus::Failed);
    let why = failed.status_information();
    assert!(
        why.contains("arm.zip: all attachments together would be longer than 9 bytes"),
        "{why}"
    );
    until("only the other document's file is left", async || {
        match service.objects(BUCKET) {
            left if left.len() == 1 => Ok(()),
            left => Err(left),
        }
    })
    .await;
    // There is room again once they are gone.
    for name in ["Mine", "Tool"] {
        let gone = DeleteDocumentRequest {
            name: Some(name.to_owned()),
            ..DeleteDocumentRequest::default()
        };
        documents.delete_document(gone).await.unwrap();
    }
    until("the objects are gone", async || match service.objects(BUCKET) {
        left if left.is_empty() => Ok(()),
        left => Err(left),
    })
    .await;
    documents
        .create_document(package(&sha256(b"tool"), vec![folder()]))
        .await
        .unwrap();
    assert_eq!(settled(&service, "Tool", "").await.status(), DocumentStatus::Active);
    service.stop().await;
}

#[tokio::test]
async fn without_an_object_store_there_are_no_attachments() {
    let service = Service::with(|settings| settings.objects.url.clear()).await;
    let refused = service.by_nats().create_document(with_file("Mine", "s3://b/a")).await;
    let (reason, message) = refusal(refused);
    assert_eq!(reason, Reason::ValidationException);
    assert!(message.contains("set objects.url of documents"), "{message}");
    service
        .by_nats()
        .create_document(new("Mine", saying("x")))
        .await
        .unwrap();
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
