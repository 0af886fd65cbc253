//! Every service as a process of its own, and agents.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use muster_agent::state::StateDir;
use muster_credential::work::{AnswerKey, KeyChain};
use muster_credential::{Key, KeyKind};
use muster_harness::{Folder, NatsServer, until_within, write_private};
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_proto::fleet::v1::{DescribeInstanceInformationRequest, RegisterNodeRequest};
use muster_wire::{NatsChannel, subject};

use crate::api::Api;
use crate::aws::Aws;
use crate::process::{Process, binary, readies, ready_address};

/// The services that a command needs, in the order in which they are started; a test that needs more adds it.
pub const SERVICES: [&str; 6] = [
    "muster-access",
    "muster-fleet",
    "muster-documents",
    "muster-fan-out",
    "muster-run-command",
    "muster-gateway",
];

/// Whom [`Cluster::bus`] is of, in the account of people.
const TESTER: &str = "tester";

const START_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// A real agent.
#[derive(Debug, Clone, Default)]
pub struct AgentSpec {
    /// Its tags.
    pub tags: Vec<(&'static str, &'static str)>,
    /// Keys of its configuration, in upper case, with their values.
    pub settings: Vec<(&'static str, String)>,
}

impl AgentSpec {
    /// An agent with these tags.
    #[must_use]
    pub fn tagged(tags: &[(&'static str, &'static str)]) -> Self {
        Self {
            tags: tags.to_vec(),
            ..Self::default()
        }
    }

    /// The same agent with another setting.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((key, value.into()));
        self
    }
}

/// All services, a NATS server and real agents, each a process of its own.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: agents before services before the bus before the folder.
    agents: Vec<(AgentSpec, Process)>,
    services: BTreeMap<&'static str, Service>,
    /// Settings of single services, as variables.
    settings: Vec<(&'static str, &'static str, String)>,
    /// The bus.
    pub nats: NatsServer,
    folder: Folder,
}

#[derive(Debug)]
struct Service {
    process: Process,
    address: String,
    /// How often a former life had said that it is ready.
    readies_before: usize,
}

impl Cluster {
    /// Starts everything; when this returns every agent is online.
    pub async fn start(agents: &[AgentSpec]) -> Self {
        Self::start_with(agents, &[]).await
    }

    /// The same with settings of single services: service, variable, value.
    pub async fn start_with(agents: &[AgentSpec], settings: &[(&'static str, &'static str, String)]) -> Self {
        // Every test waits for this; on the heap its state makes none of them large.
        Box::pin(Self::begin(agents, settings)).await
    }

    async fn begin(agents: &[AgentSpec], settings: &[(&'static str, &'static str, String)]) -> Self {
        let mut cluster = Self {
            agents: Vec::new(),
            services: BTreeMap::new(),
            nats: NatsServer::start_secured().await,
            folder: Folder::new("cluster"),
            settings: settings.to_vec(),
        };
        for name in SERVICES {
            cluster.launch(name, "127.0.0.1:0");
        }
        for name in SERVICES {
            cluster.wait_for(name).await;
        }
        for (number, spec) in agents.iter().enumerate() {
            cluster.admit(number, spec).await;
            let process = cluster.launch_agent(number, spec);
            cluster.agents.push((spec.clone(), process));
        }
        cluster.wait_for_nodes(agents.len()).await;
        cluster
    }

    /// The gateway's address for AWS JSON.
    #[must_use]
    pub fn gateway(&self) -> String {
        format!("http://{}", self.address("muster-gateway"))
    }

    /// Where a service listens.
    #[must_use]
    pub fn address(&self, name: &str) -> String {
        let service = self
            .services
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not running"));
        service.address.clone()
    }

    /// A connection to the bus, as an operator.
    pub async fn bus(&self) -> async_nats::Client {
        self.nats.client().await
    }

    /// The operations, over NATS.
    pub async fn api(&self) -> Api {
        Api::new(self.nats.client().await)
    }

    /// The real `aws` command line against the gateway.
    #[must_use]
    pub fn aws(&self) -> Aws {
        Aws::new(self.gateway())
    }

    /// Checks what was recorded of a command against the laws, with `muster verify`.
    ///
    /// # Panics
    /// If a law was broken.
    pub fn verify(&self, command: &str) {
        let output = Command::new(binary("muster"))
            .args(["verify", command])
            .env("MUSTER_SERVER", self.nats.url())
            .env("MUSTER_CREDS", self.creds())
            .output()
            .expect("muster starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{complaint}");
        assert!(said.contains("entries were checked"), "{said}");
    }

    /// Puts an object into the object store of the services and the agents.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        let file = self.folder.join("objects").join(bucket).join(key);
        let parent = file.parent().expect("a key lies in a bucket");
        std::fs::create_dir_all(parent).expect("the test's own folder can be written");
        std::fs::write(file, content).expect("the test's own folder can be written");
    }

    /// The folder with the key that signs work, made at the first call.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn work_keys(&self) -> PathBuf {
        let folder = self.folder.join("work-keys");
        if !folder.exists() {
            let key = Key::generate(KeyKind::Work);
            let chain = KeyChain::begin(key.public()).expect("it is a key for work");
            std::fs::create_dir(&folder).expect("the test's own folder can be written");
            let seed = folder.join(format!("{}.seed", key.public()));
            write_private(&seed, key.seed().expose()).expect("the test's own folder can be written");
            std::fs::write(folder.join("keys.json"), chain.to_text()).expect("the test's own folder can be written");
            for service in ["documents", "parameter-store"] {
                let text = AnswerKey::make(service, &[&key]).to_text();
                write_private(&self.answer_key(service), &text).expect("the test's own folder can be written");
            }
        }
        folder
    }

    /// The file with the key that a service signs answers with.
    #[must_use]
    pub fn answer_key(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}-answers.key"))
    }

    fn objects_url(&self) -> String {
        format!("file://{}", self.folder.join("objects").display())
    }

    /// The file with an operator's credentials; its name is "tester", and it may do everything.
    #[must_use]
    pub fn creds(&self) -> PathBuf {
        self.nats.file_of(&self.nats.trust().person(TESTER))
    }

    /// A connection to the bus as the user of this name.
    pub async fn bus_as(&self, name: &str) -> async_nats::Client {
        let person = self.nats.client_as(&self.nats.trust().person(name)).await;
        person.expect("the bus takes a person")
    }

    /// The bootstrap ticket for machines without credentials.
    #[must_use]
    pub fn ticket(&self) -> String {
        self.nats.trust().ticket().token().to_owned()
    }

    /// The file with credentials of simulated agents.
    #[must_use]
    pub fn crowd(&self) -> PathBuf {
        self.nats.file_of(&self.nats.trust().crowd())
    }

    /// The test's folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Ends a service as an operator does, with SIGTERM; when this returns it has ended.
    pub async fn stop(&mut self, name: &str) {
        let service = self
            .services
            .get_mut(name)
            .unwrap_or_else(|| panic!("{name} is not running"));
        service.process.stop().await;
    }

    /// What a service logged, over all its lives.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default()
    }

    /// `kill -9`.
    pub fn kill(&mut self, name: &str) {
        let service = self
            .services
            .get_mut(name)
            .unwrap_or_else(|| panic!("{name} is not running"));
        service.process.kill();
    }

    /// Starts a service again at the address that it had.
    pub async fn restart(&mut self, name: &'static str) {
        let address = self.address(name);
        self.launch(name, &address);
        self.wait_for(name).await;
    }

    /// `kill -9` of an agent; the runners that it started live on.
    pub fn kill_agent(&mut self, number: usize) {
        self.agents[number].1.kill();
    }

    /// Starts an agent again on its state.
    pub fn restart_agent(&mut self, number: usize) {
        let spec = self.agents[number].0.clone();
        self.agents[number].1 = self.launch_agent(number, &spec);
    }

    /// Process id of an agent.
    #[must_use]
    pub fn agent_pid(&self, number: usize) -> u32 {
        self.agents[number].1.id()
    }

    /// Ids of the agents' nodes, by number.
    pub async fn nodes(&self) -> Vec<String> {
        let mut api = self.api().await;
        let mut nodes = Vec::new();
        for number in 0..self.agents.len() {
            let name = format!("agent-{number}");
            let known = api
                .fleet
                .describe_instance_information(DescribeInstanceInformationRequest {
                    max_results: Some(50),
                    ..Default::default()
                });
            let list = known
                .await
                .expect("fleet answers")
                .into_inner()
                .instance_information_list;
            let node = list.into_iter().find(|node| node.name.as_deref() == Some(&name));
            nodes.push(
                node.and_then(|node| node.instance_id)
                    .unwrap_or_else(|| panic!("{name} is not registered")),
            );
        }
        nodes
    }

    /// Starts another replica of a service, which shares the tables: the database must allow that.
    /// It is called `name` from now on.
    pub async fn add_replica(&mut self, name: &'static str, of: &'static str, database: &str) {
        let mut settings: Vec<_> = self
            .settings
            .iter()
            .filter(|(service, _, _)| *service == of)
            .cloned()
            .collect();
        settings.iter_mut().for_each(|(service, _, _)| *service = name);
        self.settings.extend(settings);
        self.settings.push((name, "MUSTER_DATABASE__URL", database.to_owned()));
        self.settings.push((name, "MUSTER_REPLICA", name.to_owned()));
        self.launch_as(name, of, "127.0.0.1:0");
        self.wait_for(name).await;
    }

    /// Starts a service that is not there from the beginning.
    pub async fn add_service(&mut self, name: &'static str) {
        self.launch(name, "127.0.0.1:0");
        self.wait_for(name).await;
    }

    fn launch(&mut self, name: &'static str, listen: &str) {
        self.launch_as(name, name, listen);
    }

    fn launch_as(&mut self, name: &'static str, program: &str, listen: &str) {
        let database = self.folder.join(format!("{name}.db"));
        let mut command = Command::new(binary(program));
        command
            .env("MUSTER_NATS__URL", self.nats.url())
            .env(
                "MUSTER_NATS__CREDENTIALS",
                self.nats.file_of(&self.nats.trust().service(program)),
            )
            .env("MUSTER_SERVER__LISTEN", listen)
            .env("MUSTER_DATABASE__URL", format!("sqlite:{}", database.display()))
            .env("MUSTER_REPLICA", "one");
        if program == "muster-documents" {
            command.env("MUSTER_SERVICE__OBJECTS__URL", self.objects_url());
        }
        if program == "muster-parameter-store" {
            command.env("MUSTER_SERVICE__KEY_FILE", self.folder.join("parameter-store.key"));
        }
        if let Some(service @ ("documents" | "parameter-store")) = program.strip_prefix("muster-") {
            let _ = self.work_keys();
            command.env("MUSTER_SERVICE__ANSWER_KEY_FILE", self.answer_key(service));
        }
        if program == "muster-fan-out" {
            command.env("MUSTER_SERVICE__WORK_KEYS_FOLDER", self.work_keys());
        }
        if program == "muster-access" {
            command
                .env("MUSTER_SERVICE__KEY_FILE", self.folder.join("access.key"))
                .env("MUSTER_SERVICE__FIRST_ADMIN", TESTER);
        }
        if program == "muster-fleet" {
            command.env("MUSTER_SERVICE__WORK_KEYS_FILE", self.work_keys().join("keys.json"));
            // The only service that signs credentials.
            let file = self.folder.join("nodes.seed");
            write_private(&file, self.nats.trust().nodes_key().seed().expose())
                .expect("the test's own folder can be written");
            command.env("MUSTER_SERVICE__NODE_KEY_FILE", file).env(
                "MUSTER_SERVICE__NODE_ACCOUNT",
                self.nats.trust().accounts().muster.as_str(),
            );
            command.env("MUSTER_SERVICE__NODE_SERVERS", format!("[{:?}]", self.nats.url()));
        }
        for (service, variable, value) in &self.settings {
            if *service == name {
                command.env(variable, value);
            }
        }
        let readies_before = readies(&self.log(name)).len();
        let process = Process::start(name, self.folder.path(), &mut command);
        let service = Service {
            process,
            address: listen.to_owned(),
            readies_before,
        };
        // What an earlier life said must not be taken for the word of this one.
        let _ = self.services.insert(name, service);
    }

    async fn wait_for(&mut self, name: &'static str) {
        let service = self
            .services
            .get_mut(name)
            .unwrap_or_else(|| panic!("{name} was not started"));
        let process = &mut service.process;
        let before = service.readies_before;
        service.address = until_within(START_LIMIT, name, async || {
            process.must_live();
            ready_address(&process.log(), before)
        })
        .await;
    }

    /// Registers an agent's machine and gives it credentials, as `muster up` does.
    async fn admit(&self, number: usize, spec: &AgentSpec) {
        let name = format!("agent-{number}");
        let state = StateDir::at(&self.folder.join(&name));
        state.prepare().expect("the test's own folder can be written");
        let identity = state.identity().expect("the test's own folder can be written");
        let request = RegisterNodeRequest {
            machine_identity: identity.machine,
            name: name.clone(),
            tags: spec
                .tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..RegisterNodeRequest::default()
        };
        // People cannot register machines by themselves: services can.
        let service = self.nats.trust().service("muster-gateway");
        let service = self.nats.client_as(&service).await.expect("the bus takes a service");
        let mut nodes = NodesClient::new(NatsChannel::new(service));
        let answer = nodes.register_node(request).await.expect("the machine is registered");
        let tags: Vec<String> = spec
            .tags
            .iter()
            .map(|(key, value)| subject::tag_hash(key, value))
            .collect();
        let creds = self.nats.trust().node(&answer.into_inner().node_id, &tags);
        std::fs::write(self.credentials(&name), creds.to_text().as_bytes())
            .expect("the test's own folder can be written");
    }

    fn credentials(&self, agent: &str) -> PathBuf {
        self.folder.join(format!("{agent}.creds"))
    }

    fn launch_agent(&self, number: usize, spec: &AgentSpec) -> Process {
        let name = format!("agent-{number}");
        let mut command = Command::new(binary("muster-agent"));
        command
            .args(["run", "--name", &name, "--server", &self.nats.url(), "--state-dir"])
            .arg(self.folder.join(&name))
            .arg("--credentials")
            .arg(self.credentials(&name))
            // A secret of the agent's own that no script may see.
            .env("AGENT_SECRET", "canary-of-the-agent")
            .env("MUSTER_AGENT__OBJECTS__URL", self.objects_url());
        for (key, value) in &spec.settings {
            command.env(format!("MUSTER_AGENT__{key}"), value);
        }
        for (key, value) in &spec.tags {
            command.args(["--tag", &format!("{key}={value}")]);
        }
        Process::start(&name, self.folder.path(), &mut command)
    }

    async fn wait_for_nodes(&mut self, count: usize) {
        let mut api = self.api().await;
        let agents = &mut self.agents;
        until_within(START_LIMIT, "all agents are online", async || {
            for (_, process) in agents.iter_mut() {
                process.must_live();
            }
            let request = DescribeInstanceInformationRequest {
                max_results: Some(50),
                ..Default::default()
            };
            let answer = api
                .fleet
                .describe_instance_information(request)
                .await
                .map_err(|error| error.to_string())?;
            let online = answer.into_inner().instance_information_list.len();
            if online >= count {
                Ok(())
            } else {
                Err(format!("{online} of {count}"))
            }
        })
        .await;
    }
}
