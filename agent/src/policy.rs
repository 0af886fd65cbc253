//! The owner's policy: what this machine does not do, whoever asks (agent.md B10).
//!
//! The file is read for every run, so that it applies at once and whoever runs the agent's service cannot keep an older
//! one in force. A file that is there and cannot be understood forbids everything: a rule that is not understood is not
//! a rule that does not exist.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use muster_document::{Plan, Verdict};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::settings::{POLICY_FILE, Settings};

/// What is forbidden, and how long a step may run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Actions such as `aws:runShellScript`.
    pub forbid_actions: Vec<String>,
    /// Users that no process of a run may run as.
    pub forbid_users: Vec<String>,
    /// Names of documents; one that ends with `*` stands for all that begin like it.
    pub forbid_documents: Vec<String>,
    /// SHA-256 of documents' contents, in hexadecimal.
    pub forbid_document_hashes: Vec<String>,
    /// Longest time a step may run, in seconds.
    pub max_timeout_seconds: Option<u64>,
}

/// Why there is no policy to go by.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("cannot read the policy {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// The file is not understood.
    #[error("the policy {path:?} is not understood: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value is outside its bounds.
    #[error("the policy {path:?} is not understood: {key} must be {rule}")]
    Bounds {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it may be.
        rule: &'static str,
    },
}

/// What the policy forbids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this node's policy forbids {what}")]
pub struct Forbidden {
    what: String,
}

impl Policy {
    /// The policy that the settings name. None at its usual place means that nothing is forbidden; a place that was
    /// configured must have one.
    ///
    /// # Errors
    /// If it cannot be read or is not understood; then nothing may run.
    pub fn of(settings: &Settings) -> Result<Self, PolicyError> {
        match Self::load(&settings.policy_file) {
            Err(PolicyError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && settings.policy_file == Path::new(POLICY_FILE) =>
            {
                Ok(Self::default())
            }
            other => other,
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// If there is anything in it that would not be obeyed.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let text = fs::read_to_string(path).map_err(|source| PolicyError::Read {
            path: path.to_owned(),
            source,
        })?;
        let policy: Self = toml::from_str(&text).map_err(|source| PolicyError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let bounds = |key, rule| PolicyError::Bounds {
            path: path.to_owned(),
            key,
            rule,
        };
        let is_hash = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !policy.forbid_document_hashes.iter().all(is_hash) {
            return Err(bounds("forbid_document_hashes", "64 hexadecimal digits each"));
        }
        if policy.max_timeout_seconds.is_some_and(|seconds| seconds < 5) {
            return Err(bounds("max_timeout_seconds", "at least 5"));
        }
        Ok(policy)
    }

    /// Whether a document may run, by its name and content.
    ///
    /// # Errors
    /// If not.
    pub fn check_document(&self, name: &str, content: &str) -> Result<(), Forbidden> {
        let is_meant = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == pattern,
        };
        if self.forbid_documents.iter().any(is_meant) {
            return Err(Forbidden::new(format!("the document {name:?}")));
        }
        if self.forbid_document_hashes.is_empty() {
            return Ok(());
        }
        let hash = hex(&Sha256::digest(content));
        match self
            .forbid_document_hashes
            .iter()
            .any(|one| one.eq_ignore_ascii_case(&hash))
        {
            true => Err(Forbidden::new(format!("the document with the hash {hash}"))),
            false => Ok(()),
        }
    }

    /// Whether all steps of a plan that would run may do so: half a document is worse than none.
    ///
    /// # Errors
    /// If not.
    pub fn check_plan(&self, plan: &Plan) -> Result<(), Forbidden> {
        let would_run = plan
            .steps()
            .iter()
            .filter(|step| matches!(step.verdict(), Verdict::Run(_)));
        for step in would_run {
            self.check_action(step.action().name())?;
        }
        Ok(())
    }

    /// Whether an action may be carried out.
    ///
    /// # Errors
    /// If not.
    pub fn check_action(&self, action: &str) -> Result<(), Forbidden> {
        match self.forbid_actions.iter().any(|one| one == action) {
            true => Err(Forbidden::new(format!("the action {action}"))),
            false => Ok(()),
        }
    }

    /// Whether anything may run as a user.
    ///
    /// # Errors
    /// If not.
    pub fn check_user(&self, user: &str) -> Result<(), Forbidden> {
        match self.forbid_users.iter().any(|one| one == user) {
            true => Err(Forbidden::new(format!("running as {user:?}"))),
            false => Ok(()),
        }
    }
}

impl Forbidden {
    fn new(what: String) -> Self {
        Self { what }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Policy, PolicyError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        fs::write(&path, text).unwrap();
        Policy::load(&path)
    }

    #[test]
    fn documents_are_forbidden_by_name_by_beginning_and_by_hash() {
        let policy = load(
            "forbid_documents = [\"AWS-Run*\", \"Exact\"]\n\
             forbid_document_hashes = [\"2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824\"]",
        )
        .unwrap();
        let error = policy.check_document("AWS-RunShellScript", "").unwrap_err();
        assert_eq!(
            error.to_string(),
            "this node's policy forbids the document \"AWS-RunShellScript\""
        );
        assert!(policy.check_document("Exact", "").is_err());
        assert!(policy.check_document("Exactly", "").is_ok());
        assert!(policy.check_document("Other", "hello").is_err());
        assert!(policy.check_document("Other", "hallo").is_ok());
    }

    #[test]
    fn actions_and_users_are_forbidden_by_name() {
        let policy = load("forbid_actions = [\"aws:configurePackage\"]\nforbid_users = [\"root\"]").unwrap();
        assert!(policy.check_action("aws:configurePackage").is_err());
        assert!(policy.check_action("aws:runShellScript").is_ok());
        assert!(policy.check_user("root").is_err());
        assert!(policy.check_user("web").is_ok());
    }

    #[test]
    fn what_would_not_be_obeyed_is_refused() {
        for text in [
            "forbid_action = []",
            "forbid_users = \"root\"",
            "forbid_document_hashes = [\"abc\"]",
            "max_timeout_seconds = 1",
            "max_timeout_seconds =",
        ] {
            assert!(load(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_usual_place_may_be_empty() {
        let settings = Settings {
            policy_file: "/no/such/policy.toml".into(),
            ..Settings::default()
        };
        assert!(matches!(Policy::of(&settings), Err(PolicyError::Read { .. })));
    }
}
