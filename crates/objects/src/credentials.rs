//! Access keys of an object store, from a file in the form of the AWS tools.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use object_store::aws::AmazonS3Builder;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What signs a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

/// Why there are no credentials. Says nothing of what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read the credentials file {0:?}: {1}")]
    Read(PathBuf, #[source] io::Error),
    /// Others can read the file.
    #[error("the credentials file {0:?} can be read by others: make its mode 0600")]
    Open(PathBuf),
    /// There are no keys in it.
    #[error("the credentials file {0:?} has no aws_access_key_id and aws_secret_access_key in [default]")]
    Incomplete(PathBuf),
}

impl Credentials {
    /// Reads the profile `default`; an empty path means that there are none.
    pub(super) fn load(path: &str) -> Result<Option<Self>, CredentialsError> {
        if path.is_empty() {
            return Ok(None);
        }
        let path = PathBuf::from(path);
        let unreadable = |error| CredentialsError::Read(path.clone(), error);
        let mode = fs::metadata(&path).map_err(unreadable)?.mode();
        if mode & 0o077 != 0 {
            return Err(CredentialsError::Open(path));
        }
        let text = fs::read_to_string(&path).map_err(unreadable)?;
        Self::parse(&text).map(Some).ok_or(CredentialsError::Incomplete(path))
    }

    fn parse(text: &str) -> Option<Self> {
        let (mut id, mut secret, mut token) = (None, None, None);
        // A file without sections is taken as one.
        let mut is_default = true;
        for line in text.lines().map(str::trim) {
            if let Some(section) = line.strip_prefix('[') {
                is_default = section.trim_end_matches(']').trim() == "default";
                continue;
            }
            let Some((name, value)) = line.split_once('=').filter(|_| is_default) else {
                continue;
            };
            let value = value.trim().to_owned();
            match name.trim() {
                "aws_access_key_id" => id = Some(value),
                "aws_secret_access_key" => secret = Some(Secret(value)),
                "aws_session_token" => token = Some(Secret(value)),
                _ => {}
            }
        }
        Some(Self {
            access_key_id: id.filter(|id| !id.is_empty())?,
            secret_access_key: secret?,
            session_token: token,
        })
    }

    /// Lets a client sign with them.
    pub(super) fn give_to(&self, builder: AmazonS3Builder) -> AmazonS3Builder {
        let builder = builder
            .with_access_key_id(&self.access_key_id)
            .with_secret_access_key(&self.secret_access_key.0);
        match &self.session_token {
            Some(token) => builder.with_token(&token.0),
            None => builder,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_default_profile_counts_and_secrets_are_not_shown() {
        let text = "[other]\naws_access_key_id = x\n[default]\naws_access_key_id = AKID\n\
                    aws_secret_access_key=top/secret\n# comment\naws_session_token = hush\n";
        let found = Credentials::parse(text).unwrap();
        assert_eq!(found.access_key_id, "AKID");
        assert_eq!(found.secret_access_key.0, "top/secret");
        let shown = format!("{found:?}");
        assert!(!shown.contains("top/secret") && !shown.contains("hush"), "{shown}");
        assert_eq!(Credentials::parse("[other]\naws_access_key_id = x\n"), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        fs::write(&path, "aws_access_key_id = a\naws_secret_access_key = b\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let text = path.to_str().unwrap();
        assert!(matches!(Credentials::load(text), Err(CredentialsError::Open(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Credentials::load(text).unwrap().is_some());
        assert_eq!(Credentials::load("").unwrap(), None);
    }
}
