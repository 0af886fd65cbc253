//! What a run's log says, one entry per frame. The encoding is protobuf; nobody but this agent reads it.

use muster_proto::agent::v1::{Record, WorkItem};

/// One entry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    /// What is said.
    #[prost(oneof = "Fact", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub fact: Option<Fact>,
}

/// What an entry says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Fact {
    /// The run was accepted; the first entry, absent only where a cancel came before the work.
    #[prost(message, tag = "1")]
    Accepted(Accepted),
    /// A runner took the run in hand.
    #[prost(message, tag = "2")]
    Runner(Runner),
    /// The step that was started last has a process.
    #[prost(message, tag = "3")]
    Process(Process),
    /// News for the coordinator.
    #[prost(message, tag = "4")]
    Record(Record),
    /// The run expired before it started and never will.
    #[prost(message, tag = "5")]
    Dropped(Dropped),
    /// The reboot that the last record asks for will not come.
    #[prost(message, tag = "6")]
    RebootRefused(RebootRefused),
    /// The machine was told to boot, or that has failed.
    #[prost(message, tag = "7")]
    RebootAsked(RebootAsked),
}

/// A work item and the circumstances of its arrival.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Accepted {
    /// The item as it came.
    #[prost(message, optional, tag = "1")]
    pub work: Option<WorkItem>,
    /// When it came, by this machine's clock: microseconds since 1970. The order of the queue.
    #[prost(int64, tag = "2")]
    pub at_us: i64,
    /// Until when the run may start.
    #[prost(message, optional, tag = "3")]
    pub deadline: Option<Deadline>,
    /// The W3C trace context of the message, so that one trace spans the run.
    #[prost(string, tag = "4")]
    pub traceparent: String,
}

/// A moment that survives both a wrong clock and a restart of the machine.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Deadline {
    /// The boot during which `up_ms` means something.
    #[prost(string, tag = "1")]
    pub boot_id: String,
    /// Milliseconds since that boot, suspended time included.
    #[prost(uint64, tag = "2")]
    pub up_ms: u64,
    /// The same moment by this machine's clock, for another boot: milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub clock_ms: i64,
}

/// A runner process.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Runner {
    /// Its process id, which is also its session's.
    #[prost(uint32, tag = "1")]
    pub pid: u32,
    /// The boot it belongs to.
    #[prost(string, tag = "2")]
    pub boot_id: String,
}

/// The main process of a step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Process {
    /// Its process group.
    #[prost(uint32, tag = "1")]
    pub group: u32,
    /// Process groups of the runner's session that were there before it: who lives there was left behind on purpose.
    #[prost(uint32, repeated, tag = "2")]
    pub earlier: Vec<u32>,
    /// Its control group's name; empty: it has none.
    #[prost(string, tag = "3")]
    pub control_group: String,
}

/// See `Fact::RebootRefused`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RebootRefused {
    /// Why, for whoever reads the run.
    #[prost(string, tag = "1")]
    pub reason: String,
}

/// One attempt to boot the machine. Written before it is made, so that an agent that is replaced meanwhile does not
/// count anew; and once more if it failed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RebootAsked {
    /// When, in milliseconds since the machine booted last; which attempt it is.
    #[prost(uint64, tag = "1")]
    pub up_ms: u64,
    /// Why the command failed; empty as long as nobody knows.
    #[prost(string, tag = "2")]
    pub failure: String,
}

/// See `Fact::Dropped`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dropped {
    /// When that was noticed: microseconds since 1970.
    #[prost(int64, tag = "1")]
    pub at_us: i64,
}

impl Deadline {
    /// `time_to_live_ms` from `now`.
    #[must_use]
    pub fn after(now: &Moment, time_to_live_ms: u64) -> Self {
        Self {
            boot_id: now.boot_id.clone(),
            up_ms: now.up_ms.saturating_add(time_to_live_ms),
            clock_ms: now
                .clock_ms
                .saturating_add(i64::try_from(time_to_live_ms).unwrap_or(i64::MAX)),
        }
    }

    /// Whether the moment has passed. Within one boot the clock is not asked: it may be set in between.
    #[must_use]
    pub fn has_passed(&self, now: &Moment) -> bool {
        if self.boot_id == now.boot_id {
            self.up_ms <= now.up_ms
        } else {
            self.clock_ms <= now.clock_ms
        }
    }
}

/// The present, as a deadline needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Which boot this is.
    pub boot_id: String,
    /// Milliseconds since it, suspended time included.
    pub up_ms: u64,
    /// Milliseconds since 1970.
    pub clock_ms: i64,
}

impl From<Fact> for Entry {
    fn from(fact: Fact) -> Self {
        Self { fact: Some(fact) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot: &str, up_ms: u64, clock_ms: i64) -> Moment {
        Moment {
            boot_id: boot.into(),
            up_ms,
            clock_ms,
        }
    }

    #[test]
    fn within_a_boot_a_clock_that_is_set_changes_nothing() {
        let day = 86_400_000;
        let deadline = Deadline::after(&moment("a", 1_000, 50 * day), 5_000);
        assert!(!deadline.has_passed(&moment("a", 5_999, 51 * day)));
        assert!(deadline.has_passed(&moment("a", 6_000, 49 * day)));
    }

    #[test]
    fn after_a_reboot_the_clock_decides() {
        let deadline = Deadline::after(&moment("a", 1_000, 1_000_000), 5_000);
        assert!(!deadline.has_passed(&moment("b", 9_000, 1_004_999)));
        assert!(deadline.has_passed(&moment("b", 100, 1_005_000)));
    }

    #[test]
    fn an_endless_time_to_live_is_no_overflow() {
        assert!(!Deadline::after(&moment("a", 1, 1), u64::MAX).has_passed(&moment("a", u64::MAX - 1, 1)));
    }
}
