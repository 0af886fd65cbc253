//! `muster nats watch`: keeps what the NATS server refuses as fleet says it (fleet 9).
//!
//! Fleet writes down which keys are not good any more, and has no key with which accounts are changed: it faces the
//! whole fleet. This does, and is asked by nobody. It reads the account from the server, has fleet compare it, pushes
//! what is missing, and reads again: what got lost, or was overwritten by another one that pushes, is found at the next
//! look. How many there are of it does not matter.
//!
//! It also looks who is connected, and tells fleet of users that the key for nodes has signed: fleet knows whom it has
//! signed itself. The bus would take every name, also one that is a wildcard. Where one key is used from two addresses at
//! once it tells that too.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subscriber};
use futures::StreamExt as _;
use muster_credential::layout::{self, Account};
use muster_model::{Clock as _, SystemClock};
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_proto::fleet::v1::{NodeConnection, SharedKey, SyncRevocationsRequest};
use muster_wire::NatsChannel;
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::Status;

use super::connections::{self, Connections, Id, Live, Page};
use super::push::{self, PushError};
use crate::complaint::chain;
use crate::print;
use crate::trust::{self, Keys};

/// The user as whom fleet is asked.
pub(crate) const USER: &str = "muster-watcher";

/// How long a key that was revoked may go on, at most, where all is well.
const PAUSE: Duration = Duration::from_secs(2);
/// Most connections that wait to be told.
const MOST_SEEN: usize = 50_000;
/// Most connections that are told at once, so that they fit into a message of any server.
const MOST_TOLD: usize = 5_000;
/// How often it is asked anew who is connected, whatever the events say.
const LOOK_ANEW: Duration = Duration::from_secs(5 * 60);
const ALL_SERVERS: &str = "$SYS.REQ.SERVER.PING.CONNZ";
/// Connections on a page of a server's answer: with claims of 3 KiB a page fits into a message.
const PAGE: usize = 1_024;
/// How long the first server has to answer, and each other one after it.
const FIRST: Duration = Duration::from_secs(5);
const OTHERS: Duration = Duration::from_millis(500);
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
    /// Who comes and goes, once it listens.
    events: Option<Subscriber>,
    /// When it last asked who is there, and how often the bus had been reached then.
    asked: (Instant, u64),
    connections: Connections,
    /// Keys that are used in two places, for fleet.
    shared: Vec<SharedKey>,
    /// Who has connected since fleet was told.
    seen: Vec<NodeConnection>,
}

impl Watcher {
    /// One that asks fleet as [`USER`] over `bus`, and changes the account as `system`.
    pub(crate) fn new(system: Client, bus: Client, keys: Keys) -> Self {
        Self {
            system,
            nodes: NodesClient::new(NatsChannel::new(bus)),
            keys,
            events: None,
            asked: (Instant::now(), 0),
            connections: Connections::default(),
            shared: Vec::new(),
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
            // Behind what must not wait, and not for long.
            if let Ok(shared) = tokio::time::timeout(PAUSE, self.find_shared()).await {
                self.shared = shared;
            }
            self.listen(PAUSE).await;
        }
    }

    /// Hears who comes and goes, for a while.
    async fn listen(&mut self, pause: Duration) {
        let end = Instant::now() + pause;
        // What came and went while the bus was away nobody tells, and what got lost shows at the next look.
        let (at, connects) = self.asked;
        if self.connects() != connects || at.elapsed() >= LOOK_ANEW {
            self.events = None;
        }
        if self.events.is_none() {
            self.begin_to_listen().await;
        }
        while let Some(events) = &mut self.events {
            match tokio::time::timeout_at(end, events.next()).await {
                Ok(Some(event)) => self.note(&event),
                Ok(None) => self.events = None,
                Err(_) => break,
            }
            // Who is not told of now connects again some time.
            self.seen.truncate(MOST_SEEN);
        }
        tokio::time::sleep_until(end).await;
    }

    /// How often the bus was reached.
    fn connects(&self) -> u64 {
        self.system.statistics().connects.load(Ordering::Relaxed)
    }

    /// Listens from now on, and asks who was there before.
    async fn begin_to_listen(&mut self) {
        let asked = (Instant::now(), self.connects());
        // Both kinds over one subscription, so that a connection never ends before it begins.
        let subject = format!("$SYS.ACCOUNT.{}.*", self.keys.account(Account::Muster).public());
        let Ok(events) = self.system.subscribe(subject).await else {
            return;
        };
        let Some(all) = self.ask_for_all().await else { return };
        self.seen.extend(all.values().map(Live::told));
        self.connections.replace(all);
        self.asked = asked;
        self.events = Some(events);
    }

    fn note(&mut self, event: &Message) {
        if event.subject.ends_with(".DISCONNECT") {
            if let Some(id) = connections::disconnected(&event.payload) {
                self.connections.end(&id);
            }
        } else if event.subject.ends_with(".CONNECT")
            && let Some((id, live)) = connections::connected(&event.payload, self.keys.services.public())
        {
            self.seen.push(live.told());
            self.connections.begin(id, live);
        }
    }

    /// Everybody who is connected as a node, by what all servers say. `None`: none of them says it.
    async fn ask_for_all(&self) -> Option<HashMap<Id, Live>> {
        let mut all = HashMap::new();
        let mut offset = 0;
        loop {
            let pages = self.ask(ALL_SERVERS, json!({"offset": offset, "limit": PAGE})).await;
            if pages.is_empty() {
                return None;
            }
            let is_last = pages
                .iter()
                .all(|page| page.count == 0 || offset + page.count >= page.total);
            all.extend(pages.into_iter().flat_map(|page| page.nodes));
            if is_last {
                return Some(all);
            }
            offset += PAGE;
        }
    }

    /// Asks servers for connections of Muster's account; gives what came back within a while.
    async fn ask(&self, subject: &str, mut which: Value) -> Vec<Page> {
        which["acc"] = self.keys.account(Account::Muster).public().as_str().into();
        which["auth"] = true.into();
        let inbox = self.system.new_inbox();
        let Ok(mut answers) = self.system.subscribe(inbox.clone()).await else {
            return Vec::new();
        };
        let question = which.to_string();
        let asked = self
            .system
            .publish_with_reply(subject.to_owned(), inbox, question.into());
        if asked.await.is_err() {
            return Vec::new();
        }
        let is_one = subject != ALL_SERVERS;
        let mut pages: Vec<Page> = Vec::new();
        // Nobody knows how many servers there are: the rest answers soon after the first.
        while let Ok(Some(answer)) =
            tokio::time::timeout(if pages.is_empty() { FIRST } else { OTHERS }, answers.next()).await
        {
            if answer.status == Some(StatusCode::NO_RESPONDERS) {
                // The server is gone, and what it had is too.
                pages.extend(is_one.then(Page::default));
                break;
            }
            pages.extend(connections::page(&answer.payload, self.keys.services.public()));
            if is_one {
                break;
            }
        }
        pages
    }

    /// Keys with which two machines are connected.
    async fn find_shared(&mut self) -> Vec<SharedKey> {
        let mut shared = Vec::new();
        for ids in self.connections.suspects(SystemClock.now()) {
            let mut said = HashMap::new();
            let mut is_told = true;
            for (server, number) in &ids {
                let subject = format!("$SYS.REQ.SERVER.{server}.CONNZ");
                let pages = self.ask(&subject, json!({"cid": number})).await;
                is_told &= !pages.is_empty();
                said.extend(pages.into_iter().flat_map(|page| page.said));
            }
            // One that is slow is asked again.
            if is_told {
                shared.extend(self.connections.judge(&ids, &said, SystemClock.now()));
            }
        }
        shared
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
                connections: self.seen.iter().take(MOST_TOLD).cloned().collect(),
                shared: self.shared.clone(),
            };
            let answer = self.nodes.sync_revocations(request).await;
            let answer = answer
                .map_err(|status| WatchError::Fleet(Box::new(status)))?
                .into_inner();
            self.seen.drain(..self.seen.len().min(MOST_TOLD));
            self.shared.clear();
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
