//! Gives documents to nodes: a step that runs or downloads a document asks for its text (agent.md B9). What a node may read
//! its role says.

use std::sync::Arc;

use muster_boot::{BoxError, NodeAnswerer, NodeGate, Parts, answer_nodes};
use muster_model::NodeId;
use muster_proto::Word;
use muster_proto::agent::v1::{DocumentFile, DocumentRequest, DocumentResult};
use muster_proto::aws::v1::Reason;
use muster_proto::documents::v1::{DocumentStatus, GetDocumentRequest};
use muster_wire::{Failure, Refusal, subject};

use crate::Settings;
use crate::api::DocumentsApi;

/// Starts answering.
///
/// # Errors
/// If the bus does not take the subscription, or the key of the answers cannot be used.
pub(crate) async fn start(parts: &Parts, settings: &Settings, documents: Arc<DocumentsApi>) -> Result<(), BoxError> {
    let lender = Lender {
        documents,
        place: settings.files_place(),
        bucket: settings.attachments_bucket.clone(),
        gate: NodeGate::start(parts, None).await?,
    };
    answer_nodes(parts, &settings.answer_key_file, lender).await
}

struct Lender {
    documents: Arc<DocumentsApi>,
    /// What the URLs of attachments begin with.
    place: String,
    bucket: String,
    gate: NodeGate,
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
        let files = found.attachments_content.iter().map(|file| DocumentFile {
            name: file.name().to_owned(),
            // By its bucket: a node may reach the object store by another address than we do.
            url: match file.url().strip_prefix(&self.place) {
                Some(key) => format!("s3://{}/{key}", self.bucket),
                None => file.url().to_owned(),
            },
            size: file.size(),
            sha256: file.hash().to_owned(),
        });
        Ok(DocumentResult {
            files: files.collect(),
            format: found.document_format().word().to_owned(),
            document_type: found.document_type().word().to_owned(),
            name: found.name.unwrap_or_default(),
            version: found.document_version.unwrap_or_default(),
            content: found.content.unwrap_or_default(),
        })
    }
}
