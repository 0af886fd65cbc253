//! Log lines as JSON on stderr; spans to an OTLP collector where one is named.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::{BoxError, TelemetrySettings};

/// Spans on their way to the collector.
#[derive(Debug)]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Sends what is left.
    pub fn flush(&self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "spans were lost at the end");
        }
    }
}

/// Starts logging, and sending spans where a collector is named. Once in a process, inside the runtime.
///
/// # Errors
/// If the filter cannot be read, the collector's address is malformed, or telemetry has been started already.
pub fn init(name: &'static str, settings: &TelemetrySettings) -> Result<Telemetry, BoxError> {
    init_to(name, settings, std::io::stderr)
}

/// The same, with the log lines going elsewhere.
///
/// # Errors
/// As for [`init`].
pub fn init_to<W>(name: &'static str, settings: &TelemetrySettings, writer: W) -> Result<Telemetry, BoxError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.log)?;
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer);
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(tells_no_payloads))
        .with(lines);
    let provider = if settings.otlp.is_empty() {
        registry.try_init()?;
        None
    } else {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&settings.otlp)
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(Resource::builder().with_service_name(name).build())
            .build();
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        // For spans of others that are told here: what a node reported.
        opentelemetry::global::set_tracer_provider(provider.clone());
        muster_wire::trace::collect();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer(name));
        registry.with(spans).try_init()?;
        Some(provider)
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {panic}");
    }));
    Ok(Telemetry(provider))
}

/// The NATS client writes out whole messages at its lowest level, and parameters of commands are in them.
/// No filter an operator sets may let that through (DESIGN 5, law 6).
fn tells_no_payloads(about: &Metadata<'_>) -> bool {
    !(about.target().starts_with("async_nats") && *about.level() == Level::TRACE)
}
