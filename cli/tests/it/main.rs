//! The command line from outside: the real binary, as a person or a script runs it.

mod processes;
mod program;
mod running;
mod up;
mod verbs;
mod world;
