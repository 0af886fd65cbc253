//! What comes in to the coordinator.

use async_nats::Subject;
use bytes::Bytes;
use muster_model::{NodeId, RolloutId, SignedDuration};
use muster_proto::agent::v1::Record;
use muster_wire::Failure;
use tokio::sync::{mpsc, oneshot};

use crate::contract::Order;
use crate::domain::Report;

/// Where things for the coordinator are put.
pub(crate) type Inputs = mpsc::Sender<Input>;

/// Something for the coordinator.
#[derive(Debug)]
pub(crate) enum Input {
    /// An owner starts a rollout.
    Start {
        order: Box<Order>,
        /// As it came, to be stored.
        request: Vec<u8>,
        traceparent: String,
        answer: Answer,
    },
    /// An owner cancels one.
    Cancel {
        id: RolloutId,
        /// Empty: all.
        nodes: Vec<NodeId>,
        /// What nodes may have already goes on.
        only_unsent: bool,
        /// Another replica passed it on.
        forwarded: bool,
        answer: Answer,
    },
    /// A node said what became of a work item.
    Ack { node: NodeId, id: RolloutId, verdict: Door },
    /// A node has shown itself and asks for its work.
    Present { node: NodeId, unfinished: Vec<RolloutId> },
    /// A node wants to know how many runs are expected from it.
    Expected(Box<Asked>),
    /// A node reported.
    Reply(Box<NodeReply>),
    /// Nobody listened on a node's subject.
    Unreachable { id: RolloutId, index: u32, attempt: u32 },
    /// An owner has taken news.
    Heard(Vec<(RolloutId, i64)>),
}

/// A node's question for its work.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) node: NodeId,
    pub(crate) reply: Subject,
    /// What its answer is signed over; empty: it need not be signed.
    pub(crate) nonce: Vec<u8>,
    /// The serial of the work keys that it has.
    pub(crate) keys: u64,
}

/// What a node reported.
#[derive(Debug)]
pub(crate) struct NodeReply {
    pub(crate) node: NodeId,
    pub(crate) id: RolloutId,
    pub(crate) records: Vec<Record>,
    pub(crate) report: Report,
    /// As it came, to be passed on.
    pub(crate) payload: Bytes,
    /// Another replica passed it on.
    pub(crate) forwarded: bool,
    pub(crate) reply: Subject,
}

/// What became of a work item at the node's door.
#[derive(Debug)]
pub(crate) enum Door {
    Accepted,
    Busy(SignedDuration),
    Refused(String),
}

/// Who waits for the outcome.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A call of this process.
    Call(oneshot::Sender<Result<(), Failure>>),
    /// Another replica.
    Bus(Subject),
}
