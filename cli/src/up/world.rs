//! What runs, as one.

use std::future::Future;

use async_nats::Client;

use muster_boot::{BusError, NatsSettings};

use super::agents::{Agents, Ground, Local, RollCall};
use super::error::UpError;
use super::folder::Folder;
use super::nats::{self, Nats};
use super::services::{Services, Wiring};
use super::{Arguments, Signals, program};
use crate::init;
use crate::nats::push;
use crate::nats::watch::{self, Watcher};
use crate::ready::{Credentials, Ready};
use crate::trust::{Chosen, OPERATOR};

/// A NATS server, all services, local agents.
#[derive(Debug)]
pub(super) struct World {
    // Dropped in this order.
    agents: Agents,
    watcher: Watcher,
    services: Services,
    bus: Client,
    nats: Nats,
    folder_of_logs: std::path::PathBuf,
}

impl World {
    /// Starts everything; when this returns the services answer and the agents are on their way.
    pub(super) async fn start(arguments: &Arguments, folder: &Folder) -> Result<Self, UpError> {
        // What is missing is said before anything runs.
        let nats_server = program::nats_server(arguments.nats_server.clone())?;
        let agent = match arguments.agents {
            0 => None,
            _ => Some(program::agent(arguments.agent_binary.clone())?),
        };
        let trust = folder.trust();
        let (keys, _) = init::begin(&trust, &Chosen::local())?;
        init::complete(&trust)?;
        let mut nats = Nats::start(nats_server, folder, &keys).await?;
        let url = nats.url();
        let as_user = |user: &str| NatsSettings {
            credentials: trust.creds(user),
            ..NatsSettings::open(&url)
        };
        let wiring = Wiring {
            folder,
            nats: url.clone(),
            node_account: keys.public().muster.to_string(),
            gateway: &arguments.listen,
        };
        let starting = async {
            let connected = |connected: Result<Client, BusError>| connected.map_err(|error| UpError::Bus(error.into()));
            let bus = connected(muster_boot::connect_now("muster-up", &as_user(OPERATOR)).await)?;
            nats::check_version(&bus.server_info().version)?;
            // The server keeps accounts from an earlier life, which an upgrade may have changed.
            let system = connected(muster_boot::connect_now("muster-up", &as_user("system")).await)?;
            push::bring_up_to_date(&system, &keys)
                .await
                .map_err(|error| UpError::Bus(error.into()))?;
            let watching = connected(muster_boot::connect_now("muster-up", &as_user(watch::USER)).await)?;
            let watcher = Watcher::new(system, watching, keys.clone());
            Ok::<_, UpError>((bus, watcher, Services::start(&wiring).await?))
        };
        let (bus, watcher, services) = tokio::select! {
            started = starting => started?,
            never = nats.keep() => match never {},
        };
        let agents = match agent {
            Some(program) => {
                let ground = Ground {
                    program: &program,
                    nats: &url,
                    log: &arguments.log,
                    folder,
                };
                // People cannot register machines by themselves: services can.
                let starting = async {
                    let clerk = muster_boot::connect_now("muster-up", &as_user("muster-gateway")).await;
                    let clerk = clerk.map_err(|error| UpError::Bus(error.into()))?;
                    Agents::start(arguments.agents, &ground, clerk, keys).await
                };
                tokio::select! {
                    started = starting => started?,
                    never = nats.keep() => match never {},
                }
            }
            None => Agents::none(),
        };
        Ok(Self {
            agents,
            watcher,
            services,
            bus,
            nats,
            folder_of_logs: folder.logs(),
        })
    }

    /// What can tell when all agents are there.
    pub(super) fn roll_call(&self) -> RollCall {
        self.agents.roll_call(self.bus.clone(), self.folder_of_logs.clone())
    }

    /// Starts again what dies while `wait` goes on. None: a signal came first.
    pub(super) async fn keep_while<T>(
        &mut self,
        signals: &mut Signals,
        wait: impl Future<Output = T>,
    ) -> Result<Option<T>, UpError> {
        tokio::select! {
            value = wait => Ok(Some(value)),
            () = signals.next() => Ok(None),
            failure = self.services.failed() => Err(failure),
            never = self.nats.keep() => match never {},
            never = self.agents.keep() => match never {},
            never = self.watcher.keep() => match never {},
        }
    }

    /// Where everything is.
    pub(super) fn ready(&self, folder: &Folder, agents: &[Local]) -> Ready {
        Ready {
            gateway: self.services.gateway(),
            nats: self.nats.url(),
            grpc: self.services.grpc(),
            data_dir: folder.root().to_owned(),
            nodes: agents.iter().map(|agent| agent.node.clone()).collect(),
            credentials: (!self.services.verifies_signatures()).then(Credentials::development),
            creds: folder.trust().creds(OPERATOR),
        }
    }

    /// Stops agents, services and the NATS server, in this order, so that each can say its last words to the next.
    pub(super) async fn stop(mut self) {
        self.agents.stop().await;
        self.services.stop().await;
        self.nats.stop().await;
    }
}
