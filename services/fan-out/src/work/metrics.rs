//! What the coordinator counts.

use std::sync::atomic::AtomicI64;

use muster_boot::Parts;
use muster_model::TargetOutcome;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::domain::{Effect, TargetState};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

/// What the coordinator counts.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    sends: Counter,
    cancels: Counter,
    ends: Family<Outcome, Counter>,
    /// Rollouts that this replica works on.
    pub(crate) held: Gauge<i64, AtomicI64>,
    /// Inputs in one batch.
    pub(crate) batch: Histogram,
    /// From the begin of a transaction to its commit.
    pub(crate) commit_seconds: Histogram,
    /// Batches that were not committed.
    pub(crate) lost_batches: Counter,
    /// Transitions that owners have taken.
    pub(crate) told: Counter,
}

impl Metrics {
    pub(crate) fn register(parts: &Parts) -> Self {
        let metrics = Self {
            sends: Counter::default(),
            cancels: Counter::default(),
            ends: Family::default(),
            held: Gauge::default(),
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 14)),
            commit_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 14)),
            lost_batches: Counter::default(),
            told: Counter::default(),
        };
        let mut registry = parts.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let registry = registry.sub_registry_with_prefix("muster_fan_out");
        registry.register(
            "sends",
            "Work items sent to nodes, repeats included",
            metrics.sends.clone(),
        );
        registry.register(
            "cancels",
            "Cancels sent to nodes, repeats included",
            metrics.cancels.clone(),
        );
        registry.register("ends", "Targets that are over, by outcome", metrics.ends.clone());
        registry.register(
            "rollouts_held",
            "Rollouts that this replica works on",
            metrics.held.clone(),
        );
        registry.register(
            "batch_inputs",
            "Inputs that were handled together",
            metrics.batch.clone(),
        );
        registry.register(
            "commit_seconds",
            "Time to write a batch",
            metrics.commit_seconds.clone(),
        );
        registry.register(
            "lost_batches",
            "Batches that were not written",
            metrics.lost_batches.clone(),
        );
        registry.register(
            "transitions_told",
            "Transitions that owners have taken",
            metrics.told.clone(),
        );
        metrics
    }

    /// Counts what a step brought about.
    pub(crate) fn count(&self, effect: &Effect) {
        match effect {
            Effect::Send { .. } => {
                self.sends.inc();
            }
            Effect::SendCancel { .. } => {
                self.cancels.inc();
            }
            Effect::Tell {
                state: TargetState::Ended(outcome),
                ..
            } => self.count_end(*outcome),
            Effect::Tell { .. } => {}
        }
    }

    fn count_end(&self, outcome: TargetOutcome) {
        let outcome = format!("{outcome:?}");
        self.ends.get_or_create(&Outcome { outcome }).inc();
    }
}
