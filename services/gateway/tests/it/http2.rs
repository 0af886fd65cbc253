//! The same by HTTP/2.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::client::Call;
use crate::world::World;

/// Posts a body as [`Call::of`] would; the status and the text of the answer.
async fn post(world: &World, operation: &str, body: Vec<u8>) -> (u16, String) {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let call = Call::of(operation, Vec::new());
    let mut request = http::Request::post(format!("http://{}/", world.address()));
    for (name, value) in call.headers() {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body))).expect("a request");
    let answer = client.request(request).await.expect("an answer");
    assert_eq!(answer.version(), http::Version::HTTP_2);
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await.expect("a whole answer").to_bytes();
    (status, String::from_utf8(text.to_vec()).expect("text"))
}

#[tokio::test]
async fn calls_are_answered() {
    let world = World::start().await;
    let (status, text) = post(&world, "ListCommands", b"{}".to_vec()).await;
    assert_eq!((status, text.as_str()), (200, r#"{"Commands":[]}"#));
}

#[tokio::test]
async fn whoever_sends_too_much_reads_why() {
    let world = World::start().await;
    for mebibytes in [2, 9, 40] {
        let (status, text) = post(&world, "ListCommands", vec![b' '; mebibytes << 20]).await;
        assert_eq!(status, 413, "{mebibytes} MiB");
        assert!(text.contains("RequestEntityTooLargeException"), "{text}");
    }
}
