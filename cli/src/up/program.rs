//! Finding the programs that `muster up` starts.

use std::path::{Path, PathBuf};

use super::error::UpError;

/// The named one; else the one on PATH; else the one that `cargo xtask nats` put into a working copy.
pub(super) fn nats_server(named: Option<PathBuf>) -> Result<PathBuf, UpError> {
    const WHAT: &str = "nats-server";
    const HINT: &str = "install nats-server 2.10 or newer, or name one with --nats-server or MUSTER_NATS_SERVER; \
         in a working copy of the project `cargo xtask nats` gets one";
    if let Some(path) = named {
        return existing(vec![path], WHAT, HINT);
    }
    let beside_tools = [std::env::current_dir().ok(), own_folder()];
    let installed = beside_tools.into_iter().flatten().flat_map(|folder| {
        let above: Vec<PathBuf> = folder.ancestors().map(Path::to_owned).collect();
        above.into_iter().map(|folder| folder.join(".muster/tools/nats-server"))
    });
    let candidates = on_path(WHAT).chain(installed);
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| UpError::NotFound {
            what: WHAT,
            looked_for: vec!["nats-server on PATH".into(), ".muster/tools/nats-server".into()],
            hint: HINT,
        })
}

/// The named one; else the one beside this program; else the one on PATH.
pub(super) fn agent(named: Option<PathBuf>) -> Result<PathBuf, UpError> {
    const WHAT: &str = "muster-agent";
    const HINT: &str = "build it, name one with --agent-binary, or do without by --agents 0";
    if let Some(path) = named {
        return existing(vec![path], WHAT, HINT);
    }
    let beside = own_folder().map(|folder| folder.join(WHAT));
    existing(beside.into_iter().chain(on_path(WHAT)).collect(), WHAT, HINT)
}

/// What a person writes to start this program: its name if it is on PATH, else where it is.
pub(super) fn own_name() -> String {
    match (std::env::current_exe(), on_path("muster").find(|path| path.is_file())) {
        (_, Some(_)) | (Err(_), None) => "muster".to_owned(),
        (Ok(own), None) => own.display().to_string(),
    }
}

fn existing(mut candidates: Vec<PathBuf>, what: &'static str, hint: &'static str) -> Result<PathBuf, UpError> {
    match candidates.iter().position(|path| path.is_file()) {
        Some(found) => Ok(candidates.swap_remove(found)),
        None => {
            candidates.truncate(1);
            Err(UpError::NotFound {
                what,
                looked_for: candidates,
                hint,
            })
        }
    }
}

fn own_folder() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.to_owned())
}

fn on_path(program: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.into_iter().map(move |folder| folder.join(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_named_and_missing_is_not_replaced_by_another() {
        let error = nats_server(Some("no/such/program".into())).unwrap_err();
        assert!(error.to_string().contains("no/such/program"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("--nats-server")));
        let error = agent(Some("no/such/agent".into())).unwrap_err();
        assert!(error.to_string().contains("no/such/agent"), "{error}");
    }
}
