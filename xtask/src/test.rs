//! `cargo xtask test`: the tests, with everything at hand that they look for.
//!
//! | variable | what the tests find there |
//! |---|---|
//! | `MUSTER_NATS_SERVER` | a NATS server to start |
//! | `MUSTER_TEST_AWS`, `MUSTER_TEST_PYTHON` | the AWS command line; a Python with boto3, nats-py and gRPC |
//! | `MUSTER_TEST_POSTGRES` | a PostgreSQL server to make databases on; only with `--postgres` or `CI=true` |
//!
//! The product's own binaries lie beside the tests, in `target/debug`.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::postgres::Cluster;
use crate::{nats, process, python, workspace};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run the suites of the stores on PostgreSQL too (CI always does): installs it where it is missing.
    #[arg(long)]
    postgres: bool,
    /// Only tests whose name contains one of these words; flags go to the test runner.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filter: Vec<String>,
}

/// Prepares, builds, and runs tests and doc tests.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let server = nats::server()?;
    let judges = match python::judges() {
        Ok(judges) => Some(judges),
        Err(error) if !in_ci => {
            eprintln!("xtask: tests by outside clients are left out: {error:#}");
            None
        }
        Err(error) => return Err(error),
    };
    let cluster = if arguments.postgres || in_ci {
        Some(process::timed("starting PostgreSQL", Cluster::start)?)
    } else {
        None
    };
    // Binaries and tests in one build, so that both see the same features and nothing is compiled twice.
    process::timed("building binaries and tests", || {
        process::run(&mut workspace::cargo(&["build", "--workspace", "--bins", "--tests"]))
    })?;
    let prepare = |command: &mut Command| {
        command.env("MUSTER_NATS_SERVER", &server);
        if let Some(judges) = &judges {
            command
                .env("MUSTER_TEST_AWS", &judges.aws)
                .env("MUSTER_TEST_PYTHON", &judges.python);
        }
        if let Some(cluster) = &cluster {
            command.env("MUSTER_TEST_POSTGRES", cluster.url());
        }
    };

    let mut tests = runner(in_ci);
    prepare(tests.args(&arguments.filter));
    process::timed("tests", || process::run(&mut tests))?;
    if arguments.filter.is_empty() {
        let mut doc_tests = workspace::cargo(&["test", "--doc", "--workspace", "--quiet"]);
        prepare(&mut doc_tests);
        process::timed("doc tests", || process::run(&mut doc_tests))?;
    }
    println!(
        "xtask: all tests passed after {:.0} s; PostgreSQL: {}; outside clients: {}",
        start.elapsed().as_secs_f64(),
        if cluster.is_some() { "yes" } else { "no (--postgres)" },
        if judges.is_some() { "yes" } else { "no" },
    );
    Ok(())
}

/// cargo-nextest where it is installed; it gives each test a process of its own and ends those that hang.
fn runner(in_ci: bool) -> Command {
    if process::succeeds(&mut workspace::cargo(&["nextest", "--version"])) {
        let profile = if in_ci { "ci" } else { "default" };
        return workspace::cargo(&["nextest", "run", "--workspace", "--profile", profile]);
    }
    eprintln!("xtask: cargo-nextest is not installed; cargo test does it, without limits of time");
    workspace::cargo(&["test", "--workspace", "--lib", "--bins", "--tests"])
}
