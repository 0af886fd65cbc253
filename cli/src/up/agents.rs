//! Local agents: real ones, each a process of its own.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::Client;
use futures::future::{join_all, select_all};
use muster_agent::state::StateDir;
use muster_proto::fleet::v1::fleet_client::FleetClient;
use muster_proto::fleet::v1::{DescribeInstanceInformationRequest, InstanceInformationStringFilter, PingStatus};
use muster_wire::NatsChannel;
use tokio::time::Instant;

use super::child::Child;
use super::clerk::{Clerk, Machine};
use super::error::UpError;
use super::folder::Folder;
use crate::trust::Keys;

/// How often it is looked whether the agents are there.
const LOOK: Duration = Duration::from_millis(3);
/// Longest that an agent may take for its last words to the services.
const GRACE: Duration = Duration::from_secs(5);
/// Longest wait for all of them.
const LIMIT: Duration = Duration::from_secs(60);
/// Nodes asked for at once.
const PAGE: usize = 50;

#[derive(Debug)]
pub(super) struct Agents {
    agents: Vec<Agent>,
    machines: Vec<Machine>,
    clerk: Option<Clerk>,
}

#[derive(Debug)]
struct Agent {
    name: String,
    state: StateDir,
    child: Child,
}

/// The name of the agent with this number, from 1, and its tags: web servers and databases by turns.
pub(super) fn demo(number: u32) -> (String, [(&'static str, String); 3]) {
    let nth = number.div_ceil(2);
    let (role, server_role) = match number % 2 {
        1 => ("web", "WebFrontEnd"),
        _ => ("db", "Database"),
    };
    let name = format!("{role}-{nth}");
    let tags = [
        ("Name", name.clone()),
        ("Role", role.to_owned()),
        ("ServerRole", server_role.to_owned()),
    ];
    (name, tags)
}

/// What local agents are started with.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) program: &'a Path,
    /// The bus.
    pub(super) nats: &'a str,
    pub(super) log: &'a str,
    pub(super) folder: &'a Folder,
}

impl Agents {
    /// Registers the machines as nodes, gives them credentials and starts their agents.
    pub(super) async fn start(count: u32, ground: &Ground<'_>, bus: Client, keys: Keys) -> Result<Self, UpError> {
        let folder = ground.folder;
        let config = folder.agents_config()?;
        let mut clerk = Clerk::new(bus, keys);
        let machines = (1..=count).map(|number| {
            let (name, tags) = demo(number);
            let home = folder.agent(&name);
            Machine { name, tags, home }
        });
        let machines: Vec<Machine> = machines.collect();
        clerk.admit(&machines).await?;
        let mut agents = Vec::new();
        for machine in &machines {
            let name = &machine.name;
            let mut arguments: Vec<OsString> = ["run", "--server", ground.nats, "--name", name, "--log", ground.log]
                .map(OsString::from)
                .into();
            arguments.extend(["--state-dir".into(), machine.home.clone().into_os_string()]);
            arguments.extend(["--config".into(), config.clone().into_os_string()]);
            arguments.extend(["--credentials".into(), machine.credentials().into_os_string()]);
            for (key, value) in &machine.tags {
                arguments.extend(["--tag".into(), format!("{key}={value}").into()]);
            }
            let what = format!("agent {name}");
            let mut child = Child::new(what, ground.program.to_owned(), arguments, folder.log(name)?);
            child.start()?;
            agents.push(Agent {
                state: StateDir::at(&machine.home),
                name: name.clone(),
                child,
            });
        }
        Ok(Self {
            agents,
            machines,
            clerk: Some(clerk),
        })
    }

    /// No agents at all.
    pub(super) fn none() -> Self {
        Self {
            agents: Vec::new(),
            machines: Vec::new(),
            clerk: None,
        }
    }

    /// What can tell when they are all there, without holding them.
    pub(super) fn roll_call(&self, bus: Client, logs: PathBuf) -> RollCall {
        let agents = self.agents.iter();
        RollCall {
            agents: agents.map(|agent| (agent.name.clone(), agent.state.clone())).collect(),
            fleet: FleetClient::new(NatsChannel::new(bus)),
            logs,
        }
    }

    /// Starts again who dies, and renews credentials. Never ends.
    pub(super) async fn keep(&mut self) -> Infallible {
        if self.agents.is_empty() {
            return std::future::pending().await;
        }
        let each = self.agents.iter_mut().map(|agent| Box::pin(agent.child.keep()));
        let renewing = async {
            match &mut self.clerk {
                Some(clerk) => clerk.renew(&self.machines).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            (never, _, _) = select_all(each) => never,
            never = renewing => never,
        }
    }

    /// Stops them all; scripts that run go on, and the agents find them at the next start.
    pub(super) async fn stop(&mut self) {
        join_all(self.agents.iter_mut().map(|agent| agent.child.stop(GRACE))).await;
    }
}

/// A local agent that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) name: String,
    /// The id of its node.
    pub(super) node: String,
}

/// Asks whether the agents are there.
#[derive(Debug)]
pub(super) struct RollCall {
    agents: Vec<(String, StateDir)>,
    fleet: FleetClient<NatsChannel>,
    logs: PathBuf,
}

impl RollCall {
    /// Waits until every agent is registered and online.
    pub(super) async fn complete(mut self) -> Result<Vec<Local>, UpError> {
        let limit = Instant::now() + LIMIT;
        loop {
            let missing = match self.registered() {
                Err(name) => format!("agent {name} is not registered"),
                Ok(agents) => match self.offline(&agents).await {
                    None => return Ok(agents),
                    Some(name) => format!("agent {name} is not online"),
                },
            };
            if Instant::now() >= limit {
                return Err(UpError::NotReady {
                    seconds: LIMIT.as_secs(),
                    missing,
                    logs: self.logs,
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// All agents with their nodes, or the name of one that has none yet.
    fn registered(&self) -> Result<Vec<Local>, String> {
        let agents = self.agents.iter().map(|(name, state)| {
            let identity = state.known_identity().ok().flatten();
            let node = identity
                .and_then(|identity| identity.node)
                .ok_or_else(|| name.clone())?;
            Ok(Local {
                name: name.clone(),
                node: node.to_string(),
            })
        });
        agents.collect()
    }

    /// The name of one that is not online; none if all are.
    async fn offline(&mut self, agents: &[Local]) -> Option<String> {
        for page in agents.chunks(PAGE) {
            let request = DescribeInstanceInformationRequest {
                filters: vec![InstanceInformationStringFilter {
                    key: Some("InstanceIds".to_owned()),
                    values: page.iter().map(|agent| agent.node.clone()).collect(),
                }],
                max_results: i32::try_from(PAGE).ok(),
                ..DescribeInstanceInformationRequest::default()
            };
            // A service that is not there yet is one that does not know the node yet.
            let answer = self.fleet.describe_instance_information(request).await;
            let known = answer.map_or_else(|_| Vec::new(), |answer| answer.into_inner().instance_information_list);
            let is_online = |agent: &Local| {
                let mut online = known.iter().filter(|each| each.ping_status() == PingStatus::Online);
                online.any(|each| each.instance_id() == agent.node)
            };
            if let Some(agent) = page.iter().find(|agent| !is_online(agent)) {
                return Some(agent.name.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_servers_and_databases_come_by_turns() {
        let names: Vec<String> = (1..=4).map(|number| demo(number).0).collect();
        assert_eq!(names, ["web-1", "db-1", "web-2", "db-2"]);
        let (_, tags) = demo(1);
        assert_eq!(
            tags,
            [
                ("Name", "web-1".to_owned()),
                ("Role", "web".to_owned()),
                ("ServerRole", "WebFrontEnd".to_owned())
            ]
        );
        assert_eq!(demo(2).1[2], ("ServerRole", "Database".to_owned()));
    }
}
