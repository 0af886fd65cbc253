//! Gives documents to nodes: a step that runs or downloads a document asks for its text (agent.md B9).
//!
//! Who asks is the subject's token, which the broker enforces. What it may read its role says.

use std::sync::Arc;

use async_nats::{Client, Message, Subscriber};
use futures::StreamExt;
use muster_boot::{BoxError, NodeGate, NodeQuota, Parts};
use muster_proto::Word;
use muster_proto::agent::v1::{DocumentFile, DocumentRequest, DocumentResult};
use muster_proto::aws::v1::Reason;
use muster_proto::documents::v1::{DocumentStatus, GetDocumentRequest};
use muster_wire::{Failure, NatsStatus, Refusal, reply_of, subject};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::Settings;
use crate::api::DocumentsApi;

/// Replicas share the questions.
const QUEUE: &str = "documents";
/// Most questions answered at once: a fleet that runs one document asks all at once.
const AT_ONCE: usize = 64;

/// Starts answering.
///
/// # Errors
/// If the bus does not take the subscription.
pub(crate) async fn start(parts: &Parts, settings: &Settings, documents: Arc<DocumentsApi>) -> Result<(), BoxError> {
    let subject = subject::rpc_of_all(subject::RPC_DOCUMENT);
    let questions = parts.nats.queue_subscribe(subject, QUEUE.to_owned()).await?;
    let lender = Lender {
        documents,
        place: settings.files_place(),
        bucket: settings.attachments_bucket.clone(),
        nats: parts.nats.clone(),
        quota: parts.node_quota.clone(),
        gate: NodeGate::start(parts).await?,
    };
    parts
        .tasks
        .spawn("lender", lender.listen(questions, parts.tasks.stopping()));
    Ok(())
}

struct Lender {
    documents: Arc<DocumentsApi>,
    /// What the URLs of attachments begin with.
    place: String,
    bucket: String,
    nats: Client,
    quota: NodeQuota,
    gate: NodeGate,
}

impl Lender {
    async fn listen(self, mut questions: Subscriber, stopping: CancellationToken) -> Result<(), BoxError> {
        let lender = &self;
        let until_stopped = questions.by_ref().take_until(stopping.cancelled());
        until_stopped
            .for_each_concurrent(AT_ONCE, |question| lender.answer(question))
            .await;
        if !stopping.is_cancelled() {
            return Err("the bus ended the subscription to nodes' questions".into());
        }
        // Other replicas hear the rest from now on; what is here already is answered.
        if questions.unsubscribe().await.is_ok() {
            questions
                .for_each_concurrent(AT_ONCE, |question| lender.answer(question))
                .await;
        }
        Ok(())
    }

    async fn answer(&self, question: Message) {
        let Some(reply) = reply_of(&question) else { return };
        let sent = match self.lend(&question).await {
            Ok(document) => self.nats.publish(reply, document.encode_to_vec().into()).await,
            Err(failure) => {
                let (mut headers, error) = NatsStatus::headers(&Status::from(failure));
                headers.insert("Nats-Service-Error", error.status.as_str());
                headers.insert("Nats-Service-Error-Code", error.code.to_string());
                self.nats.publish_with_headers(reply, headers, Vec::new().into()).await
            }
        };
        if let Err(error) = sent {
            // It is asked for again.
            tracing::debug!(error = &error as &dyn std::error::Error, "an answer was not sent");
        }
    }

    async fn lend(&self, question: &Message) -> Result<DocumentResult, Failure> {
        self.quota.take(question)?;
        let node = subject::node_of(&question.subject).map_err(|error| Refusal::validation(error.to_string()))?;
        let request = DocumentRequest::decode(question.payload.clone())
            .map_err(|error| Refusal::validation(format!("the question cannot be read: {error}")))?;
        let wanted = GetDocumentRequest {
            name: Some(request.name),
            document_version: Some(request.version).filter(|version| !version.is_empty()),
            version_name: Some(request.version_name).filter(|name| !name.is_empty()),
            ..GetDocumentRequest::default()
        };
        self.gate
            .admit(&node, "muster.documents.v1.Documents", "GetDocument", &wanted)
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
