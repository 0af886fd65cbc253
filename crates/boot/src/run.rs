//! The whole `main` of a service.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde::de::DeserializeOwned;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{BoxError, Common, Database, Parts, Running, settings, telemetry};

/// Bad usage or bad settings.
const EXIT_USAGE: u8 = 64;

/// What `run` needs to know of a service.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// The binary's name.
    pub name: &'static str,
    /// The embedded `config.default.toml`.
    pub defaults: &'static str,
    /// Its tables, if it has any.
    pub database: Option<Database>,
}

#[derive(Parser)]
#[command(version, about = "A service of Muster")]
struct Arguments {
    /// File with settings, over the embedded defaults and under the environment.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// Print the merged settings and end.
    #[arg(long)]
    dump_config: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand, Clone, Copy, PartialEq, Eq)]
enum Verb {
    /// Serve until told to stop (the default).
    Serve,
    /// Bring the tables up to date and end.
    Migrate,
}

/// Runs a service from its arguments to its end.
///
/// Exit codes: 0 after a clean stop, 64 for bad usage or settings, 1 otherwise.
pub fn run<S, F, Fut>(description: Description, start: F) -> ExitCode
where
    S: DeserializeOwned,
    F: FnOnce(S, Parts) -> Fut,
    Fut: Future<Output = Result<Running, BoxError>>,
{
    let arguments = Arguments::parse();
    let file = arguments.config.as_deref();
    if arguments.dump_config {
        return match settings::dump(description.defaults, file) {
            Ok(text) => {
                #[expect(clippy::print_stdout, reason = "the answer to --dump-config belongs on stdout")]
                {
                    print!("{text}");
                }
                ExitCode::SUCCESS
            }
            Err(error) => fail(EXIT_USAGE, &error),
        };
    }
    let (common, own) = match settings::load::<S>(description.defaults, file) {
        Ok(settings) => settings,
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    let verb = arguments.verb.unwrap_or(Verb::Serve);
    match runtime.block_on(live(description, common, own, verb, start)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &*error),
    }
}

async fn live<S, F, Fut>(description: Description, common: Common, own: S, verb: Verb, start: F) -> Result<(), BoxError>
where
    F: FnOnce(S, Parts) -> Fut,
    Fut: Future<Output = Result<Running, BoxError>>,
{
    let telemetry = telemetry::init(description.name, &common.telemetry)?;
    if verb == Verb::Migrate {
        if let Some(database) = description.database {
            let db = muster_store::Db::open(&common.database.url, database.schema, database.migrations).await?;
            db.close().await;
        }
        return Ok(());
    }
    tracing::info!(
        service = description.name,
        version = env!("CARGO_PKG_VERSION"),
        "starting"
    );
    let mut signals = Signals::new()?;
    let parts = tokio::select! {
        parts = Parts::assemble(description.name, &common, description.database) => parts?,
        () = signals.next() => return Ok(()),
    };
    let readiness = parts.readiness.clone();
    let mut running = tokio::select! {
        running = start(own, parts) => running?,
        () = signals.next() => return Ok(()),
    };
    tracing::info!(service = description.name, address = %running.address(), "ready");
    let outcome = tokio::select! {
        () = signals.next() => {
            readiness.leave();
            Ok(())
        }
        failure = running.failed() => Err(BoxError::from(failure)),
    };
    tracing::info!(service = description.name, "stopping");
    if outcome.is_ok() && common.drain_seconds > 0 {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(common.drain_seconds)) => {}
            () = signals.next() => {}
        }
    }
    tokio::select! {
        () = running.stop(Duration::from_secs(common.grace_seconds)) => {}
        // Whoever asks twice does not want to wait.
        () = signals.next() => {}
    }
    telemetry.flush();
    outcome
}

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

/// One line on stderr with the whole chain of causes.
#[expect(clippy::print_stderr, reason = "the last word of a process that cannot start")]
fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    eprintln!("{line}");
    ExitCode::from(code)
}
