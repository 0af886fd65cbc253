//! The one connection outwards, and requests over it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::client::{Request, RequestErrorKind};
use async_nats::{Client, Event, HeaderMap, ReconnectToServer, ServerAddr};
use muster_credential::layout;
use prost::Message;
use tokio::sync::mpsc;

use super::network::Changes;
use super::reconnect::{Reconnect, Wait};
use crate::settings::Bus;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How often a silent connection is tried; two unanswered tries end it.
const PING: Duration = Duration::from_secs(20);

/// What the connection tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Up,
    Down,
    /// The server refuses whoever we say we are.
    Refused,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no answer: {0}")]
    Unanswered(#[from] async_nats::client::RequestError),
    #[error("refused with code {code}: {text}")]
    Refused { code: String, text: String },
    #[error("the answer is not understood: {0}")]
    Malformed(#[from] prost::DecodeError),
}

impl CallError {
    /// Whether asking again soon is pointless: the service understood the question and said no.
    pub(crate) fn is_final(&self) -> bool {
        // Too many requests, and a time that ran out, pass.
        matches!(self, Self::Refused { code, .. } if code.starts_with('4') && code != "408" && code != "429")
    }

    /// Whether the service takes this machine for the copy of one that goes on, or for another one than the node's.
    pub(crate) fn is_of_a_copy(&self) -> bool {
        let is_so = |text: &str| ["Clone:", "IdentityChanged:"].iter().any(|word| text.starts_with(word));
        matches!(self, Self::Refused { text, .. } if is_so(text))
    }

    /// Whether nothing came back at all, not even the word that nobody is there.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Unanswered(error) if error.kind() == RequestErrorKind::TimedOut)
    }
}

/// A server list that is none.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no server address: {source}")]
pub struct ServerError {
    text: String,
    source: std::io::Error,
}

/// Reads one or more addresses, separated by commas.
pub(crate) fn servers(text: &str) -> Result<Vec<ServerAddr>, ServerError> {
    text.split(',')
        .map(|one| {
            let refused = |source| ServerError {
                text: without_password(one),
                source,
            };
            one.trim().parse().map_err(refused)
        })
        .collect()
}

/// A server list as it may be shown: without the users and passwords that may stand before the hosts.
pub(crate) fn without_password(text: &str) -> String {
    let harmless = text.split(',').map(|one| match (one.find("://"), one.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://{}", &one[..scheme], &one[at + 1..]),
        (None, Some(at)) => one[at + 1..].to_owned(),
        _ => one.to_owned(),
    });
    harmless.collect::<Vec<_>>().join(",")
}

/// Starts connecting, and keeps at it for ever; returns before there is a connection.
/// Answers come to the node's own inbox, the only one that its credentials allow.
pub(crate) async fn connect(
    servers: Vec<ServerAddr>,
    credentials: &Bus,
    name: &str,
    links: mpsc::UnboundedSender<Link>,
    mut changes: Changes,
) -> Result<Client, async_nats::ConnectError> {
    let attempts = Attempts(Arc::new(Mutex::new(Reconnect::starting_at(rand::random()))));
    let known = attempts.clone();
    // What has changed before does not matter any more.
    changes.mark_unchanged();
    // One attempt at a time waits, and what has changed is told to it once.
    let changes = Arc::new(tokio::sync::Mutex::new(changes));
    let options = credentials
        .options(&servers)
        .name(format!("muster-agent {name}"))
        .custom_inbox_prefix(layout::node_inbox(name))
        .retry_on_initial_connect()
        .connection_timeout(Duration::from_secs(5))
        .ping_interval(PING)
        .request_timeout(Some(ANSWER))
        .subscription_capacity(1024)
        .client_capacity(64)
        // The client asks before each attempt, and does not mind how long the answer takes: so the wait is ours, and
        // can be cut short.
        .reconnect_to_server_callback(move |pool, _| {
            let (attempts, changes) = (attempts.clone(), Arc::clone(&changes));
            async move {
                let wait = attempts.wait(&mut *changes.lock().await).await;
                // One after the other, so that none keeps us from the others.
                let place = usize::try_from(wait.turn).unwrap_or_default() % pool.len().max(1);
                let addr = pool.into_iter().nth(place)?.addr;
                let delay = Some(Duration::ZERO);
                Some(ReconnectToServer { addr, delay })
            }
        })
        .event_callback(move |event| {
            match event {
                Event::Connected => {
                    known.with(Reconnect::connected);
                    // The receiver is gone only when the agent ends.
                    let _ = links.send(Link::Up);
                }
                Event::Disconnected | Event::Closed => {
                    let _ = links.send(Link::Down);
                }
                Event::ClientError(error) => {
                    let is_refused = is_refusal(&error.to_string());
                    known.with(|reconnect| reconnect.failed(is_refused));
                    if is_refused {
                        let _ = links.send(Link::Refused);
                    }
                    tracing::debug!(%error, "cannot connect");
                }
                other => tracing::warn!(event = %other, "the connection reports trouble"),
            }
            std::future::ready(())
        });
    options.connect(servers).await
}

/// The attempts to connect, shared by the client's callbacks.
#[derive(Debug, Clone)]
struct Attempts(Arc<Mutex<Reconnect>>);

impl Attempts {
    fn with<T>(&self, ask: impl FnOnce(&mut Reconnect) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until it is time for the next attempt, which is what is returned. A change of the network during the last
    /// attempt counts too.
    async fn wait(&self, changes: &mut Changes) -> Wait {
        let mut wait = self.with(|reconnect| reconnect.next(rand::random()));
        let mut due = tokio::time::Instant::now() + wait.duration;
        log(wait);
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => return wait,
                Ok(()) = changes.changed() => {
                    let sooner = self.with(|reconnect| reconnect.network_changed(Instant::now(), rand::random()));
                    if let Some(sooner) = sooner {
                        tracing::info!("the network has changed: trying again now");
                        due = tokio::time::Instant::now() + sooner.duration;
                        wait = sooner;
                        log(wait);
                    }
                }
            }
        }
    }
}

fn log(wait: Wait) {
    let Wait {
        attempt,
        duration,
        is_refused,
        ..
    } = wait;
    match is_refused {
        _ if duration.is_zero() => {}
        true => tracing::error!("the server refuses this node's credentials; trying again every 5 minutes"),
        false => tracing::warn!(attempt, wait_ms = duration.as_millis(), "no connection yet"),
    }
}

/// Whether a connection failed because the server does not know us; the client tells it only in words.
fn is_refusal(error: &str) -> bool {
    ["authorization violation", "authentication"]
        .iter()
        .any(|words| error.contains(words))
}

/// What was answered, and the message as it came.
#[derive(Debug)]
pub(crate) struct Answer<Content> {
    pub(crate) content: Content,
    pub(crate) message: async_nats::Message,
}

/// Asks, and waits for the answer.
pub(crate) async fn call<Content: Message + Default>(
    client: &Client,
    subject: String,
    headers: HeaderMap,
    question: &impl Message,
) -> Result<Content, CallError> {
    let answer = ask(client, subject, headers, question).await?;
    Ok(answer.content)
}

/// As [`call`], for whoever wants to know who answered.
pub(crate) async fn ask<Content: Message + Default>(
    client: &Client,
    subject: String,
    headers: HeaderMap,
    question: &impl Message,
) -> Result<Answer<Content>, CallError> {
    let mut request = Request::new().payload(question.encode_to_vec().into());
    if !headers.is_empty() {
        request = request.headers(headers);
    }
    let answer = client.send_request(subject, request).await?;
    if let Some(headers) = &answer.headers
        && let Some(code) = headers.get("Nats-Service-Error-Code")
    {
        let text = headers
            .get("Nats-Service-Error")
            .map_or_else(String::new, ToString::to_string);
        return Err(CallError::Refused {
            code: code.to_string(),
            text,
        });
    }
    let content = Content::decode(answer.payload.clone())?;
    Ok(Answer {
        content,
        message: answer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_their_passwords() {
        for (text, shown) in [
            ("nats://host:4222", "nats://host:4222"),
            (
                "nats://me:hunter2@host:4222, tls://me:p@ss@other",
                "nats://host:4222, tls://other",
            ),
            ("token@host", "host"),
        ] {
            // The blank after a comma stays where a scheme follows.
            assert_eq!(without_password(text), shown);
        }
        let error = servers("tls://a,http://me:hunter2@b").unwrap_err().to_string();
        assert!(error.contains("http://b") && !error.contains("hunter2"), "{error}");
        let error = servers("nats://me:hunter2@host:no-port").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
