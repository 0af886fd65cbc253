//! The layer that makes every call visible: a span, a count, a duration.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tonic::body::Body;
use tracing::{Instrument, info_span};

use crate::trace;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    service: String,
    method: String,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    service: String,
    method: String,
}

/// Counts and durations of calls, as `muster_calls_total` and `muster_call_duration_seconds`.
#[derive(Debug, Clone)]
pub struct CallMetrics {
    calls: Family<CallLabels, Counter>,
    seconds: Family<MethodLabels, Histogram>,
}

impl CallMetrics {
    /// Metrics that `registry` shows.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_25, 2.0, 16))),
        };
        registry.register("muster_calls", "Calls answered, by gRPC code", metrics.calls.clone());
        registry.register(
            "muster_call_duration_seconds",
            "Time from a call's arrival to its answer",
            metrics.seconds.clone(),
        );
        metrics
    }

    fn record(&self, service: &str, method: &str, code: &str, started: Instant) {
        let labels = MethodLabels {
            service: service.to_owned(),
            method: method.to_owned(),
        };
        self.seconds
            .get_or_create(&labels)
            .observe(started.elapsed().as_secs_f64());
        self.calls
            .get_or_create(&CallLabels {
                service: labels.service,
                method: labels.method,
                code: code.to_owned(),
            })
            .inc();
    }
}

/// Puts [`ObserveService`] around a service.
#[derive(Debug, Clone)]
pub struct ObserveLayer(pub CallMetrics);

impl<S> tower::Layer<S> for ObserveLayer {
    type Service = ObserveService<S>;

    fn layer(&self, inner: S) -> ObserveService<S> {
        ObserveService {
            inner,
            metrics: self.0.clone(),
        }
    }
}

/// Opens a span for each call, as a child of the caller's, and counts the call.
#[derive(Debug, Clone)]
pub struct ObserveService<S> {
    inner: S,
    metrics: CallMetrics,
}

impl<S> tower::Service<http::Request<Body>> for ObserveService<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let metrics = self.metrics.clone();
        let path = request.uri().path().to_owned();
        let (service, method) = names(&path);
        let span = info_span!(
            "call",
            otel.name = %format_args!("{service}/{method}"),
            otel.kind = "server",
            rpc.service = service,
            rpc.method = method,
            rpc.grpc.status_code = tracing::field::Empty,
        );
        trace::continue_from_http(&span, request.headers());
        let started = Instant::now();
        Box::pin(
            async move {
                let response = inner.call(request).await?;
                // A refused unary call carries its status in the head; a missing one means success.
                let code = response
                    .headers()
                    .get("grpc-status")
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or("0")
                    .to_owned();
                trace::record("rpc.grpc.status_code", &code);
                let (service, method) = names(&path);
                metrics.record(service, method, &code, started);
                Ok(response)
            }
            .instrument(span),
        )
    }
}

/// `RunCommand` and `SendCommand` of `/muster.runcommand.v1.RunCommand/SendCommand`.
fn names(path: &str) -> (&str, &str) {
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    (service.rsplit('.').next().unwrap_or(service), method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_path() {
        assert_eq!(
            names("/muster.fleet.v1.Fleet/GetConnectionStatus"),
            ("Fleet", "GetConnectionStatus")
        );
    }
}
