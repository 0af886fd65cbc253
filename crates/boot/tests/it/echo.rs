//! What was published is confirmed when the broker has had it, and not before.

use futures::StreamExt as _;
use muster_boot::Echo;
use muster_harness::{NatsServer, until};

#[tokio::test]
async fn what_the_broker_has_had_is_confirmed() {
    let server = NatsServer::start().await;
    let (ours, theirs) = (server.client().await, server.client().await);
    let mut heard = theirs.subscribe("told").await.unwrap();
    // Not before the broker knows of it.
    let mut known = Echo::open(theirs).await.unwrap();
    assert!(known.confirms(known.mark()).await);
    let mut echo = Echo::open(ours.clone()).await.unwrap();
    for word in ["one", "two"] {
        let mark = echo.mark();
        ours.publish("told", word.into()).await.unwrap();
        assert!(echo.is_connected() && echo.confirms(mark).await);
        assert_eq!(heard.next().await.unwrap().payload, word);
    }
}

#[tokio::test]
async fn what_a_lost_connection_took_along_is_not_confirmed() {
    let mut server = NatsServer::start().await;
    let nats = server.client().await;
    let mut echo = Echo::open(nats.clone()).await.unwrap();
    let mark = echo.mark();
    nats.publish("told", "lost".into()).await.unwrap();
    nats.flush().await.unwrap();
    server.kill();
    until("the client has noticed", async || {
        (!echo.is_connected()).then_some(()).ok_or(())
    })
    .await;
    server.restart().await;
    until("the client is back", async || {
        echo.is_connected().then_some(()).ok_or(())
    })
    .await;
    assert!(
        !echo.confirms(mark).await,
        "another broker came back, and nobody knows what the first one had"
    );
    let mark = echo.mark();
    nats.publish("told", "again".into()).await.unwrap();
    assert!(echo.confirms(mark).await);
}
