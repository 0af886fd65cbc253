//! Requests by operation and code.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    operation: String,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: String,
}

/// `muster_gateway_requests_total` and `muster_gateway_request_duration_seconds`.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<Labels, Counter>,
    seconds: Family<OperationLabels, Histogram>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_25, 2.0, 16))),
        };
        registry.register(
            "muster_gateway_requests",
            "Requests answered, by operation and error word",
            metrics.requests.clone(),
        );
        registry.register(
            "muster_gateway_request_duration_seconds",
            "Time from a request's arrival to its answer",
            metrics.seconds.clone(),
        );
        metrics
    }

    /// Counts an answer. `operation` is one of the contract's, or empty: callers must not be able to make labels.
    pub(crate) fn record(&self, operation: &str, code: &str, took: Duration) {
        let operation = operation.to_owned();
        let code = code.to_owned();
        self.seconds
            .get_or_create(&OperationLabels {
                operation: operation.clone(),
            })
            .observe(took.as_secs_f64());
        self.requests.get_or_create(&Labels { operation, code }).inc();
    }
}
