//! `muster nats watch`: keeps what the NATS server refuses as fleet says it (fleet 9).
//!
//! Fleet writes down which keys are not good any more, and has no key with which accounts are changed: it faces the
//! whole fleet. This does, and is asked by nobody. It reads the account from the server, has fleet compare it, pushes
//! what is missing, and reads again: what got lost, or was overwritten by another one that pushes, is found at the next
//! look. How many there are of it does not matter.
//!
//! It also hears who connects, and tells fleet of users that the key for nodes has signed: fleet knows whom it has signed
//! itself. The bus would take every name, also one that is a wildcard.

use std::convert::Infallible;
use std::time::Duration;

use async_nats::{Client, Subscriber};
use futures::StreamExt as _;
use muster_credential::PublicKey;
use muster_credential::layout::{self, Account};
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_proto::fleet::v1::{NodeConnection, SyncRevocationsRequest};
use muster_wire::NatsChannel;
use serde::Deserialize;
use tonic::Status;

use super::push::{self, PushError};
use crate::complaint::chain;
use crate::print;
use crate::trust::{self, Keys};

/// The user as whom fleet is asked.
pub(crate) const USER: &str = "muster-watcher";

/// How long a key that was revoked may go on, at most, where all is well.
const PAUSE: Duration = Duration::from_secs(2);
/// Most connections that are told at once.
const MOST_SEEN: usize = 50_000;
/// How often one look pushes: more than once only if somebody else pushes at the same time.
const ROUNDS: usize = 4;

/// Why the server may not refuse what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    #[error("fleet does not say which keys are to be refused")]
    Fleet(#[source] Box<Status>),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error("the server has no account {} of this folder: `muster nats push` gives it", Account::Muster.name())]
    NoAccount,
}

/// Whoever looks.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// As the user that changes accounts.
    system: Client,
    nodes: NodesClient<NatsChannel>,
    keys: Keys,
    /// Who connects, once it listens.
    connects: Option<Subscriber>,
    /// Who has connected since fleet was told.
    seen: Vec<NodeConnection>,
}

/// What the server says of a connection.
#[derive(Debug, Deserialize)]
struct Connected {
    client: ConnectedClient,
}

#[derive(Debug, Deserialize)]
struct ConnectedClient {
    /// The user's key.
    #[serde(default)]
    user: String,
    /// Who signed its claims.
    #[serde(default)]
    issuer_key: String,
    /// The name in them.
    #[serde(default)]
    name_tag: String,
}

impl Watcher {
    /// One that asks fleet as [`USER`] over `bus`, and changes the account as `system`.
    pub(crate) fn new(system: Client, bus: Client, keys: Keys) -> Self {
        Self {
            system,
            nodes: NodesClient::new(NatsChannel::new(bus)),
            keys,
            connects: None,
            seen: Vec::new(),
        }
    }

    /// Looks again and again. Never ends.
    pub(crate) async fn keep(&mut self) -> Infallible {
        let mut trouble = String::new();
        loop {
            match self.look().await {
                Ok(changed) => {
                    if !trouble.is_empty() {
                        print::say("the NATS server refuses what it should again");
                        trouble.clear();
                    }
                    if changed > 0 {
                        print::say(&format!(
                            "keys of nodes that the NATS server refuses or forgets from now on: {changed}"
                        ));
                    }
                }
                Err(error) => {
                    let said = chain(&error);
                    if said != trouble {
                        print::say(&said);
                        trouble = said;
                    }
                }
            }
            self.listen(PAUSE).await;
        }
    }

    /// Hears who connects, for a while.
    async fn listen(&mut self, pause: Duration) {
        let end = tokio::time::Instant::now() + pause;
        if self.connects.is_none() {
            let subject = format!("$SYS.ACCOUNT.{}.CONNECT", self.keys.account(Account::Muster).public());
            self.connects = self.system.subscribe(subject).await.ok();
        }
        while let Some(connects) = &mut self.connects {
            match tokio::time::timeout_at(end, connects.next()).await {
                Ok(Some(message)) => self
                    .seen
                    .extend(connection(&message.payload, self.keys.services.public())),
                Ok(None) => self.connects = None,
                Err(_) => break,
            }
            // Who is not told of now connects again some time.
            self.seen.truncate(MOST_SEEN);
        }
        tokio::time::sleep_until(end).await;
    }

    /// Makes the server refuse what it should. Gives how many keys that changed.
    async fn look(&mut self) -> Result<usize, WatchError> {
        let mut changed = 0;
        for _ in 0..ROUNDS {
            let known = push::known(&self.system, &self.keys, Account::Muster).await?;
            let Some(known) = known else {
                return Err(WatchError::NoAccount);
            };
            let request = SyncRevocationsRequest {
                held: known.body.revocations.into_iter().collect(),
                connections: self.seen.clone(),
            };
            let answer = self.nodes.sync_revocations(request).await;
            let answer = answer
                .map_err(|status| WatchError::Fleet(Box::new(status)))?
                .into_inner();
            self.seen.clear();
            if answer.missing.is_empty() && answer.over.is_empty() {
                break;
            }
            // As it is now: fleet may have taken its time, and who else pushes must not be undone.
            let Some(known) = push::known(&self.system, &self.keys, Account::Muster).await? else {
                return Err(WatchError::NoAccount);
            };
            changed = changed.max(answer.missing.len() + answer.over.len());
            let missing = answer.missing.into_iter().collect();
            let wanted = layout::revoked(known, &missing, &answer.over, trust::now());
            push::push(&self.system, &self.keys, Account::Muster, wanted).await?;
        }
        Ok(changed)
    }
}

/// Who has connected, if a key for nodes has signed it.
fn connection(said: &[u8], services: &PublicKey) -> Option<NodeConnection> {
    let client = serde_json::from_slice::<Connected>(said).ok()?.client;
    let is_of_nodes =
        !client.user.is_empty() && !client.issuer_key.is_empty() && client.issuer_key != services.as_str();
    is_of_nodes.then_some(NodeConnection {
        name: client.name_tag,
        public_key: client.user,
    })
}

#[cfg(test)]
mod tests {
    use muster_credential::{Key, KeyKind};
    use serde_json::json;

    use super::*;

    #[test]
    fn services_are_no_nodes() {
        let key = || Key::generate(KeyKind::Account).public().clone();
        let (services, nodes) = (key(), key());
        let said = |issuer: &str| json!({"client": {"user": "U1", "issuer_key": issuer, "name_tag": "*", "id": 7}});
        let read = |said: serde_json::Value| connection(said.to_string().as_bytes(), &services);
        assert_eq!(read(said(services.as_str())), None);
        assert_eq!(read(json!({"client": {"user": "", "id": 1}})), None);
        let seen = read(said(nodes.as_str())).unwrap();
        assert_eq!((seen.name.as_str(), seen.public_key.as_str()), ("*", "U1"));
    }
}
