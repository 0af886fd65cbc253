//! Log streams (run-command 8.4), as a user of AWS's command line and an operator with a collector see them.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_harness::{Folder, until_within};
use muster_proto::agent::v1::LogAppendRequest;
use muster_proto::aws::v1::CloudWatchOutputConfig;
use muster_tests::{AgentSpec, Api, Cluster, binary};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// An OTLP collector that does not take the first record.
#[derive(Debug, Clone, Default)]
struct Collector(Arc<Mutex<(bool, Vec<LogRecord>)>>);

impl Collector {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = LogsServiceServer::new(self.clone());
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        format!("http://{address}")
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        if !std::mem::replace(&mut state.0, true) {
            return Err(Status::unavailable("not yet"));
        }
        let resources = request.into_inner().resource_logs.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_logs);
        state.1.extend(scopes.flat_map(|scope| scope.log_records));
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

fn text(record: &LogRecord, key: &str) -> String {
    let value = record.attributes.iter().find(|pair| pair.key == key);
    match value.and_then(|pair| pair.value.clone()).and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key}: {other:?}"),
    }
}

fn muster(cluster: &Cluster, words: &[&str]) -> (String, String) {
    let output = Command::new(binary("muster"))
        .args(words)
        .env("MUSTER_SERVER", cluster.nats.url())
        .env("MUSTER_CREDS", cluster.creds())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn a_command_s_output_is_in_a_folder_and_at_a_collector_and_is_read_back() {
    let collector = Collector::default();
    let otlp = collector.start().await;
    let folder = Folder::new("log-streams");
    let settings = [
        (
            "muster-run-command",
            "MUSTER_SERVICE__LOG_STREAMS__FOLDER",
            folder.path().display().to_string(),
        ),
        ("muster-run-command", "MUSTER_SERVICE__LOG_STREAMS__OTLP", otlp),
    ];
    let cluster = Cluster::start_with(&[AgentSpec::tagged(&[("Role", "web")])], &settings).await;
    let node = cluster.nodes().await.remove(0);
    let parameters = r#"{"commands":["seq 1 60000","echo canary-of-an-error >&2"]}"#;
    let send = |config: &'static str| {
        let (aws, node) = (cluster.aws(), node.clone());
        async move {
            let words = [
                "send-command",
                "--document-name",
                "AWS-RunShellScript",
                "--instance-ids",
                &node,
            ];
            let more = ["--parameters", parameters, "--cloud-watch-output-config", config];
            aws.ok(&[&words[..], &more[..]].concat()).await
        }
    };
    let sent = send("CloudWatchOutputEnabled=true").await;
    let id = sent["Command"]["CommandId"].as_str().unwrap().to_owned();
    assert_eq!(
        sent["Command"]["CloudWatchOutputConfig"]["CloudWatchOutputEnabled"],
        true
    );
    cluster.api().await.ended(&id).await;

    let whole: String = (1..=60_000).map(|number| format!("{number}\n")).collect();
    let of_node = folder.path().join("aws/ssm/AWS-RunShellScript").join(&id).join(&node);
    let file = of_node.join("aws-runShellScript/stdout");
    until_within(
        Duration::from_secs(60),
        "the stream is whole",
        async || match std::fs::read_to_string(&file) {
            Ok(text) if text == whole => Ok(()),
            other => Err(other.map(|text| text.len())),
        },
    )
    .await;

    let (out, errors) = muster(&cluster, &["commands", "logs", &id]);
    assert_eq!(
        out,
        whole
            .lines()
            .map(|line| format!("[agent-0] {line}\n"))
            .collect::<String>()
    );
    assert!(errors.contains("[agent-0] canary-of-an-error"), "{errors}");
    let (table, _) = muster(&cluster, &["commands", "logs", &id, "--node", &node, "--list"]);
    let row = format!("/aws/ssm/AWS-RunShellScript  {id}/{node}/aws-runShellScript/stdout");
    assert!(
        table.contains(&row) && table.contains(&whole.len().to_string()),
        "{table}"
    );

    let records = collector.0.lock().unwrap().1.clone();
    let told: String = records
        .iter()
        .filter(|record| text(record, "log.iostream") == "stdout")
        .map(|record| match record.body.clone().and_then(|body| body.value) {
            Some(Value::StringValue(body)) => {
                assert!(body.len() <= 256 * 1024);
                body
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, whole);
    let first = &records[0];
    assert_eq!(text(first, "muster.log_group"), "/aws/ssm/AWS-RunShellScript");
    assert_eq!(
        (text(first, "muster.command"), text(first, "muster.node")),
        (id, node.clone())
    );

    // A command that does not want them has none.
    let sent = send("CloudWatchLogGroupName=ops/web").await;
    let quiet = sent["Command"]["CommandId"].as_str().unwrap().to_owned();
    cluster.api().await.ended(&quiet).await;
    let (_, refused) = muster(&cluster, &["commands", "logs", &quiet]);
    assert!(
        refused.contains("was sent without CloudWatchOutputEnabled"),
        "{refused}"
    );
    assert!(!folder.path().join("ops").exists());
    assert!(!cluster.log("muster-run-command").contains("canary-of-an-error"));
}

#[tokio::test]
async fn a_node_has_no_log_streams_for_steps_that_its_document_does_not_have() {
    let folder = Folder::new("log-streams");
    let settings = [(
        "muster-run-command",
        "MUSTER_SERVICE__LOG_STREAMS__FOLDER",
        folder.path().display().to_string(),
    )];
    let mut cluster = Cluster::start_with(&[AgentSpec::default()], &settings).await;
    let node = cluster.nodes().await.remove(0);
    let mut api = cluster.api().await;
    cluster.kill_agent(0);
    let mut request = Api::script(&[&node], &["true"]);
    request.cloud_watch_output_config = Some(CloudWatchOutputConfig {
        cloud_watch_log_group_name: None,
        cloud_watch_output_enabled: Some(true),
    });
    let id = api.start(request).await;
    // Whoever holds the node's credentials.
    let creds = cluster.nats.trust().node(&node, &[]);
    let client = cluster.nats.client_as(&creds).await.unwrap();
    let append = async |step: &str| {
        let event = LogAppendRequest {
            run_id: id.clone(),
            step: step.to_owned(),
            data: b"hello".to_vec(),
            ..LogAppendRequest::default()
        };
        let subject = format!("muster.v1.rpc.{node}.log.append");
        let answer = client.request(subject, event.encode_to_vec().into()).await.unwrap();
        answer.headers.map(|headers| format!("{headers:?}"))
    };
    let refused = append("anything/else").await.expect("it is refused");
    assert!(refused.contains("no step of this name"), "{refused}");
    assert_eq!(append("aws:runShellScript").await, None);
    let streams = folder.path().join("aws/ssm/AWS-RunShellScript").join(&id).join(&node);
    let steps: Vec<_> = std::fs::read_dir(streams).unwrap().flatten().collect();
    assert_eq!(steps.len(), 1, "{steps:?}");
}

#[tokio::test]
async fn without_a_place_for_log_streams_a_command_that_wants_them_is_refused() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    for (config, why) in [
        ("CloudWatchOutputEnabled=true", "log_streams.folder or log_streams.otlp"),
        ("CloudWatchLogGroupName=a*b", "CloudWatchLogGroupName"),
    ] {
        let words = [
            "send-command",
            "--document-name",
            "AWS-RunShellScript",
            "--instance-ids",
            &node,
        ];
        let more = ["--parameters", "commands=id", "--cloud-watch-output-config", config];
        let answer = cluster.aws().ssm(&[&words[..], &more[..]].concat()).await;
        assert!(
            answer.stderr.contains("ValidationException") && answer.stderr.contains(why),
            "{}",
            answer.stderr
        );
    }
}
