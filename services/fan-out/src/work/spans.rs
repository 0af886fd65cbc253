//! The nodes' part of a trace. Agents send no spans, because an exporter would be larger than all the rest of an agent;
//! they send the trace's name back with their reports, and what they did is told from here.

use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use muster_proto::agent::v1::record::Fact;
use muster_proto::agent::v1::{StepResult, StepStatus};
use muster_wire::trace::ReportedSpan;
use prost_types::Timestamp;

use super::input::NodeReply;

/// Tells of the steps that have ended. A report that is repeated is told of again.
pub(crate) fn tell(headers: &HeaderMap, reply: &NodeReply) {
    for record in &reply.records {
        if let Some(Fact::StepResult(step)) = &record.fact
            && let Some(span) = span_of(step, reply)
        {
            span.tell(headers);
        }
    }
}

/// `None` for a step that never ran: it took no time.
fn span_of(step: &StepResult, reply: &NodeReply) -> Option<ReportedSpan> {
    let bad = matches!(step.status(), StepStatus::Failed | StepStatus::TimedOut);
    Some(ReportedSpan {
        name: step.action.clone(),
        started: time(step.started_at.as_ref()?)?,
        ended: time(step.finished_at.as_ref()?)?,
        attributes: vec![
            ("muster.node.id", reply.node.to_string()),
            ("muster.run.id", reply.id.to_string()),
            ("muster.step.name", step.name.clone()),
            ("muster.step.code", step.code.to_string()),
        ],
        failed: bad,
    })
}

fn time(time: &Timestamp) -> Option<SystemTime> {
    let seconds = Duration::from_secs(u64::try_from(time.seconds).ok()?);
    let nanoseconds = Duration::from_nanos(u64::try_from(time.nanos).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(seconds + nanoseconds)
}
