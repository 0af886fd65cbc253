//! Secrets are where they belong and nowhere else (DESIGN 5, law 6): planted ones are looked for in everything that Muster
//! writes, tells and shows, with all logs at their most talkative and a service killed in between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use muster_agent::state::StateDir;
use muster_harness::until;
use muster_proto::runcommand::v1::ListCommandsRequest;
use muster_proto::runcommand::v1::run_command_client::RunCommandClient;
use muster_tests::{AgentSpec, Api, Cluster, People, SERVICES};
use tonic::metadata::MetadataValue;

use crate::authorization::signed_gateway;
use crate::registration::{Machine, activation, node_of, online, stdout};
use crate::traces::Collector;

const STORE: &str = "muster-parameter-store";
const SECURE: &str = "canary-of-a-securestring";
const REFUSED: &str = "canary-of-a-value-that-is-refused";
/// What holds secrets because it is made for that: keys, seeds and credentials, all of them for their owner alone.
const MADE_FOR_SECRETS: [&str; 3] = ["key", "seed", "creds"];

/// Secrets by what they are.
type Secrets = BTreeMap<&'static str, String>;

/// Nothing of it is in a text.
fn holds_none(secrets: &Secrets, place: &str, text: &str) {
    for (what, secret) in secrets {
        assert!(!text.contains(secret.as_str()), "{place} holds {what}");
    }
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            // Sockets hold nothing.
            false => vec![path].into_iter().filter(|path| path.is_file()).collect(),
        })
        .collect()
}

/// Is for its owner's eyes only, by its name.
pub(crate) fn is_made_for_secrets(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    MADE_FOR_SECRETS
        .iter()
        .any(|ending| name.split('.').any(|part| part == *ending))
}

/// The command lines and the environments of everything that runs here.
pub(crate) fn processes() -> Vec<(String, String)> {
    let numbers = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let all = numbers.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    let texts = all.flat_map(|entry| {
        ["cmdline", "environ"].map(|name| {
            let path = entry.path().join(name);
            // Whatever has ended meanwhile shows nothing any more.
            let text = std::fs::read(&path).unwrap_or_default();
            (path.display().to_string(), String::from_utf8_lossy(&text).into_owned())
        })
    });
    texts.collect()
}

#[tokio::test]
async fn no_secret_is_in_logs_events_traces_tables_files_or_process_lists() {
    let collector = Collector::default();
    let otlp = collector.start().await;
    let mut settings = signed_gateway().to_vec();
    for service in SERVICES.into_iter().chain([STORE]) {
        settings.push((service, "MUSTER_TELEMETRY__LOG", "trace".to_owned()));
        settings.push((service, "MUSTER_TELEMETRY__OTLP", otlp.clone()));
    }
    let bearer = (
        "muster-run-command",
        "MUSTER_SERVER__AUTHENTICATION",
        "bearer".to_owned(),
    );
    settings.push(bearer);
    let agents = [AgentSpec::tagged(&[("Role", "web")]).with("LOG", "trace")];
    let mut cluster = Cluster::start_with(&agents, &settings).await;
    cluster.add_service(STORE).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut news = cluster.bus().await.subscribe("muster.v1.event.>").await.unwrap();
    let shelf = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Some(message) = news.next().await {
            let text = String::from_utf8_lossy(&message.payload).into_owned();
            shelf.lock().unwrap().push(format!("{} {text}", message.subject));
        }
    });

    // An access key signs requests, and comes as a bearer.
    let mut people = People::new(cluster.bus().await);
    let key = people.user("ada", &["admin"]).await;
    let aws = cluster.aws().with_key(key.access_key_id(), key.secret_access_key());
    let address = format!("http://{}", cluster.address("muster-run-command"));
    let mut grpc = RunCommandClient::connect(address).await.unwrap();
    for secret in [key.secret_access_key(), "canary-of-a-wrong-bearer"] {
        let mut request = tonic::Request::new(ListCommandsRequest::default());
        let value: MetadataValue<_> = format!("Bearer {}:{secret}", key.access_key_id()).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        let is_right = secret == key.secret_access_key();
        assert_eq!(grpc.list_commands(request).await.is_ok(), is_right);
    }

    // A machine registers; a code that is wrong, and one that is right.
    let ticket = activation(&aws, &[]).await;
    let mut machine = Machine::new(&cluster, "machine");
    let wrong = machine
        .agent(
            &[
                "register",
                "--server",
                &cluster.nats.url(),
                "--ticket",
                &cluster.ticket(),
                "--activation-id",
                &ticket.id,
            ]
            .into_iter()
            .chain(["--activation-code", "-"])
            .collect::<Vec<_>>(),
            "canaryOfAWrongCode00",
        )
        .await;
    assert!(!wrong.status.success());
    let node = node_of(&stdout(&machine.register(&cluster, &ticket, &[]).await));
    machine.start();
    online(&aws, &node).await;

    // A SecureString is put, read in clear and in its history, and one is refused for its value.
    let name = ["--name", "/canary", "--type", "SecureString"];
    let put = |value: &'static str, more: &[&'static str]| {
        [&["put-parameter"], &name[..], &["--value", value], more].concat()
    };
    aws.ok(&put(SECURE, &[])).await;
    let got = aws
        .ok(&["get-parameter", "--name", "/canary", "--with-decryption"])
        .await;
    assert_eq!(got["Parameter"]["Value"], SECURE);
    aws.ok(&["get-parameter-history", "--name", "/canary", "--with-decryption"])
        .await;
    let more = ["--overwrite", "--allowed-pattern", "x"];
    let said = aws
        .refused("ParameterPatternMismatchException", &put(REFUSED, &more))
        .await;
    assert!(!said.contains(REFUSED), "{said}");

    // A command runs; a service dies and comes back; what is left is written.
    let mut api = cluster.api().await;
    let id = api.start(Api::script_for_tag("Role", "web", &["true"])).await;
    api.ended(&id).await;
    cluster.kill("muster-access");
    cluster.restart("muster-access").await;
    until("the key is known again", async || {
        let answer = aws.ssm(&["list-commands"]).await;
        if answer.code == 0 { Ok(()) } else { Err(answer.stderr) }
    })
    .await;

    let own = StateDir::at(&machine.state).credentials().unwrap().unwrap();
    let seed_of = |creds: &str| {
        let seed = creds.lines().find(|line| line.starts_with("SU"));
        seed.expect("credentials hold a seed").to_owned()
    };
    let service = std::fs::read_to_string(cluster.nats.file_of(&cluster.nats.trust().service("muster-fleet"))).unwrap();
    let keys = files(&cluster.work_keys());
    let work = keys.iter().find(|path| is_made_for_secrets(path)).unwrap();
    let secrets = Secrets::from([
        ("the secret of an access key", key.secret_access_key().to_owned()),
        ("a bearer that is wrong", "canary-of-a-wrong-bearer".to_owned()),
        ("an activation's code", ticket.code.clone()),
        ("a code that is wrong", "canaryOfAWrongCode00".to_owned()),
        ("the seed of a node", own.key().seed().expose().to_owned()),
        ("the seed of a service", seed_of(&service)),
        (
            "the seed that signs nodes",
            cluster.nats.trust().nodes_key().seed().expose().to_owned(),
        ),
        (
            "the seed that signs work",
            std::fs::read_to_string(work).unwrap().trim().to_owned(),
        ),
        ("a SecureString", SECURE.to_owned()),
        ("a value that is refused", REFUSED.to_owned()),
    ]);

    for (place, text) in processes() {
        // The test itself knows them, and so does nobody whom it started.
        holds_none(&secrets, &place, &text);
    }
    for service in SERVICES.into_iter().chain([STORE]) {
        cluster.stop(service).await;
    }
    machine.kill();
    holds_none(&secrets, "a span", &format!("{:?}", collector.spans()));
    let heard = heard.lock().unwrap().join("\n");
    for kind in ["parameter", "access", "registered"] {
        assert!(heard.contains(kind), "no event of {kind} was heard: {heard}");
    }
    holds_none(&secrets, "an event", &heard);
    let files = files(cluster.folder().path());
    let (private, open): (Vec<_>, Vec<_>) = files.iter().partition(|path| is_made_for_secrets(path));
    let logs = open
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "log"));
    assert!(logs.count() >= SERVICES.len() + 3, "{open:?}");
    for path in open {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        holds_none(&secrets, &path.display().to_string(), &text);
    }
    assert!(!private.is_empty());
}
