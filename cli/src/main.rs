//! The command line of Muster.

fn main() -> std::process::ExitCode {
    muster_cli::main()
}
