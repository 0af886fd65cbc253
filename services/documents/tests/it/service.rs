//! A service of a test's own, and short ways to ask it.

use std::time::Duration;

use muster_boot::{Common, Parts, Running};
use muster_documents::{DATABASE, DEFAULTS, Server, Settings};
use muster_harness::{Folder, NatsServer};
use muster_proto::aws::v1::Reason;
use muster_proto::documents::v1::document_tags_client::DocumentTagsClient;
use muster_proto::documents::v1::document_validation_client::DocumentValidationClient;
use muster_proto::documents::v1::documents_client::DocumentsClient;
use muster_proto::documents::v1::{
    CreateDocumentRequest, DescribeDocumentRequest, DocumentFormat, GetDocumentRequest, UpdateDocumentRequest,
};
use muster_wire::{Failure, NatsChannel};
use tonic::Status;
use tonic::transport::Channel;

/// Runs a body once for each surface, each time with a fresh service: `on_each_surface!(service, documents => { … })`.
macro_rules! on_each_surface {
    ($service:ident, $documents:ident => $body:block) => {{
        {
            let $service = $crate::service::Service::start().await;
            let mut $documents = $service.by_nats();
            $body
            $service.stop().await;
        }
        {
            let $service = $crate::service::Service::start().await;
            let mut $documents = $service.by_grpc().await;
            $body
            $service.stop().await;
        }
    }};
}
pub(crate) use on_each_surface;

pub(crate) struct Service {
    pub(crate) nats: async_nats::Client,
    running: Running,
    server: NatsServer,
    folder: Folder,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than the default ones.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let (server, folder) = (NatsServer::start().await, Folder::new("documents"));
        let running = run(&server, &folder, change).await;
        Self {
            nats: server.client().await,
            running,
            server,
            folder,
        }
    }

    /// Stops it and starts another one on the same tables.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// The same with other settings than the default ones.
    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut Settings)) -> Self {
        Box::pin(self.running.stop(Duration::from_secs(5))).await;
        let running = Box::pin(run(&self.server, &self.folder, change)).await;
        Self { running, ..self }
    }

    /// Another replica on the same tables, to be asked by gRPC.
    pub(crate) async fn replica(&self) -> Running {
        run(&self.server, &self.folder, |_| {}).await
    }

    /// Puts an object into the object store.
    pub(crate) fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        let file = self.folder.join("objects").join(bucket).join(key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }

    /// The objects of a bucket, by their keys.
    pub(crate) fn objects(&self, bucket: &str) -> Vec<String> {
        let root = self.folder.join("objects").join(bucket);
        let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => folders.push(path),
                    path => found.push(path.strip_prefix(&root).unwrap().display().to_string()),
                }
            }
        }
        found.sort();
        found
    }

    pub(crate) async fn stop(self) {
        self.running.stop(Duration::from_secs(5)).await;
    }

    pub(crate) fn by_nats(&self) -> DocumentsClient<NatsChannel> {
        DocumentsClient::new(NatsChannel::new(self.nats.clone()))
    }

    pub(crate) async fn by_grpc(&self) -> DocumentsClient<Channel> {
        by_grpc(&self.running).await
    }

    /// Where it answers gRPC.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.running.address())
    }

    pub(crate) fn validation(&self) -> DocumentValidationClient<NatsChannel> {
        DocumentValidationClient::new(NatsChannel::new(self.nats.clone()))
    }

    pub(crate) fn tags(&self) -> DocumentTagsClient<NatsChannel> {
        DocumentTagsClient::new(NatsChannel::new(self.nats.clone()))
    }
}

pub(crate) async fn by_grpc(running: &Running) -> DocumentsClient<Channel> {
    DocumentsClient::connect(format!("http://{}", running.address()))
        .await
        .unwrap()
}

async fn run(server: &NatsServer, folder: &Folder, change: impl FnOnce(&mut Settings)) -> Running {
    let (mut common, mut settings): (Common, Settings) = muster_boot::load(DEFAULTS, None).unwrap();
    common.nats.url = server.url();
    common.database.url = format!("sqlite:{}", folder.join("documents.sqlite").display());
    settings.objects.url = format!("file://{}", folder.join("objects").display());
    change(&mut settings);
    let parts = Parts::assemble("muster-documents", &common, Some(DATABASE))
        .await
        .unwrap();
    Server::start(settings, parts).await.unwrap()
}

/// The word of a refusal, and its text.
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (Reason, String) {
    match Failure::from_status(&outcome.unwrap_err()) {
        Failure::Refused(refusal) => (refusal.reason, refusal.message),
        other => panic!("no refusal but {other:?}"),
    }
}

/// The word of a refusal.
pub(crate) fn reason<T: std::fmt::Debug>(outcome: Result<T, Status>) -> Reason {
    refusal(outcome).0
}

/// A command document that says something.
pub(crate) fn saying(word: &str) -> String {
    format!(
        r#"{{"schemaVersion":"2.2","description":"Says {word}","mainSteps":[
  {{"action":"aws:runShellScript","name":"say","inputs":{{"runCommand":["echo {word}"]}}}}]}}"#
    )
}

pub(crate) fn new(name: &str, content: impl Into<String>) -> CreateDocumentRequest {
    CreateDocumentRequest {
        name: Some(name.to_owned()),
        content: Some(content.into()),
        ..CreateDocumentRequest::default()
    }
}

pub(crate) fn update(name: &str, content: impl Into<String>) -> UpdateDocumentRequest {
    UpdateDocumentRequest {
        name: Some(name.to_owned()),
        content: Some(content.into()),
        ..UpdateDocumentRequest::default()
    }
}

pub(crate) fn get(name: &str, version: &str) -> GetDocumentRequest {
    GetDocumentRequest {
        name: Some(name.to_owned()),
        document_version: (!version.is_empty()).then(|| version.to_owned()),
        ..GetDocumentRequest::default()
    }
}

pub(crate) fn get_as(name: &str, format: DocumentFormat) -> GetDocumentRequest {
    let mut request = get(name, "");
    request.set_document_format(format);
    request
}

pub(crate) fn describe(name: &str, version: &str) -> DescribeDocumentRequest {
    DescribeDocumentRequest {
        name: Some(name.to_owned()),
        document_version: (!version.is_empty()).then(|| version.to_owned()),
        ..DescribeDocumentRequest::default()
    }
}
