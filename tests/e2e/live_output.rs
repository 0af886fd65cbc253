//! Live output with every service as a process of its own: by gRPC, on NATS, over restarts.

use std::time::Duration;

use futures::StreamExt;
use muster_agent_sim::{Fleet, FleetSettings, Outcome, Script};
use muster_harness::{until, until_within};
use muster_proto::agent::v1::OutputStream;
use muster_proto::runcommand::v1::output_news::News;
use muster_proto::runcommand::v1::run_command_output_client::RunCommandOutputClient;
use muster_proto::runcommand::v1::{FollowOutputRequest, OfferOutputRequest, OutputCursor, OutputNews};
use muster_tests::{AgentSpec, Api, Cluster, binary};
use muster_wire::{NatsChannel, subject};
use tonic::Streaming;

async fn follow(cluster: &Cluster, id: &str, cursors: Vec<OutputCursor>) -> Streaming<OutputNews> {
    let address = format!("http://{}", cluster.address("muster-run-command"));
    let mut client = RunCommandOutputClient::connect(address).await.unwrap();
    let request = FollowOutputRequest {
        command_id: Some(id.to_owned()),
        cursors,
        ..FollowOutputRequest::default()
    };
    client.follow_output(request).await.unwrap().into_inner()
}

/// Reads until a text has come; what came of standard output, and where its stream stands.
async fn read_until(stream: &mut Streaming<OutputNews>, wanted: &str) -> (String, OutputCursor) {
    let mut text = String::new();
    loop {
        let news = tokio::time::timeout(Duration::from_secs(30), stream.message()).await;
        let news = news.expect("news come").unwrap().expect("the stream has not ended");
        let node = news.instance_id;
        if let Some(News::Chunk(chunk)) = news.news {
            if chunk.stream() == OutputStream::Stdout {
                text.push_str(std::str::from_utf8(&chunk.data).expect("whole characters"));
            }
            if text.contains(wanted) {
                let cursor = OutputCursor {
                    instance_id: node,
                    offset: chunk.offset + chunk.data.len() as u64,
                    stream: chunk.stream,
                    step: chunk.step,
                };
                return (text, cursor);
            }
        }
    }
}

async fn to_the_end(stream: &mut Streaming<OutputNews>) -> (String, Vec<String>) {
    let (mut text, mut ends) = (String::new(), Vec::new());
    while let Some(news) = stream.message().await.unwrap() {
        match news.news {
            Some(News::Chunk(chunk)) => text.push_str(std::str::from_utf8(&chunk.data).unwrap()),
            Some(News::End(end)) => ends.push(end.status_details),
            Some(News::Command(command)) => ends.push(format!("command {}", command.status_details())),
            _ => {}
        }
    }
    (text, ends)
}

#[tokio::test]
async fn a_listener_that_comes_again_after_a_restart_gets_the_rest_and_nothing_twice() {
    let mut cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    let mut api = cluster.api().await;
    let gate = cluster.folder().join("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", gate.display());
    let id = api
        .start(Api::script(&[&node], &["echo one €", &wait, "echo two"]))
        .await;
    let mut stream = follow(&cluster, &id, Vec::new()).await;
    let (text, cursor) = read_until(&mut stream, "one €\n").await;
    assert_eq!(text, "one €\n");
    cluster.kill("muster-run-command");
    assert!(
        stream.message().await.is_err(),
        "the stream breaks off with the service"
    );
    cluster.restart("muster-run-command").await;
    let mut stream = follow(&cluster, &id, vec![cursor]).await;
    std::fs::write(&gate, "").unwrap();
    let (text, ends) = to_the_end(&mut stream).await;
    assert_eq!(text, "two\n");
    assert_eq!(ends, ["Success", "command Success"]);
    // Late, and from the beginning.
    let (text, _) = to_the_end(&mut follow(&cluster, &id, Vec::new()).await).await;
    assert_eq!(text, "one €\ntwo\n");
}

#[tokio::test]
async fn a_node_that_is_away_leaves_what_its_result_kept() {
    let mut cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    let mut api = cluster.api().await;
    let id = api.start(Api::script(&[&node], &["echo kept"])).await;
    api.ended(&id).await;
    cluster.kill_agent(0);
    let (text, ends) = to_the_end(&mut follow(&cluster, &id, Vec::new()).await).await;
    assert_eq!(text, "kept\n");
    assert_eq!(ends, ["Success", "command Success"]);
}

#[tokio::test]
async fn a_plain_subscriber_gets_the_bytes_themselves() {
    let cluster = Cluster::start(&[AgentSpec::default()]).await;
    let node = cluster.nodes().await.remove(0);
    let mut api = cluster.api().await;
    let mut output = api
        .nats
        .subscribe(subject::output_for("tester", "listener1"))
        .await
        .unwrap();
    let id = api.start(Api::script(&[&node], &["echo out; echo err >&2"])).await;
    let request = OfferOutputRequest {
        follow: Some(FollowOutputRequest {
            command_id: Some(id.clone()),
            ..FollowOutputRequest::default()
        }),
        listener: Some("listener1".to_owned()),
        window_bytes: 0,
    };
    let answer = RunCommandOutputClient::new(NatsChannel::new(api.nats.clone()))
        .offer_output(request)
        .await
        .unwrap();
    assert_eq!(answer.into_inner().subject, "muster.v1.output.tester.listener1");
    let mut seen = Vec::new();
    loop {
        let message = tokio::time::timeout(Duration::from_secs(30), output.next()).await;
        let message = message.expect("output comes").unwrap();
        let headers = message.headers.unwrap();
        let header = |name: &str| headers.get(name).map_or("", |value| value.as_str()).to_owned();
        let text = String::from_utf8(message.payload.to_vec()).unwrap();
        seen.push((header("Muster-News"), header("Muster-Stream"), text));
        match header("Muster-News").as_str() {
            "command" => {
                assert_eq!(header("Muster-Status"), "Success");
                break;
            }
            _ => assert_eq!(header("Muster-Node"), node),
        }
    }
    let chunk = |stream: &str, text: &str| ("chunk".to_owned(), stream.to_owned(), text.to_owned());
    assert!(seen.contains(&chunk("stdout", "out\n")), "{seen:?}");
    assert!(seen.contains(&chunk("stderr", "err\n")), "{seen:?}");
}

#[tokio::test]
async fn two_hundred_nodes_are_followed_by_two_listeners() {
    let cluster = Cluster::start(&[]).await;
    let fleet = Fleet::start(FleetSettings {
        nats_url: cluster.nats.url(),
        credentials: Some(cluster.crowd()),
        nodes: 200,
        connections: 4,
        name: "live".to_owned(),
        tags: [("Role".to_owned(), "live".to_owned())].into_iter().collect(),
        script: Script::always(Outcome {
            stdout: "simulated\n".to_owned(),
            ..Outcome::NOTHING
        }),
    })
    .await
    .unwrap();
    let mut api = cluster.api().await;
    let id = api.start(Api::script_for_tag("Role", "live", &["true"])).await;
    let (mut one, mut two) = (
        follow(&cluster, &id, Vec::new()).await,
        follow(&cluster, &id, Vec::new()).await,
    );
    for stream in [&mut one, &mut two] {
        let (text, ends) = to_the_end(stream).await;
        // These nodes keep no files: their results stand in.
        assert_eq!(text.matches("simulated").count(), 200);
        assert_eq!(ends.len(), 201);
    }
    let gone = follow(&cluster, &id, Vec::new()).await;
    drop(gone);
    until("the service still answers", async || api.command(&id).await.map(|_| ())).await;
    fleet.stop().await;
}

/// `muster run --follow`, with much output and a service that dies in the middle of it.
#[tokio::test]
async fn a_terminal_gets_every_line_once_whatever_dies_meanwhile() {
    let mut cluster = Cluster::start(&[AgentSpec::tagged(&[("Role", "web")])]).await;
    let gate = cluster.folder().join("gate");
    let line = format!(
        "seq 100000; while [ ! -e {} ]; do sleep 0.05; done; seq 100001 200000",
        gate.display()
    );
    let log = cluster.folder().join("stdout");
    let mut child = tokio::process::Command::new(binary("muster"))
        .env("MUSTER_SERVER", cluster.nats.url())
        .env("MUSTER_CREDS", cluster.creds())
        .args(["run", "--targets", "tag:Role=web", "--follow", "--", &line])
        .stdout(std::fs::File::create(&log).unwrap())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    until("the first half is there", async || match lines() {
        100_000 => Ok(()),
        other => Err(other),
    })
    .await;
    cluster.kill("muster-run-command");
    cluster.restart("muster-run-command").await;
    std::fs::write(&gate, "").unwrap();
    let status = until_within(Duration::from_secs(60), "it has ended", async || {
        child.try_wait().unwrap().ok_or_else(lines)
    })
    .await;
    assert_eq!(status.code(), Some(0));
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 200_000);
    let numbers = text
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap());
    assert!(numbers.eq(1..=200_000), "every line once and in order");
}
