//! Who may do what on a NATS server of a test's own in operator mode, with all the secrets.

use std::path::PathBuf;

use muster_credential::layout::{self, ACCOUNTS, Account, Accounts, NodeClaims, Service, SigningKeys};
use muster_credential::{Claims, Creds, Key, KeyKind, ServerConf, UserClaims, WebSocket};
use muster_model::{Clock as _, SystemClock};

use crate::Folder;

/// Life of a node's credentials, in seconds.
const LIFE: i64 = 24 * 60 * 60;

/// All keys of a server in operator mode.
#[derive(Debug)]
pub struct Trust {
    operator: Key,
    accounts: Accounts,
    keys: [Key; 4],
    /// Signs services.
    services: Key,
    /// Signs nodes.
    nodes: Key,
}

impl Trust {
    /// Seconds since 1970, as claims have them.
    #[must_use]
    pub fn now() -> i64 {
        SystemClock.now().as_second()
    }

    pub(crate) fn new() -> Self {
        let (accounts, keys) = Accounts::generate();
        Self {
            operator: Key::generate(KeyKind::Operator),
            accounts,
            keys,
            services: Key::generate(KeyKind::Account),
            nodes: Key::generate(KeyKind::Account),
        }
    }

    pub(crate) fn conf(&self, folder: &Folder, port: Option<u16>, ports: PathBuf) -> ServerConf {
        ServerConf {
            host: "127.0.0.1".to_owned(),
            port,
            ports: Some(ports),
            operator: signed(self.accounts.operator(&self.operator, now()).sign(&self.operator)),
            system: self.accounts.system.clone(),
            preload: ACCOUNTS
                .map(|account| (self.accounts.key(account).clone(), self.account(account)))
                .into(),
            resolver: folder.join("resolver"),
            jetstream: folder.join("jetstream"),
            max_connections: 10_000,
            tls: None,
            websocket: Some(WebSocket {
                host: "127.0.0.1".to_owned(),
                port: None,
            }),
        }
    }

    /// Signed claims of an account as they are in the beginning.
    #[must_use]
    pub fn account(&self, account: Account) -> String {
        let signers = SigningKeys {
            services: self.services.public().clone(),
            nodes: vec![self.nodes.public().clone()],
        };
        signed(self.accounts.claims(account, &signers, now()).sign(&self.operator))
    }

    /// The accounts' public keys.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The operator's key.
    #[must_use]
    pub fn operator_key(&self) -> &Key {
        &self.operator
    }

    /// The key of an account itself.
    #[must_use]
    pub fn account_key(&self, account: Account) -> &Key {
        let at = ACCOUNTS.iter().position(|each| *each == account);
        &self.keys[at.expect("all accounts are in the list")]
    }

    /// The key that signs services.
    #[must_use]
    pub fn services_key(&self) -> &Key {
        &self.services
    }

    /// The scoped key, which signs nodes.
    #[must_use]
    pub fn nodes_key(&self) -> &Key {
        &self.nodes
    }

    /// Credentials of a service.
    ///
    /// # Panics
    /// If there is no such service.
    #[must_use]
    pub fn service(&self, name: &str) -> Creds {
        let service = Service::named(name).unwrap_or_else(|| panic!("{name} is in no list of services"));
        self.user(&self.services, |key| {
            service.claims(key.public().clone(), self.accounts.muster.clone(), now())
        })
    }

    /// Credentials of a person or a program.
    ///
    /// # Panics
    /// If nobody may be called so.
    #[must_use]
    pub fn person(&self, name: &str) -> Creds {
        self.user(self.account_key(Account::Ops), |key| {
            layout::operator(name, key.public().clone(), self.accounts.ops.clone(), now(), None)
                .unwrap_or_else(|error| panic!("{error}"))
        })
    }

    /// Credentials of whoever changes accounts.
    #[must_use]
    pub fn system(&self) -> Creds {
        self.user(self.account_key(Account::System), |key| {
            layout::system_user(key.public().clone(), self.accounts.system.clone(), now())
        })
    }

    /// Credentials of simulated nodes: of any node.
    #[must_use]
    pub fn crowd(&self) -> Creds {
        self.user(&self.services, |key| {
            layout::crowd(key.public().clone(), self.accounts.muster.clone(), now())
        })
    }

    /// The ticket for machines that register.
    #[must_use]
    pub fn ticket(&self) -> Creds {
        self.user(self.account_key(Account::Boot), |key| {
            layout::boot_ticket(key.public().clone(), self.accounts.boot.clone(), now(), None)
        })
    }

    /// Credentials of a node with the hashes of its tags.
    ///
    /// # Panics
    /// If there are none for such a node.
    #[must_use]
    pub fn node(&self, node: &str, tags: &[String]) -> Creds {
        let claims = NodeClaims {
            node,
            tags: tags.to_vec(),
            now: now(),
            life: LIFE,
        };
        claims
            .creds(Key::generate(KeyKind::User), &self.accounts.muster, &self.nodes)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn user(&self, issuer: &Key, claims: impl FnOnce(&Key) -> Claims<UserClaims>) -> Creds {
        let key = Key::generate(KeyKind::User);
        let token = signed(claims(&key).sign(issuer));
        Creds::new(token, key).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn now() -> i64 {
    Trust::now()
}

fn signed(text: Result<String, muster_credential::ClaimsError>) -> String {
    text.unwrap_or_else(|error| panic!("{error}"))
}
