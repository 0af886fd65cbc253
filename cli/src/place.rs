//! Where `muster up` keeps its data when nobody says.
//!
//! In a working copy of the project, which has a folder `.muster` for its tools, the data lies beside them, so that
//! two working copies do not meet. Everywhere else it lies where the user's data lies.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// For `--help`.
pub(crate) const DEFAULT_DATA_DIR: &str = "the folder `data` in the nearest `.muster` above the working folder, else $XDG_DATA_HOME/muster, else ~/.local/share/muster";

/// The default data directory of this process.
pub(crate) fn default_data_dir() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    decide(&here, |name| std::env::var_os(name))
}

fn decide(here: &Path, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let tools = here
        .ancestors()
        .map(|folder| folder.join(".muster"))
        .find(|folder| folder.is_dir());
    if let Some(tools) = tools {
        return tools.join("data");
    }
    // The specification of XDG says that a path which is not absolute is to be ignored.
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_DATA_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(|| here.to_owned())
        .join("muster")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(here: &Path, variables: &[(&str, &str)]) -> PathBuf {
        decide(here, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn a_working_copy_keeps_its_own_data() {
        let copy = tempfile::tempdir().unwrap();
        let below = copy.path().join("crates/wire");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::create_dir(copy.path().join(".muster")).unwrap();
        assert_eq!(
            decided(&below, &[("HOME", "/home/mia")]),
            copy.path().join(".muster/data")
        );
    }

    #[test]
    fn elsewhere_the_user_s_data_folder_is_used() {
        let here = tempfile::tempdir().unwrap();
        let check = |variables: &[(&str, &str)], expected: &Path| assert_eq!(decided(here.path(), variables), expected);
        check(&[("HOME", "/home/mia")], Path::new("/home/mia/.local/share/muster"));
        check(
            &[("HOME", "/home/mia"), ("XDG_DATA_HOME", "/data")],
            Path::new("/data/muster"),
        );
        check(
            &[("HOME", "/home/mia"), ("XDG_DATA_HOME", "relative")],
            Path::new("/home/mia/.local/share/muster"),
        );
        check(&[], &here.path().join("muster"));
    }
}
