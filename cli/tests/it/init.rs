//! `muster init` and `muster nats`, against a real NATS server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use async_nats::connection::State;
use muster_harness::{Folder, until};

use crate::server::{Server, init};

/// All files with their contents.
fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push((path.display().to_string(), fs::read(&path).unwrap())),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_is_made_is_private_and_a_second_call_changes_nothing() {
    let folder = Folder::new("init");
    let first = init(&folder, &[]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let root = folder.join("trust");
    for (path, _) in files(&root) {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{path}");
    }
    assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
    // Nothing that is printed is a seed.
    for (path, content) in files(&root.join("keys")) {
        let seed = String::from_utf8(content).unwrap();
        assert!(
            !format!("{}{}", first.stdout, first.stderr).contains(seed.trim()),
            "{path}"
        );
    }
    let before = files(&root);
    let second = init(&folder, &[]);
    assert_eq!(second.code, 0);
    assert!(second.stderr.contains("nothing was changed"), "{}", second.stderr);
    assert_eq!(files(&root), before);
}

#[test]
fn a_start_that_was_interrupted_is_taken_up_with_the_same_keys() {
    let folder = Folder::new("init");
    assert_eq!(init(&folder, &[]).code, 0);
    let root = folder.join("trust");
    let kept = fs::read(root.join("keys/MUSTER.seed")).unwrap();
    // As after a crash: some keys, no credentials, no configuration, not complete.
    fs::remove_dir_all(root.join("creds")).unwrap();
    fs::remove_file(root.join("nats.conf")).unwrap();
    fs::remove_file(root.join("keys/nodes.seed")).unwrap();
    let record = root.join("trust.json");
    let text = fs::read_to_string(&record)
        .unwrap()
        .replace("\"complete\": true", "\"complete\": false");
    fs::write(&record, text).unwrap();
    let again = init(&folder, &[]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(fs::read(root.join("keys/MUSTER.seed")).unwrap(), kept);
    assert!(root.join("creds/muster-fleet.creds").is_file() && root.join("nats.conf").is_file());
}

#[test]
fn a_folder_that_is_somebody_else_s_or_was_begun_otherwise_is_refused() {
    let folder = Folder::new("init");
    fs::create_dir(folder.join("trust")).unwrap();
    fs::write(folder.join("trust/mine.txt"), "mine").unwrap();
    let refused = init(&folder, &[]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.complaint().contains("holds something else"),
        "{}",
        refused.stderr
    );
    assert_eq!(files(&folder.join("trust")).len(), 1);

    let folder = Folder::new("init");
    assert_eq!(init(&folder, &[]).code, 0);
    let refused = init(&folder, &["--operator", "mia"]);
    assert_eq!(refused.code, 1);
    assert!(refused.complaint().contains("the operator was"), "{}", refused.stderr);
}

#[test]
fn a_lost_key_is_not_replaced_and_an_open_one_not_used() {
    let folder = Folder::new("init");
    assert_eq!(init(&folder, &[]).code, 0);
    let seed = folder.join("trust/keys/nodes.seed");
    fs::set_permissions(&seed, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = init(&folder, &[]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.complaint().contains("may be read by others"),
        "{}",
        refused.stderr
    );
    fs::remove_file(&seed).unwrap();
    let refused = init(&folder, &[]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.complaint().contains("nodes.seed is not there"),
        "{}",
        refused.stderr
    );
    assert!(!seed.exists());
}

#[test]
fn every_address_of_a_machine_needs_a_name_for_the_certificate() {
    let folder = Folder::new("init");
    let refused = init(&folder, &["--listen", "0.0.0.0:4222"]);
    assert_eq!(refused.code, 2);
    assert!(refused.complaint().contains("--host"), "{}", refused.stderr);
    assert!(!folder.join("trust").exists());
}

#[tokio::test]
async fn the_server_it_configures_is_healthy_and_its_keys_can_be_changed() {
    let server = Server::start(&[]).await;
    let doctor = server.nats(&["doctor", "--nodes", "9000"]);
    assert_eq!(doctor.code, 0, "{}{}", doctor.stdout, doctor.stderr);
    for told in [
        "clock",
        "resolver",
        "max_control_line",
        "max_payload",
        "max_connections",
        "max_consumers",
    ] {
        assert!(doctor.stdout.contains(told), "{}", doctor.stdout);
    }
    let doctor = server.nats(&["doctor", "--nodes", "90000"]);
    assert_eq!(doctor.code, 1);
    assert!(doctor.stdout.contains("FAIL  max_connections"), "{}", doctor.stdout);

    assert!(server.nats(&["push"]).stderr.contains("as they should be"));
    let seed = server.folder.join("trust/keys/nodes.seed");
    let before = fs::read_to_string(&seed).unwrap();
    let rotated = server.nats(&["rotate-scope"]);
    assert_eq!(rotated.code, 0, "{}", rotated.stderr);
    assert!(rotated.stderr.contains("signs nodes from now on"), "{}", rotated.stderr);
    assert_ne!(fs::read_to_string(&seed).unwrap(), before);
    // The account believes both; nothing is left to be pushed.
    assert!(server.nats(&["push"]).stderr.contains("as they should be"));
    // Once its time is over the next push removes the old one.
    let record = server.folder.join("trust/trust.json");
    let mut chosen: serde_json::Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    assert_eq!(chosen["retiring"].as_array().unwrap().len(), 1);
    chosen["retiring"][0]["remove_after"] = 0.into();
    fs::write(&record, chosen.to_string()).unwrap();
    assert!(server.nats(&["push"]).stderr.contains("has taken MUSTER"));
}

#[tokio::test]
async fn a_leaked_key_is_believed_no_longer_and_its_nodes_are_cut_off_at_once() {
    let server = Server::start(&[]).await;
    let cut = server.connect(&server.node("mi-0123456789abcdef0")).await.unwrap();
    let before = server.node("mi-0123456789abcdef1");
    let operator = server.connect(&server.creds("operator")).await.unwrap();
    let rotated = server.nats(&["rotate-scope", "--now"]);
    assert_eq!(rotated.code, 0, "{}", rotated.stderr);
    assert!(
        rotated.stderr.contains("is not believed any more"),
        "{}",
        rotated.stderr
    );
    until("the node is cut off", async || match cut.connection_state() {
        State::Connected => Err("it is connected"),
        _ => Ok(()),
    })
    .await;
    assert!(server.connect(&before).await.is_err());
    // Whom the new key signs is let in, and nobody else felt anything.
    server.connect(&server.node("mi-0123456789abcdef1")).await.unwrap();
    assert_eq!(operator.connection_state(), State::Connected);
    assert!(server.nats(&["push"]).stderr.contains("as they should be"));
}

#[tokio::test]
async fn with_tls_the_server_is_known_by_its_own_authority_only() {
    let server = Server::start(&["--tls"]).await;
    let doctor = server.nats(&["doctor"]);
    assert_eq!(doctor.code, 0, "{}{}", doctor.stdout, doctor.stderr);
    assert!(
        doctor.stdout.contains("tls                required"),
        "{}",
        doctor.stdout
    );
    let creds = server.creds("operator");
    let connect = |authority: Option<&str>| {
        let options = async_nats::ConnectOptions::with_credentials(&creds.to_text()).unwrap();
        let options = match authority {
            Some(file) => options.add_root_certificates(server.folder.join(file)),
            None => options,
        };
        options.require_tls(true).connect(format!("tls://{}", server.address))
    };
    connect(Some("trust/tls/ca.pem")).await.unwrap();
    assert!(connect(None).await.is_err());
    // A certificate that was lost is made again by the same authority.
    fs::remove_file(server.folder.join("trust/tls/server.pem")).unwrap();
    let said = init(&server.folder, &["--listen", &server.address, "--tls"]);
    assert!(
        said.stderr.contains("tls/server.pem") && !said.stderr.contains("ca"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn the_server_takes_websocket_where_it_is_told_to() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let listen = format!("127.0.0.1:{port}");
    let server = Server::start(&["--tls", "--websocket", &listen]).await;
    let trust = server.folder.join("trust");
    let settings = |url: String| muster_boot::NatsSettings {
        credentials: trust.join("creds/muster-documents.creds"),
        ca: trust.join("tls/ca.pem"),
        ..muster_boot::NatsSettings::open(&url)
    };
    let bus = muster_boot::connect_now("test", &settings(format!("wss://localhost:{port}"))).await;
    bus.unwrap().flush().await.unwrap();
    // Whoever is not known by the authority is not spoken to.
    let stranger = Folder::new("stranger");
    assert_eq!(init(&stranger, &["--tls"]).code, 0);
    let wrong = muster_boot::NatsSettings {
        ca: stranger.join("trust/tls/ca.pem"),
        ..settings(format!("wss://localhost:{port}"))
    };
    assert!(muster_boot::connect_now("test", &wrong).await.is_err());

    let folder = Folder::new("init");
    let refused = init(&folder, &["--websocket", "0.0.0.0:443"]);
    assert!(
        refused.code != 0 && refused.stderr.contains("is not encrypted"),
        "{}",
        refused.stderr
    );
}

/// A server with its accounts in the configuration learns of a revocation by nothing less than a new one.
#[tokio::test]
async fn a_server_to_which_nothing_can_be_pushed_is_found() {
    let mut server = Server::start(&[]).await;
    let conf = server.folder.join("trust/nats.conf");
    let text = fs::read_to_string(&conf).unwrap();
    let in_memory = text.lines().map(|line| match line.starts_with("resolver {") {
        true => "resolver: MEMORY",
        false => line,
    });
    fs::write(&conf, in_memory.collect::<Vec<_>>().join("\n")).unwrap();
    server.restart(false).await;
    let doctor = server.nats(&["doctor"]);
    assert_eq!(doctor.code, 1, "{}{}", doctor.stdout, doctor.stderr);
    assert!(doctor.stdout.contains("FAIL  resolver"), "{}", doctor.stdout);
}

/// Each step leaves what the next call goes on with.
#[tokio::test]
async fn a_change_of_the_key_for_nodes_that_was_interrupted_is_taken_up() {
    let server = Server::start(&[]).await;
    let keys = server.folder.join("trust/keys");
    let before = fs::read_to_string(keys.join("nodes.seed")).unwrap();
    let node = server.node("mi-0123456789abcdef0");
    // As after a crash behind the first step: the new key is made, and nobody knows it.
    let next = muster_credential::Key::generate(muster_credential::KeyKind::Account);
    fs::write(keys.join("nodes-next.seed"), next.seed().expose()).unwrap();
    fs::set_permissions(keys.join("nodes-next.seed"), fs::Permissions::from_mode(0o600)).unwrap();
    let rotated = server.nats(&["rotate-scope"]);
    assert_eq!(rotated.code, 0, "{}", rotated.stderr);
    assert!(rotated.stderr.contains("start fleet anew"), "{}", rotated.stderr);
    let after = fs::read_to_string(keys.join("nodes.seed")).unwrap();
    assert_ne!(before, after);
    assert_eq!(after.trim(), next.seed().expose(), "it is the one that was made");
    // Nodes of both get in.
    server.connect(&node).await.unwrap();
    server.connect(&server.node("mi-0123456789abcdef1")).await.unwrap();
}
