//! Development: any credentials are accepted, but there must be some.

use crate::client::Call;
use crate::world::World;

#[tokio::test]
async fn a_request_without_a_signature_is_refused() {
    let world = World::start().await;
    let call = Call::of("ListCommands", "nonsense").without("Authorization");
    let reply = world.send(&call).await;
    assert_eq!(reply.status, 400);
    let (word, text) = reply.error();
    assert_eq!(word, "MissingAuthenticationTokenException");
    assert_eq!(text, "Missing Authentication Token");
}

#[tokio::test]
async fn a_signature_that_cannot_be_read_is_refused() {
    let world = World::start().await;
    let call = Call::of("ListCommands", "nonsense");
    for (call, named) in [
        (call.clone().with("Authorization", "Basic Zm9v"), "AWS4-HMAC-SHA256"),
        (call.clone().without("X-Amz-Date"), "'X-Amz-Date'"),
        (
            call.with(
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=A/b/c/d, SignedHeaders=host, Signature=00",
            ),
            "5 slash-delimited",
        ),
    ] {
        let reply = world.send(&call).await;
        assert_eq!(reply.status, 400);
        let (word, text) = reply.error();
        assert_eq!(word, "IncompleteSignatureException");
        assert!(text.contains(named), "{text}");
    }
}

#[tokio::test]
async fn an_unserved_operation_is_told_only_to_callers_with_credentials() {
    let world = World::start().await;
    let reply = world
        .send(&Call::of("StartSession", "{}").without("Authorization"))
        .await;
    assert_eq!(reply.error().0, "MissingAuthenticationTokenException");
}
