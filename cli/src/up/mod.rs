//! `muster up`: everything on this machine, until Ctrl-C.
//!
//! All services run in this process, each with its own SQLite file; the NATS server and the local agents are children
//! that are started again when they die. A service that fails ends the whole with its name and the cause.
//!
//! | Module | What |
//! |---|---|
//! | `world` | what runs, as one: started, kept alive, stopped in order |
//! | `nats`, `services`, `agents` | the three kinds of things that run |
//! | `clerk` | admits the local agents: registers them and gives them credentials |
//! | `child`, `leash` | children: started, kept, stopped; never left behind |
//! | `folder` | the data directory and its lock |
//! | `program` | finding nats-server and muster-agent |
//! | `banner` | what is printed when everything answers |
//!
//! Children are started on the main thread only: `leash` says why.

mod agents;
mod banner;
mod child;
mod clerk;
mod error;
mod folder;
pub(crate) mod leash;
mod nats;
mod program;
mod services;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use muster_boot::Telemetry;
use serde::de::IgnoredAny;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::ready::Ready;
use crate::{place, print};

pub(crate) use error::UpError;

use agents::Local;
use banner::Banner;
use folder::Folder;
use world::World;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The agents are web-1, db-1, web-2, db-2, … with the tags Name (the same), Role (web, db) and ServerRole (WebFrontEnd, \
Database).

Settings that all services share can be changed in the environment, as MUSTER_<SECTION>__<KEY>: \
MUSTER_TELEMETRY__OTLP=http://127.0.0.1:4317 sends spans to a collector.

Exit codes: 0 after Ctrl-C or SIGTERM; 1 if it cannot start or a service fails; 2 if the command line is not understood.")]
pub(crate) struct Arguments {
    #[arg(long, value_name = "DIR", help = format!("Where everything is kept [default: {}]", place::DEFAULT_DATA_DIR))]
    data_dir: Option<PathBuf>,
    /// How many agents to run on this machine.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=200))]
    agents: u32,
    /// Where AWS JSON is served; port 0 takes any that is free.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8686")]
    listen: String,
    /// Written when everything answers and the agents are online: one JSON object that says where everything is.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// The NATS server, 2.10 or newer; without it, the one on PATH or in .muster/tools.
    #[arg(long, value_name = "FILE", env = "MUSTER_NATS_SERVER")]
    nats_server: Option<PathBuf>,
    /// The agent; without it, the one beside this program or on PATH.
    #[arg(long, value_name = "FILE")]
    agent_binary: Option<PathBuf>,
    /// What services and agents log: a level, or modules with levels as in "info,muster_wire=debug".
    #[arg(long, value_name = "FILTER", default_value = "info,async_nats=warn")]
    log: String,
}

/// Runs until it is told to stop.
pub(crate) fn main(arguments: Arguments) -> Result<Exit, Complaint> {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| Complaint::System {
            what: "threads",
            source,
        })?;
    runtime.block_on(Box::pin(run(arguments, began)))
}

async fn run(arguments: Arguments, began: Instant) -> Result<Exit, Complaint> {
    let mut signals = Signals::new().map_err(|source| Complaint::System {
        what: "to hear of signals",
        source,
    })?;
    let data_dir = arguments.data_dir.clone().unwrap_or_else(place::default_data_dir);
    let folder = Folder::take(&data_dir)?;
    let ready_files = ReadyFiles::clear(&folder, arguments.ready_file.clone())?;
    let telemetry = log_to_file(&folder, &arguments.log)?;

    // Dropping what has started kills it: there is nothing to be saved yet.
    let started = tokio::select! {
        world = Box::pin(World::start(&arguments, &folder)) => world,
        () = signals.next() => return Ok(Exit::Success),
    };
    let mut world = started?;
    let outcome = Box::pin(live(&mut world, &mut signals, &folder, &ready_files, began)).await;
    print::say("stopping; Ctrl-C again ends at once");
    ready_files.remove();
    tokio::select! {
        () = Box::pin(world.stop()) => {}
        // Whoever asks twice does not want to wait; what is dropped is killed.
        () = signals.next() => {}
    }
    telemetry.flush();
    outcome?;
    Ok(Exit::Success)
}

/// From the start to the signal that ends it.
async fn live(
    world: &mut World,
    signals: &mut Signals,
    folder: &Folder,
    ready_files: &ReadyFiles,
    began: Instant,
) -> Result<(), UpError> {
    let roll_call = world.roll_call();
    let Some(agents) = world.keep_while(signals, roll_call.complete()).await? else {
        return Ok(());
    };
    let agents = agents?;
    let ready = world.ready(folder, &agents);
    ready_files.write(&ready)?;
    announce(&ready, &agents, began.elapsed());
    world.keep_while(signals, std::future::pending::<()>()).await?;
    Ok(())
}

fn announce(ready: &Ready, agents: &[Local], took: Duration) {
    let is_default = std::fs::canonicalize(place::default_data_dir()).is_ok_and(|path| path == ready.data_dir);
    let banner = Banner {
        ready,
        agents,
        took,
        program: &program::own_name(),
        is_found: is_default,
    };
    // Whoever closed our standard output reads the ready file.
    let _ = print::data(&banner.text());
}

/// Sends the log of all services to one file, and spans to a collector if the environment names one.
fn log_to_file(folder: &Folder, filter: &str) -> Result<Telemetry, UpError> {
    let (mut common, _) = muster_boot::load::<IgnoredAny>("[service]\n", None).map_err(|source| UpError::Settings {
        service: "muster up",
        source,
    })?;
    filter.clone_into(&mut common.telemetry.log);
    let (_, file) = folder.log("muster")?;
    muster_boot::init_telemetry_to("muster-up", &common.telemetry, Mutex::new(file)).map_err(UpError::Telemetry)
}

/// The files that say that everything answers: one in the data directory, for other verbs, and the caller's.
#[derive(Debug)]
struct ReadyFiles {
    own: PathBuf,
    named: Option<PathBuf>,
}

impl ReadyFiles {
    /// What an earlier life wrote must not be taken for the word of this one.
    fn clear(folder: &Folder, named: Option<PathBuf>) -> Result<Self, UpError> {
        let files = Self {
            own: Ready::file_in(folder.root()),
            named,
        };
        for path in files.all() {
            match std::fs::remove_file(path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    let path = path.to_owned();
                    return Err(UpError::Folder { path, source });
                }
                _ => {}
            }
        }
        Ok(files)
    }

    fn write(&self, ready: &Ready) -> Result<(), UpError> {
        for path in self.all() {
            ready.write(path).map_err(|source| UpError::Folder {
                path: path.to_owned(),
                source,
            })?;
        }
        Ok(())
    }

    fn remove(&self) {
        for path in self.all() {
            // The next start removes what is left.
            let _ = std::fs::remove_file(path);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.own.as_path()).chain(self.named.as_deref())
    }
}

/// Ctrl-C and SIGTERM.
#[derive(Debug)]
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
