//! Outputs that were stored on this very machine, because no other object store is configured (docs/operate/outputs.md).
//! They take the state directory's room like the files of the runs that they come from, and go like them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use muster_model::Timestamp;

use super::modified;
use crate::settings::Settings;
use crate::state::StateDir;

/// One stored output.
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) written: Timestamp,
}

/// The folder of stored outputs, where it is ours.
fn folder(state: &StateDir, settings: &Settings) -> Option<PathBuf> {
    let folder = settings.objects.folder(state.root())?;
    folder.starts_with(state.root()).then_some(folder)
}

/// All of them. What else lies in the folder was put there by somebody else, and stays.
pub(super) fn outputs(state: &StateDir, settings: &Settings) -> io::Result<Vec<Stored>> {
    let mut found = Vec::new();
    if let Some(folder) = folder(state, settings) {
        collect(&folder, &mut found)?;
    }
    Ok(found)
}

fn collect(directory: &Path, found: &mut Vec<Stored>) -> io::Result<()> {
    let listing = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listing => listing?,
    };
    for entry in listing {
        let entry = entry?;
        let name = entry.file_name();
        // What vanishes meanwhile is gone.
        let Ok(about) = entry.metadata() else { continue };
        if about.is_dir() {
            collect(&entry.path(), found)?;
        } else if about.is_file() && (name == "stdout" || name == "stderr") {
            found.extend(modified(&about).map(|written| Stored {
                path: entry.path(),
                written,
            }));
        }
    }
    Ok(())
}

/// Removes one, and the folders that held nothing else; how many of these.
pub(super) fn remove(path: &Path, state: &StateDir, settings: &Settings) -> io::Result<u64> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let Some(folder) = folder(state, settings) else {
        return Ok(0);
    };
    let above = path.ancestors().skip(1).take_while(|above| *above != folder);
    // The kernel refuses where something is left.
    let emptied = above.take_while(|above| fs::remove_dir(above).is_ok()).count();
    Ok(emptied as u64)
}
