//! Servers that nobody here wrote, or that check with other code than ours: Python programs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A Python program that has printed its port.
pub(crate) struct Python {
    child: Child,
    pub(crate) port: u16,
}

impl Python {
    /// Starts `tests/scripts/<name>`; the interpreter is `MUSTER_TEST_PYTHON`, or `python3`.
    pub(crate) fn start(name: &str, argument: Option<&str>) -> Self {
        let python = std::env::var_os("MUSTER_TEST_PYTHON").unwrap_or_else(|| "python3".into());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name);
        let mut child = Command::new(&python)
            .arg(script)
            .args(argument)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", python.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| {
            panic!("{name} has not started: MUSTER_TEST_PYTHON must have what xtask/judges/requirements.txt lists")
        });
        Self { child, port }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An object store with one empty bucket, `logs`.
pub(crate) async fn object_store(port: Option<u16>) -> Python {
    let store = Python::start("object_store.py", port.map(|port| port.to_string()).as_deref());
    put(&store, "", "").await;
    store
}

/// Puts an object into the bucket; without a key the bucket itself.
pub(crate) async fn put(store: &Python, key: &str, content: &str) {
    let answer = reqwest::Client::new()
        .put(store.url(&format!("/logs/{key}")))
        .body(content.to_owned())
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// An object of the bucket, if it is there. Asked for with some signature, because nobody else may read it.
pub(crate) async fn get(store: &Python, key: &str) -> Option<String> {
    let signature = "AWS4-HMAC-SHA256 Credential=AKIDTEST/20260101/us-east-1/s3/aws4_request, \
                     SignedHeaders=host, Signature=00";
    let answer = reqwest::Client::new()
        .get(store.url(&format!("/logs/{key}")))
        .header("Authorization", signature)
        .send()
        .await
        .unwrap();
    match answer.status().as_u16() {
        200 => Some(answer.text().await.unwrap()),
        404 => None,
        other => panic!("{key}: {other}"),
    }
}
