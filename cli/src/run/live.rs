//! What nodes write, while they write it: whole lines behind the node's name.
//!
//! Nothing here is lost when the server restarts: what has arrived is known, and the rest is asked for again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures::StreamExt as _;
use muster_proto::agent::v1::OutputStream;
use muster_proto::runcommand::v1::run_command_output_client::RunCommandOutputClient;
use muster_proto::runcommand::v1::{FollowOutputRequest, OfferOutputRequest, OutputCursor, OutputSeen};
use muster_wire::{CallOptions, Failure, subject};
use prost::Message as _;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::complaint::Complaint;
use crate::print;
use crate::report;
use crate::server::Server;

/// What may be on its way beyond what has arrived.
const WINDOW: u64 = 1024 * 1024;
/// How often the server hears that somebody listens.
const SEEN: Duration = Duration::from_secs(2);
/// Between two tries to listen again.
const AGAIN: Duration = Duration::from_millis(300);
/// Longest line that is waited for; a longer one is broken.
const LINE: usize = 16 * 1024;

type Stream = (String, String, OutputStream);

/// Text that is to be printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) node: String,
    pub(super) stream: OutputStream,
    pub(super) text: String,
}

/// Something that came while listening.
#[derive(Debug)]
pub(super) enum Heard {
    Message(Message),
    /// Time to say that somebody listens.
    Seen,
    /// Time to ask again.
    Again,
    /// The connection is gone for good.
    Closed,
}

/// Listens to a command.
pub(super) struct Live {
    server: Server,
    id: String,
    person: String,
    listener: String,
    messages: Subscriber,
    lines: Lines,
    names: HashMap<String, String>,
    /// Bytes since the last offer, and of these what the server knows of.
    arrived: u64,
    confirmed: u64,
    seen: Interval,
    /// When to listen again, if nobody passes anything on.
    lost: Option<Instant>,
    is_over: bool,
}

/// What has arrived, and the lines that are not whole yet. Pure.
#[derive(Debug, Default)]
struct Lines {
    have: BTreeMap<Stream, u64>,
    partial: BTreeMap<Stream, Vec<u8>>,
}

impl Live {
    pub(super) async fn start(server: &Server, id: &str) -> Result<Self, Complaint> {
        let broken = |error: async_nats::SubscribeError| Complaint::Broken(error.into());
        let (person, listener) = (person(&server.nats), listener(&server.nats));
        let messages = server
            .nats
            .subscribe(subject::output_for(&person, &listener))
            .await
            .map_err(broken)?;
        let mut seen = tokio::time::interval(SEEN);
        seen.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut live = Self {
            server: server.clone(),
            id: id.to_owned(),
            person,
            listener,
            messages,
            lines: Lines::default(),
            names: HashMap::new(),
            arrived: 0,
            confirmed: 0,
            seen,
            lost: None,
            is_over: false,
        };
        live.offer().await?;
        Ok(live)
    }

    /// Whether everything was told.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// What comes next; never ends once all is over. Nothing is lost if this is not waited for to its end.
    pub(super) async fn next(&mut self) -> Heard {
        if self.is_over {
            return std::future::pending().await;
        }
        let again = self.lost;
        tokio::select! {
            message = self.messages.next() => match message {
                Some(message) => Heard::Message(message),
                None => Heard::Closed,
            },
            _ = self.seen.tick(), if again.is_none() => Heard::Seen,
            () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => Heard::Again,
        }
    }

    /// Takes what came, and gives what is to be printed.
    pub(super) async fn hear(&mut self, heard: Heard) -> Result<Vec<Written>, Complaint> {
        let mut all = Vec::new();
        match heard {
            Heard::Message(message) => {
                all = self.take(&message);
                if self.arrived - self.confirmed >= WINDOW / 4 {
                    self.confirm().await;
                }
            }
            Heard::Seen => self.confirm().await,
            Heard::Again => self.offer().await?,
            Heard::Closed => self.is_over = true,
        }
        Ok(all)
    }

    /// What a person calls the node.
    pub(super) async fn name(&mut self, node: &str) -> String {
        if let Some(name) = self.names.get(node) {
            return name.clone();
        }
        let of_node = vec![("InstanceIds".to_owned(), vec![node.to_owned()])];
        let known = crate::nodes::describe(&self.server, of_node).await.ok();
        let known = known.and_then(|nodes| nodes.into_iter().next());
        let name = known.map_or_else(|| node.to_owned(), |node| crate::nodes::called(&node).to_owned());
        self.names.insert(node.to_owned(), name.clone());
        name
    }

    /// Asks for everything that has not arrived.
    async fn offer(&mut self) -> Result<(), Complaint> {
        let request = OfferOutputRequest {
            follow: Some(FollowOutputRequest {
                command_id: Some(self.id.clone()),
                instance_ids: Vec::new(),
                cursors: self.lines.cursors(),
            }),
            listener: Some(self.listener.clone()),
            window_bytes: WINDOW,
        };
        (self.arrived, self.confirmed) = (0, 0);
        let answer = RunCommandOutputClient::new(self.server.channel.clone())
            .offer_output(request)
            .await;
        match answer {
            Ok(_) => self.lost = None,
            Err(status) if is_passing(&status) => self.lost = Some(Instant::now() + AGAIN),
            Err(status) => return Err(Complaint::answered("RunCommandOutput.OfferOutput", status)),
        }
        Ok(())
    }

    /// Says what has arrived; if nobody hears it, somebody else must be asked.
    async fn confirm(&mut self) {
        let seen = OutputSeen { bytes: self.arrived };
        let channel = self.server.channel.clone().with_options(CallOptions { timeout: SEEN });
        let said = channel
            .request(
                subject::output_seen(&self.person, &self.listener),
                async_nats::HeaderMap::new(),
                seen.encode_to_vec().into(),
            )
            .await;
        match said {
            Ok(_) => self.confirmed = self.arrived,
            Err(_) => self.lost = Some(Instant::now()),
        }
    }

    fn take(&mut self, message: &Message) -> Vec<Written> {
        self.arrived += message.payload.len() as u64;
        let header = |name: &str| {
            let headers = message.headers.as_ref();
            headers
                .and_then(|headers| headers.get(name))
                .map_or("", |value| value.as_str())
        };
        let node = header("Muster-Node");
        match header("Muster-News") {
            "chunk" => {
                let stream = match header("Muster-Stream") {
                    "stderr" => OutputStream::Stderr,
                    _ => OutputStream::Stdout,
                };
                let key = (node.to_owned(), header("Muster-Step").to_owned(), stream);
                let offset = header("Muster-Offset").parse().unwrap_or(0);
                self.lines.take(key, offset, &message.payload).into_iter().collect()
            }
            "end" => self.lines.end(node),
            "command" => {
                self.is_over = true;
                self.lines.end_all()
            }
            _ => Vec::new(),
        }
    }
}

impl Lines {
    fn cursors(&self) -> Vec<OutputCursor> {
        let cursor = |((node, step, stream), offset): (&Stream, &u64)| OutputCursor {
            instance_id: node.clone(),
            step: step.clone(),
            stream: (*stream).into(),
            offset: *offset,
        };
        self.have.iter().map(cursor).collect()
    }

    /// Takes bytes, and gives the lines that are whole now. Bytes that have arrived before are left out.
    fn take(&mut self, key: Stream, offset: u64, bytes: &[u8]) -> Option<Written> {
        let have = self.have.entry(key.clone()).or_default();
        let end = offset + bytes.len() as u64;
        // A gap is closed by the server before it passes anything on.
        if end <= *have || offset > *have {
            return None;
        }
        let known = usize::try_from(*have - offset).unwrap_or(usize::MAX);
        *have = end;
        let partial = self.partial.entry(key.clone()).or_default();
        partial.extend_from_slice(bytes.get(known..).unwrap_or_default());
        let whole = match partial.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => at + 1,
            None if partial.len() >= LINE => partial.len(),
            None => return None,
        };
        let rest = partial.split_off(whole);
        let lines = std::mem::replace(partial, rest);
        Some(written(key, &lines))
    }

    /// The node writes nothing more.
    fn end(&mut self, node: &str) -> Vec<Written> {
        let (of_node, others) = std::mem::take(&mut self.partial)
            .into_iter()
            .partition(|((of, _, _), _)| of == node);
        self.partial = others;
        rests(of_node)
    }

    fn end_all(&mut self) -> Vec<Written> {
        rests(std::mem::take(&mut self.partial))
    }
}

fn rests(partial: BTreeMap<Stream, Vec<u8>>) -> Vec<Written> {
    let with_rest = partial.into_iter().filter(|(_, rest)| !rest.is_empty());
    with_rest.map(|(key, rest)| written(key, &rest)).collect()
}

fn written((node, _, stream): Stream, bytes: &[u8]) -> Written {
    Written {
        node,
        stream,
        text: String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Prints lines where they belong.
pub(super) fn print(name: &str, written: &Written) -> Result<(), Complaint> {
    let text = report::prefixed(name, &written.text);
    match written.stream {
        OutputStream::Stderr => text.lines().for_each(print::say),
        OutputStream::Stdout | OutputStream::Unset => print::data(&text)?,
    }
    Ok(())
}

/// Who we are on the bus, as our inbox says: services and open buses know no people.
fn person(nats: &async_nats::Client) -> String {
    let inbox = nats.new_inbox();
    let name = inbox
        .strip_prefix("_INBOX.ops.")
        .and_then(|rest| rest.split('.').next());
    name.unwrap_or(subject::NO_PERSON).to_owned()
}

/// A name that nobody else has: the last word of an inbox is random, of letters and digits.
fn listener(nats: &async_nats::Client) -> String {
    let inbox = nats.new_inbox();
    format!("cli{}", inbox.rsplit('.').next().unwrap_or_default())
}

fn is_passing(status: &tonic::Status) -> bool {
    matches!(
        Failure::from_status(status),
        Failure::Unavailable { .. } | Failure::Deadline
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(node: &str) -> Stream {
        (node.to_owned(), "sh.one".to_owned(), OutputStream::Stdout)
    }

    #[test]
    fn lines_are_printed_whole_and_never_twice() {
        let mut lines = Lines::default();
        let mut take = |offset, text: &str| {
            lines
                .take(key("a"), offset, text.as_bytes())
                .map(|written| written.text)
        };
        assert_eq!(take(0, "on"), None);
        assert_eq!(take(2, "e\ntw"), Some("one\n".to_owned()));
        assert_eq!(take(0, "one\ntw"), None, "a repeat");
        assert_eq!(take(4, "two\nthree"), Some("two\n".to_owned()), "an overlap");
        assert_eq!(lines.cursors()[0].offset, 13);
        let rest = lines.end("a");
        assert_eq!(rest[0].text, "three");
        assert!(lines.end_all().is_empty());
    }

    #[test]
    fn nodes_do_not_disturb_each_other() {
        let mut lines = Lines::default();
        lines.take(key("a"), 0, b"half");
        lines.take(key("b"), 0, b"other");
        assert_eq!(lines.end("a").len(), 1);
        assert_eq!(lines.end_all()[0].node, "b");
    }

    #[test]
    fn a_character_that_came_in_two_parts_is_whole_in_its_line() {
        let mut lines = Lines::default();
        let text = "wörld\n".as_bytes();
        assert_eq!(lines.take(key("a"), 0, &text[..2]), None);
        assert_eq!(lines.take(key("a"), 2, &text[2..]).unwrap().text, "wörld\n");
    }
}
