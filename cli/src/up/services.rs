//! All services in this process.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use futures::future::{BoxFuture, join_all, select_all};
use muster_boot::{BoxError, Database, NatsSettings, Parts, Running};
use serde::de::DeserializeOwned;

use super::error::UpError;
use super::folder::Folder;
use crate::access::place::in_folder;
use crate::trust::OPERATOR;

/// How long calls under way may take when everything stops.
const GRACE: Duration = Duration::from_secs(5);
const GATEWAY: &str = "muster-gateway";

/// What all services share.
#[derive(Debug)]
pub(super) struct Wiring<'a> {
    pub(super) folder: &'a Folder,
    /// The bus.
    pub(super) nats: String,
    /// The public key of the account that nodes belong to.
    pub(super) node_account: String,
    /// Where the gateway listens; the others take any free port of loopback.
    pub(super) gateway: &'a str,
}

/// Services that answer. The gateway is the last.
#[derive(Debug)]
pub(super) struct Services {
    running: Vec<(&'static str, Running)>,
    door: Door,
    log: PathBuf,
}

/// How the gateway is asked.
#[derive(Debug, Clone, Copy)]
struct Door {
    verifies_signatures: bool,
    is_encrypted: bool,
}

impl Services {
    pub(super) async fn start(wiring: &Wiring<'_>) -> Result<Self, UpError> {
        let door = OnceLock::new();
        let starting: Vec<BoxFuture<'_, Result<(&'static str, Running), UpError>>> = vec![
            start(
                "muster-fleet",
                muster_fleet::DEFAULTS,
                Some(muster_fleet::DATABASE),
                wiring,
                |mut settings: muster_fleet::Settings, parts| {
                    if settings.node_key_file.is_empty() {
                        settings.node_key_file = wiring.folder.trust().seed("nodes").display().to_string();
                        settings.node_account.clone_from(&wiring.node_account);
                    }
                    if settings.node_servers.is_empty() {
                        settings.node_servers.push(wiring.nats.clone());
                    }
                    if settings.work_keys_file.is_empty() {
                        let file = wiring.folder.trust().work().join("keys.json");
                        settings.work_keys_file = file.display().to_string();
                    }
                    muster_fleet::Server::start(settings, parts)
                },
            ),
            start(
                "muster-documents",
                muster_documents::DEFAULTS,
                Some(muster_documents::DATABASE),
                wiring,
                |mut settings: muster_documents::Settings, parts| {
                    if settings.objects.url.is_empty() {
                        settings.objects.url = wiring.folder.objects_url();
                    }
                    if settings.answer_key_file.as_os_str().is_empty() {
                        settings.answer_key_file = wiring.folder.trust().answer_key("documents");
                    }
                    muster_documents::Server::start(settings, parts)
                },
            ),
            start(
                "muster-parameter-store",
                muster_parameter_store::DEFAULTS,
                Some(muster_parameter_store::DATABASE),
                wiring,
                |mut settings: muster_parameter_store::Settings, parts| {
                    // A key file without a folder is in the data directory.
                    settings.key_file = wiring.folder.root().join(&settings.key_file);
                    if settings.answer_key_file.as_os_str().is_empty() {
                        settings.answer_key_file = wiring.folder.trust().answer_key("parameter-store");
                    }
                    muster_parameter_store::Server::start(settings, parts)
                },
            ),
            start(
                "muster-fan-out",
                muster_fan_out::DEFAULTS,
                Some(muster_fan_out::DATABASE),
                wiring,
                |mut settings: muster_fan_out::Settings, parts| {
                    if settings.work_keys_folder.as_os_str().is_empty() {
                        settings.work_keys_folder = wiring.folder.trust().work();
                    }
                    muster_fan_out::Server::start(settings, parts)
                },
            ),
            start(
                "muster-run-command",
                muster_run_command::DEFAULTS,
                Some(muster_run_command::DATABASE),
                wiring,
                |mut settings: muster_run_command::Settings, parts| {
                    if settings.objects_url.is_empty() {
                        settings.objects_url = wiring.folder.objects_url();
                    }
                    if settings.log_streams.folder.is_empty() {
                        settings.log_streams.folder = wiring.folder.log_streams().display().to_string();
                    }
                    muster_run_command::Server::start(settings, parts)
                },
            ),
            start(
                "muster-access",
                muster_access::DEFAULTS,
                Some(muster_access::DATABASE),
                wiring,
                |mut settings: muster_access::Settings, parts| {
                    if settings.first_admin.is_empty() {
                        // Whose credentials `muster up` makes: who may read them can do everything anyway.
                        OPERATOR.clone_into(&mut settings.first_admin);
                    }
                    muster_access::Server::start(in_folder(settings, wiring.folder.root()), parts)
                },
            ),
            start(
                GATEWAY,
                muster_gateway::DEFAULTS,
                None,
                wiring,
                |settings: muster_gateway::Settings, parts| {
                    let _ = door.set(Door {
                        verifies_signatures: settings.authentication == muster_gateway::AuthenticationMode::Signature,
                        is_encrypted: parts.listener.is_encrypted(),
                    });
                    muster_gateway::Server::start(settings, parts)
                },
            ),
        ];
        let running = futures::future::try_join_all(starting).await?;
        Ok(Self {
            running,
            door: *door.get().expect("the gateway was started with the others"),
            log: wiring.folder.logs().join("muster.log"),
        })
    }

    /// Where AWS JSON is served: `http://127.0.0.1:8686`.
    pub(super) fn gateway(&self) -> String {
        let gateway = self.running.iter().find(|(name, _)| *name == GATEWAY);
        let address = gateway.expect("the gateway was started with the others").1.address();
        match self.door.is_encrypted {
            true => format!("https://{address}"),
            false => format!("http://{address}"),
        }
    }

    /// Whether the gateway wants to know who signed a request; in development it takes any keys.
    pub(super) fn verifies_signatures(&self) -> bool {
        self.door.verifies_signatures
    }

    /// Where gRPC is served, by the name of the service as in `Service.Method`.
    pub(super) fn grpc(&self) -> BTreeMap<String, String> {
        let served = self.running.iter().flat_map(|(_, running)| {
            let names = running.services().iter();
            names.map(|name| (short(name), running.address().to_string()))
        });
        served.collect()
    }

    /// Waits until one of them fails.
    pub(super) async fn failed(&mut self) -> UpError {
        let log = &self.log;
        let failures = self.running.iter_mut().map(|(name, running)| {
            Box::pin(async move {
                let failure = running.failed().await;
                UpError::Died {
                    service: name,
                    source: failure.into(),
                    log: log.clone(),
                }
            })
        });
        select_all(failures).await.0
    }

    /// Stops them: the gateway first, so that nobody is told that the others are away.
    pub(super) async fn stop(mut self) {
        if let Some((_, gateway)) = self.running.pop() {
            gateway.stop(GRACE).await;
        }
        join_all(self.running.into_iter().map(|(_, running)| running.stop(GRACE))).await;
    }
}

/// "muster.fleet.v1.Nodes" is "Nodes".
fn short(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

fn start<'a, S, F, Fut>(
    name: &'static str,
    defaults: &'static str,
    database: Option<Database>,
    wiring: &'a Wiring<'a>,
    start: F,
) -> BoxFuture<'a, Result<(&'static str, Running), UpError>>
where
    S: DeserializeOwned + Send + 'a,
    F: FnOnce(S, Parts) -> Fut + Send + 'a,
    Fut: Future<Output = Result<Running, BoxError>> + Send + 'a,
{
    Box::pin(async move {
        // The embedded defaults, the operator's file, and the environment; what `muster up` arranges itself cannot be set.
        let file = wiring.folder.root().join(format!("{name}.toml"));
        let file = file.is_file().then_some(file.as_path());
        let (mut common, own) =
            muster_boot::load::<S>(defaults, file).map_err(|source| UpError::Settings { service: name, source })?;
        // Each service is a user of its own, although they share a process.
        common.nats = NatsSettings {
            credentials: wiring.folder.trust().creds(name),
            ..NatsSettings::open(&wiring.nats)
        };
        common.server.listen = match name {
            GATEWAY => wiring.gateway.to_owned(),
            _ => "127.0.0.1:0".to_owned(),
        };
        if database.is_some() {
            common.database.url = format!("sqlite:{}", wiring.folder.database(name).display());
        }
        // The same at every start, so that what was claimed before is taken up at once.
        "up".clone_into(&mut common.replica);
        let parts = Parts::assemble(name, &common, database)
            .await
            .map_err(|source| UpError::Parts { service: name, source })?;
        let running = start(own, parts)
            .await
            .map_err(|source| UpError::Service { service: name, source })?;
        Ok((name, running))
    })
}

#[cfg(test)]
mod tests {
    use muster_boot::Tasks;

    use super::*;
    use crate::complaint::chain;

    #[tokio::test]
    async fn a_service_that_fails_is_named_with_the_cause() {
        let running = |name| {
            let (tasks, failures) = Tasks::new();
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            ((name, Running::without_mount(address, tasks.clone(), failures)), tasks)
        };
        let ((fleet, _fleet_tasks), (gateway, gateway_tasks)) = (running("muster-fleet"), running(GATEWAY));
        let mut services = Services {
            running: vec![fleet, gateway],
            door: Door {
                verifies_signatures: false,
                is_encrypted: false,
            },
            log: "logs/muster.log".into(),
        };
        gateway_tasks.spawn("serving", async { Err("out of sockets".into()) });
        let failure = services.failed().await;
        assert_eq!(
            chain(&failure),
            "muster-gateway failed (see logs/muster.log): the task serving died: out of sockets"
        );
    }

    #[test]
    fn services_are_named_as_in_calls() {
        assert_eq!(short("muster.runcommand.v1.RunCommand"), "RunCommand");
    }
}
