//! A run's log as it was read: what is known about the run. Pure.

use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{RebootRequested, Record, RunResult, StepResult, StepStarted};
use prost::Message;

use super::entry::{Accepted, Entry, Fact, Process, RebootAsked, Runner};
use super::frame;

/// Everything that a log says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The run's beginning; absent where a cancel came before the work.
    pub accepted: Option<Accepted>,
    /// The runner that wrote last.
    pub runner: Option<Runner>,
    /// The process of the step that was started last.
    pub process: Option<Process>,
    /// Process groups of earlier steps, and those that they made: who still lives there was left behind on purpose.
    pub earlier_groups: Vec<u32>,
    /// The same of control groups.
    pub earlier_control_groups: Vec<String>,
    /// News for the coordinator, in order.
    pub records: Vec<Record>,
    /// The run expired before it started.
    pub dropped: bool,
    /// Why the reboot that the last record asks for will not come.
    pub reboot_refused: Option<String>,
    /// Attempts to boot the machine as the last record asks, in order.
    pub reboot_asked: Vec<RebootAsked>,
}

impl History {
    /// Reads a log's bytes, and tells how many of them are intact.
    #[must_use]
    pub fn read(bytes: &[u8]) -> (Self, usize) {
        let mut frames = frame::read(bytes);
        let mut history = Self::default();
        let mut intact = 0;
        while let Some(payload) = frames.next() {
            // A frame whose checksum fits but whose content does not was written by another version: it ends here.
            let Ok(Entry { fact: Some(fact) }) = Entry::decode(payload) else {
                break;
            };
            history.add(fact);
            intact = frames.end();
        }
        (history, intact)
    }

    /// Adds one fact.
    pub fn add(&mut self, fact: Fact) {
        match fact {
            Fact::Accepted(accepted) => self.accepted = Some(accepted),
            Fact::Runner(runner) => self.runner = Some(runner),
            Fact::Process(mut process) => {
                self.earlier_groups.append(&mut process.earlier);
                self.leave_process();
                self.process = Some(process);
            }
            Fact::Dropped(_) => self.dropped = true,
            Fact::RebootRefused(refused) => self.reboot_refused = Some(refused.reason),
            Fact::RebootAsked(asked) => {
                self.reboot_asked.retain(|earlier| earlier.up_ms != asked.up_ms);
                self.reboot_asked.push(asked);
            }
            Fact::Record(record) => {
                self.reboot_refused = None;
                self.reboot_asked.clear();
                if matches!(record.fact, Some(News::StepStarted(_))) {
                    self.leave_process();
                }
                self.records.push(record);
            }
        }
    }

    /// Control groups in which earlier steps may have left somebody behind on purpose. None where it was not noted which
    /// is the last step's: a step that runs again is in the group that it had.
    #[must_use]
    pub fn left_control_groups(&self) -> Vec<&str> {
        let Some(last) = &self.process else {
            return Vec::new();
        };
        let earlier = self.earlier_control_groups.iter().map(String::as_str);
        earlier.filter(|name| *name != last.control_group).collect()
    }

    fn leave_process(&mut self) {
        if let Some(earlier) = self.process.take() {
            self.earlier_groups.push(earlier.group);
            self.earlier_control_groups.push(earlier.control_group);
        }
    }

    /// Whether the log says nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether nothing will be added to the run any more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.dropped || self.result().is_some()
    }

    /// How the run ended.
    #[must_use]
    pub fn result(&self) -> Option<&RunResult> {
        let facts = self.records.iter().rev().map(|record| record.fact.as_ref());
        // Nothing but the fate of outputs follows the end.
        let last = facts.flatten().find(|fact| !matches!(fact, News::OutputStored(_)))?;
        match last {
            News::RunResult(result) => Some(result),
            _ => None,
        }
    }

    /// The sequence of the last record, 0 if there is none.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        self.records.last().map_or(0, |record| record.sequence)
    }

    /// The results of the steps, in the order they came.
    pub fn step_results(&self) -> impl Iterator<Item = &StepResult> {
        self.records.iter().filter_map(|record| match &record.fact {
            Some(News::StepResult(result)) => Some(result),
            _ => None,
        })
    }

    /// The step that was started and has no result.
    #[must_use]
    pub fn open_step(&self) -> Option<&StepStarted> {
        match self.records.last()?.fact.as_ref()? {
            News::StepStarted(started) => Some(started),
            _ => None,
        }
    }

    /// The reboot that the last record asks for.
    #[must_use]
    pub fn reboot(&self) -> Option<&RebootRequested> {
        match self.records.last()?.fact.as_ref()? {
            News::RebootRequested(reboot) => Some(reboot),
            _ => None,
        }
    }

    /// Whether the run waits for the node to boot: it asked, nobody refused, and this is still the same boot.
    #[must_use]
    pub fn awaits_reboot(&self, boot_id: &str) -> bool {
        let is_same_boot = self.runner.as_ref().is_some_and(|runner| runner.boot_id == boot_id);
        self.reboot().is_some() && self.reboot_refused.is_none() && is_same_boot
    }

    /// How often a step has been started.
    #[must_use]
    pub fn runs_of(&self, index: u32) -> u32 {
        let starts = self
            .records
            .iter()
            .filter(|record| matches!(&record.fact, Some(News::StepStarted(step)) if step.index == index));
        u32::try_from(starts.count()).unwrap_or(u32::MAX)
    }

    /// When the step that was started last began, as the record says.
    #[must_use]
    pub fn last_record(&self) -> Option<&Record> {
        self.records.last()
    }

    /// Records that come after `sequence`.
    #[must_use]
    pub fn records_after(&self, sequence: u64) -> &[Record] {
        let from = self.records.partition_point(|record| record.sequence <= sequence);
        &self.records[from..]
    }
}
