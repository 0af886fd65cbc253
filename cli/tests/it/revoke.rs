//! `muster nats revoke`: a copy of a service's or a person's credentials is worth nothing any more.

use async_nats::connection::State;
use muster_harness::until;

use crate::server::Server;

#[tokio::test]
async fn a_stolen_file_is_worth_nothing_and_its_owner_gets_another() {
    let mut server = Server::start(&[]).await;
    let other = server.connect(&server.creds("muster-documents")).await.unwrap();
    for user in ["muster-fleet", "operator", "system"] {
        let stolen = server.creds(user);
        let thief = server.connect(&stolen).await.unwrap();
        let said = server.nats(&["revoke", user]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert!(said.stderr.contains(stolen.key().public().as_str()), "{}", said.stderr);
        until("the thief is cut off", async || match thief.connection_state() {
            State::Connected => Err("it is there"),
            _ => Ok(()),
        })
        .await;
        assert!(server.connect(&stolen).await.is_err(), "{user}");
        let fresh = server.creds(user);
        assert_ne!(fresh.key().public(), stolen.key().public());
        server.connect(&fresh).await.unwrap();
        assert_eq!(other.connection_state(), State::Connected);

        // The server forgets what it was told: a push tells it again.
        server.restart(true).await;
        let said = server.nats(&["push"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        until("the thief is refused again", async || {
            match server.connect(&stolen).await {
                Ok(_) => Err(user),
                Err(_) => Ok(()),
            }
        })
        .await;
        server.connect(&fresh).await.unwrap();
        until("the other service is back", async || match other.connection_state() {
            State::Connected => Ok(()),
            state => Err(state),
        })
        .await;
    }
}

#[tokio::test]
async fn who_is_nobody_cannot_be_revoked() {
    let server = Server::start(&[]).await;
    let said = server.nats(&["revoke", "muster-nobody"]);
    assert_ne!(said.code, 0);
    assert!(
        said.stderr.contains("the bus has no user muster-nobody"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("muster-parameter-store"), "{}", said.stderr);
}
