//! Attachments in an S3-compatible service, which moto plays.

use std::time::Duration;

use futures::TryStreamExt as _;
use muster_harness::{Python, until};
use muster_objects::{Encoding, Objects};
use muster_proto::agent::v1::{DocumentRequest, DocumentResult};
use muster_proto::documents::v1::{DeleteDocumentRequest, DocumentStatus};
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::attachments::{BUCKET, folder, package, settled, sha256};
use crate::nodes;
use crate::service::Service;

/// An S3-compatible service, played by moto, holds the sources and keeps the attachments.
#[tokio::test]
async fn attachments_come_from_and_go_to_an_s3_api() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../agent/tests/scripts/object_store.py");
    let store = Python::start(&script, None);
    let url = store.url("");
    let long = vec![b'x'; 9 * 1024 * 1024];
    // Moto shows nothing to who does not sign.
    let credentials = tempfile(b"[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = canary-secret-key\n");
    let settings = Objects {
        url: url.clone(),
        credentials_file: credentials.path().display().to_string(),
        ..Objects::default()
    };
    let bucket = |name: &str| {
        let nowhere = std::path::Path::new("/");
        settings
            .bucket(nowhere, name, "", None, std::time::Duration::from_secs(20))
            .unwrap()
    };
    for name in ["source", BUCKET] {
        // Clients of the store make no buckets.
        s3(&url, &format!("PUT /{name} HTTP/1.1")).await;
    }
    for (key, content) in [("tool/tool.zip", long.as_slice()), ("tool/arm.zip", b"arm")] {
        let file = tempfile(content);
        bucket("source")
            .put_file(key, file.path(), Encoding::Plain)
            .await
            .unwrap();
    }
    let service = Service::with(|service| service.objects = settings.clone()).await;
    let mut request = package(&sha256(&long), vec![folder()]);
    request.content = request
        .content
        .map(|content| content.replace("\"size\":4", "\"size\":9437184"));
    service.by_nats().create_document(request).await.unwrap();
    let stored = settled(&service, "Tool", "").await;
    assert_eq!(
        stored.status(),
        DocumentStatus::Active,
        "{:?}",
        stored.status_information
    );
    let file = &stored.attachments_content[0];
    let key = file.url().strip_prefix(&format!("{url}/{BUCKET}/")).unwrap();
    let kept: Vec<_> = bucket(BUCKET).read(key).await.unwrap().try_collect().await.unwrap();
    assert!(kept.concat() == long);
    // A node of the right role is given a URL that is good for a while and for nothing else.
    let service = service.restart_with(|service| {
        service.objects = settings.clone();
        service.attachment_url_seconds = 600;
    });
    let service = service.await;
    let fleet = nodes::fleet(&service).await;
    let request = DocumentRequest {
        name: "Tool".into(),
        ..DocumentRequest::default()
    };
    let answer = service
        .nats
        .request(
            "muster.v1.rpc.mi-0123456789abcdef0.doc.get",
            request.encode_to_vec().into(),
        )
        .await
        .unwrap();
    let lent = DocumentResult::decode(answer.payload).unwrap();
    let signed = &lent.files.iter().find(|file| file.name == "tool.zip").unwrap().url;
    // Moto itself asks nobody for a signature of a plain read: that is S3's part.
    assert!(
        signed.contains("X-Amz-Expires=600") && signed.contains("X-Amz-Signature="),
        "{signed}"
    );
    assert!(
        signed.contains("X-Amz-Credential=AKIDTEST%2F") && !signed.contains("canary-secret-key"),
        "{signed}"
    );
    assert!(reqwest::get(signed).await.unwrap().bytes().await.unwrap() == long);
    fleet.stop(Duration::from_secs(5)).await;
    let gone = DeleteDocumentRequest {
        name: Some("Tool".to_owned()),
        ..DeleteDocumentRequest::default()
    };
    service.by_nats().delete_document(gone).await.unwrap();
    until("its objects are removed", async || {
        match bucket(BUCKET).read(key).await {
            Err(_) => Ok(()),
            Ok(_) => Err("there"),
        }
    })
    .await;
    service.stop().await;
}

async fn s3(url: &str, line: &str) {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("{line}\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

fn tempfile(content: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, content).map(|()| file).unwrap()
}
