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
use muster_credential::layout::{self, Account};
use muster_credential::{Claims, PublicKey, UserClaims};
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
    /// The user's claims. What else is said of its name is the account's.
    #[serde(default)]
    jwt: String,
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
    let verified = Claims::<UserClaims>::verify(&client.jwt).ok()?;
    (verified.issuer != *services).then(|| NodeConnection {
        name: verified.claims.name,
        public_key: verified.claims.subject.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use muster_credential::{Key, KeyKind};
    use serde_json::json;

    use super::*;

    #[test]
    fn services_are_no_nodes() {
        let (services, nodes) = (Key::generate(KeyKind::Account), Key::generate(KeyKind::Account));
        let user = Key::generate(KeyKind::User);
        let said = |issuer: &Key| {
            let claims = Claims {
                name: "*".to_owned(),
                subject: user.public().clone(),
                issued_at: 0,
                expires_at: None,
                body: UserClaims::scoped(nodes.public().clone(), Vec::new()),
            };
            json!({"client": {"jwt": claims.sign(issuer).unwrap(), "name_tag": "MUSTER", "id": 7}})
        };
        let read = |said: serde_json::Value| connection(said.to_string().as_bytes(), services.public());
        assert_eq!(read(said(&services)), None);
        assert_eq!(read(json!({"client": {"id": 1}})), None);
        let seen = read(said(&nodes)).unwrap();
        assert_eq!(
            (seen.name.as_str(), seen.public_key.as_str()),
            ("*", user.public().as_str())
        );
    }
}
