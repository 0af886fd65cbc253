//! What a test runs in.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use muster_boot::{
    Common, DatabaseSettings, NatsSettings, NodeQuotaSettings, Parts, Running, ServerSettings, TelemetrySettings,
};
use muster_fan_out::{DATABASE, Server, Settings};
use muster_harness::{Folder, NatsServer, Postgres, until};
use muster_model::{Account, Clock, CommandId, NodeId, SignedDuration, SystemClock, Timestamp};
use muster_proto::agent::v1::WorkItem;
use muster_proto::fanout::v1::fan_out_client::FanOutClient;
use muster_proto::fanout::v1::{
    CancelRolloutRequest, GetRolloutRequest, GetRolloutResult, RolloutTarget, StartRolloutRequest, TargetState,
};
use muster_wire::NatsChannel;
use tokio::runtime::Runtime;
use tonic::Status;

use crate::node::{Node, Script};
use crate::owner::Owner;

/// A broker, a database and an owner; fan-out and nodes come when the test wants them.
pub(crate) struct World {
    pub(crate) nats_server: NatsServer,
    pub(crate) nats: Client,
    pub(crate) owner: Owner,
    /// Where the keys are that sign work; empty: nothing is signed.
    pub(crate) work_keys: std::path::PathBuf,
    database: Database,
}

enum Database {
    Sqlite(Folder),
    Postgres(Box<Postgres>),
}

impl World {
    /// One with SQLite.
    pub(crate) async fn new() -> Self {
        Self::on(Database::Sqlite(Folder::new("fan-out"))).await
    }

    /// One with SQLite, and one with PostgreSQL where a server is at hand.
    pub(crate) async fn on_each_database() -> Vec<Self> {
        let mut worlds = vec![Self::new().await];
        if let Some(postgres) = Postgres::start().await {
            worlds.push(Self::on(Database::Postgres(Box::new(postgres))).await);
        }
        worlds
    }

    async fn on(database: Database) -> Self {
        let nats_server = NatsServer::start().await;
        let nats = nats_server.client().await;
        let owner = Owner::start(&nats).await;
        Self {
            nats_server,
            nats,
            owner,
            work_keys: std::path::PathBuf::new(),
            database,
        }
    }

    /// Starts a replica of the service and waits until it answers.
    pub(crate) async fn start(&self, replica: &str) -> Service {
        let common = Common {
            drain_seconds: 0,
            grace_seconds: 5,
            replica: replica.to_owned(),
            account: Account::default(),
            nats: NatsSettings::open(&self.nats_server.url()),
            server: ServerSettings::loopback(),
            database: DatabaseSettings {
                url: match &self.database {
                    Database::Sqlite(folder) => format!("sqlite:{}", folder.join("fan-out.db").display()),
                    Database::Postgres(postgres) => postgres.url(),
                },
            },
            node_quota: NodeQuotaSettings::default(),
            telemetry: TelemetrySettings {
                log: "warn".to_owned(),
                otlp: String::new(),
            },
        };
        let settings = Settings {
            retention_days: 30,
            max_targets: 10_000,
            max_concurrency: 10_000,
            lease_seconds: 1,
            work_keys_folder: self.work_keys.clone(),
        };
        Service::start(common, settings).await
    }

    /// Nodes that are on the bus and do what the script says.
    pub(crate) async fn nodes(&self, count: u32, script: Script) -> Vec<Arc<Node>> {
        let nodes: Vec<_> = (0..count).map(|number| Node::new(number, script.clone())).collect();
        for node in &nodes {
            node.connect(&self.nats).await;
        }
        self.nats.flush().await.unwrap();
        nodes
    }

    fn client(&self) -> FanOutClient<NatsChannel> {
        FanOutClient::new(NatsChannel::new(self.nats.clone()))
    }

    /// Starts a rollout, as an owner does: again until it was heard.
    pub(crate) async fn roll_out(&self, order: &StartRolloutRequest) {
        until("the rollout is accepted", async || {
            self.client().start_rollout(order.clone()).await
        })
        .await;
    }

    pub(crate) async fn try_roll_out(&self, order: &StartRolloutRequest) -> Result<(), Status> {
        self.client().start_rollout(order.clone()).await.map(|_| ())
    }

    /// Cancels, as an owner does: again until it was heard.
    pub(crate) async fn cancel(&self, id: &str, nodes: &[&Node]) {
        let request = CancelRolloutRequest {
            only_unsent: false,
            rollout_id: id.to_owned(),
            node_ids: nodes.iter().map(|node| node.id().to_string()).collect(),
        };
        until("the cancel is accepted", async || {
            self.client().cancel_rollout(request.clone()).await
        })
        .await;
    }

    pub(crate) async fn view(&self, id: &str) -> Result<GetRolloutResult, Status> {
        let request = GetRolloutRequest {
            rollout_id: id.to_owned(),
        };
        self.client()
            .get_rollout(request)
            .await
            .map(tonic::Response::into_inner)
    }

    /// Waits until fan-out shows these states, in the order of the targets.
    pub(crate) async fn until_states(&self, id: &str, expected: &[TargetState]) {
        until("the targets stand as expected", async || {
            let states = self.states(id).await?;
            if states == expected {
                Ok(())
            } else {
                Err(format!("{states:?}"))
            }
        })
        .await;
    }

    async fn states(&self, id: &str) -> Result<Vec<TargetState>, String> {
        let view = self.view(id).await.map_err(|status| status.to_string())?;
        Ok(view.targets.iter().map(|target| target.state()).collect())
    }
}

/// A rollout to these nodes, with an hour to go.
pub(crate) fn order(nodes: &[Arc<Node>], concurrency: &str, errors: &str) -> StartRolloutRequest {
    let ids = nodes.iter().map(|node| node.id().clone());
    order_for(ids, concurrency, errors, SignedDuration::from_hours(1))
}

pub(crate) fn order_for(
    nodes: impl Iterator<Item = NodeId>,
    concurrency: &str,
    errors: &str,
    time: SignedDuration,
) -> StartRolloutRequest {
    let deadline: Timestamp = SystemClock.now() + time;
    let id = CommandId::random().to_string();
    StartRolloutRequest {
        rollout_id: id.clone(),
        owner: "Test".to_owned(),
        targets: nodes
            .map(|node| RolloutTarget {
                node_id: node.to_string(),
                refused: 0,
            })
            .collect(),
        max_concurrency: concurrency.to_owned(),
        max_errors: errors.to_owned(),
        deadline: Some(prost_types::Timestamp {
            seconds: deadline.as_second(),
            nanos: deadline.subsec_nanosecond(),
        }),
        work: Some(WorkItem {
            run_id: id.clone(),
            command_id: id,
            document_content: "{}".to_owned(),
            ..WorkItem::default()
        }),
        tags: Vec::new(),
    }
}

/// A replica of the service, in a runtime of its own so that it can die like a process.
pub(crate) struct Service {
    runtime: Option<Runtime>,
    running: Option<Running>,
}

impl Service {
    async fn start(common: Common, settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let started = runtime.spawn(async move {
            let parts = Parts::assemble("muster-fan-out", &common, Some(DATABASE))
                .await
                .unwrap();
            Server::start(settings, parts).await.unwrap()
        });
        Self {
            running: Some(started.await.unwrap()),
            runtime: Some(runtime),
        }
    }

    /// Ends it as `kill -9` does: no task gets another turn.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Ends it as it wants to end.
    pub(crate) async fn stop(mut self) {
        let running = self.running.take().unwrap();
        let runtime = self.runtime.as_ref().unwrap();
        runtime.spawn(running.stop(Duration::from_secs(5))).await.unwrap();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}
