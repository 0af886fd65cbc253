//! A connection with credentials, against a real NATS server in operator mode.

use muster_boot::{BusError, NatsSettings, connect_now};
use muster_harness::{Folder, NatsServer, until, write_private};

#[tokio::test]
async fn a_file_that_was_renewed_counts_at_the_next_connection() {
    let mut server = NatsServer::start_secured().await;
    let folder = Folder::new("boot");
    let settings = NatsSettings {
        credentials: folder.join("own.creds"),
        ..NatsSettings::open(&server.url())
    };
    let write = |creds: &muster_credential::Creds| write_private(&settings.credentials, &creds.to_text()).unwrap();
    write(&server.trust().service("muster-documents"));
    let client = connect_now("test", &settings).await.unwrap();
    // The connection that is there stays who it was; the next one is who the file says.
    let renewed = server.trust().service("muster-fleet");
    write(&renewed);
    server.kill();
    server.restart().await;
    let mut hellos = until("it is back with the other credentials", async || {
        client
            .subscribe("muster.v1.rpc.*.hello")
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    let node = server
        .client_as(&server.trust().node("mi-0123456789abcdef0", &[]))
        .await
        .unwrap();
    let message = until("a hello arrives, which only fleet may hear", async || {
        node.publish("muster.v1.rpc.mi-0123456789abcdef0.hello", "hi".into())
            .await
            .map_err(|error| error.to_string())?;
        node.flush().await.map_err(|error| error.to_string())?;
        let next = futures::StreamExt::next(&mut hellos);
        match tokio::time::timeout(std::time::Duration::from_millis(200), next).await {
            Ok(Some(message)) => Ok(message),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(message.payload, "hi");
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_named() {
    let server = NatsServer::start_secured().await;
    let folder = Folder::new("boot");
    let settings = NatsSettings {
        credentials: folder.join("missing.creds"),
        ..NatsSettings::open(&server.url())
    };
    let error = connect_now("test", &settings).await.unwrap_err();
    assert!(matches!(&error, BusError::Credentials { .. }));
    assert!(error.to_string().contains("missing.creds"), "{error}");
    assert!(matches!(
        connect_now("test", &NatsSettings::open(&server.url()))
            .await
            .unwrap_err(),
        BusError::Connect(_)
    ));
}
