//! The command line: the daemon, the runner, registration (`register`), and a look at the state directory (`inspect`).

#![expect(clippy::print_stderr, reason = "this module is the program's voice")]

mod inspect;
mod register;

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::daemon::{self, Departure, Nursery, Options, RunnerCommand};
use crate::doctor;
use crate::facts;
use crate::journal::RunId;
use crate::runner;
use crate::state::StateDir;
use crate::update::Versions;

/// Bad usage or settings.
const USAGE: u8 = 64;
/// Outputs are left that could not be stored yet.
const LEFT: u8 = 75;

/// Runs work that Muster sends to this machine.
#[derive(Debug, Parser)]
#[command(name = "muster-agent", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Connect and work until SIGTERM.
    Run(Box<RunArguments>),
    /// Make this machine a node, with the id and the code of an activation.
    Register(Box<register::Arguments>),
    /// Say who this node is and what it does.
    Status(StateArguments),
    /// List runs, the newest last.
    Runs(StateArguments),
    /// Show a run's steps and outputs.
    Logs {
        #[command(flatten)]
        state: StateArguments,
        /// The run's id.
        run: RunId,
    },
    /// Find out what keeps this node from working: one line per check, with the fix.
    Doctor(DoctorArguments),
    /// Print the version.
    Version {
        /// As JSON, with the protocol's capabilities.
        #[arg(long)]
        json: bool,
    },
    /// Store outputs that could not be stored when their step ended; for the agent itself.
    #[command(hide = true)]
    Uploads {
        /// The state directory.
        state: PathBuf,
    },
    /// Carry one run to its end; for the agent itself.
    #[command(hide = true)]
    Runner {
        /// The state directory.
        state: PathBuf,
        /// The run's id.
        run: RunId,
    },
}

#[derive(Debug, Args)]
struct StateArguments {
    /// Where the agent keeps its journal, outputs and identity.
    #[arg(long, env = "MUSTER_AGENT_STATE", default_value = "/var/lib/muster-agent")]
    state_dir: PathBuf,
}

#[derive(Debug, Args)]
struct DoctorArguments {
    #[command(flatten)]
    state: StateArguments,
    /// The configuration file; without one the configuration that the agent took last is looked at.
    #[arg(long, env = "MUSTER_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// NATS addresses instead of the configured ones.
    #[arg(long, env = "MUSTER_AGENT_SERVER")]
    server: Option<String>,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// NATS addresses, separated by commas: nats://host:4222; otherwise `server` of the configuration.
    #[arg(long, env = "MUSTER_AGENT_SERVER", default_value = "")]
    server: String,
    #[command(flatten)]
    state: StateArguments,
    /// The configuration file (TOML); read again at SIGHUP.
    #[arg(long, env = "MUSTER_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// The node's .creds file; otherwise `credentials` of the section [nats].
    #[arg(long, env = "MUSTER_AGENT_CREDENTIALS")]
    credentials: Option<PathBuf>,
    /// The node's name, used when it registers.
    #[arg(long, default_value = "")]
    name: String,
    /// A tag as key=value, used when the node registers; may be repeated.
    #[arg(long = "tag", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// What is logged: a level, or targets with levels as in "info,async_nats=debug"; otherwise `log` of the
    /// configuration, which can be changed while the agent runs.
    #[arg(long, env = "MUSTER_AGENT_LOG")]
    log: Option<Targets>,
}

fn tag(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected key=value"),
    }
}

/// Does what the command line says. `runner` tells the daemon how to start this very program as a runner.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>, runner: RunnerCommand) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // A runner is started for every run: it does not wait for the parser to be built.
    if let [_, verb, state, run] = arguments.as_slice()
        && verb == "runner"
        && let Some(Ok(run)) = run.to_str().map(str::parse)
    {
        return run_runner(Path::new(state), run);
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let outcome = match cli.verb {
        Verb::Run(run) => run_daemon(run, runner, arguments.get(1..).unwrap_or_default()),
        Verb::Runner { state, run } => return run_runner(&state, run),
        Verb::Uploads { state } => match runner::store_leftovers(&state) {
            Ok(true) => Ok(()),
            // Not an error: the agent starts this again.
            Ok(false) => return ExitCode::from(LEFT),
            Err(error) => Err(error.into()),
        },
        Verb::Version { json } => version(json),
        Verb::Doctor(arguments) => return doctor(arguments),
        Verb::Register(arguments) => register::run(*arguments),
        Verb::Status(state) => inspect::status(&StateDir::at(&state.state_dir)),
        Verb::Runs(state) => inspect::runs(&StateDir::at(&state.state_dir)),
        Verb::Logs { state, run } => inspect::logs(&StateDir::at(&state.state_dir), run),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("muster-agent: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run_runner(state: &Path, run: RunId) -> ExitCode {
    ExitCode::from(runner::run_to_exit(state, run))
}

fn run_daemon(
    arguments: Box<RunArguments>,
    runner: RunnerCommand,
    all_arguments: &[OsString],
) -> Result<(), Box<dyn Error>> {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(io::stderr);
    let is_fixed = arguments.log.is_some();
    let wanted = arguments
        .log
        .unwrap_or_else(|| Targets::new().with_default(Level::INFO));
    let (filter, handle) = reload::Layer::new(wanted);
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    let log = (!is_fixed).then_some(handle);
    std::panic::set_hook(Box::new(|panic| tracing::error!("panic: {panic}")));
    let state = std::path::absolute(&arguments.state.state_dir)?;
    // An update may be meant to run in our place.
    let me = std::env::current_exe()?;
    match Versions::at(&state).hand_over(&me, facts::version()) {
        Ok(Some(program)) => tracing::error!(error = %become_program(&program, all_arguments), "cannot hand over"),
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "cannot look for updates of this program"),
    }
    // Before there is any thread.
    let nursery = Nursery::open(&state)
        .inspect_err(|error| tracing::warn!(%error, "no nursery: runners are started as programs"))
        .ok();
    let config = arguments.config.map(std::path::absolute).transpose()?;
    let credentials = arguments.credentials.map(std::path::absolute).transpose()?;
    let tags: BTreeMap<String, String> = arguments.tags.into_iter().collect();
    let options = Options {
        server: arguments.server,
        credentials,
        state: state.clone(),
        config,
        name: arguments.name,
        tags,
        log,
        runner,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(daemon::run(options, nursery));
    // Threads that wait for the disk are not waited for: everything that was promised is synced.
    runtime.shutdown_background();
    match outcome? {
        Departure::Stop => Ok(()),
        Departure::Restart => begin_anew(&state, &me, all_arguments),
    }
}

/// Goes on as the program that is meant to run now, in this very process; if that cannot be, as this one again.
fn begin_anew(state: &Path, me: &Path, arguments: &[OsString]) -> Result<(), Box<dyn Error>> {
    let program = Versions::at(state).successor()?.unwrap_or_else(|| me.to_owned());
    let error = become_program(&program, arguments);
    tracing::error!(%error, ?program, "cannot begin anew with this program");
    Err(become_program(me, arguments).into())
}

/// Replaces this process by another program; comes back only if that cannot be.
fn become_program(program: &Path, arguments: &[OsString]) -> io::Error {
    std::process::Command::new(program).args(arguments).exec()
}

fn version(is_json: bool) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    if is_json {
        let system = facts::System::read();
        let about = serde_json::json!({
            "version": facts::version(),
            "architecture": std::env::consts::ARCH,
            "platform": system.name,
            "platformVersion": system.version,
            "capabilities": facts::CAPABILITIES,
        });
        writeln!(out, "{about:#}")?;
    } else {
        writeln!(out, "{}", facts::version())?;
    }
    Ok(())
}

fn doctor(arguments: DoctorArguments) -> ExitCode {
    let place = doctor::Place {
        state: arguments.state.state_dir,
        config: arguments.config,
        server: arguments.server.filter(|server| !server.is_empty()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let checks = match runtime {
        Ok(runtime) => runtime.block_on(doctor::examine(&place)),
        Err(error) => {
            eprintln!("muster-agent: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut out = io::stdout();
    for check in &checks {
        if writeln!(out, "{check}").is_err() {
            break;
        }
    }
    match checks.iter().any(|check| check.finding == doctor::Finding::Bad) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
