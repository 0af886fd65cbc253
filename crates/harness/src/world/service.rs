//! One service of a world, on a runtime of its own.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_boot::{BoxError, Common, Database, Parts, Running};
use muster_model::Clock;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// For calls under way when a service stops, and for threads when it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A service of Muster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Nodes and tags.
    Fleet,
    /// Documents.
    Documents,
    /// Parameters.
    ParameterStore,
    /// The coordinator.
    FanOut,
    /// Commands and invocations.
    RunCommand,
    /// Users, access keys, policies, the audit log.
    Access,
    /// AWS JSON.
    Gateway,
}

impl Service {
    pub(super) const ALL: [Self; 7] = [
        Self::Fleet,
        Self::Documents,
        Self::ParameterStore,
        Self::FanOut,
        Self::RunCommand,
        Self::Access,
        Self::Gateway,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Fleet => "muster-fleet",
            Self::Documents => "muster-documents",
            Self::ParameterStore => "muster-parameter-store",
            Self::FanOut => "muster-fan-out",
            Self::RunCommand => "muster-run-command",
            Self::Access => "muster-access",
            Self::Gateway => "muster-gateway",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the services of a world stand on.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) nats_url: String,
    /// PostgreSQL, if it is not a file for each service.
    pub(super) database_url: Option<String>,
    pub(super) folder: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
}

/// A service from its start to its end.
#[derive(Debug)]
pub(super) struct Life {
    service: Service,
    address: SocketAddr,
    /// Nothing once the life is over.
    running: Option<(Runtime, Stop)>,
}

#[derive(Debug)]
struct Stop {
    ask: oneshot::Sender<()>,
    done: oneshot::Receiver<()>,
}

impl Life {
    /// Starts it and waits until it answers.
    pub(super) async fn begin(service: Service, ground: &Ground, address: Option<SocketAddr>) -> Self {
        // A runtime of its own, so that all of its tasks can be ended at once wherever they are.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(service.name())
            .enable_all()
            .build()
            .unwrap_or_else(|error| panic!("{service} gets no threads: {error}"));
        let (ask, asked) = oneshot::channel();
        let (finish, done) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let ground = ground.clone();
        runtime.spawn(async move {
            let mut running = match start(service, &ground, address).await {
                Ok(running) => running,
                Err(error) => {
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            let _ = tell.send(Ok(running.address()));
            tokio::select! {
                _ = asked => running.stop(GRACE).await,
                failure = running.failed() => panic!("{service} would have ended: {failure}: {}", failure.cause),
            }
            let _ = finish.send(());
        });
        let address = match told.await {
            Ok(Ok(address)) => address,
            Ok(Err(error)) => panic!("{service} did not start: {error:?}"),
            Err(_) => panic!("{service} did not start: it panicked"),
        };
        Self {
            service,
            address,
            running: Some((runtime, Stop { ask, done })),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn kill(&mut self) {
        if let Some((runtime, _)) = self.running.take() {
            end(runtime);
        }
    }

    pub(super) async fn stop(&mut self) {
        if let Some((runtime, stop)) = self.running.take() {
            let _ = stop.ask.send(());
            let stopped = stop.done.await;
            end(runtime);
            assert!(stopped.is_ok(), "{} had died before it was stopped", self.service);
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ends all tasks where they are and waits until their sockets are closed: the next life needs the port.
/// On a thread of its own, since a runtime does not wait for another one.
fn end(runtime: Runtime) {
    let ended = std::thread::spawn(move || runtime.shutdown_timeout(GRACE)).join();
    ended.expect("a runtime ends without a panic of its own");
}

async fn start(service: Service, ground: &Ground, address: Option<SocketAddr>) -> Result<Running, BoxError> {
    macro_rules! of {
        ($crate_name:ident, $database:expr) => {{
            let (settings, parts) = prepare(service, ground, address, $crate_name::DEFAULTS, $database).await?;
            $crate_name::Server::start(settings, parts).await.map_err(Into::into)
        }};
    }
    match service {
        Service::Fleet => {
            let (defaults, database) = (muster_fleet::DEFAULTS, Some(muster_fleet::DATABASE));
            let (mut settings, parts): (muster_fleet::Settings, _) =
                prepare(service, ground, address, defaults, database).await?;
            // Nobody else reaches the bus of a world, and its agents have no activation.
            settings.registration = muster_fleet::Registration::Open;
            muster_fleet::Server::start(settings, parts).await
        }
        Service::Documents => of!(muster_documents, Some(muster_documents::DATABASE)),
        Service::ParameterStore => {
            let (defaults, database) = (muster_parameter_store::DEFAULTS, Some(muster_parameter_store::DATABASE));
            let (mut settings, parts): (muster_parameter_store::Settings, _) =
                prepare(service, ground, address, defaults, database).await?;
            settings.key_file = ground.folder.join("parameter-store.key");
            muster_parameter_store::Server::start(settings, parts).await
        }
        Service::FanOut => of!(muster_fan_out, Some(muster_fan_out::DATABASE)),
        Service::RunCommand => of!(muster_run_command, Some(muster_run_command::DATABASE)),
        Service::Access => {
            let (defaults, database) = (muster_access::DEFAULTS, Some(muster_access::DATABASE));
            let (mut settings, parts): (muster_access::Settings, _) =
                prepare(service, ground, address, defaults, database).await?;
            settings.key_file = ground.folder.join("access.key");
            muster_access::Server::start(settings, parts).await
        }
        Service::Gateway => of!(muster_gateway, None),
    }
}

async fn prepare<S: DeserializeOwned>(
    service: Service,
    ground: &Ground,
    address: Option<SocketAddr>,
    defaults: &str,
    database: Option<Database>,
) -> Result<(S, Parts), BoxError> {
    let (mut common, settings): (Common, S) = muster_boot::load(defaults, None)?;
    common.nats.url.clone_from(&ground.nats_url);
    common.server.listen = address.map_or_else(|| "127.0.0.1:0".to_owned(), |address| address.to_string());
    common.database.url = ground.database_url.clone().unwrap_or_else(|| {
        format!(
            "sqlite:{}",
            ground.folder.join(service.name()).with_extension("sqlite").display()
        )
    });
    // The same name in each life, as a restarted container has it: it takes its own work up at once.
    "world".clone_into(&mut common.replica);
    let mut parts = Parts::assemble(service.name(), &common, database).await?;
    parts.clock = Arc::clone(&ground.clock);
    Ok((settings, parts))
}
