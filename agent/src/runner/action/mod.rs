//! Actions: what a step of a document can do on this machine (documents.md 5).
//!
//! Each action is one plain function in a file of its own, listed in `ACTIONS`. It works on a [`Bench`]: there it finds
//! its inputs, says what it has to say, runs processes, and learns when to stop. The step around it (`step`) turns its
//! [`End`] into an outcome and an exit code.
//!
//! An action that must wait for the network does so in [`Bench::block_on`]: a runtime exists only as long as that call.

mod bench;
mod configure_package;
mod document;
mod download;
mod package_source;
mod run_docker;
mod script;
mod software_inventory;
mod store;
mod unavailable;
mod update_agent;

use muster_document::action::Action;

use super::nesting::Nesting;
use super::process::End;
use super::script::ScriptError;
pub(crate) use bench::Bench;

/// Carries out one part of a step. What it prints goes to the bench's captures; what it must not do is print secrets.
pub(crate) type Perform = fn(&mut Bench<'_, '_>) -> Result<End, Trouble>;

/// The actions this agent can carry out, in the order of their names.
const ACTIONS: &[(&str, Perform)] = &[
    ("aws:configureDocker", unavailable::configure_docker),
    ("aws:configurePackage", configure_package::perform),
    ("aws:downloadContent", download::perform),
    ("aws:refreshAssociation", unavailable::refresh_association),
    ("aws:runDockerAction", run_docker::perform),
    ("aws:runDocument", document::perform),
    ("aws:runPowerShellScript", script::perform),
    ("aws:runShellScript", script::perform),
    ("aws:softwareInventory", software_inventory::perform),
    ("aws:updateSsmAgent", update_agent::perform),
];

/// The actions that find out themselves how far they have come, so that an interrupted step simply goes on.
const REPEATABLE: &[&str] = &["aws:configurePackage", "aws:softwareInventory", "aws:updateSsmAgent"];

/// Whether a step of this action runs again when its runner died, without the document having to ask for it.
pub(crate) fn is_repeatable(action: &Action) -> bool {
    REPEATABLE.contains(&action.name())
}

/// Why an action did not come to an end of its own.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Its work never began: exit code -1.
    NeverRan(String),
    /// It could not do what it should: exit code 1.
    Failed(String),
    /// It had to stop before it was done: out of time, or asked to.
    Ended(End),
}

impl From<ScriptError> for Trouble {
    fn from(error: ScriptError) -> Self {
        Self::NeverRan(error.to_string())
    }
}

/// The function of an action, or why this agent cannot carry it out there.
pub(crate) fn find(action: &Action, nesting: Nesting) -> Result<Perform, String> {
    nesting.permit(action)?;
    let known = |name: &str| ACTIONS.iter().find(|(known, _)| *known == name);
    match known(action.name()) {
        Some((_, perform)) => Ok(*perform),
        None => {
            let names: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "{} is not supported by this agent yet; it knows {}",
                action.name(),
                names.join(", ")
            ))
        }
    }
}
