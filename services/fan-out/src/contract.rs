//! Between the contract's messages and the domain: parsed here, trusted afterwards.

use std::collections::HashSet;

use bytes::Bytes;
use muster_model::{MaxConcurrency, MaxErrors, NodeId, RolloutId, TargetOutcome, Timestamp};
use muster_proto::agent::v1::record::Fact;
use muster_proto::agent::v1::{Record, RunStatus, WorkItem};
use muster_proto::fanout::v1::{
    Happening as WireHappening, HistoryPage, StartRolloutRequest, TagSelector, TargetState as WireState,
};
use muster_store::StoreError;
use muster_wire::Refusal;
use prost::Message;

use crate::domain::history::{Entry, Happening, Page};
use crate::domain::{Plan, Planned, Report, TargetState};

/// What a rollout may ask for at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) targets: u32,
    pub(crate) concurrency: u32,
}

impl Limits {
    /// For what was accepted before.
    const NONE: Self = Self {
        targets: u32::MAX,
        concurrency: u32::MAX,
    };
}

/// What an owner ordered.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) plan: Plan,
    /// Name of the owner's service; a plain word, since it becomes part of a subject.
    pub(crate) owner: String,
    /// By which the targets were chosen.
    pub(crate) tags: Vec<TagSelector>,
    /// The `WorkItem`, encoded, without what differs from sending to sending.
    pub(crate) work: Bytes,
}

impl Order {
    /// Reads a request that was accepted before, with the limits as they were worked out then.
    pub(crate) fn reread(request: &[u8], concurrency: u32, errors_allowed: u32) -> Result<Self, StoreError> {
        let request = StartRolloutRequest::decode(request).map_err(StoreError::corrupt)?;
        let mut order = Self::read(request, Limits::NONE).map_err(StoreError::corrupt)?;
        order.plan.concurrency = concurrency;
        order.plan.errors_allowed = errors_allowed;
        Ok(order)
    }

    /// Reads a request.
    pub(crate) fn read(request: StartRolloutRequest, limits: Limits) -> Result<Self, Refusal> {
        let id = rollout_id(&request.rollout_id)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric();
        if request.owner.is_empty() || !request.owner.bytes().all(plain) {
            return Err(Refusal::validation("the owner is no name of a service"));
        }
        let Ok(count) = u32::try_from(request.targets.len()) else {
            return Err(Refusal::validation("too many targets"));
        };
        if count > limits.targets {
            return Err(Refusal::validation(format!(
                "{count} targets are more than the {} that one rollout may have",
                limits.targets
            )));
        }
        let concurrency: MaxConcurrency = parse(&request.max_concurrency, "max_concurrency")?;
        let errors: MaxErrors = parse(&request.max_errors, "max_errors")?;
        let deadline = request.deadline.and_then(timestamp);
        let deadline = deadline.ok_or_else(|| Refusal::validation("the deadline is missing or no time"))?;
        let work = request.work.ok_or_else(|| Refusal::validation("the work is missing"))?;
        let mut targets = Vec::with_capacity(request.targets.len());
        for target in &request.targets {
            let node = parse(&target.node_id, "a target")?;
            let refused = refusal(target.refused())?;
            targets.push(Planned { node, refused });
        }
        let nodes: HashSet<&NodeId> = targets.iter().map(|target| &target.node).collect();
        if nodes.len() != targets.len() {
            return Err(Refusal::validation("a node is named twice"));
        }
        Ok(Self {
            plan: Plan {
                id,
                targets,
                concurrency: concurrency.resolve(count).min(limits.concurrency),
                errors_allowed: errors.resolve(count),
                deadline,
            },
            owner: request.owner,
            tags: request.tags,
            work: same_for_all(work, id),
        })
    }
}

fn same_for_all(work: WorkItem, id: RolloutId) -> Bytes {
    let work = WorkItem {
        run_id: id.to_string(),
        node_id: String::new(),
        time_to_live_ms: 0,
        attempt: 0,
        not_after_ms: 0,
        ..work
    };
    work.encode_to_vec().into()
}

/// The work item for one sending. Two encoded messages behind each other are their union, so that the document and
/// its parameters are encoded once for all nodes.
pub(crate) fn work_item(same_for_all: &[u8], own: &WorkItem) -> Bytes {
    let mut bytes = Vec::with_capacity(same_for_all.len() + own.encoded_len());
    bytes.extend_from_slice(same_for_all);
    own.encode_raw(&mut bytes);
    bytes.into()
}

/// Reads a rollout's id.
pub(crate) fn rollout_id(text: &str) -> Result<RolloutId, Refusal> {
    parse(text, "rollout_id")
}

/// Reads a node's id.
pub(crate) fn node_id(text: &str) -> Result<NodeId, Refusal> {
    parse(text, "a node")
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str, what: &str) -> Result<T, Refusal> {
    text.parse()
        .map_err(|error| Refusal::validation(format!("{what}: {error}")))
}

fn refusal(state: WireState) -> Result<Option<TargetOutcome>, Refusal> {
    match state {
        WireState::Unset => Ok(None),
        WireState::Undeliverable => Ok(Some(TargetOutcome::Undeliverable)),
        WireState::InvalidPlatform => Ok(Some(TargetOutcome::InvalidPlatform)),
        WireState::AccessDenied => Ok(Some(TargetOutcome::AccessDenied)),
        _ => Err(Refusal::validation(
            "a target can be refused as undeliverable, of the wrong platform, or denied",
        )),
    }
}

/// What decides anything in a node's records; nothing if they are none, or not in order without gaps.
pub(crate) fn report(records: &[Record]) -> Option<Report> {
    let (first, last) = (records.first()?.sequence, records.last()?.sequence);
    let storable = first >= 1 && first <= last && i64::try_from(last).is_ok();
    if !storable || !records.iter().map(|record| record.sequence).eq(first..=last) {
        return None;
    }
    let end = records.iter().rev().find_map(|record| match &record.fact {
        Some(Fact::RunResult(result)) => Some(match result.status() {
            RunStatus::Success => TargetOutcome::Success,
            RunStatus::TimedOut => TargetOutcome::ExecutionTimedOut,
            RunStatus::Cancelled => TargetOutcome::Cancelled,
            // A status that this version does not know is no success.
            RunStatus::Failed | RunStatus::Unset => TargetOutcome::Failed,
        }),
        _ => None,
    });
    Some(Report { first, last, end })
}

/// A state in the contract's words.
pub(crate) fn state(state: TargetState) -> WireState {
    match state {
        TargetState::Pending => WireState::Pending,
        TargetState::InProgress => WireState::InProgress,
        TargetState::Delayed => WireState::Delayed,
        TargetState::Ended(outcome) => match outcome {
            TargetOutcome::Success => WireState::Success,
            TargetOutcome::Failed => WireState::Failed,
            TargetOutcome::ExecutionTimedOut => WireState::ExecutionTimedOut,
            TargetOutcome::Cancelled => WireState::Cancelled,
            TargetOutcome::DeliveryTimedOut => WireState::DeliveryTimedOut,
            TargetOutcome::Undeliverable => WireState::Undeliverable,
            TargetOutcome::InvalidPlatform => WireState::InvalidPlatform,
            TargetOutcome::AccessDenied => WireState::AccessDenied,
            TargetOutcome::Terminated => WireState::Terminated,
        },
    }
}

/// The outcome that a state of the contract stands for, if it is one.
fn outcome(state: WireState) -> Option<TargetOutcome> {
    TargetOutcome::ALL
        .into_iter()
        .find(|outcome| self::state(TargetState::Ended(*outcome)) == state)
}

/// A page of a rollout's history in the contract's words.
pub(crate) fn history_page(page: &Page, sequence: u64) -> HistoryPage {
    let mut wire = HistoryPage {
        sequence,
        at: Some(wire_time(page.at)),
        ..HistoryPage::default()
    };
    for entry in &page.entries {
        let (what, detail) = match entry.what {
            Happening::TakenUp => (WireHappening::TakenUp, entry.detail),
            Happening::Sent => (WireHappening::Sent, entry.detail),
            Happening::Accepted => (WireHappening::Accepted, entry.detail),
            Happening::Parked => (WireHappening::Parked, entry.detail),
            Happening::Reported => (WireHappening::Reported, entry.detail),
            Happening::Ended(outcome) => {
                let state = state(TargetState::Ended(outcome)) as i32;
                (WireHappening::Ended, u64::try_from(state).unwrap_or_default())
            }
            Happening::Cancelled => (WireHappening::Cancelled, entry.detail),
            Happening::TargetCancelled => (WireHappening::TargetCancelled, entry.detail),
            Happening::CancelSent => (WireHappening::CancelSent, entry.detail),
            Happening::Breached => (WireHappening::Breached, entry.detail),
            Happening::Cut => (WireHappening::Cut, entry.detail),
        };
        wire.what.push(what.into());
        wire.target.push(entry.target);
        wire.detail.push(detail);
    }
    wire
}

/// Reads a page of a rollout's history; `None` if it is none.
#[must_use]
pub fn read_history_page(wire: &HistoryPage) -> Option<Page> {
    let at = timestamp(wire.at?)?;
    let mut entries = Vec::with_capacity(wire.what.len());
    for (index, what) in wire.what().enumerate() {
        let detail = *wire.detail.get(index)?;
        let what = match what {
            WireHappening::Unset => return None,
            WireHappening::TakenUp => Happening::TakenUp,
            WireHappening::Sent => Happening::Sent,
            WireHappening::Accepted => Happening::Accepted,
            WireHappening::Parked => Happening::Parked,
            WireHappening::Reported => Happening::Reported,
            WireHappening::Ended => {
                let state = WireState::try_from(i32::try_from(detail).ok()?).ok()?;
                Happening::Ended(outcome(state)?)
            }
            WireHappening::Cancelled => Happening::Cancelled,
            WireHappening::TargetCancelled => Happening::TargetCancelled,
            WireHappening::CancelSent => Happening::CancelSent,
            WireHappening::Breached => Happening::Breached,
            WireHappening::Cut => Happening::Cut,
        };
        let target = *wire.target.get(index)?;
        let detail = if matches!(what, Happening::Ended(_)) { 0 } else { detail };
        entries.push(Entry { what, target, detail });
    }
    Some(Page { at, entries })
}

/// A time from the contract.
fn timestamp(time: prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// A time for the contract.
pub(crate) fn wire_time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::agent::v1::{RunResult, StepStarted};
    use muster_proto::fanout::v1::RolloutTarget;

    use super::*;

    const LIMITS: Limits = Limits {
        targets: 3,
        concurrency: 2,
    };

    fn request() -> StartRolloutRequest {
        let target = |node: &str| RolloutTarget {
            node_id: node.to_owned(),
            refused: 0,
        };
        StartRolloutRequest {
            rollout_id: "00000000-0000-4000-8000-000000000001".to_owned(),
            owner: "RunCommand".to_owned(),
            targets: vec![target("mi-0123456789abcdef0"), target("mi-0123456789abcdef1")],
            max_concurrency: "100%".to_owned(),
            max_errors: "50%".to_owned(),
            deadline: Some(prost_types::Timestamp { seconds: 100, nanos: 5 }),
            work: Some(WorkItem {
                document_content: "{}".to_owned(),
                ..WorkItem::default()
            }),
            tags: Vec::new(),
        }
    }

    #[test]
    fn limits_are_resolved_over_all_targets_and_capped() {
        let plan = Order::read(request(), LIMITS).unwrap().plan;
        assert_eq!((plan.concurrency, plan.errors_allowed), (2, 1));
        let one = Limits {
            concurrency: 1,
            ..LIMITS
        };
        assert_eq!(Order::read(request(), one).unwrap().plan.concurrency, 1);
    }

    #[test]
    fn malformed_orders_are_refused() {
        let check = |spoil: &dyn Fn(&mut StartRolloutRequest), expected: &str| {
            let mut request = request();
            spoil(&mut request);
            let refusal = Order::read(request, LIMITS).unwrap_err();
            assert!(refusal.message.contains(expected), "{}", refusal.message);
        };
        check(&|request| request.rollout_id.clear(), "rollout_id");
        check(&|request| request.owner = "Run.Command".to_owned(), "owner");
        check(&|request| request.owner.clear(), "owner");
        check(&|request| request.max_concurrency = "0".to_owned(), "max_concurrency");
        check(&|request| request.max_errors = "x".to_owned(), "max_errors");
        check(&|request| request.deadline = None, "deadline");
        check(&|request| request.work = None, "work");
        check(&|request| request.targets[0].node_id = "*".to_owned(), "a target");
        check(&|request| request.targets[1] = request.targets[0].clone(), "twice");
        check(&|request| request.targets[0].set_refused(WireState::Success), "refused");
        check(
            &|request| request.targets = vec![request.targets[0].clone(); 4],
            "4 targets",
        );
    }

    #[test]
    fn a_work_item_says_who_it_is_for_and_what_to_do() {
        let order = Order::read(request(), LIMITS).unwrap();
        let own = WorkItem {
            node_id: order.plan.targets[1].node.to_string(),
            time_to_live_ms: 70_000,
            attempt: 2,
            not_after_ms: 9,
            ..WorkItem::default()
        };
        let bytes = work_item(&order.work, &own);
        let item = WorkItem::decode(bytes).unwrap();
        assert_eq!(item.run_id, order.plan.id.to_string());
        assert_eq!(item.node_id, "mi-0123456789abcdef1");
        assert_eq!((item.time_to_live_ms, item.attempt, item.not_after_ms), (70_000, 2, 9));
        assert_eq!(item.document_content, "{}");
    }

    #[test]
    fn a_history_survives_its_own_form() {
        let plain = [
            Happening::TakenUp,
            Happening::Sent,
            Happening::Accepted,
            Happening::Parked,
            Happening::Reported,
            Happening::Cancelled,
            Happening::TargetCancelled,
            Happening::CancelSent,
            Happening::Breached,
            Happening::Cut,
        ];
        let plain = plain.into_iter().map(|what| Entry {
            what,
            target: 3,
            detail: 7,
        });
        let ends = TargetOutcome::ALL.into_iter().map(|outcome| Entry {
            what: Happening::Ended(outcome),
            target: 4,
            detail: 0,
        });
        let page = Page {
            at: Timestamp::UNIX_EPOCH,
            entries: plain.chain(ends).collect(),
        };
        assert_eq!(read_history_page(&history_page(&page, 1)), Some(page));
    }

    #[test]
    fn records_make_a_report_only_in_order() {
        let record = |sequence, fact| Record {
            sequence,
            at: None,
            fact: Some(fact),
        };
        let started = || Fact::StepStarted(StepStarted::default());
        let ended = |status: RunStatus| {
            Fact::RunResult(RunResult {
                status: status.into(),
                ..RunResult::default()
            })
        };
        let end = Some(TargetOutcome::ExecutionTimedOut);
        assert_eq!(
            report(&[record(2, started()), record(3, ended(RunStatus::TimedOut))]),
            Some(Report { first: 2, last: 3, end })
        );
        assert_eq!(report(&[record(1, started())]).unwrap().end, None);
        assert_eq!(report(&[]), None);
        assert_eq!(report(&[record(0, started())]), None);
        assert_eq!(report(&[record(1, started()), record(3, started())]), None);
        assert_eq!(report(&[record(u64::MAX, started())]), None);
    }
}
