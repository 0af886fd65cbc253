//! Policies are held: on nodes that a command is for, at once when they change, and when nobody can be asked.

use std::time::{Duration, Instant};

use muster_harness::{until, until_within};
use muster_proto::documents::v1::ListDocumentsRequest;
use muster_proto::fleet::v1::ListNodesRequest;
use muster_proto::parameterstore::v1::{DescribeParametersRequest, ParameterType, PutParameterRequest};
use muster_proto::runcommand::v1::ListCommandsRequest;
use muster_proto::runcommand::v1::run_command_client::RunCommandClient;
use muster_tests::{AgentSpec, Api, Cluster, People};
use muster_wire::{Failure, Reason};
use tonic::metadata::MetadataValue;

/// A gateway that verifies signatures.
pub(crate) fn signed_gateway() -> [(&'static str, &'static str, String); 2] {
    [
        (
            "muster-gateway",
            "MUSTER_SERVICE__AUTHENTICATION",
            "signature".to_owned(),
        ),
        ("muster-gateway", "MUSTER_SERVICE__REGIONS", r#"["*"]"#.to_owned()),
    ]
}

/// Commands with one document, on nodes for development.
const DEV: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Sid": "Document", "Effect": "Allow", "Action": "ssm:SendCommand",
        "Resource": "arn:aws:ssm:*::document/AWS-RunShellScript"},
    {"Sid": "Nodes", "Effect": "Allow", "Action": "ssm:SendCommand", "Resource": "arn:aws:ssm:*:*:managed-instance/*",
        "Condition": {"StringEquals": {"ssm:resourceTag/Env": "dev"}}},
    {"Sid": "Look", "Effect": "Allow", "Action": ["ssm:List*", "ssm:Get*"], "Resource": "*"}]}"#;

#[tokio::test]
async fn a_command_reaches_no_node_that_its_sender_may_not_reach() {
    let agents = [
        AgentSpec::tagged(&[("Role", "web"), ("Env", "dev")]),
        AgentSpec::tagged(&[("Role", "web"), ("Env", "prod")]),
    ];
    let cluster = Cluster::start_with(&agents, &signed_gateway()).await;
    let mut people = People::new(cluster.bus().await);
    people.put("dev", DEV).await;
    let key = people.user("dora", &["dev"]).await;
    let dora = cluster.aws().with_key(key.access_key_id(), key.secret_access_key());
    let nodes = cluster.nodes().await;
    let (dev, prod) = (nodes[0].as_str(), nodes[1].as_str());
    let mark = cluster.folder().join("mark");
    let line = format!("commands=echo ran >> {}", mark.display());
    let send = |document: &'static str, whom: &[&str]| {
        let mut words = vec![
            "send-command",
            "--document-name",
            document,
            "--parameters",
            line.as_str(),
        ];
        words.extend_from_slice(whom);
        words.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let refused = async |words: Vec<String>| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        dora.refused("AccessDeniedException", &words).await
    };

    // One that is denied is enough, and what is not there is no other than what is.
    for denied in [&["--instance-ids", prod][..], &["--instance-ids", dev, prod]] {
        let said = refused(send("AWS-RunShellScript", denied)).await;
        let text = format!(
            "User: arn:aws:iam::000000000000:user/dora is not authorized to perform: ssm:SendCommand on resource: \
             arn:aws:ssm:us-east-1:000000000000:managed-instance/{prod} because no identity-based policy allows the \
             ssm:SendCommand action"
        );
        assert!(said.contains(&text), "{said}");
    }
    let nobody = "mi-00000000000000000";
    let said = refused(send("AWS-RunShellScript", &["--instance-ids", nobody])).await;
    assert!(
        said.contains(&format!("managed-instance/{nobody} because no")),
        "{said}"
    );
    for document in ["AWS-RunPowerShellScript", "Nothing-here"] {
        let said = refused(send(document, &["--instance-ids", dev])).await;
        assert!(said.contains(&format!("document/{document} because no")), "{said}");
    }
    assert_eq!(dora.ok(&["list-commands"]).await["Commands"], serde_json::json!([]));

    let words = send(
        "AWS-RunShellScript",
        &["--targets", "Key=tag:Role,Values=web", "--max-errors", "0"],
    );
    let sent = dora.ok(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let id = sent["Command"]["CommandId"].as_str().unwrap().to_owned();
    let mut api = cluster.api().await;
    let command = api.ended(&id).await;
    assert_eq!((command.target_count(), command.completed_count()), (2, 2));
    assert_eq!((command.status_details(), command.error_count()), ("Success", 0));
    let listed = dora.ok(&["list-command-invocations", "--command-id", &id]).await;
    let listed = listed["CommandInvocations"].as_array().unwrap();
    let of = |node: &str| {
        let found = listed.iter().find(|each| each["InstanceId"] == node).unwrap();
        (
            found["Status"].as_str().unwrap().to_owned(),
            found["StatusDetails"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(of(dev), ("Success".to_owned(), "Success".to_owned()));
    assert_eq!(of(prod), ("Failed".to_owned(), "AccessDenied".to_owned()));
    assert_eq!(std::fs::read_to_string(&mark).unwrap(), "ran\n");
    cluster.verify(&id);

    // Nobody may be reached: a command that did nothing has failed.
    let words = send("AWS-RunShellScript", &["--targets", "Key=tag:Env,Values=prod"]);
    let sent = dora.ok(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let id = sent["Command"]["CommandId"].as_str().unwrap().to_owned();
    assert_eq!(api.ended(&id).await.status_details(), "Failed");
    assert_eq!(std::fs::read_to_string(&mark).unwrap(), "ran\n");
}

#[tokio::test]
async fn a_policy_counts_from_when_it_is_changed_and_a_denial_outweighs() {
    let cluster = Cluster::start(&[]).await;
    let mut people = People::new(cluster.bus().await);
    people.user("rita", &["read-only"]).await;
    let deny =
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "ssm:ListCommands", "Resource": "*"}}"#;
    people.put("no-commands", deny).await;
    let mut rita = Api::new(cluster.bus_as("rita").await);
    let list = async |api: &mut Api| api.commands.list_commands(ListCommandsRequest::default()).await;
    list(&mut rita).await.unwrap();

    let began = Instant::now();
    people.attach("rita", "no-commands").await;
    let mut denied = rita.clone();
    let status = until("the denial counts", async || match list(&mut denied).await {
        Ok(_) => Err("allowed"),
        Err(status) => Ok(status),
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(
        status.message(),
        "User: arn:aws:iam::000000000000:user/rita is not authorized to perform: ssm:ListCommands on resource: * with an \
         explicit deny in an identity-based policy"
    );
    people.detach("rita", "no-commands").await;
    until("the denial is gone", async || {
        list(&mut rita)
            .await
            .map(|_| ())
            .map_err(|status| status.message().to_owned())
    })
    .await;
}

#[tokio::test]
async fn a_token_of_a_list_is_good_for_who_was_given_it() {
    let mut cluster = Cluster::start(&[AgentSpec::default(), AgentSpec::default()]).await;
    People::new(cluster.bus().await).user("rita", &["read-only"]).await;
    let (mut tester, mut rita) = (cluster.api().await, Api::new(cluster.bus_as("rita").await));
    let list = async |api: &mut Api, next_token: Option<String>| {
        let request = ListDocumentsRequest {
            max_results: Some(1),
            next_token,
            ..ListDocumentsRequest::default()
        };
        let page = api.documents.list_documents(request).await;
        page.map(|page| page.into_inner().next_token).map_err(Failure::from)
    };
    let token = list(&mut tester, None).await.unwrap();
    assert!(token.is_some());
    match list(&mut rita, token.clone()).await {
        Err(Failure::Refused(refusal)) => assert_eq!(refusal.reason, Reason::InvalidNextToken),
        other => panic!("{other:?}"),
    }
    assert!(list(&mut tester, token).await.unwrap().is_some());

    // So are those of lists of other services.
    cluster.add_service("muster-parameter-store").await;
    for name in ["/app/a", "/app/b"] {
        let mut put = PutParameterRequest {
            name: Some(name.to_owned()),
            value: Some("x".to_owned()),
            ..PutParameterRequest::default()
        };
        put.set_type(ParameterType::String);
        tester.parameters.put_parameter(put).await.unwrap();
    }
    let describe = async |api: &mut Api, next_token: Option<String>| {
        let request = DescribeParametersRequest {
            max_results: Some(1),
            next_token,
            ..DescribeParametersRequest::default()
        };
        let page = api.parameters.describe_parameters(request).await;
        page.map(|page| page.into_inner().next_token).map_err(Failure::from)
    };
    let nodes = async |api: &mut Api, next_token: Option<String>| {
        let request = ListNodesRequest {
            max_results: Some(1),
            next_token,
            ..ListNodesRequest::default()
        };
        let page = api.fleet.list_nodes(request).await;
        page.map(|page| page.into_inner().next_token).map_err(Failure::from)
    };
    for is_nodes in [false, true] {
        let ask = async |api: &mut Api, token| match is_nodes {
            true => nodes(api, token).await,
            false => describe(api, token).await,
        };
        let token = ask(&mut tester, None).await.unwrap();
        assert!(token.is_some(), "{is_nodes}");
        match ask(&mut rita, token.clone()).await {
            Err(Failure::Refused(refusal)) => assert_eq!(refusal.reason, Reason::InvalidNextToken),
            other => panic!("{is_nodes}: {other:?}"),
        }
        assert_eq!(ask(&mut tester, token).await.unwrap(), None);
    }
}

#[tokio::test]
async fn nobody_is_allowed_anything_while_nobody_can_be_asked() {
    let mut cluster = Cluster::start(&[]).await;
    let mut tester = cluster.api().await;
    let mut list = async || {
        let answer = tester.commands.list_commands(ListCommandsRequest::default()).await;
        answer.map(|_| ()).map_err(|status| status.code())
    };
    list().await.unwrap();
    cluster.kill("muster-access");
    let killed = Instant::now();
    until_within(
        Duration::from_secs(20),
        "what was known is believed no more",
        async || {
            let answer = list().await;
            // Believed for five seconds and not longer; one more for a machine that is busy.
            assert!(
                answer.is_err() || killed.elapsed() < Duration::from_secs(6),
                "allowed {:?} after access was gone",
                killed.elapsed()
            );
            match answer {
                Err(tonic::Code::Unavailable) => Ok(()),
                Err(other) => panic!("{other:?}"),
                Ok(()) => Err("still believed"),
            }
        },
    )
    .await;
    cluster.restart("muster-access").await;
    until("it is asked again", list).await;
}

#[tokio::test]
async fn callers_by_grpc_have_an_access_key_and_only_the_rights_of_its_user() {
    let settings = [(
        "muster-run-command",
        "MUSTER_SERVER__AUTHENTICATION",
        "bearer".to_owned(),
    )];
    let cluster = Cluster::start_with(&[], &settings).await;
    let mut people = People::new(cluster.bus().await);
    let rita = people.user("rita", &["read-only"]).await;
    let nina = people.user("nina", &[]).await;
    let address = format!("http://{}", cluster.address("muster-run-command"));
    let mut client = RunCommandClient::connect(address).await.unwrap();
    let mut list = async |bearer: Option<String>| {
        let mut request = tonic::Request::new(ListCommandsRequest::default());
        if let Some(bearer) = bearer {
            let value: MetadataValue<_> = format!("Bearer {bearer}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let answer = client.list_commands(request).await;
        answer
            .map(|_| ())
            .map_err(|status| (status.code(), status.message().to_owned()))
    };
    let bearer = |id: &str, secret: &str| Some(format!("{id}:{secret}"));
    list(bearer(rita.access_key_id(), rita.secret_access_key()))
        .await
        .unwrap();
    let (code, text) = list(bearer(nina.access_key_id(), nina.secret_access_key()))
        .await
        .unwrap_err();
    assert_eq!(code, tonic::Code::PermissionDenied);
    assert!(
        text.contains("user/nina is not authorized to perform: ssm:ListCommands"),
        "{text}"
    );

    let (code, text) = list(None).await.unwrap_err();
    assert_eq!(code, tonic::Code::Unauthenticated);
    assert!(text.contains("Bearer <access key id>:<secret access key>"), "{text}");
    let wrong = [
        bearer(rita.access_key_id(), nina.secret_access_key()),
        bearer("MKIA0000000000000000", rita.secret_access_key()),
    ];
    let mut texts = Vec::new();
    for wrong in wrong {
        texts.push(list(wrong).await.unwrap_err());
    }
    assert_eq!(texts[0], texts[1], "the answer tells apart what is wrong");
    assert_eq!(texts[0].0, tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn a_caller_asks_sts_who_it_is() {
    let cluster = Cluster::start_with(&[], &signed_gateway()).await;
    let mut people = People::new(cluster.bus().await);
    let key = people.user("dora", &[]).await;
    let dora = cluster.aws().with_key(key.access_key_id(), key.secret_access_key());
    let answer = dora.run("sts", &["get-caller-identity"]).await;
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert_eq!(answer.json["Arn"], "arn:aws:iam::000000000000:user/dora");
    assert_eq!(answer.json["Account"], "000000000000");
    let nobody = cluster.aws().with_key("MKIANOBODYNOBODYNOBO", "guessed");
    let answer = nobody.run("sts", &["get-caller-identity"]).await;
    assert!(answer.stderr.contains("(InvalidClientTokenId)"), "{}", answer.stderr);
}
