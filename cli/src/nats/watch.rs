//! `muster nats watch`: keeps what the NATS server refuses as fleet says it (fleet 9).
//!
//! Fleet writes down which keys are not good any more, and has no key with which accounts are changed: it faces the
//! whole fleet. This does, and is asked by nobody. It reads the account from the server, has fleet compare it, pushes
//! what is missing, and reads again: what got lost, or was overwritten by another one that pushes, is found at the next
//! look. How many there are of it does not matter.

use std::convert::Infallible;
use std::time::Duration;

use async_nats::Client;
use muster_credential::layout::{self, Account};
use muster_proto::fleet::v1::SyncRevocationsRequest;
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_wire::NatsChannel;
use tonic::Status;

use super::push::{self, PushError};
use crate::complaint::chain;
use crate::print;
use crate::trust::{self, Keys};

/// The user as whom fleet is asked.
pub(crate) const USER: &str = "muster-watcher";

/// How long a key that was revoked may go on, at most, where all is well.
const PAUSE: Duration = Duration::from_secs(2);
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
}

impl Watcher {
    /// One that asks fleet as [`USER`] over `bus`, and changes the account as `system`.
    pub(crate) fn new(system: Client, bus: Client, keys: Keys) -> Self {
        Self {
            system,
            nodes: NodesClient::new(NatsChannel::new(bus)),
            keys,
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
            tokio::time::sleep(PAUSE).await;
        }
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
            };
            let answer = self.nodes.sync_revocations(request).await;
            let answer = answer
                .map_err(|status| WatchError::Fleet(Box::new(status)))?
                .into_inner();
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
