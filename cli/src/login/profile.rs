//! The file with AWS credentials, `~/.aws/credentials`: one profile of it is ours.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::exchange::Credentials;
use crate::complaint::Complaint;

/// Refuses what cannot be a profile's name.
pub(super) fn check(profile: &str) -> Result<(), Complaint> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@+/".contains(&byte);
    match !profile.is_empty() && profile.bytes().all(is_plain) {
        true => Ok(()),
        false => Err(Complaint::Usage {
            what: format!("{profile:?} is no name of a profile"),
            hint: "letters, digits and -_.@+/ are".to_owned(),
        }),
    }
}

/// A profile, as the file has it.
pub(super) fn text(profile: &str, made: &Credentials) -> String {
    format!(
        "[{profile}]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
        made.access_key_id, made.secret_access_key, made.session_token
    )
}

/// Writes a profile into the file, and leaves all others as they are. Gives the file.
pub(super) fn write(profile: &str, made: &Credentials) -> Result<PathBuf, Complaint> {
    let path = place()?;
    let failed = |source| Complaint::Local {
        what: format!("{} cannot be written", path.display()),
        source: Box::new(source) as _,
    };
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    replace(&path, &replaced(&before, profile, &text(profile, made))).map_err(failed)?;
    Ok(path)
}

fn place() -> Result<PathBuf, Complaint> {
    if let Some(path) = env::var_os("AWS_SHARED_CREDENTIALS_FILE") {
        return Ok(path.into());
    }
    let home = env::var_os("HOME").ok_or_else(|| Complaint::Usage {
        what: "nobody says where your files are: HOME is not set".to_owned(),
        hint: "set AWS_SHARED_CREDENTIALS_FILE, or leave --profile out".to_owned(),
    })?;
    Ok(PathBuf::from(home).join(".aws/credentials"))
}

/// Whole or not at all, and for its owner alone.
fn replace(path: &std::path::Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Where the file is a link it stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let draft = path.with_extension(format!("muster-{}", std::process::id()));
    let written = (|| {
        let mut file = File::options().create_new(true).write(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// The text of a file in which one profile is another one.
fn replaced(before: &str, profile: &str, section: &str) -> String {
    let is_header = |line: &str| line.trim_start().starts_with('[');
    let header = format!("[{profile}]");
    let (mut text, mut is_ours, mut is_written) = (String::new(), false, false);
    for line in before.lines() {
        if is_header(line) {
            is_ours = line.trim() == header;
            if is_ours && !is_written {
                text.push_str(section);
                is_written = true;
            }
        }
        // What a person wrote between the profiles stays.
        if !is_ours || line.trim().is_empty() || line.trim_start().starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    if !is_written {
        if !text.is_empty() && !text.ends_with("\n\n") {
            text.push('\n');
        }
        text.push_str(section);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_profile_changes_and_the_others_stay() {
        let ours = "[muster]\naws_access_key_id = new\n";
        assert_eq!(replaced("", "muster", ours), ours);
        let before = "# mine\n[default]\naws_access_key_id = a\n";
        let once = replaced(before, "muster", ours);
        assert_eq!(once, format!("{before}\n{ours}"));
        assert_eq!(replaced(&once, "muster", ours), once);
        let between = "[muster]\naws_access_key_id = old\naws_session_token = old\n\n# next\n[default]\nx = 1\n";
        let after = replaced(between, "muster", ours);
        assert_eq!(after, format!("{ours}\n# next\n[default]\nx = 1\n"));
    }

    #[test]
    fn a_name_cannot_be_a_line() {
        assert!(check("muster-prod").is_ok());
        for bad in ["", "a]", "a\nb", "a b"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
