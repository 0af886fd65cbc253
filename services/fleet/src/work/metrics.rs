//! What is counted beside the calls.

use std::sync::PoisonError;

use muster_boot::Parts;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// Counters and gauges; `README.md` explains them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) registrations: Counter,
    pub(crate) denied_registrations: Counter,
    pub(crate) hellos: Counter,
    pub(crate) refused_hellos: Counter,
    pub(crate) heartbeats: Counter,
    pub(crate) nodes: Gauge,
    pub(crate) online_nodes: Gauge,
    pub(crate) missing_revocations: Gauge,
}

impl Metrics {
    /// Metrics that the service's port shows.
    pub(crate) fn register(parts: &Parts) -> Self {
        let metrics = Self::default();
        let mut registry = parts.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let registry = registry.sub_registry_with_prefix("muster_fleet");
        registry.register(
            "registrations",
            "Machines registered anew",
            metrics.registrations.clone(),
        );
        registry.register(
            "denied_registrations",
            "Machines that no activation let in",
            metrics.denied_registrations.clone(),
        );
        registry.register("hellos", "Hellos answered", metrics.hellos.clone());
        registry.register(
            "refused_hellos",
            "Hellos of nodes that are not managed, or not readable",
            metrics.refused_hellos.clone(),
        );
        registry.register("heartbeats", "Heartbeats heard", metrics.heartbeats.clone());
        registry.register("nodes", "Managed nodes", metrics.nodes.clone());
        registry.register(
            "online_nodes",
            "Managed nodes that were heard of lately",
            metrics.online_nodes.clone(),
        );
        registry.register(
            "missing_revocations",
            "Keys that the bus should refuse and did not when it was last compared",
            metrics.missing_revocations.clone(),
        );
        metrics
    }
}
