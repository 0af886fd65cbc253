//! The whole system as its users see it. Every test starts processes of its own and shares nothing with the others.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code, and a panic is how a test fails"
)]

mod access;
mod actions;
mod activations;
mod alarms;
mod authorization;
mod authorization_matrix;
mod aws_cli;
mod bad_input;
mod canaries;
mod chaos;
mod clones;
mod fleet;
mod key_rotation;
mod limits;
mod live_output;
mod log_streams;
mod login;
mod node_roles;
mod notifications;
mod nul;
mod own_commands;
mod parameter_rights;
mod parameters;
mod rate_control;
mod references;
mod registration;
mod run_command;
mod signing;
mod surfaces;
mod tls;
mod tokens;
mod traces;
mod ways;
