//! Following a command's output: who is asked when, and what their offers are worth. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use muster_model::{SignedDuration, TargetOutcome, Timestamp};
use muster_proto::agent::v1::{OutputOffer, OutputPosition, OutputStream};
use muster_proto::runcommand::v1::OutputChunk;

use crate::domain::status::InvocationStatus;

/// For how long a node that was asked goes on offering.
pub(crate) const LEASE: Duration = Duration::from_secs(10);
/// Between two asks of a node that offers.
const AGAIN: SignedDuration = SignedDuration::from_secs(3);
/// Between two asks of a node that has not answered yet.
const FIRST: SignedDuration = SignedDuration::from_millis(500);
/// How long a node may be silent after its end before the kept result is taken instead.
const SILENCE: SignedDuration = SignedDuration::from_secs(2);
/// With more nodes than these only those are asked that have the work.
const EAGER: usize = 256;
/// Bytes that all nodes together may have on their way, and the bounds for each.
const WINDOWS: u64 = 32 * 1024 * 1024;
const WINDOW: (u64, u64) = (16 * 1024, 256 * 1024);

/// One stream of one step.
type Stream = (String, OutputStream);

/// What is known of a command's output.
#[derive(Debug)]
pub(crate) struct Following {
    nodes: HashMap<String, Node>,
    window: u64,
    is_eager: bool,
    open: usize,
}

#[derive(Debug)]
struct Node {
    status: InvocationStatus,
    have: BTreeMap<Stream, u64>,
    /// Bytes since the last ask.
    fresh: u64,
    ask_at: Timestamp,
    /// Something got lost: the node must go back.
    rewind: bool,
    /// The last sign of the node, or of its end.
    sign_at: Timestamp,
    has_answered: bool,
    /// The node has offered everything, or has nothing.
    drained: Option<Drained>,
    is_away: bool,
    is_over: bool,
}

/// How a node came to have nothing more to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drained {
    /// All was offered.
    Whole,
    /// Its files are gone, or it does not answer.
    Gone,
    /// It never ran.
    Nothing,
}

/// What follows from news or from time.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Ask the node.
    Ask {
        node: String,
        arrived: Vec<OutputPosition>,
        window: u64,
        rewind: bool,
    },
    /// Tell the listener.
    Chunk { node: String, chunk: OutputChunk },
    /// Tell the listener what the result kept, then the end.
    EndWithExcerpt { node: String, details: &'static str },
    /// Tell the listener.
    End { node: String, details: &'static str },
    /// Tell the listener.
    Away { node: String },
}

impl Following {
    /// All nodes of a command and what the listener has of them.
    pub(crate) fn new(
        nodes: impl IntoIterator<Item = (String, InvocationStatus)>,
        have: impl IntoIterator<Item = (String, Stream, u64)>,
        now: Timestamp,
    ) -> Self {
        let mut nodes: HashMap<String, Node> = nodes
            .into_iter()
            .map(|(id, status)| (id, Node::new(status, now)))
            .collect();
        for (id, stream, offset) in have {
            if let Some(node) = nodes.get_mut(&id) {
                node.have.insert(stream, offset);
            }
        }
        let count = nodes.len();
        let each = WINDOWS / u64::try_from(count.max(1)).unwrap_or(u64::MAX);
        Self {
            open: count,
            is_eager: count <= EAGER,
            window: each.clamp(WINDOW.0, WINDOW.1),
            nodes,
        }
    }

    /// Whether every node's part is over and told.
    pub(crate) fn is_over(&self) -> bool {
        self.open == 0
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// An invocation as it stands.
    pub(crate) fn status(&mut self, id: &str, status: InvocationStatus, now: Timestamp) {
        let Some(node) = self.nodes.get_mut(id) else {
            return;
        };
        if node.status == status {
            return;
        }
        if node.status != InvocationStatus::InProgress && status == InvocationStatus::InProgress {
            node.ask_at = node.ask_at.min(now);
            node.is_away = false;
        }
        if status.is_final() && !node.status.is_final() {
            node.sign_at = now;
            node.ask_at = node.ask_at.min(now);
        }
        node.status = status;
        node.know_nothing();
    }

    /// What a node offers.
    pub(crate) fn offered(&mut self, id: &str, offer: OutputOffer, now: Timestamp, steps: &mut Vec<Step>) {
        let Some(node) = self.nodes.get_mut(id).filter(|node| !node.is_over) else {
            return;
        };
        node.sign_at = now;
        node.has_answered = true;
        node.is_away = false;
        let mut is_whole = true;
        for piece in offer.pieces {
            let at = piece.at.unwrap_or_default();
            let stream = (at.part.clone(), at.stream());
            let have = node.have.get(&stream).copied().unwrap_or_default();
            let end = at.offset + piece.data.len() as u64;
            if at.offset > have {
                is_whole = false;
                continue;
            }
            if end <= have {
                continue;
            }
            let known = usize::try_from(have - at.offset).unwrap_or(usize::MAX);
            let data = piece.data.get(known..).unwrap_or_default().to_vec();
            node.fresh += data.len() as u64;
            node.have.insert(stream, end);
            steps.push(Step::Chunk {
                node: id.to_owned(),
                chunk: OutputChunk {
                    stream: at.stream,
                    step: at.part,
                    offset: have,
                    data,
                    is_excerpt: false,
                },
            });
        }
        is_whole &= offer.ends.iter().all(|end| {
            let have = node.have.get(&(end.part.clone(), end.stream()));
            have.copied().unwrap_or_default() >= end.offset
        });
        if !is_whole {
            node.rewind = true;
            node.ask_at = now;
        } else if offer.is_end {
            node.drained = Some(Drained::Whole);
        } else if offer.is_gone {
            node.drained = Some(Drained::Gone);
        } else if node.fresh >= self.window / 2 {
            node.ask_at = now;
        }
    }

    /// What is due for all nodes.
    pub(crate) fn due(&mut self, now: Timestamp, steps: &mut Vec<Step>) {
        let (window, is_eager) = (self.window, self.is_eager);
        let open = self.nodes.iter_mut().filter(|(_, node)| !node.is_over);
        let ended = open
            .map(|(id, node)| usize::from(node.due(id, window, is_eager, now, steps)))
            .sum::<usize>();
        self.open -= ended;
    }

    /// What is due for one node: after its offer nobody else need be looked at.
    pub(crate) fn due_for(&mut self, id: &str, now: Timestamp, steps: &mut Vec<Step>) {
        if let Some(node) = self.nodes.get_mut(id).filter(|node| !node.is_over) {
            let has_ended = node.due(id, self.window, self.is_eager, now, steps);
            self.open -= usize::from(has_ended);
        }
    }

    /// Whether the listener has anything of the node: then an excerpt would only repeat.
    pub(crate) fn has_output_of(&self, id: &str) -> bool {
        self.nodes.get(id).is_some_and(|node| !node.have.is_empty())
    }
}

impl Node {
    fn new(status: InvocationStatus, now: Timestamp) -> Self {
        let mut node = Self {
            status,
            have: BTreeMap::new(),
            fresh: 0,
            ask_at: now,
            rewind: false,
            sign_at: now,
            has_answered: false,
            drained: None,
            is_away: false,
            is_over: false,
        };
        node.know_nothing();
        node
    }

    fn may_have_output(&self) -> bool {
        !matches!(self.status, InvocationStatus::Pending | InvocationStatus::Delayed)
    }

    /// These ends are given only to nodes that never had the work.
    fn know_nothing(&mut self) {
        if let InvocationStatus::Ended(
            TargetOutcome::Terminated
            | TargetOutcome::Undeliverable
            | TargetOutcome::InvalidPlatform
            | TargetOutcome::AccessDenied,
        ) = self.status
        {
            self.drained = Some(Drained::Nothing);
        }
    }

    /// Adds what is due; whether that was the last of it.
    fn due(&mut self, id: &str, window: u64, is_eager: bool, now: Timestamp, steps: &mut Vec<Step>) -> bool {
        if self.status == InvocationStatus::Delayed && !self.is_away {
            self.is_away = true;
            steps.push(Step::Away { node: id.to_owned() });
        }
        if self.drained.is_none() && self.status.is_final() && now.duration_since(self.sign_at) > SILENCE {
            self.drained = Some(Drained::Gone);
        }
        if let (InvocationStatus::Ended(_), Some(drained)) = (self.status, self.drained) {
            self.is_over = true;
            let (node, details) = (id.to_owned(), self.status.details());
            steps.push(match drained {
                Drained::Gone => Step::EndWithExcerpt { node, details },
                Drained::Whole | Drained::Nothing => Step::End { node, details },
            });
            return true;
        }
        let is_wanted = self.drained.is_none() && (is_eager || self.may_have_output());
        if is_wanted && self.ask_at <= now {
            steps.push(self.ask(id, window, now));
        }
        false
    }

    fn ask(&mut self, id: &str, window: u64, now: Timestamp) -> Step {
        let pause = if self.has_answered { AGAIN } else { FIRST };
        self.ask_at = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        self.fresh = 0;
        Step::Ask {
            node: id.to_owned(),
            arrived: self
                .have
                .iter()
                .map(|((part, stream), offset)| OutputPosition {
                    part: part.clone(),
                    stream: (*stream).into(),
                    offset: *offset,
                })
                .collect(),
            window,
            rewind: std::mem::take(&mut self.rewind),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::agent::v1::OutputPiece;

    use super::*;

    const ENDED: InvocationStatus = InvocationStatus::Ended(TargetOutcome::Success);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn offer(pieces: &[(u64, &str)], is_end: bool, end: u64) -> OutputOffer {
        let at = |offset| OutputPosition {
            part: "sh.one".to_owned(),
            stream: OutputStream::Stdout.into(),
            offset,
        };
        OutputOffer {
            pieces: pieces
                .iter()
                .map(|(offset, text)| OutputPiece {
                    at: Some(at(*offset)),
                    data: text.as_bytes().to_vec(),
                })
                .collect(),
            is_end,
            ends: if is_end { vec![at(end)] } else { Vec::new() },
            ..OutputOffer::default()
        }
    }

    fn following(status: InvocationStatus) -> Following {
        Following::new([("n".to_owned(), status)], [], at(0))
    }

    fn heard(following: &mut Following, offer: OutputOffer, now: i64) -> String {
        let mut steps = Vec::new();
        following.offered("n", offer, at(now), &mut steps);
        let mut text = String::new();
        for step in steps {
            if let Step::Chunk { chunk, .. } = step {
                text.push_str(std::str::from_utf8(&chunk.data).unwrap());
            }
        }
        text
    }

    fn due(following: &mut Following, now: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        following.due(at(now), &mut steps);
        steps
    }

    #[test]
    fn repeats_are_dropped_and_overlaps_are_cut() {
        let mut following = following(InvocationStatus::InProgress);
        assert_eq!(heard(&mut following, offer(&[(0, "hello")], false, 0), 1), "hello");
        assert_eq!(heard(&mut following, offer(&[(0, "hello")], false, 0), 2), "");
        assert_eq!(heard(&mut following, offer(&[(3, "lo world")], false, 0), 3), " world");
    }

    #[test]
    fn a_gap_sends_the_node_back_to_what_has_arrived() {
        let mut following = following(InvocationStatus::InProgress);
        assert!(matches!(due(&mut following, 0)[..], [Step::Ask { rewind: false, .. }]));
        assert_eq!(heard(&mut following, offer(&[(0, "ab")], false, 0), 1), "ab");
        assert_eq!(heard(&mut following, offer(&[(4, "ef")], true, 6), 2), "");
        let [
            Step::Ask {
                rewind: true, arrived, ..
            },
        ] = &due(&mut following, 2)[..]
        else {
            panic!("not asked again")
        };
        assert_eq!(arrived[0].offset, 2);
        assert_eq!(heard(&mut following, offer(&[(2, "cdef")], true, 6), 3), "cdef");
        following.status("n", ENDED, at(4));
        assert!(matches!(due(&mut following, 4)[..], [Step::End { .. }]));
        assert!(following.is_over());
    }

    #[test]
    fn an_end_whose_last_offer_was_lost_is_noticed() {
        let mut following = following(InvocationStatus::InProgress);
        due(&mut following, 0);
        assert_eq!(heard(&mut following, offer(&[], true, 6), 2), "");
        assert!(matches!(due(&mut following, 2)[..], [Step::Ask { rewind: true, .. }]));
    }

    #[test]
    fn the_end_waits_for_the_output_and_for_the_status() {
        let mut following = following(InvocationStatus::InProgress);
        due(&mut following, 0);
        heard(&mut following, offer(&[(0, "x")], true, 1), 1);
        assert_eq!(due(&mut following, 5_000), [], "the status is not known yet");
        following.status("n", ENDED, at(5_001));
        assert!(matches!(
            due(&mut following, 5_001)[..],
            [Step::End { details: "Success", .. }]
        ));
    }

    #[test]
    fn a_silent_node_that_has_ended_leaves_its_excerpt() {
        let mut following = following(ENDED);
        assert!(matches!(due(&mut following, 0)[..], [Step::Ask { .. }]));
        assert!(matches!(due(&mut following, 600)[..], [Step::Ask { .. }]));
        let steps = due(&mut following, 2_100);
        assert!(matches!(steps[..], [Step::EndWithExcerpt { .. }]), "{steps:?}");
    }

    #[test]
    fn a_node_that_never_had_the_work_is_over_at_once() {
        let mut following = following(InvocationStatus::Ended(TargetOutcome::Terminated));
        assert!(matches!(
            due(&mut following, 0)[..],
            [Step::End {
                details: "Terminated",
                ..
            }]
        ));
    }

    #[test]
    fn a_node_that_is_away_is_told_once() {
        let mut following = following(InvocationStatus::Delayed);
        let away = |steps: &[Step]| steps.iter().filter(|step| matches!(step, Step::Away { .. })).count();
        assert_eq!(away(&due(&mut following, 0)), 1);
        assert_eq!(away(&due(&mut following, 5_000)), 0);
    }

    #[test]
    fn of_many_nodes_only_those_are_asked_that_have_the_work() {
        let nodes = (0..1_000).map(|number| (format!("n{number}"), InvocationStatus::Pending));
        let mut following = Following::new(nodes, [], at(0));
        assert_eq!(due(&mut following, 0), []);
        following.status("n7", InvocationStatus::InProgress, at(1));
        let steps = due(&mut following, 1);
        assert!(
            matches!(&steps[..], [Step::Ask { node, .. }] if node == "n7"),
            "{steps:?}"
        );
    }
}
