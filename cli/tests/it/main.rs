//! The command line from outside: the real binary, as a person or a script runs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod foreign_operator;
mod init;
mod parameters;
mod processes;
mod program;
mod revoke;
mod running;
mod server;
mod up;
mod verbs;
mod watch;
mod world;
