//! A service of a test's own, and short ways to ask it.

use std::path::PathBuf;
use std::time::Duration;

use muster_access::{DATABASE, DEFAULTS, Server, Settings};
use muster_boot::{BoxError, Common, Parts, Running};
use muster_harness::{Folder, NatsServer, Postgres};
use muster_proto::access::v1::access_client::AccessClient;
use muster_proto::access::v1::audit_client::AuditClient;
use muster_proto::access::v1::decisions_client::DecisionsClient;
use muster_proto::access::v1::{
    AccessKey, AttachPolicyRequest, CreateAccessKeyRequest, CreateGroupRequest, CreateRoleRequest, CreateUserRequest,
    PutPolicyRequest,
};
use muster_proto::aws::v1::Reason;
use muster_wire::{Failure, NatsChannel};
use tonic::Status;
use tonic::transport::Channel;

/// Runs a body once for each surface, each time with a fresh service: `on_each_surface!(service, access => { … })`.
macro_rules! on_each_surface {
    ($service:ident, $access:ident => $body:block) => {{
        {
            let $service = $crate::service::Service::start().await;
            let mut $access = $service.access();
            $body
            $service.stop().await;
        }
        {
            let $service = $crate::service::Service::start().await;
            let mut $access = $service.by_grpc().await;
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
    database: Option<Postgres>,
    pub(crate) folder: Folder,
}

/// Where the tables are: a file, or PostgreSQL where a test asks for it and there is one.
fn database_url(database: Option<&Postgres>, folder: &Folder) -> String {
    match database {
        Some(postgres) => postgres.url(),
        None => format!("sqlite:{}", folder.join("access.sqlite").display()),
    }
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than the default ones.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(None, change).await
    }

    /// On every kind of database that is at hand.
    pub(crate) async fn on_each_database() -> Vec<Self> {
        let mut all = vec![Self::start().await];
        if let Some(postgres) = Postgres::start().await {
            all.push(Self::on(Some(postgres), |_| {}).await);
        }
        all
    }

    async fn on(database: Option<Postgres>, change: impl FnOnce(&mut Settings)) -> Self {
        let (server, folder) = (NatsServer::start().await, Folder::new("access"));
        let running = run(&server, &database_url(database.as_ref(), &folder), &folder, change)
            .await
            .unwrap();
        Self {
            nats: server.client().await,
            running,
            server,
            database,
            folder,
        }
    }

    pub(crate) fn database_url(&self) -> String {
        database_url(self.database.as_ref(), &self.folder)
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.join("access.key")
    }

    /// The settings that it runs with.
    pub(crate) fn settings(&self) -> Settings {
        let (_, mut settings): (Common, Settings) = muster_boot::load(DEFAULTS, None).unwrap();
        settings.key_file = self.key_file();
        settings
    }

    /// Stops it, does something to what it left, and starts another one on the same tables.
    pub(crate) async fn restart_after(self, meanwhile: impl AsyncFnOnce(&Folder)) -> Result<Self, BoxError> {
        // On the heap, where a large state makes no test large.
        Box::pin(async move {
            self.running.stop(Duration::from_secs(5)).await;
            meanwhile(&self.folder).await;
            let url = database_url(self.database.as_ref(), &self.folder);
            let running = run(&self.server, &url, &self.folder, |_| {}).await?;
            Ok(Self { running, ..self })
        })
        .await
    }

    /// Stops it and starts another one on the same tables, with other settings than the default ones.
    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut Settings)) -> Self {
        // On the heap, where a large state makes no test large.
        Box::pin(async move {
            self.running.stop(Duration::from_secs(5)).await;
            let url = database_url(self.database.as_ref(), &self.folder);
            let running = run(&self.server, &url, &self.folder, change).await.unwrap();
            Self { running, ..self }
        })
        .await
    }

    /// Another replica on the same tables.
    pub(crate) async fn replica(&self) -> Running {
        run(&self.server, &self.database_url(), &self.folder, |_| {})
            .await
            .unwrap()
    }

    pub(crate) async fn stop(self) {
        self.running.stop(Duration::from_secs(5)).await;
    }

    pub(crate) fn access(&self) -> AccessClient<NatsChannel> {
        AccessClient::new(NatsChannel::new(self.nats.clone()))
    }

    pub(crate) async fn by_grpc(&self) -> AccessClient<Channel> {
        AccessClient::connect(self.address()).await.unwrap()
    }

    /// Where it answers gRPC.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.running.address())
    }

    pub(crate) fn decisions(&self) -> DecisionsClient<NatsChannel> {
        DecisionsClient::new(NatsChannel::new(self.nats.clone()))
    }

    pub(crate) fn audit(&self) -> AuditClient<NatsChannel> {
        AuditClient::new(NatsChannel::new(self.nats.clone()))
    }

    pub(crate) async fn make_user(&self, name: &str) {
        self.access().create_user(user(name)).await.unwrap();
    }

    pub(crate) async fn make_group(&self, name: &str) {
        let request = CreateGroupRequest {
            group_name: Some(name.to_owned()),
        };
        self.access().create_group(request).await.unwrap();
    }

    pub(crate) async fn make_role(&self, name: &str) {
        let request = CreateRoleRequest {
            role_name: Some(name.to_owned()),
            ..CreateRoleRequest::default()
        };
        self.access().create_role(request).await.unwrap();
    }

    pub(crate) async fn put(&self, name: &str, document: &str) {
        self.access().put_policy(policy(name, document)).await.unwrap();
    }

    pub(crate) async fn make_key(&self, user: &str) -> AccessKey {
        let request = CreateAccessKeyRequest {
            user_name: Some(user.to_owned()),
        };
        let made = self.access().create_access_key(request).await.unwrap();
        made.into_inner().access_key.unwrap()
    }
}

async fn run(
    server: &NatsServer,
    database_url: &str,
    folder: &Folder,
    change: impl FnOnce(&mut Settings),
) -> Result<Running, BoxError> {
    let (mut common, mut settings): (Common, Settings) = muster_boot::load(DEFAULTS, None).unwrap();
    common.nats.url = server.url();
    common.database.url = database_url.to_owned();
    settings.key_file = folder.join("access.key");
    change(&mut settings);
    let parts = Parts::assemble("muster-access", &common, Some(DATABASE)).await.unwrap();
    Server::start(settings, parts).await
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

pub(crate) fn user(name: &str) -> CreateUserRequest {
    CreateUserRequest {
        user_name: Some(name.to_owned()),
        ..CreateUserRequest::default()
    }
}

pub(crate) fn policy(name: &str, document: &str) -> PutPolicyRequest {
    PutPolicyRequest {
        policy_name: Some(name.to_owned()),
        policy_document: Some(document.to_owned()),
        ..PutPolicyRequest::default()
    }
}

/// A policy that allows an action everywhere, or denies it.
pub(crate) fn saying(effect: &str, action: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Sid": "One", "Effect": "{effect}", "Action": "{action}", "Resource": "*"}}}}"#
    )
}

/// An attachment to `user/…`, `group/…` or `role/…`.
pub(crate) fn attach(policy: &str, to: &str) -> AttachPolicyRequest {
    let (kind, name) = to.split_once('/').unwrap();
    let name_if = |wanted: &str| (kind == wanted).then(|| name.to_owned());
    AttachPolicyRequest {
        policy_name: Some(policy.to_owned()),
        user_name: name_if("user"),
        group_name: name_if("group"),
        role_name: name_if("role"),
    }
}
