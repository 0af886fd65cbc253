//! Connections, the outbox, registration, doorbells (D5, D16 in small).

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use muster_harness::{NatsServer, until};
use muster_proto::agent::v1::RunStatus;
use muster_wire::subject;

use crate::agent_process::{AgentProcess, is_alive};
use crate::coordinator::Coordinator;
use crate::{Scene, work};

#[tokio::test]
async fn an_agent_registers_once_and_says_who_it_is() {
    let mut scene = Scene::start().await;
    let registrations = scene.coordinator.registrations();
    assert_eq!(registrations.len(), 1);
    assert_eq!(
        (registrations[0].name.as_str(), registrations[0].tags["Role"].as_str()),
        ("box", "Web")
    );
    assert!(registrations[0].machine_identity.len() >= 32);
    let hellos = until("the agent says hello", async || {
        let hellos = scene.coordinator.hellos();
        if hellos.is_empty() { Err("silence") } else { Ok(hellos) }
    })
    .await;
    let facts = hellos[0].facts.clone().unwrap();
    assert_eq!(facts.platform_type, "Linux");
    assert_eq!(facts.agent_version, muster_agent::facts::VERSION);

    scene.agent.kill();
    scene.launch_again().await;
    assert_eq!(scene.coordinator.registrations().len(), 1, "it knows who it is");
}

#[tokio::test]
async fn a_result_that_was_made_during_a_network_cut_arrives_soon_after_it() {
    let mut scene = Scene::start().await;
    let go = scene.agent.scratch("go");
    let run = scene
        .coordinator
        .send(&work::script(&[&work::wait_for(&go), "echo done"]))
        .await;
    let runner = scene.agent.runner(run).await;
    scene.nats.kill();
    std::fs::write(&go, "").unwrap();
    until(
        "the runner ends",
        async || if is_alive(runner) { Err("alive") } else { Ok(()) },
    )
    .await;
    assert!(scene.coordinator.records(run).iter().all(|record| record.sequence < 2));

    let before = scene.coordinator.pulls();
    scene.nats.restart().await;
    scene.coordinator.pulled_times(before + 1).await;
    let back = Instant::now();
    let ended = scene.coordinator.end(run).await;
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
    assert_eq!(
        (ended.status(), ended.step().stdout.as_str()),
        (RunStatus::Success, "done\n")
    );
}

#[tokio::test]
async fn a_result_is_kept_until_it_is_confirmed() {
    let mut scene = Scene::start().await;
    scene.coordinator.set_deaf(true);
    let run = scene.coordinator.send(&work::script(&["echo done"])).await;
    let log = scene.agent.state().journal().open_log(run);
    until("the run is over", async || match muster_agent::journal::read(&log) {
        Ok(history) if history.is_finished() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    scene.agent.kill();
    scene.coordinator.set_deaf(false);
    scene.agent.launch();
    assert_eq!(scene.coordinator.end(run).await.step().stdout, "done\n");
}

#[tokio::test]
async fn a_short_run_is_one_request_in_the_trace_of_its_command() {
    let scene = Scene::start().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", trace);
    let run = scene.coordinator.send_with(&work::script(&["true"]), headers).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.records.len(), 3);
    let replies = scene.coordinator.replies(run);
    assert_eq!(replies.len(), 1, "start and end travel together");
    assert_eq!(replies[0].1.as_deref(), Some(trace));
}

#[tokio::test]
async fn the_start_of_a_long_step_is_told_while_it_runs() {
    let scene = Scene::start().await;
    let go = scene.agent.scratch("go");
    let run = scene.coordinator.send(&work::script(&[&work::wait_for(&go)])).await;
    until("the start is told", async || {
        let records = scene.coordinator.records(run);
        if records.len() == 1 { Ok(()) } else { Err(records) }
    })
    .await;
    std::fs::write(&go, "").unwrap();
    assert!(scene.coordinator.end(run).await.is_complete());
}

#[tokio::test]
async fn a_doorbell_makes_the_agent_pull() {
    let scene = Scene::start().await;
    let bell = subject::tag("Role", "Web");
    let before = scene.coordinator.pulls();
    until("the agent pulls", async || {
        // It listens to the bell only after the answer to its hello.
        scene.coordinator.client.publish(bell.clone(), "".into()).await.unwrap();
        let pulls = scene.coordinator.pulls();
        if pulls > before + 1 { Ok(()) } else { Err(pulls) }
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_starts_before_everything_else_finds_it_later() {
    let mut nats = NatsServer::start().await;
    nats.kill();
    let agent = AgentProcess::start(&nats.url(), "");
    until("it has tried in vain", async || {
        let log = agent.log();
        if log.contains("no connection yet") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    nats.restart().await;
    let coordinator = Coordinator::start(&nats).await;
    coordinator.pulled().await;
    let run = coordinator.send(&work::script(&["echo here"])).await;
    assert_eq!(coordinator.end(run).await.step().stdout, "here\n");
}

#[tokio::test]
async fn a_configuration_is_read_again_at_sighup_and_a_bad_one_is_not_taken() {
    let scene = Scene::with_settings("region = \"one\"").await;
    let region = async || {
        let run = scene
            .coordinator
            .send(&work::script(&["echo $AWS_SSM_REGION_NAME"]))
            .await;
        scene.coordinator.end(run).await.step().stdout.clone()
    };
    assert_eq!(region().await, "one\n");
    scene.agent.set_config("region = \"two\"");
    until("the new region applies", async || {
        let region = region().await;
        if region == "two\n" { Ok(()) } else { Err(region) }
    })
    .await;
    scene.agent.set_config("region = 3");
    until("the bad file is noticed", async || {
        let log = scene.agent.log();
        if log.contains("the last good one applies") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    assert_eq!(region().await, "two\n");
    assert!(is_alive(crate::agent_process::pid(scene.agent.pid())));
}

/// A network of its own, in which nothing is up yet, not even the loopback, and a NATS server in it.
struct Network {
    holder: Child,
    server: Option<Child>,
}

impl Network {
    /// `None`: only root can make one.
    async fn make() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let mut holder = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().ok()?;
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let place = format!("/proc/{}/ns/net", holder.id());
        let is_made = until("the network is made or refused", async || {
            match (holder.try_wait().unwrap(), std::fs::read_link(&place)) {
                (Some(_), _) => Ok(false),
                (None, Ok(made)) if made != own => Ok(true),
                other => Err(other),
            }
        })
        .await;
        let mut network = Self { holder, server: None };
        let server = std::env::var("MUSTER_NATS_SERVER").unwrap_or_else(|_| "nats-server".to_owned());
        // Only here are addresses that do not exist no reason not to begin.
        network.server = network
            .command(&[server.as_str(), "-a", "0.0.0.0", "-p", "4222"])
            .stderr(Stdio::null())
            .spawn()
            .ok();
        is_made.then_some(network)
    }

    /// What starts a program in it.
    fn entrance(&self) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net=/proc/{}/ns/net", self.holder.id())]
    }

    fn command(&self, words: &[&str]) -> Command {
        let entrance = self.entrance();
        let mut command = Command::new(&entrance[0]);
        command.args(&entrance[1..]).args(words);
        command
    }

    fn ip(&self, words: &str) {
        let words: Vec<&str> = std::iter::once("ip").chain(words.split(' ')).collect();
        assert!(self.command(&words).status().unwrap().success(), "{words:?}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for child in [Some(&mut self.holder), self.server.as_mut()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[tokio::test]
async fn a_network_that_comes_back_ends_the_wait_for_a_connection() {
    let Some(network) = Network::make().await else {
        println!("no network can be made here: see `daemon::reconnect` for the waits");
        return;
    };
    let agent = AgentProcess::start_within(network.entrance(), "nats://127.0.0.1:4222", "");
    until("its waits have become long", async || {
        let log = agent.log();
        if log.contains("\"attempt\":4") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    let before = agent.log().len();
    network.ip("link set lo up");
    until("it is connected", async || {
        let report = agent.state().report();
        let is_connected = report.as_ref().is_some_and(|report| report.is_connected);
        if is_connected { Ok(()) } else { Err(report) }
    })
    .await;
    let log = agent.log().split_off(before);
    let anew = log.lines().skip_while(|line| !line.contains("the network has changed"));
    let attempts: Vec<&str> = anew.filter(|line| line.contains("no connection yet")).collect();
    assert!(
        attempts.first().is_some_and(|line| line.contains("\"attempt\":1,")),
        "the waits begin anew: {log}"
    );
    assert!(attempts.len() <= 3, "and few are needed: {log}");
}

#[tokio::test]
async fn a_connection_from_an_address_that_has_gone_is_given_up_soon() {
    let Some(network) = Network::make().await else {
        println!("no network can be made here");
        return;
    };
    network.ip("link set lo up");
    network.ip("address add 10.99.0.1/32 dev lo");
    let settings = "[nats]\ninsecure = true\n";
    let mut agent = AgentProcess::start_within(network.entrance(), "nats://10.99.0.1:4222", settings);
    // Nobody registers anybody here.
    let state = agent.state();
    until("it has a state directory", async || {
        state.known_identity().ok().flatten().ok_or("not yet")
    })
    .await;
    agent.kill();
    let mut identity = state.identity().unwrap();
    identity.node = Some(muster_model::NodeId::random());
    state.set_identity(&identity).unwrap();
    agent.launch();
    until("it has said hello", async || {
        let log = agent.log();
        if log.contains("nobody answers the hello yet") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;

    let cut = Instant::now();
    network.ip("address add 10.99.1.1/32 dev lo");
    network.ip("address del 10.99.0.1/32 dev lo");
    until("it gives the connection up", async || {
        let log = agent.log();
        let is_noticed = log.contains("the connection has not survived the change of the network")
            && log.lines().rev().any(|line| line.contains("connection lost"));
        if is_noticed { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(cut.elapsed() < Duration::from_secs(30), "{:?}", cut.elapsed());
    let before = agent.log().len();
    network.ip("address add 10.99.0.1/32 dev lo");
    until("it is back", async || {
        let log = agent.log().split_off(before);
        if log.contains("\"message\":\"connected\"") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
}
