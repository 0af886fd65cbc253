//! Limits of an installation, as its users meet them.

use muster_harness::until;
use muster_proto::runcommand::v1::{CommandFilter, CommandFilterKey, CommandStatus, ListCommandsRequest};
use muster_tests::{AgentSpec, Api, Cluster, binary};

/// The quota of pending invocations (run-command 4.1): the command is over before any node gets it.
#[tokio::test]
async fn a_command_beyond_the_quota_of_pending_invocations_ends_as_limit_exceeded() {
    let quota = (
        "muster-run-command",
        "MUSTER_SERVICE__MAX_PENDING_INVOCATIONS",
        "1".to_owned(),
    );
    let mut cluster = Cluster::start_with(&[AgentSpec::default()], &[quota]).await;
    let (mut api, node) = (cluster.api().await, cluster.nodes().await.remove(0));
    cluster.kill_agent(0);
    let first = api.start(Api::script(&[&node], &["true"])).await;
    until("the first waits for its node", async || {
        match api.invocations(&first).await.remove(0).status_details.as_deref() {
            Some("Delayed") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let beyond = api.send(Api::script(&[&node], &["true"])).await.unwrap();
    assert_eq!(
        (beyond.target_count, beyond.status()),
        (Some(1), CommandStatus::Pending)
    );
    let id = beyond.command_id.unwrap();
    let command = api.ended(&id).await;
    assert_eq!(command.status(), CommandStatus::Failed);
    assert_eq!(command.status_details.as_deref(), Some("LimitExceeded"));
    assert_eq!((command.target_count, command.completed_count), (Some(1), Some(0)));
    assert!(api.invocations(&id).await.is_empty());
    let filter = CommandFilter {
        key: Some(CommandFilterKey::Status.into()),
        value: Some("LimitExceeded".to_owned()),
    };
    let request = ListCommandsRequest {
        filters: vec![filter],
        ..ListCommandsRequest::default()
    };
    let listed = api.commands.list_commands(request).await.unwrap().into_inner().commands;
    assert_eq!(listed, [command]);
    let verified = std::process::Command::new(binary("muster"))
        .args(["verify", &id])
        .env("MUSTER_SERVER", cluster.nats.url())
        .env("MUSTER_CREDS", cluster.creds())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{said}");
    assert!(
        said.contains("was over before it began (LimitExceeded): nothing was sent"),
        "{said}"
    );
    // There is room again once the first has run.
    cluster.restart_agent(0);
    assert_eq!(api.ended(&first).await.status(), CommandStatus::Success);
    let later = api.start(Api::script(&[&node], &["true"])).await;
    assert_eq!(api.ended(&later).await.status(), CommandStatus::Success);
}
