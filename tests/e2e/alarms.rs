//! Alarms that stop commands (run-command 2.1), with something that answers as Prometheus does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_agent_sim::{Fleet, FleetSettings, Outcome, Script};
use muster_harness::{until, until_within};
use muster_proto::aws::v1::{Alarm, AlarmConfiguration, ExternalAlarmState};
use muster_proto::runcommand::v1::{Command, CommandStatus, SendCommandRequest};
use muster_tests::{AgentSpec, Api, Cluster};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Answers `GET /api/v1/rules` with one alerting rule, `TooManyErrors`; without a state it answers that it is broken.
#[derive(Debug, Clone)]
struct Prometheus(Arc<Mutex<Option<&'static str>>>);

impl Prometheus {
    async fn start(state: Option<&'static str>) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/prometheus", listener.local_addr().unwrap());
        let prometheus = Self(Arc::new(Mutex::new(state)));
        let answering = prometheus.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let answer = answering.answer(&request);
                // Whoever asked may be gone.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (prometheus, address)
    }

    fn set(&self, state: &'static str) {
        *self.0.lock().unwrap() = Some(state);
    }

    fn answer(&self, request: &str) -> String {
        let Some(state) = *self.0.lock().unwrap() else {
            return "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned();
        };
        assert!(
            request.starts_with("GET /prometheus/api/v1/rules?type=alert&rule_name[]="),
            "{request}"
        );
        let rule = format!(r#"{{"name":"TooManyErrors","state":"{state}","health":"ok","type":"alerting"}}"#);
        let body = format!(r#"{{"status":"success","data":{{"groups":[{{"name":"web","rules":[{rule}]}}]}}}}"#);
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
    }
}

async fn cluster(agents: &[AgentSpec], prometheus: String) -> Cluster {
    let settings = [
        ("muster-run-command", "MUSTER_SERVICE__ALARMS__PROMETHEUS", prometheus),
        (
            "muster-run-command",
            "MUSTER_SERVICE__ALARMS__POLL_SECONDS",
            "1".to_owned(),
        ),
    ];
    Cluster::start_with(agents, &settings).await
}

fn guarded(request: SendCommandRequest, name: &str, ignores_failure: bool) -> SendCommandRequest {
    SendCommandRequest {
        alarm_configuration: Some(AlarmConfiguration {
            ignore_poll_alarm_failure: Some(ignores_failure),
            alarms: vec![Alarm {
                name: Some(name.to_owned()),
            }],
        }),
        ..request
    }
}

fn triggered(command: &Command) -> Vec<(&str, ExternalAlarmState)> {
    let alarms = command.triggered_alarms.iter();
    alarms.map(|alarm| (alarm.name(), alarm.state())).collect()
}

#[tokio::test]
async fn an_alarm_that_begins_to_ring_stops_the_sending_and_lets_running_scripts_finish() {
    let (prometheus, address) = Prometheus::start(Some("inactive")).await;
    let cluster = cluster(&[AgentSpec::default()], address).await;
    let mut api = cluster.api().await;
    let real = cluster.nodes().await.remove(0);
    let fleet = Fleet::start(FleetSettings {
        nats_url: cluster.nats.url(),
        credentials: Some(cluster.crowd()),
        nodes: 5,
        connections: 1,
        name: "alarmed".to_owned(),
        tags: std::collections::BTreeMap::new(),
        script: Script::always(Outcome::NOTHING),
    })
    .await
    .unwrap();
    let (ran, gate) = (cluster.folder().join("ran"), cluster.folder().join("gate"));
    let line = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.05; done; echo finished",
        ran.display(),
        gate.display()
    );
    let mut nodes = vec![real.clone()];
    nodes.extend(fleet.ids().iter().map(ToString::to_string));
    let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
    let mut request = guarded(Api::script(&nodes, &[&line]), "TooManyErrors", false);
    request.max_concurrency = Some("1".to_owned());
    let id = api.start(request).await;
    until("the script runs", async || {
        std::fs::metadata(&ran).map_err(|error| error.to_string())
    })
    .await;
    assert!(triggered(&api.command(&id).await.unwrap()).is_empty());

    prometheus.set("firing");
    let limit = Duration::from_secs(30);
    let stopped = until_within(limit, "the command stops", async || {
        let command = api.command(&id).await.map_err(|status| status.to_string())?;
        let done = (command.status(), command.completed_count());
        match done == (CommandStatus::Cancelling, 5) {
            true => Ok(command),
            false => Err(format!("{done:?}")),
        }
    })
    .await;
    assert_eq!(triggered(&stopped), [("TooManyErrors", ExternalAlarmState::Alarm)]);
    std::fs::write(&gate, "open").unwrap();
    let command = api.ended(&id).await;
    assert_eq!(command.status_details.as_deref(), Some("Cancelled"));
    assert_eq!(triggered(&command), [("TooManyErrors", ExternalAlarmState::Alarm)]);
    let got = api.invocation(&id, &real).await.unwrap();
    assert_eq!(got.status_details.as_deref(), Some("Success"));
    assert_eq!(got.standard_output_content.as_deref(), Some("finished\n"));
    assert!(fleet.executions().is_empty());
    cluster.verify(&id);
    fleet.stop().await;
}

#[tokio::test]
async fn a_command_whose_alarm_rings_or_cannot_be_looked_up_reaches_no_node() {
    let (prometheus, address) = Prometheus::start(Some("firing")).await;
    let cluster = cluster(&[AgentSpec::default()], address).await;
    let mut api = cluster.api().await;
    let node = cluster.nodes().await.remove(0);
    let script = || Api::script(&[&node], &["true"]);
    let over = async |api: &mut Api, request| {
        let id = api.start(request).await;
        let command = api.ended(&id).await;
        assert!(api.invocations(&id).await.is_empty());
        assert_eq!(command.status(), CommandStatus::Cancelled);
        command
    };
    let command = over(&mut api, guarded(script(), "TooManyErrors", true)).await;
    assert_eq!(triggered(&command), [("TooManyErrors", ExternalAlarmState::Alarm)]);

    prometheus.set("inactive");
    let command = over(&mut api, guarded(script(), "Misspelt", false)).await;
    assert_eq!(triggered(&command), [("Misspelt", ExternalAlarmState::Unknown)]);
    for fine in [
        guarded(script(), "Misspelt", true),
        guarded(script(), "TooManyErrors", false),
    ] {
        let id = api.start(fine).await;
        assert_eq!(api.ended(&id).await.status(), CommandStatus::Success);
    }

    *prometheus.0.lock().unwrap() = None;
    let command = over(&mut api, guarded(script(), "TooManyErrors", false)).await;
    assert_eq!(triggered(&command), [("TooManyErrors", ExternalAlarmState::Unknown)]);
    let id = api.start(guarded(script(), "TooManyErrors", true)).await;
    assert_eq!(api.ended(&id).await.status(), CommandStatus::Success);
}
