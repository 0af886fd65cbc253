//! Run Command: commands and invocations as users see them (spec: run-command).
//!
//! - `api`: one file per operation, from the contract to the domain and back.
//! - `domain`: what commands and invocations are and how they change; pure.
//! - `store`: the queries.
//! - `work`: accepting commands in groups, telling the coordinator, forgetting old commands.
//!
//! This service sends no work to a node. It hands a rollout to the coordinator and is told of every transition.

mod api;
mod config;
mod domain;
mod error;
mod store;
mod work;

use std::sync::Arc;

use muster_boot::{BoxError, Database, Deciding, Parts, Running};
use muster_proto::runcommand::v1::command_senders_server::CommandSendersServer;
use muster_proto::runcommand::v1::run_command_output_server::RunCommandOutputServer;
use muster_proto::runcommand::v1::run_command_rollouts_server::RunCommandRolloutsServer;
use muster_proto::runcommand::v1::run_command_server::RunCommandServer;
use muster_store::Pager;
use muster_store::sqlx::migrate::Migrator;

pub use config::Settings;

use crate::api::Api;
use crate::work::{Acceptor, Alarms, Dispatcher, Followers, LogStreams, News, Notifier};

/// The embedded defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// How the tables come to be.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The tables of this service.
pub const DATABASE: Database = Database {
    schema: "run_command",
    migrations: &MIGRATIONS,
};

/// The service before it runs.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts answering.
    ///
    /// # Errors
    /// If the database or the bus fails.
    pub async fn start(settings: Settings, parts: Parts) -> Result<Running, BoxError> {
        let db = parts.database();
        let pager = Pager::of(&db).await?;
        let dispatcher = Dispatcher::start(&parts, db.clone());
        let news = News::start(&parts, db.clone());
        let notifier = Notifier::start(&parts, db.clone(), settings.sinks()?);
        let acceptor = Acceptor::start(
            &parts,
            db.clone(),
            settings.max_pending_invocations,
            dispatcher.clone(),
            news.clone(),
            notifier.clone(),
        );
        work::departures::start(&parts, db.clone(), dispatcher.clone()).await?;
        let alarms = Alarms::of(&settings.alarms)?;
        alarms
            .clone()
            .watch(&parts, db.clone(), dispatcher.clone(), news.clone());
        let log_streams = LogStreams::of(&settings.log_streams)?;
        work::log_keeper::start(&parts, db.clone(), log_streams.clone()).await?;
        work::sweeper::start(&parts, db.clone(), settings.retention_days, log_streams.clone());
        let sights = api::Sights {
            own_only: settings.own_commands_only,
        };
        let reading = api::Reading {
            streams: log_streams,
            pager: pager.clone(),
        };
        let beside = api::Beside {
            acceptor,
            dispatcher,
            news: news.clone(),
            alarms,
        };
        let api = Arc::new(Api::new(&settings, &parts, db.clone(), pager, beside));
        let followers = Followers {
            db: db.clone(),
            nats: parts.nats.clone(),
            clock: Arc::clone(&parts.clock),
            tasks: parts.tasks.clone(),
            stopping: parts.tasks.stopping(),
        };
        let senders = api::Senders(db.clone());
        let rollouts = api::Rollouts::new(db, news, notifier, sights);
        let deciding = Deciding {
            tags: Some(Arc::new(work::TagsOf::new(parts.nats.clone()))),
            authority: None,
        };
        let running = parts
            .serve_deciding(deciding, |mount| {
                let followers = Followers {
                    stopping: mount.stopping(),
                    ..followers
                };
                mount
                    .add(RunCommandOutputServer::new(api::Output::new(
                        followers, reading, sights,
                    )))
                    .add(RunCommandServer::from_arc(api))
                    .add(RunCommandRolloutsServer::new(rollouts))
                    .add_on_bus(CommandSendersServer::new(senders))
            })
            .await?;
        Ok(running)
    }
}
