//! Servers that nobody here wrote, or that check with other code than ours: Python programs of `tests/scripts`.

use std::path::Path;

pub(crate) use muster_harness::Python;

/// Starts `tests/scripts/<name>`.
pub(crate) fn start(name: &str, argument: Option<&str>) -> Python {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name);
    Python::start(&script, argument)
}

/// An object store with one empty bucket, `logs`.
pub(crate) async fn object_store(port: Option<u16>) -> Python {
    let store = start("object_store.py", port.map(|port| port.to_string()).as_deref());
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
    Some(fetch(store, key).await?.text().await.unwrap())
}

/// The same with what the store says of it.
pub(crate) async fn fetch(store: &Python, key: &str) -> Option<reqwest::Response> {
    let signature = "AWS4-HMAC-SHA256 Credential=AKIDTEST/20260101/us-east-1/s3/aws4_request, \
                     SignedHeaders=host, Signature=00";
    let answer = reqwest::Client::new()
        .get(store.url(&format!("/logs/{key}")))
        .header("Authorization", signature)
        .send()
        .await
        .unwrap();
    match answer.status().as_u16() {
        200 => Some(answer),
        404 => None,
        other => panic!("{key}: {other}"),
    }
}
