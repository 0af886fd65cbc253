//! The keys of the folder, and what is signed with them.

use std::path::Path;

use muster_credential::claims::{Claims, UserClaims};
use muster_credential::layout::{self, ACCOUNTS, Account, Accounts, NodeClaims, NodeError, SERVICES, SigningKeys};
use muster_credential::{AccountClaims, Creds, Key, KeyKind, PublicKey, ServerConf};
use serde::{Deserialize, Serialize};

use super::folder::{TrustError, TrustFolder};
use super::now;

/// What was chosen when the folder was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chosen {
    /// Of this file.
    pub(crate) version: u32,
    /// Everything is there.
    pub(crate) complete: bool,
    /// Who is the first operator.
    pub(crate) operator: String,
    /// Where the server listens, HOST:PORT.
    pub(crate) listen: String,
    /// Names and addresses under which the server is reached.
    pub(crate) hosts: Vec<String>,
    /// Whether connections are encrypted.
    pub(crate) tls: bool,
    /// Where the server takes connections as WebSocket, HOST:PORT; none: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) websocket: Option<String>,
    /// Most connections of the server.
    pub(crate) max_connections: u32,
    /// Scoped keys that sign no more; nodes with claims of theirs may connect until then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) retiring: Vec<Retiring>,
    /// Keys of services and people that the server refuses for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) revoked: Vec<Revoked>,
}

impl Chosen {
    /// For a bus of this machine alone, whose server `muster up` configures.
    pub(crate) fn local() -> Self {
        Self {
            version: 1,
            complete: false,
            operator: super::OPERATOR.to_owned(),
            listen: "127.0.0.1".to_owned(),
            hosts: Vec::new(),
            tls: false,
            websocket: None,
            max_connections: 0,
            retiring: Vec::new(),
            revoked: Vec::new(),
        }
    }
}

/// A scoped key that signs no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retiring {
    pub(crate) key: PublicKey,
    /// Seconds since 1970.
    pub(crate) remove_after: i64,
}

/// A key of a service or a person that is not good any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revoked {
    pub(crate) key: PublicKey,
    /// Whose user it was, `MUSTER`.
    pub(crate) account: String,
    /// Seconds since 1970: claims that were issued then or before are void.
    pub(crate) at: i64,
}

/// All keys.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) operator: Key,
    /// In the order of [`ACCOUNTS`].
    pub(crate) accounts: [Key; 4],
    /// Signs services.
    pub(crate) services: Key,
    /// The scoped key that signs nodes.
    pub(crate) nodes: Key,
    /// Scoped keys that the account believes besides.
    pub(crate) other_nodes: Vec<PublicKey>,
    /// Keys of users that the accounts refuse.
    pub(crate) revoked: Vec<Revoked>,
}

impl Keys {
    /// The keys of the folder; what is missing is made if `may_make`.
    pub(crate) fn load(folder: &TrustFolder, chosen: &Chosen, may_make: bool) -> Result<Self, TrustError> {
        let key = |name: &str, kind| load(folder, &folder.seed(name), kind, may_make);
        let account = |account: Account| key(account.name(), KeyKind::Account);
        let moment = now();
        let believed = chosen.retiring.iter().filter(|old| old.remove_after > moment);
        let mut other_nodes: Vec<PublicKey> = believed.map(|old| old.key.clone()).collect();
        // A rotation that was interrupted.
        let next = folder.seed(NEXT);
        if next.exists() {
            other_nodes.push(load(folder, &next, KeyKind::Account, false)?.public().clone());
        }
        Ok(Self {
            operator: key("operator", KeyKind::Operator)?,
            accounts: [
                account(Account::System)?,
                account(Account::Muster)?,
                account(Account::Boot)?,
                account(Account::Ops)?,
            ],
            services: key("services", KeyKind::Account)?,
            nodes: key(NODES, KeyKind::Account)?,
            other_nodes,
            revoked: chosen.revoked.clone(),
        })
    }

    pub(crate) fn public(&self) -> Accounts {
        Accounts::of(&self.accounts)
    }

    pub(crate) fn account(&self, account: Account) -> &Key {
        let at = ACCOUNTS.iter().position(|each| *each == account);
        &self.accounts[at.expect("all accounts are in the list")]
    }

    /// The claims of an account as they should be.
    pub(crate) fn claims(&self, account: Account) -> Claims<AccountClaims> {
        let mut nodes = vec![self.nodes.public().clone()];
        nodes.extend(
            self.other_nodes
                .iter()
                .filter(|key| *key != self.nodes.public())
                .cloned(),
        );
        // In an order of their own: a change of who signs is no change of the account.
        nodes.sort();
        let signers = SigningKeys {
            services: self.services.public().clone(),
            nodes,
        };
        let mut claims = self.public().claims(account, &signers, now());
        let of_account = self.revoked.iter().filter(|each| each.account == account.name());
        let revoked = of_account.map(|each| (each.key.to_string(), each.at));
        claims.body.revocations.extend(revoked);
        claims
    }

    /// The server's configuration, with the accounts as they should be.
    pub(crate) fn server_conf(
        &self,
        (host, port): (String, Option<u16>),
        home: &Path,
        max_connections: u32,
    ) -> Result<ServerConf, TrustError> {
        let accounts = self.public();
        let mut preload = Vec::new();
        for account in ACCOUNTS {
            let token = self.claims(account).sign(&self.operator)?;
            preload.push((accounts.key(account).clone(), token));
        }
        Ok(ServerConf {
            host,
            port,
            ports: None,
            operator: accounts.operator(&self.operator, now()).sign(&self.operator)?,
            system: accounts.system.clone(),
            preload,
            resolver: home.join("resolver"),
            jetstream: home.join("jetstream"),
            max_connections,
            tls: None,
            websocket: None,
        })
    }

    /// Brings all credentials up to date: makes what is missing, and signs anew for the same key what says something
    /// else than it should. Gives the names of the users it wrote.
    pub(crate) fn refresh(&self, folder: &TrustFolder, chosen: &Chosen) -> Result<Vec<String>, TrustError> {
        let accounts = self.public();
        let mut written = Vec::new();
        let mut bring =
            |user: &str, issuer: &Key, claims: &dyn Fn(PublicKey) -> Result<Claims<UserClaims>, TrustError>| {
                let known = folder.read_creds(user)?;
                let key = match &known {
                    Some(creds) => creds.key().clone(),
                    None => Key::generate(KeyKind::User),
                };
                let wanted = claims(key.public().clone())?;
                let is_good = known.is_some_and(|creds| {
                    let issued = Claims::<UserClaims>::verify(creds.token());
                    issued.is_ok_and(|issued| issued.issuer == *issuer.public() && issued.claims.body == wanted.body)
                });
                if !is_good {
                    let path = folder.creds(user);
                    let creds = Creds::new(wanted.sign(issuer)?, key).map_err(|source| TrustError::Creds {
                        path: path.clone(),
                        source,
                    })?;
                    folder.write(&path, creds.to_text().as_bytes())?;
                    written.push(user.to_owned());
                }
                Ok::<(), TrustError>(())
            };
        for service in SERVICES {
            bring(service.name, &self.services, &|key| {
                Ok(service.claims(key, accounts.muster.clone(), now()))
            })?;
        }
        bring("system", self.account(Account::System), &|key| {
            Ok(layout::system_user(key, accounts.system.clone(), now()))
        })?;
        bring(&chosen.operator, self.account(Account::Ops), &|key| {
            Ok(layout::operator(
                &chosen.operator,
                key,
                accounts.ops.clone(),
                now(),
                None,
            )?)
        })?;
        if !folder.ticket().exists() {
            let key = Key::generate(KeyKind::User);
            let ticket = layout::boot_ticket(key.public().clone(), accounts.boot.clone(), now(), None);
            let mut text = ticket.sign(self.account(Account::Boot))?;
            text.push('\n');
            folder.write(&folder.ticket(), text.as_bytes())?;
            written.push("boot".to_owned());
        }
        Ok(written)
    }

    /// Credentials for a node; `key` is the node's own.
    pub(crate) fn node(&self, node: &str, tags: Vec<String>, key: Key, life: i64) -> Result<Creds, NodeError> {
        let claims = NodeClaims {
            node,
            tags,
            now: now(),
            life,
        };
        claims.creds(key, self.account(Account::Muster).public(), &self.nodes)
    }
}

/// The file of the scoped key.
pub(crate) const NODES: &str = "nodes";
/// The file of the scoped key that is to take its place.
pub(crate) const NEXT: &str = "nodes-next";

/// The key in a file; made if it is not there and may be.
pub(crate) fn load(folder: &TrustFolder, path: &Path, kind: KeyKind, may_make: bool) -> Result<Key, TrustError> {
    match folder.read_secret(path)? {
        Some(text) => Key::from_seed(&text, kind).map_err(|source| TrustError::Key {
            path: path.to_owned(),
            source,
        }),
        None if may_make => {
            let key = Key::generate(kind);
            let text = seed_file(&key);
            folder.write(path, text.as_bytes())?;
            Ok(key)
        }
        None => Err(TrustError::Missing { path: path.to_owned() }),
    }
}

/// A seed's file.
fn seed_file(key: &Key) -> String {
    format!("{}\n", key.seed().expose())
}
