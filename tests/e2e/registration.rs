//! A machine becomes a node by an activation: the real `aws` command line, real agents, real services.

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use muster_agent::state::StateDir;
use muster_credential::layout::NodeClaims;
use muster_credential::work::KeyChain;
use muster_harness::{until, until_within};
use muster_tests::{Aws, Cluster, binary};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A machine with an agent's state directory.
pub(crate) struct Machine {
    pub(crate) state: PathBuf,
    pub(crate) log: PathBuf,
    agent: Option<Child>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

impl Machine {
    pub(crate) fn new(cluster: &Cluster, name: &str) -> Self {
        Self {
            state: cluster.folder().join(name),
            log: cluster.folder().join(format!("{name}.log")),
            agent: None,
        }
    }

    /// Runs a verb of the agent with this on its standard input.
    pub(crate) async fn agent(&self, words: &[&str], input: &str) -> Output {
        let mut child = Command::new(binary("muster-agent"))
            .args(words)
            .arg("--state-dir")
            .arg(&self.state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who refuses before it has read has closed it perhaps.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        child.wait_with_output().await.unwrap()
    }

    /// `register` with an activation; more words may follow.
    pub(crate) async fn register(&self, cluster: &Cluster, ticket: &Ticket, more: &[&str]) -> Output {
        let (server, boot) = (cluster.nats.url(), cluster.ticket());
        let mut words = vec!["register", "--server", &server, "--activation-id", &ticket.id];
        words.extend(["--activation-code", "-", "--ticket", &boot]);
        words.extend(more);
        self.agent(&words, &ticket.code).await
    }

    /// `register` at this address, in the same way.
    pub(crate) async fn register_at(&self, server: &str, cluster: &Cluster, ticket: &Ticket) -> Output {
        let boot = cluster.ticket();
        let mut words = vec!["register", "--server", server, "--activation-id", &ticket.id];
        words.extend(["--activation-code", "-", "--ticket", &boot, "--wait", "5"]);
        self.agent(&words, &ticket.code).await
    }

    /// Starts the agent without telling it where the server is: it was registered there.
    pub(crate) fn start(&mut self) {
        let log = std::fs::File::create(&self.log).unwrap();
        let child = std::process::Command::new(binary("muster-agent"))
            .args(["run", "--state-dir"])
            .arg(&self.state)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.agent = Some(child);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// Nothing that the agent wrote holds this.
    fn holds_no(&self, secret: &str) {
        holds_no(&self.state, secret);
        assert!(!std::fs::read_to_string(&self.log).unwrap_or_default().contains(secret));
    }
}

fn holds_no(folder: &Path, secret: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds_no(&path, secret);
        } else if let Ok(bytes) = std::fs::read(&path) {
            assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{}", path.display());
        }
    }
}

/// Id and code of an activation.
pub(crate) struct Ticket {
    pub(crate) id: String,
    pub(crate) code: String,
}

pub(crate) async fn activation(aws: &Aws, more: &[&str]) -> Ticket {
    let mut words = vec!["create-activation", "--iam-role", "SSMServiceRole"];
    words.extend(more);
    let made = aws.ok(&words).await;
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Ticket {
        id: text("ActivationId"),
        code: text("ActivationCode"),
    }
}

pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The id in "this machine is node mi-… now".
pub(crate) fn node_of(said: &str) -> String {
    let word = said.split_whitespace().find(|word| word.starts_with("mi-"));
    word.unwrap_or_else(|| panic!("no node in {said:?}")).to_owned()
}

pub(crate) async fn online(aws: &Aws, node: &str) -> Value {
    until("the node is online", async || {
        let filter = format!("Key=InstanceIds,Values={node}");
        let list = aws.ok(&["describe-instance-information", "--filters", &filter]).await;
        let shown = list["InstanceInformationList"][0].clone();
        match shown["PingStatus"] == json!("Online") {
            true => Ok(shown),
            false => Err(list),
        }
    })
    .await
}

#[tokio::test]
async fn a_machine_becomes_a_node_is_put_out_and_comes_back() {
    let tagging = ("muster-fleet", "MUSTER_SERVICE__MACHINE_TAGS", "true".to_owned());
    let cluster = Cluster::start_with(&[], &[tagging]).await;
    let aws = cluster.aws();
    let ticket = activation(
        &aws,
        &["--default-instance-name", "web", "--tags", "Key=Role,Value=web"],
    )
    .await;
    let mut machine = Machine::new(&cluster, "machine");

    let wrong = Ticket {
        id: ticket.id.clone(),
        code: "0000000000WRONG00000".to_owned(),
    };
    let refused = machine.register(&cluster, &wrong, &[]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("does not let this machine in"),
        "{said}"
    );
    assert!(!said.contains(&wrong.code), "{said}");

    let said = stdout(&machine.register(&cluster, &ticket, &["--tag", "Rack=7"]).await);
    let node = node_of(&said);
    let said = stdout(&machine.register(&cluster, &ticket, &[]).await);
    assert!(said.contains("already") && node_of(&said) == node, "{said}");
    machine.start();
    let shown = online(&aws, &node).await;
    assert_eq!(
        (&shown["ActivationId"], &shown["IamRole"], &shown["Name"]),
        (&json!(ticket.id), &json!("SSMServiceRole"), &json!("web"))
    );
    let tags = aws
        .ok(&[
            "list-tags-for-resource",
            "--resource-type",
            "ManagedInstance",
            "--resource-id",
            &node,
        ])
        .await;
    assert_eq!(
        tags["TagList"],
        json!([{"Key": "Rack", "Value": "7"}, {"Key": "Role", "Value": "web"}])
    );

    // A command reaches it by a tag that it got with its credentials.
    let sent = aws
        .ok(&[
            "send-command",
            "--document-name",
            "AWS-RunShellScript",
            "--targets",
            "Key=tag:Rack,Values=7",
            "--parameters",
            "commands=true",
        ])
        .await;
    let command = sent["Command"]["CommandId"].as_str().unwrap();
    aws.ok(&[
        "wait",
        "command-executed",
        "--command-id",
        command,
        "--instance-id",
        &node,
    ])
    .await;

    // Another tag: new credentials, and a new connection within the minute.
    let connections = |machine: &Machine| {
        let log = std::fs::read_to_string(&machine.log).unwrap();
        log.matches("\"message\":\"connected\"").count()
    };
    let before = connections(&machine);
    aws.ok(&[
        "add-tags-to-resource",
        "--resource-type",
        "ManagedInstance",
        "--resource-id",
        &node,
        "--tags",
        "Key=Env,Value=prod",
    ])
    .await;
    until_within(Duration::from_secs(90), "the connection is a new one", async || {
        let creds = StateDir::at(&machine.state).credentials().unwrap().unwrap();
        let tags = creds.claims().body.tags.len();
        let connections = connections(&machine);
        (tags == 3 && connections > before)
            .then_some(())
            .ok_or((tags, connections))
    })
    .await;
    online(&aws, &node).await;

    // A machine without an activation stays outside: the bus does not know it.
    let mut stranger = Machine::new(&cluster, "stranger");
    let server = cluster.nats.url();
    std::fs::create_dir(&stranger.state).unwrap();
    std::fs::write(
        stranger.state.join("node.json"),
        json!({"machine": "x", "server": server}).to_string(),
    )
    .unwrap();
    stranger.start();
    until("it says so", async || {
        let log = std::fs::read_to_string(&stranger.log).unwrap();
        log.contains("the server refuses this node's credentials")
            .then_some(())
            .ok_or(log)
    })
    .await;
    let shown = aws.ok(&["describe-instance-information"]).await;
    assert_eq!(shown["InstanceInformationList"].as_array().unwrap().len(), 1);

    // Away for longer than its credentials live, it gets new ones for its key.
    machine.kill();
    let state = StateDir::at(&machine.state);
    let key = state.credentials().unwrap().unwrap().key().clone();
    let trust = cluster.nats.trust();
    let ended = NodeClaims {
        node: &node,
        tags: Vec::new(),
        now: 1_000,
        life: 60,
    };
    let ended = ended.creds(key, &trust.accounts().muster, trust.nodes_key()).unwrap();
    state.set_credentials(&ended).unwrap();
    machine.start();
    until("it is connected with new credentials", async || {
        let log = std::fs::read_to_string(&machine.log).unwrap();
        let is_back = log.contains("\"message\":\"connected\"");
        is_back.then_some(()).ok_or(log)
    })
    .await;
    assert!(state.credentials().unwrap().unwrap().claims().issued_at > 1_000);

    // Put out, the agent goes on quietly and says so; a new activation brings the machine back as another node.
    aws.ok(&["deregister-managed-instance", "--instance-id", &node]).await;
    machine.kill();
    machine.start();
    until("it says so", async || {
        let status = stdout(&machine.agent(&["status"], "").await);
        status.contains("deregistered").then_some(()).ok_or(status)
    })
    .await;
    assert!(
        machine.agent.as_mut().unwrap().try_wait().unwrap().is_none(),
        "it keeps running"
    );
    let second = activation(&aws, &[]).await;
    let again = node_of(&stdout(&machine.register(&cluster, &second, &["--force"]).await));
    assert_ne!(again, node);
    // The agent that runs goes over to the new node by itself.
    online(&aws, &again).await;

    for code in [&ticket.code, &second.code] {
        machine.holds_no(code);
        for name in muster_tests::SERVICES {
            assert!(!cluster.log(name).contains(code), "the log of {name} holds a code");
        }
    }
}

#[tokio::test]
async fn a_machine_registers_over_https_and_finds_the_bus_by_what_it_is_told() {
    let cluster = Cluster::start(&[]).await;
    let aws = cluster.aws();
    let ticket = activation(&aws, &["--default-instance-name", "web"]).await;
    let mut machine = Machine::new(&cluster, "machine");
    let gateway = cluster.gateway();
    let register = async |code: &str| {
        let words = [
            "register",
            "--url",
            &gateway,
            "--activation-id",
            &ticket.id,
            "--activation-code",
            "-",
        ];
        machine.agent(&words, code).await
    };
    let refused = register("0000000000WRONG00000").await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("does not let this machine in"),
        "{said}"
    );
    let node = node_of(&stdout(&register(&ticket.code).await));
    let chain = std::fs::read_to_string(cluster.work_keys().join("keys.json")).unwrap();
    let keys = KeyChain::parse(&chain).unwrap().at(1).clone();
    let pinned = StateDir::at(&machine.state).work_keys().unwrap();
    assert_eq!(
        pinned,
        Some(keys),
        "it knows whose work it carries out before it has met the coordinator"
    );
    machine.start();
    let shown = online(&aws, &node).await;
    assert_eq!(
        (&shown["Name"], &shown["ActivationId"]),
        (&json!("web"), &json!(ticket.id))
    );

    // Away for longer than its credentials live, it gets new ones at the gateway for its key.
    machine.kill();
    let state = StateDir::at(&machine.state);
    let key = state.credentials().unwrap().unwrap().key().clone();
    let trust = cluster.nats.trust();
    let ended = NodeClaims {
        node: &node,
        tags: Vec::new(),
        now: 1_000,
        life: 60,
    };
    let ended = ended.creds(key, &trust.accounts().muster, trust.nodes_key()).unwrap();
    state.set_credentials(&ended).unwrap();
    machine.start();
    until("it is connected with new credentials", async || {
        let log = std::fs::read_to_string(&machine.log).unwrap();
        let is_back = log.contains("\"message\":\"connected\"");
        is_back.then_some(()).ok_or(log)
    })
    .await;
    assert!(state.credentials().unwrap().unwrap().claims().issued_at > 1_000);
    machine.holds_no(&ticket.code);
    for name in muster_tests::SERVICES {
        assert!(
            !cluster.log(name).contains(&ticket.code),
            "the log of {name} holds a code"
        );
    }
}

#[tokio::test]
async fn a_code_is_not_sent_in_clear_to_another_machine() {
    let folder = muster_harness::Folder::new("in-clear");
    let machine = Machine {
        state: folder.join("machine"),
        log: folder.join("machine.log"),
        agent: None,
    };
    for place in [
        ["--server", "nats://192.0.2.1:4222"],
        ["--url", "http://192.0.2.1:8686"],
    ] {
        let words = [
            "register",
            place[0],
            place[1],
            "--activation-id",
            "a",
            "--activation-code",
            "-",
            "--wait",
            "1",
        ];
        let refused = machine.agent(&words, "TopSecretTopSecret00").await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            said.contains("is not encrypted") && said.contains("--insecure"),
            "{said}"
        );
        let words: Vec<&str> = words.into_iter().chain(["--insecure"]).collect();
        let refused = machine.agent(&words, "TopSecretTopSecret00").await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains("nobody has answered"),
            "{said}"
        );
    }
}
