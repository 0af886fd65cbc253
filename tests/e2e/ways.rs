//! The ways by which a machine reaches the bus: WebSocket, which comes through proxies; and none in clear over a network.

use muster_tests::{Cluster, binary};
use tokio::process::Command;

use crate::registration::{Machine, activation, node_of, online, stdout};

async fn guarded() -> Cluster {
    let guarded = ("muster-fleet", "MUSTER_SERVICE__REGISTRATION", "activation".to_owned());
    Cluster::start_with(&[], &[guarded]).await
}

#[tokio::test]
async fn a_node_lives_on_websocket_alone() {
    let cluster = guarded().await;
    let aws = cluster.aws();
    let ticket = activation(&aws, &["--registration-limit", "1"]).await;
    let mut machine = Machine::new(&cluster, "far");
    let server = cluster.nats.websocket_url();
    let node = node_of(&stdout(&machine.register_at(&server, &cluster, &ticket).await));
    machine.start();
    online(&aws, &node).await;
    let mut api = cluster.api().await;
    let id = api
        .start(muster_tests::Api::script(
            &[&node],
            &["head -c 100000 /dev/zero | tr '\\0' x"],
        ))
        .await;
    api.ended(&id).await;
    let invocation = api.invocation(&id, &node).await.unwrap();
    assert_eq!(invocation.status_details.as_deref(), Some("Success"));
    assert!(
        invocation
            .standard_output_content
            .unwrap_or_default()
            .starts_with("xxx")
    );

    let said = Command::new(binary("muster"))
        .args(["nodes", "--json"])
        .env("MUSTER_SERVER", &server)
        .env("MUSTER_CREDS", cluster.creds())
        .output()
        .await
        .unwrap();
    assert!(stdout(&said).contains(&node));
}

/// Addresses of documentation: nobody is asked, because the answer is no before.
#[tokio::test]
async fn nobody_speaks_in_clear_over_a_network_unless_it_is_wanted() {
    let cluster = guarded().await;
    let ticket = activation(&cluster.aws(), &[]).await;
    let machine = Machine::new(&cluster, "clear");
    for server in ["nats://192.0.2.1:4222", "ws://192.0.2.1", "tls://192.0.2.1,192.0.2.2"] {
        let refused = machine.register_at(server, &cluster, &ticket).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains("is not encrypted") && said.contains("--insecure"),
            "{said}"
        );

        let refused = machine.agent(&["run", "--server", server], "").await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("insecure = true"), "{said}");

        let refused = Command::new(binary("muster"))
            .args(["--server", server, "nodes"])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            refused.status.code() == Some(2) && said.contains("is not encrypted"),
            "{said}"
        );

        let refused = Command::new(binary("muster-documents"))
            .env("MUSTER_NATS__URL", server)
            .env(
                "MUSTER_DATABASE__URL",
                format!("sqlite:{}", cluster.folder().join("clear.db").display()),
            )
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("is not encrypted"), "{said}");
    }
}
