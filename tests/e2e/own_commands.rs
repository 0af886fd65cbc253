//! Where users see only their own commands, and what they follow ends with their rights.

use std::time::Duration;

use futures::StreamExt as _;
use muster_harness::{until, until_within};
use muster_proto::access::v1::{AccessKey, AccessKeyStatus, UpdateAccessKeyRequest};
use muster_proto::fanout::v1::fan_out_client::FanOutClient;
use muster_proto::fanout::v1::{GetHistoryRequest, GetRolloutRequest};
use muster_proto::runcommand::v1::FollowOutputRequest;
use muster_proto::runcommand::v1::run_command_output_client::RunCommandOutputClient;
use muster_tests::{AgentSpec, Aws, Cluster, People};
use serde_json::json;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::authorization::signed_gateway;

const ALL: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "muster:ReadAllCommands", "Resource": "*"}}"#;
const ACTS: &str =
    r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#;

/// What follows the scheme in the metadata of this user's calls by gRPC.
fn bearer(key: &AccessKey) -> String {
    format!("{}:{}", key.access_key_id(), key.secret_access_key())
}

/// The same of a temporary access key that is made so.
async fn session(of: &Aws, words: &[&str]) -> String {
    let made = of.run("sts", words).await;
    assert_eq!(made.code, 0, "{}", made.stderr);
    let text = |name: &str| made.json["Credentials"][name].as_str().unwrap().to_owned();
    let (id, secret, token) = (text("AccessKeyId"), text("SecretAccessKey"), text("SessionToken"));
    format!("{id}:{secret}:{token}")
}

/// A stream of output, with this bearer, by gRPC.
async fn follow(
    cluster: &Cluster,
    bearer: &str,
    command: &str,
) -> Result<tonic::Streaming<impl Sized + use<>>, Status> {
    let address = format!("http://{}", cluster.address("muster-run-command"));
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let mut request = Request::new(FollowOutputRequest {
        command_id: Some(command.to_owned()),
        ..FollowOutputRequest::default()
    });
    let bearer = format!("Bearer {bearer}");
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    let answer = RunCommandOutputClient::new(channel).follow_output(request).await?;
    Ok(answer.into_inner())
}

/// How many targets the coordinator shows of a command, in its rollout and in its history, with this bearer, by gRPC.
async fn rollout(cluster: &Cluster, bearer: &str, command: &str) -> [Result<usize, Status>; 2] {
    fn with<T>(bearer: &str, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {bearer}");
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        request
    }
    let address = format!("http://{}", cluster.address("muster-fan-out"));
    let mut client = FanOutClient::connect(address).await.unwrap();
    let view = GetRolloutRequest {
        rollout_id: command.to_owned(),
    };
    let view = client.get_rollout(with(bearer, view)).await;
    let history = GetHistoryRequest {
        rollout_id: command.to_owned(),
        after: 0,
    };
    let history = client.get_history(with(bearer, history)).await;
    [
        view.map(|view| view.into_inner().targets.len()),
        history.map(|history| history.into_inner().targets.try_into().unwrap()),
    ]
}

#[tokio::test]
async fn users_see_follow_and_cancel_only_what_they_have_sent() {
    let mut settings = signed_gateway().to_vec();
    let service = "muster-run-command";
    settings.push((service, "MUSTER_SERVICE__OWN_COMMANDS_ONLY", "true".to_owned()));
    for service in [service, "muster-fan-out"] {
        settings.push((service, "MUSTER_SERVER__AUTHENTICATION", "bearer".to_owned()));
    }
    let cluster = Cluster::start_with(&[AgentSpec::tagged(&[])], &settings).await;
    let mut people = People::new(cluster.bus().await);
    people.put("all", ALL).await;
    let (ann_key, bob_key) = (
        people.user("ann", &["operator"]).await,
        people.user("bob", &["operator"]).await,
    );
    let admin = people.user("eve", &["admin"]).await;
    let aws = |key: &AccessKey| cluster.aws().with_key(key.access_key_id(), key.secret_access_key());
    let (ann, bob, eve) = (aws(&ann_key), aws(&bob_key), aws(&admin));
    let node = cluster.nodes().await.remove(0);
    let sent = ann
        .ok(&[
            "send-command",
            "--document-name",
            "AWS-RunShellScript",
            "--instance-ids",
            &node,
            "--parameters",
            "commands=sleep 60",
        ])
        .await;
    let id = sent["Command"]["CommandId"].as_str().unwrap().to_owned();

    for whole in [&ann, &eve] {
        assert_eq!(
            whole.ok(&["list-commands"]).await["Commands"][0]["CommandId"],
            id.as_str()
        );
        let seen = ["list-command-invocations", "--instance-id", &node];
        assert_eq!(whole.ok(&seen).await["CommandInvocations"][0]["CommandId"], id.as_str());
    }
    assert_eq!(bob.ok(&["list-commands"]).await["Commands"], json!([]));
    let seen = ["list-command-invocations", "--instance-id", &node];
    assert_eq!(bob.ok(&seen).await["CommandInvocations"], json!([]));
    // It is not there for him, in the words for what is not there.
    bob.refused("InvalidCommandId", &["list-commands", "--command-id", &id])
        .await;
    let one = ["get-command-invocation", "--command-id", &id, "--instance-id", &node];
    bob.refused("InvocationDoesNotExist", &one).await;
    bob.refused("InvalidCommandId", &["cancel-command", "--command-id", &id])
        .await;
    let status = follow(&cluster, &bearer(&bob_key), &id).await.map(|_| ()).unwrap_err();
    assert!(status.message().contains("there is no command"), "{status:?}");
    // Nor has it a rollout for him.
    let known = async || {
        let shown = rollout(&cluster, &bearer(&ann_key), &id).await;
        shown
            .iter()
            .all(Result::is_ok)
            .then_some(())
            .ok_or(format!("{shown:?}"))
    };
    until("the coordinator has the command", known).await;
    for shown in rollout(&cluster, &bearer(&admin), &id).await {
        assert_eq!(shown.unwrap(), 1);
    }
    let nothing = "00000000-0000-4000-8000-000000000000";
    let hidden = rollout(&cluster, &bearer(&bob_key), &id).await;
    let missing = rollout(&cluster, &bearer(&bob_key), nothing).await;
    for (hidden, missing) in hidden.into_iter().zip(missing) {
        let (hidden, missing) = (hidden.unwrap_err(), missing.unwrap_err());
        assert_eq!(hidden.code(), missing.code());
        assert_eq!(hidden.message().replace(&id, nothing), missing.message());
    }
    assert_eq!(ann.ok(&one).await["CommandId"], id.as_str());

    people.attach("bob", "all").await;
    until("bob is somebody who sees all", async || {
        let seen = bob.ok(&["list-commands"]).await;
        let is_seen = seen["Commands"][0]["CommandId"] == id.as_str();
        is_seen.then_some(()).ok_or(seen)
    })
    .await;
    for shown in rollout(&cluster, &bearer(&bob_key), &id).await {
        assert_eq!(shown.unwrap(), 1, "the coordinator shows it, too");
    }
    bob.ok(&["cancel-command", "--command-id", &id]).await;
    let mut api = cluster.api().await;
    assert_eq!(api.ended(&id).await.status_details(), "Cancelled");
}

#[tokio::test]
async fn what_is_followed_ends_with_the_rights_of_who_follows() {
    let settings = [(
        "muster-run-command",
        "MUSTER_SERVER__AUTHENTICATION",
        "bearer".to_owned(),
    )];
    let cluster = Cluster::start_with(&[AgentSpec::tagged(&[])], &settings).await;
    let mut people = People::new(cluster.bus().await);
    let (ann, bob) = (
        people.user("ann", &["operator"]).await,
        people.user("bob", &["operator"]).await,
    );
    let cid = people.user("cid", &["operator"]).await;
    let node = cluster.nodes().await.remove(0);
    let mut api = cluster.api().await;
    let id = api
        .start(muster_tests::Api::script(
            &[&node],
            &["while :; do echo tick; sleep 1; done"],
        ))
        .await;
    let mut streams = Vec::new();
    for key in [&ann, &bob, &cid] {
        let mut stream = follow(&cluster, &bearer(key), &id).await.unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        streams.push(stream);
    }
    let [mut anns, mut bobs, mut cids] = <[_; 3]>::try_from(streams).ok().unwrap();

    people.detach("ann", "operator").await;
    let update = UpdateAccessKeyRequest {
        access_key_id: bob.access_key_id.clone(),
        status: Some(AccessKeyStatus::Inactive.into()),
    };
    people.0.update_access_key(update).await.unwrap();
    let limit = Duration::from_secs(60);
    for (name, stream) in [("ann", &mut anns), ("bob", &mut bobs)] {
        until_within(limit, "the stream ends", async || match stream.next().await {
            Some(Ok(_)) => Err(format!("{name} hears more")),
            Some(Err(status)) if status.code() == Code::PermissionDenied => Ok(()),
            other => panic!("{name}: {:?}", other.map(|item| item.map(|_| ()))),
        })
        .await;
    }
    // Who may still follow does.
    assert!(cids.next().await.unwrap().is_ok());
    people.attach("ann", "operator").await;
    until("ann may follow again", async || {
        follow(&cluster, &bearer(&ann), &id)
            .await
            .map(|_| ())
            .map_err(|status| status.to_string())
    })
    .await;
}

#[tokio::test]
async fn what_is_followed_with_a_temporary_key_ends_with_the_key_behind_it() {
    let mut settings = signed_gateway().to_vec();
    let service = "muster-run-command";
    settings.push((service, "MUSTER_SERVER__AUTHENTICATION", "bearer".to_owned()));
    let cluster = Cluster::start_with(&[AgentSpec::tagged(&[])], &settings).await;
    let mut people = People::new(cluster.bus().await);
    people.put("acts", ACTS).await;
    people.role("Ops", &["operator"]).await;
    let (ann, bob) = (
        people.user("ann", &["operator", "acts"]).await,
        people.user("bob", &["operator"]).await,
    );
    let aws = |key: &AccessKey| cluster.aws().with_key(key.access_key_id(), key.secret_access_key());
    let node = cluster.nodes().await.remove(0);
    let lines = ["while :; do echo tick; sleep 1; done"];
    let mut api = cluster.api().await;
    let id = api.start(muster_tests::Api::script(&[&node], &lines)).await;
    let in_role = [
        "assume-role",
        "--role-arn",
        "arn:aws:iam::000000000000:role/Ops",
        "--role-session-name",
        "ann",
    ];
    let mut streams = Vec::new();
    for bearer in [
        session(&aws(&ann), &["get-session-token"]).await,
        session(&aws(&ann), &in_role).await,
        session(&aws(&bob), &["get-session-token"]).await,
    ] {
        let mut stream = follow(&cluster, &bearer, &id).await.unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        streams.push(stream);
    }
    let [mut her_own, mut in_her_role, mut bobs] = <[_; 3]>::try_from(streams).ok().unwrap();
    let update = UpdateAccessKeyRequest {
        access_key_id: ann.access_key_id.clone(),
        status: Some(AccessKeyStatus::Inactive.into()),
    };
    people.0.update_access_key(update).await.unwrap();
    let limit = Duration::from_secs(60);
    for (name, stream) in [("ann", &mut her_own), ("ann in a role", &mut in_her_role)] {
        until_within(limit, "the stream ends", async || match stream.next().await {
            Some(Ok(_)) => Err(format!("{name} hears more")),
            Some(Err(status)) if status.code() == Code::PermissionDenied => Ok(()),
            other => panic!("{name}: {:?}", other.map(|item| item.map(|_| ()))),
        })
        .await;
    }
    assert!(bobs.next().await.unwrap().is_ok());
}
