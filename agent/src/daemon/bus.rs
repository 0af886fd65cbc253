//! The one connection outwards, and requests over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::client::Request;
use async_nats::{Client, Event, HeaderMap, ServerAddr};
use prost::Message;
use tokio::sync::mpsc;

use super::backoff::CONNECTION;
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

/// How often somebody asks who was refused for good (agent.md B7): credentials and registrations come back.
pub(crate) const REFUSED: Duration = Duration::from_secs(5 * 60);

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
            one.trim().parse().map_err(|source| ServerError {
                text: without_password(one),
                source,
            })
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
/// Answers come to subjects below `_INBOX_<name>`, the only ones that a node's credential will allow.
pub(crate) async fn connect(
    servers: Vec<ServerAddr>,
    credentials: &Bus,
    name: &str,
    links: mpsc::UnboundedSender<Link>,
) -> Result<Client, async_nats::ConnectError> {
    let is_first = Arc::new(AtomicBool::new(true));
    let was_connected = Arc::clone(&is_first);
    let is_refused = Arc::new(AtomicBool::new(false));
    let was_refused = Arc::clone(&is_refused);
    let options = credentials
        .options()
        .name(format!("muster-agent {name}"))
        .custom_inbox_prefix(format!("_INBOX_{name}"))
        .retry_on_initial_connect()
        .connection_timeout(Duration::from_secs(5))
        .ping_interval(PING)
        .request_timeout(Some(ANSWER))
        .subscription_capacity(1024)
        .client_capacity(64)
        .reconnect_delay_callback(move |attempt| {
            // The very first attempt is not a reconnect: nobody else lost this server at the same moment.
            if attempt <= 1 && is_first.load(Ordering::Relaxed) {
                return Duration::ZERO;
            }
            if is_refused.load(Ordering::Relaxed) {
                tracing::error!("the server refuses this node's credentials; trying again every 5 minutes");
                return REFUSED.mul_f64(0.9 + 0.2 * rand::random::<f64>());
            }
            let wait = CONNECTION.wait(u32::try_from(attempt).unwrap_or(u32::MAX), rand::random());
            tracing::warn!(attempt, wait_ms = wait.as_millis(), "no connection yet");
            wait
        })
        .event_callback(move |event| {
            match event {
                Event::Connected => {
                    was_connected.store(false, Ordering::Relaxed);
                    was_refused.store(false, Ordering::Relaxed);
                    // The receiver is gone only when the agent ends.
                    let _ = links.send(Link::Up);
                }
                Event::Disconnected | Event::Closed => {
                    let _ = links.send(Link::Down);
                }
                Event::ClientError(error) => {
                    let is_refused = is_refusal(&error.to_string());
                    was_refused.store(is_refused, Ordering::Relaxed);
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

/// Whether a connection failed because the server does not know us; the client tells it only in words.
fn is_refusal(error: &str) -> bool {
    ["authorization violation", "authentication"]
        .iter()
        .any(|words| error.contains(words))
}

/// Asks, and waits for the answer.
pub(crate) async fn call<Answer: Message + Default>(
    client: &Client,
    subject: String,
    headers: HeaderMap,
    question: &impl Message,
) -> Result<Answer, CallError> {
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
    Ok(Answer::decode(answer.payload)?)
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
        let error = servers("nats://me:hunter2@host:no-port").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
