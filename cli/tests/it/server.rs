//! A NATS server that `muster init` has configured.

use std::fs;
use std::process::{Child, Command, Stdio};

use async_nats::{Client, ConnectError, ConnectOptions};
use muster_credential::layout::NodeClaims;
use muster_credential::{Claims, Creds, Key, KeyKind, UserClaims};
use muster_harness::{Folder, until};
use muster_model::{Clock as _, SystemClock};

use crate::program::{Said, muster};

/// `muster init` in a folder.
pub(crate) fn init(folder: &Folder, words: &[&str]) -> Said {
    let mut command = muster(folder.path());
    command.arg("init").arg(folder.join("trust")).args(words);
    Said::of(&command.output().unwrap())
}

/// A server that `muster init` has configured.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
    pub(crate) folder: Folder,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// Makes the folder, and starts a NATS server with the configuration in it.
    pub(crate) async fn start(words: &[&str]) -> Self {
        let folder = Folder::new("init");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        let said = init(&folder, &[&["--listen", &address], words].concat());
        assert_eq!(said.code, 0, "{}", said.stderr);
        drop(free);
        Self {
            process: launch(&folder, &address).await,
            address,
            folder,
        }
    }

    /// Kills it and starts it again; without what was pushed to it, if that is lost.
    pub(crate) async fn restart(&mut self, is_lost: bool) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        if is_lost {
            fs::remove_dir_all(self.folder.join("trust/nats/resolver")).unwrap();
        }
        self.process = launch(&self.folder, &self.address).await;
    }

    /// `muster nats` with these words.
    pub(crate) fn nats(&self, words: &[&str]) -> Said {
        let mut command = muster(self.folder.path());
        command.arg("nats").args(words).arg(self.folder.join("trust"));
        Said::of(&command.output().unwrap())
    }

    /// A key of the folder.
    pub(crate) fn key(&self, name: &str) -> Key {
        let seed = fs::read_to_string(self.folder.join(format!("trust/keys/{name}.seed"))).unwrap();
        Key::from_seed(&seed, KeyKind::Account).unwrap()
    }

    /// Credentials of a node with a key of its own.
    pub(crate) fn node(&self, node: &str) -> Creds {
        self.node_with(node, Key::generate(KeyKind::User))
    }

    /// Credentials with any name, as the scoped key can sign them, and Muster never does.
    pub(crate) fn anybody(&self, name: &str) -> Creds {
        let key = Key::generate(KeyKind::User);
        let claims = Claims {
            name: name.to_owned(),
            subject: key.public().clone(),
            issued_at: SystemClock.now().as_second(),
            expires_at: None,
            body: UserClaims::scoped(self.key("MUSTER").public().clone(), Vec::new()),
        };
        Creds::new(claims.sign(&self.key("nodes")).unwrap(), key).unwrap()
    }

    /// Credentials of a node with this key.
    pub(crate) fn node_with(&self, node: &str, key: Key) -> Creds {
        let claims = NodeClaims {
            node,
            tags: Vec::new(),
            now: SystemClock.now().as_second(),
            life: 24 * 60 * 60,
        };
        claims
            .creds(key, self.key("MUSTER").public(), &self.key("nodes"))
            .unwrap()
    }

    pub(crate) async fn connect(&self, creds: &Creds) -> Result<Client, ConnectError> {
        let options = ConnectOptions::with_credentials(&creds.to_text()).unwrap();
        options.custom_inbox_prefix(creds.inbox()).connect(&self.address).await
    }

    /// Credentials that `muster init` made.
    pub(crate) fn creds(&self, user: &str) -> Creds {
        Creds::parse(&fs::read_to_string(self.folder.join(format!("trust/creds/{user}.creds"))).unwrap()).unwrap()
    }
}

async fn launch(folder: &Folder, address: &str) -> Child {
    let program = std::env::var_os("MUSTER_NATS_SERVER").unwrap_or_else(|| "nats-server".into());
    let process = Command::new(program)
        .arg("--config")
        .arg(folder.join("trust/nats.conf"))
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("server.log")).unwrap())
        .spawn()
        .unwrap();
    until("the server listens", async || {
        tokio::net::TcpStream::connect(&address).await.map(drop)
    })
    .await;
    process
}
