//! Trace context in headers: HTTP's and NATS's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use async_nats::HeaderMap as NatsHeaders;
use http::HeaderMap as HttpHeaders;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{KeyValue, global};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

struct Http<'a>(&'a HttpHeaders);

impl Extractor for Http<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

struct Nats<'a>(&'a NatsHeaders);

impl Extractor for Nats<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(async_nats::HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }
}

struct NatsMut<'a>(&'a mut NatsHeaders);

impl Injector for NatsMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key, value);
    }
}

/// Whether a collector hears of this process's spans.
static COLLECTED: AtomicBool = AtomicBool::new(false);

/// From now on a collector hears of spans.
pub fn collect() {
    COLLECTED.store(true, Ordering::Relaxed);
}

/// Adds to the current span what became known of it. Only a collector wants it: the log has a line of its own for each
/// answer, and would write all fields of the span anew for each that is added.
pub fn record(name: &'static str, value: &str) {
    if COLLECTED.load(Ordering::Relaxed) {
        Span::current().record(name, value);
    }
}

/// Makes `span` a child of the span that the HTTP headers name.
pub fn continue_from_http(span: &Span, headers: &HttpHeaders) {
    // Without a telemetry layer there is no span to hang under another: nothing is lost.
    let _ = span.set_parent(global::get_text_map_propagator(|propagator| {
        propagator.extract(&Http(headers))
    }));
}

/// Makes `span` a child of the span that the NATS headers name.
pub fn continue_from_nats(span: &Span, headers: &NatsHeaders) {
    let _ = span.set_parent(global::get_text_map_propagator(|propagator| {
        propagator.extract(&Nats(headers))
    }));
}

/// Writes the current span into NATS headers.
pub fn into_nats(headers: &mut NatsHeaders) {
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut NatsMut(headers)));
}

/// The current span as a `traceparent` text, to be stored beside work that goes on later.
#[must_use]
pub fn current() -> Option<String> {
    let mut headers = NatsHeaders::new();
    into_nats(&mut headers);
    headers.get("traceparent").map(|value| value.as_str().to_owned())
}

/// Makes `span` a child of a stored `traceparent`.
pub fn continue_from_text(span: &Span, traceparent: &str) {
    let mut headers = NatsHeaders::new();
    headers.insert("traceparent", traceparent);
    continue_from_nats(span, &headers);
}

/// Something that somebody did who sends no spans himself: a node's agent reports its steps to a service, and the service
/// tells the collector.
#[derive(Debug, Clone)]
pub struct ReportedSpan {
    /// What was done, "aws:runShellScript".
    pub name: String,
    /// By the clock of whoever did it.
    pub started: SystemTime,
    /// By the same clock.
    pub ended: SystemTime,
    /// Never an output or a parameter.
    pub attributes: Vec<(&'static str, String)>,
    /// Whether it came to a bad end.
    pub failed: bool,
}

impl ReportedSpan {
    /// Tells the collector, as a child of the span that the headers name. Costs nothing where no collector is set.
    pub fn tell(self, parent: &NatsHeaders) {
        let context = global::get_text_map_propagator(|propagator| propagator.extract(&Nats(parent)));
        if !context.span().span_context().is_valid() {
            return;
        }
        let attributes = self
            .attributes
            .into_iter()
            .map(|(key, value)| KeyValue::new(key, value));
        let span = SpanBuilder::from_name(self.name)
            .with_kind(SpanKind::Internal)
            .with_start_time(self.started)
            .with_attributes(attributes);
        let mut span = global::tracer("muster").build_with_context(span, &context);
        if self.failed {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(self.ended);
    }
}
