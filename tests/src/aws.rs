//! The real `aws` command line.

use std::path::PathBuf;

use serde_json::Value;
use tokio::process::Command;

/// `aws ssm … --endpoint-url <gateway>` with dummy keys, or real ones.
#[derive(Debug, Clone)]
pub struct Aws {
    program: PathBuf,
    endpoint: String,
    key: (String, String),
    ca: Option<PathBuf>,
    session_token: Option<String>,
}

/// What the command line said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Exit code.
    pub code: i32,
    /// What it printed, as JSON; null if it was empty or no JSON.
    pub json: Value,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Aws {
    pub(crate) fn new(endpoint: String) -> Self {
        let program = std::env::var_os("MUSTER_TEST_AWS").map_or_else(|| PathBuf::from("aws"), PathBuf::from);
        Self {
            program,
            endpoint,
            key: ("MKIATESTTESTTESTTEST".to_owned(), "dummy".to_owned()),
            ca: None,
            session_token: None,
        }
    }

    /// The same with an access key, its id and its secret.
    #[must_use]
    pub fn with_key(mut self, id: &str, secret: &str) -> Self {
        self.key = (id.to_owned(), secret.to_owned());
        self
    }

    /// The same with the session token of a temporary access key.
    #[must_use]
    pub fn with_session(mut self, token: &str) -> Self {
        self.session_token = Some(token.to_owned());
        self
    }

    /// The same over TLS, by this authority.
    #[must_use]
    pub fn over_tls(self, ca: PathBuf) -> Self {
        Self {
            endpoint: self.endpoint.replace("http://", "https://"),
            ca: Some(ca),
            ..self
        }
    }

    /// Runs `aws ssm` with these words.
    pub async fn ssm(&self, words: &[&str]) -> Answer {
        self.run("ssm", words).await
    }

    /// Runs `aws <service>` with these words.
    pub async fn run(&self, service: &str, words: &[&str]) -> Answer {
        let output = Command::new(&self.program)
            .args(["--endpoint-url", &self.endpoint, "--output", "json", service])
            .args(words)
            .env("AWS_ACCESS_KEY_ID", &self.key.0)
            .env("AWS_SECRET_ACCESS_KEY", &self.key.1)
            .env("AWS_DEFAULT_REGION", "eu-central-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
            .envs(self.session_token.iter().map(|token| ("AWS_SESSION_TOKEN", token)))
            .envs(self.ca.iter().map(|ca| ("AWS_CA_BUNDLE", ca)))
            .output()
            .await
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.program.display()));
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        Answer {
            code: output.status.code().unwrap_or(-1),
            json: serde_json::from_str(&stdout).unwrap_or(Value::Null),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            stdout,
        }
    }

    /// Runs `aws ssm` with these words, which must succeed.
    pub async fn ok(&self, words: &[&str]) -> Value {
        let answer = self.ssm(words).await;
        assert_eq!(answer.code, 0, "aws ssm {words:?}: {}", answer.stderr);
        answer.json
    }

    /// Runs `aws ssm` with these words, which must fail with this error word.
    pub async fn refused(&self, word: &str, words: &[&str]) -> String {
        let answer = self.ssm(words).await;
        assert_ne!(answer.code, 0, "aws ssm {words:?} succeeded: {}", answer.stdout);
        let named = format!("({word})");
        assert!(
            answer.stderr.contains(&named),
            "aws ssm {words:?}: {word} expected, got {}",
            answer.stderr
        );
        answer.stderr
    }
}
