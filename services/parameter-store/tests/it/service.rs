//! A service of a test's own, and short ways to ask it.

use std::path::PathBuf;
use std::time::Duration;

use muster_boot::{BoxError, Common, Parts, Running};
use muster_harness::{Folder, NatsServer};
use muster_parameter_store::{DATABASE, DEFAULTS, Server, Settings};
use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::parameter_store_client::ParameterStoreClient;
use muster_proto::parameterstore::v1::parameter_tags_client::ParameterTagsClient;
use muster_proto::parameterstore::v1::parameter_watch_client::ParameterWatchClient;
use muster_proto::parameterstore::v1::{
    GetParameterRequest, GetParametersByPathRequest, GetParametersRequest, Parameter, ParameterType,
    PutParameterRequest,
};
use muster_proto::settings::v1::settings_client::SettingsClient;
use muster_wire::{Failure, NatsChannel};
use tonic::Status;
use tonic::transport::Channel;

/// Runs a body once for each surface, each time with a fresh service: `on_each_surface!(parameters => { … })`.
macro_rules! on_each_surface {
    ($parameters:ident => $body:block) => {{
        {
            let service = $crate::service::Service::start().await;
            let mut $parameters = service.by_nats();
            $body
            service.stop().await;
        }
        {
            let service = $crate::service::Service::start().await;
            let mut $parameters = service.by_grpc().await;
            $body
            service.stop().await;
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
        let (server, folder) = (NatsServer::start().await, Folder::new("parameter-store"));
        let running = run(&server, &folder, change).await.unwrap();
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
        let running = Box::pin(run(&self.server, &self.folder, change)).await.unwrap();
        Self { running, ..self }
    }

    /// Stops it, and says why another one does not start on the same tables.
    pub(crate) async fn restart_refused(self) -> String {
        Box::pin(self.running.stop(Duration::from_secs(5))).await;
        match Box::pin(run(&self.server, &self.folder, |_| {})).await {
            Ok(_) => panic!("it started"),
            Err(error) => error.to_string(),
        }
    }

    /// Another replica on the same tables, to be asked by gRPC.
    pub(crate) async fn replica(&self) -> Running {
        run(&self.server, &self.folder, |_| {}).await.unwrap()
    }

    pub(crate) async fn stop(self) {
        self.running.stop(Duration::from_secs(5)).await;
    }

    /// The NATS server.
    pub(crate) fn bus(&mut self) -> &mut NatsServer {
        &mut self.server
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.join("parameter-store.key")
    }

    /// The bytes of all files of the database.
    pub(crate) fn tables(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let files = files.filter(|path| path.display().to_string().contains(".sqlite"));
        files.flat_map(|path| std::fs::read(path).unwrap()).collect()
    }

    /// What it counts.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.running.address());
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    pub(crate) fn by_nats(&self) -> ParameterStoreClient<NatsChannel> {
        ParameterStoreClient::new(NatsChannel::new(self.nats.clone()))
    }

    pub(crate) async fn by_grpc(&self) -> ParameterStoreClient<Channel> {
        by_grpc(&self.running).await
    }

    pub(crate) fn settings(&self) -> SettingsClient<NatsChannel> {
        SettingsClient::new(NatsChannel::new(self.nats.clone()))
    }

    /// Changes of parameters, by gRPC.
    pub(crate) async fn watch(&self) -> ParameterWatchClient<Channel> {
        let address = format!("http://{}", self.running.address());
        ParameterWatchClient::connect(address).await.unwrap()
    }

    pub(crate) fn tags(&self) -> ParameterTagsClient<NatsChannel> {
        ParameterTagsClient::new(NatsChannel::new(self.nats.clone()))
    }
}

pub(crate) async fn by_grpc(running: &Running) -> ParameterStoreClient<Channel> {
    ParameterStoreClient::connect(format!("http://{}", running.address()))
        .await
        .unwrap()
}

async fn run(server: &NatsServer, folder: &Folder, change: impl FnOnce(&mut Settings)) -> Result<Running, BoxError> {
    let (mut common, mut settings): (Common, Settings) = muster_boot::load(DEFAULTS, None).unwrap();
    common.nats.url = server.url();
    common.database.url = format!("sqlite:{}", folder.join("parameters.sqlite").display());
    settings.key_file = folder.join("parameter-store.key");
    change(&mut settings);
    let parts = Parts::assemble("muster-parameter-store", &common, Some(DATABASE)).await?;
    Server::start(settings, parts).await
}

/// The word of a refusal, and its text.
pub(crate) fn refusal<T>(outcome: Result<T, Status>) -> (Reason, String) {
    match outcome {
        Ok(_) => panic!("it was not refused"),
        Err(status) => match Failure::from_status(&status) {
            Failure::Refused(refusal) => (refusal.reason, refusal.message),
            other => panic!("no refusal but {other:?}"),
        },
    }
}

/// The word of a refusal.
pub(crate) fn reason<T>(outcome: Result<T, Status>) -> Reason {
    refusal(outcome).0
}

pub(crate) fn put(name: &str, value: &str) -> PutParameterRequest {
    let mut request = PutParameterRequest {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
        ..PutParameterRequest::default()
    };
    request.set_type(ParameterType::String);
    request
}

pub(crate) fn overwrite(name: &str, value: &str) -> PutParameterRequest {
    PutParameterRequest {
        overwrite: Some(true),
        ..put(name, value)
    }
}

pub(crate) fn secure(name: &str, value: &str) -> PutParameterRequest {
    let mut request = overwrite(name, value);
    request.set_type(ParameterType::SecureString);
    request
}

pub(crate) fn get(name: &str) -> GetParameterRequest {
    GetParameterRequest {
        name: Some(name.to_owned()),
        with_decryption: None,
    }
}

pub(crate) fn decrypted(name: &str) -> GetParameterRequest {
    GetParameterRequest {
        with_decryption: Some(true),
        ..get(name)
    }
}

pub(crate) fn get_many(names: &[&str]) -> GetParametersRequest {
    GetParametersRequest {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        with_decryption: None,
    }
}

pub(crate) fn by_path(path: &str, recursive: bool) -> GetParametersByPathRequest {
    GetParametersByPathRequest {
        path: Some(path.to_owned()),
        recursive: Some(recursive),
        ..GetParametersByPathRequest::default()
    }
}

/// Name, version and value.
pub(crate) fn brief(parameter: &Parameter) -> (&str, i64, &str) {
    (parameter.name(), parameter.version(), parameter.value())
}
