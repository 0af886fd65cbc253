//! Gives documents to nodes: a step that runs or downloads a document asks for its text (agent.md B9). What a node may read
//! its role says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_boot::{BoxError, NodeAnswerer, NodeGate, Parts, answer_nodes};
use muster_model::NodeId;
use muster_objects::Bucket;
use muster_proto::Word;
use muster_proto::agent::v1::{DocumentFile, DocumentRequest, DocumentResult};
use muster_proto::aws::v1::Reason;
use muster_proto::documents::v1::{DocumentStatus, GetDocumentRequest};
use muster_wire::{Failure, Refusal, subject};

use crate::Settings;
use crate::api::DocumentsApi;

/// Longest that a URL is good, in seconds, as S3 has it.
const LONGEST: u32 = 604_800;
/// Nothing is asked of the object store for a signature.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts answering.
///
/// # Errors
/// If the bus does not take the subscription, or the key of the answers cannot be used.
pub(crate) async fn start(parts: &Parts, settings: &Settings, documents: Arc<DocumentsApi>) -> Result<(), BoxError> {
    let lender = Lender {
        documents,
        place: settings.files_place(),
        bucket: settings.attachments_bucket.clone(),
        signing: Signing::of(settings)?,
        gate: NodeGate::start(parts, None).await?,
    };
    answer_nodes(parts, &settings.answer_key_file, lender).await
}

struct Lender {
    documents: Arc<DocumentsApi>,
    /// What the URLs of attachments begin with.
    place: String,
    bucket: String,
    signing: Option<Signing>,
    gate: NodeGate,
}

/// Signs the URLs that nodes are given.
struct Signing {
    bucket: Bucket,
    lasts: Duration,
}

impl Signing {
    fn of(settings: &Settings) -> Result<Option<Self>, BoxError> {
        let seconds = settings.attachment_url_seconds;
        if seconds == 0 {
            return Ok(None);
        }
        let objects = &settings.objects;
        let is_service = objects.url.starts_with("http");
        if seconds > LONGEST || !is_service || objects.credentials_file.is_empty() {
            let text = "attachment_url_seconds is at most 604800, and needs an objects.url that begins with http and an \
                        objects.credentials_file";
            return Err(text.into());
        }
        let bucket = objects.bucket(Path::new(""), &settings.attachments_bucket, "", None, PATIENCE)?;
        let lasts = Duration::from_secs(seconds.into());
        Ok(Some(Self { bucket, lasts }))
    }
}

impl Lender {
    /// Where a node reads an attachment.
    async fn url(&self, url: &str) -> Result<String, Failure> {
        let Some(key) = url.strip_prefix(&self.place) else {
            return Ok(url.to_owned());
        };
        if let Some(Signing { bucket, lasts }) = &self.signing
            && let Some(signed) = bucket.signed_url(key, *lasts).await.map_err(Failure::internal)?
        {
            return Ok(signed);
        }
        // By its bucket: a node may reach the object store by another address than we do.
        Ok(format!("s3://{}/{key}", self.bucket))
    }
}

impl NodeAnswerer for Lender {
    type Question = DocumentRequest;
    type Answer = DocumentResult;

    const OPERATION: &'static str = subject::RPC_DOCUMENT;
    const SERVICE: &'static str = "documents";

    async fn answer(&self, node: &NodeId, request: DocumentRequest) -> Result<DocumentResult, Failure> {
        let wanted = GetDocumentRequest {
            name: Some(request.name),
            document_version: Some(request.version).filter(|version| !version.is_empty()),
            version_name: Some(request.version_name).filter(|name| !name.is_empty()),
            ..GetDocumentRequest::default()
        };
        self.gate
            .admit(node, "muster.documents.v1.Documents", "GetDocument", &wanted, None)
            .await?;
        let found = self.documents.get(wanted).await?;
        if found.status() != DocumentStatus::Active {
            let (name, status) = (found.name(), found.status().word());
            let why = found
                .status_information
                .as_deref()
                .unwrap_or("its attachments are being fetched");
            return Err(Refusal::new(Reason::InvalidDocument, format!("{name} is {status}: {why}")).into());
        }
        let mut files = Vec::with_capacity(found.attachments_content.len());
        for file in &found.attachments_content {
            files.push(DocumentFile {
                name: file.name().to_owned(),
                url: self.url(file.url()).await?,
                size: file.size(),
                sha256: file.hash().to_owned(),
            });
        }
        Ok(DocumentResult {
            files,
            format: found.document_format().word().to_owned(),
            document_type: found.document_type().word().to_owned(),
            name: found.name.unwrap_or_default(),
            version: found.document_version.unwrap_or_default(),
            content: found.content.unwrap_or_default(),
        })
    }
}
