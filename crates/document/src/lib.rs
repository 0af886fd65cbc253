//! Documents: the named texts that say what to run. This crate reads them, judges them and makes a plan of them.
//!
//! Everything here is a pure function of its arguments: no IO, no clock, no task.
//! The services use it to accept documents and to check a command's parameters; the agent uses the same code to plan the run,
//! so that what was accepted is what runs.
//!
//! | Module | Job |
//! |---|---|
//! | [`mod@format`] | JSON and YAML to an ordered value and back |
//! | [`finding`] | what is wrong with a document, and where |
//! | [`parameter`] | definitions, and the values given for a run |
//! | [`action`] | the actions a step may name: platforms, inputs |
//! | [`step`], [`precondition`] | the body of Command and Policy documents |
//! | [`automation`] | the body of Automation documents, checked but not run here |
//! | [`AttachedFile`] | the attached files of Automation and Package documents |
//! | [`interpolate`] | `{{ name }}` in inputs |
//! | [`stored`] | `{{ssm:name}}`: what the parameter store holds, put into a plan on the node |
//! | [`mod@plan`], [`flow`] | what a node runs, and what comes after a step |
//!
//! The way of a command: [`Document::parse`] → [`check_parameters`] → [`plan()`] → [`Plan::next`] until it says [`Next::End`].
//!
//! Limits: a document has at most 65,536 bytes, 64 levels, and four patterns that count to thousands; a document that is stored
//! without being understood (a calendar, a configuration) is held to its format and its size only.

pub mod action;
pub mod automation;
mod content;
mod document;
mod files;
pub mod finding;
pub mod flow;
pub mod format;
pub mod interpolate;
mod package;
pub mod parameter;
pub mod plan;
mod platform;
pub mod precondition;
mod runtime_config;
mod schema;
mod script;
mod session;
pub mod step;
pub mod stored;
pub mod timeout;

pub use action::{Action, Language};
pub use content::{MAX_BYTES, TooLarge, check_size, content_identity, hash};
pub use document::{CAPABILITY_ENV_VAR, Document};
pub use files::AttachedFile;
pub use finding::{Finding, Findings, Kind, Severity};
pub use flow::{Next, Outcome, RunStatus};
pub use format::{Format, FormatError, convert, parse, render};
pub use parameter::{Parameter, ParameterError, ParameterRule, ParameterType, Parameters, check_parameters};
pub use plan::{OnFailure, Plan, PlanError, PlannedPart, PlannedStep, Verdict, plan};
pub use platform::{Platform, platform_types};
pub use schema::{DocumentType, Schema};
pub use timeout::execution_seconds;
