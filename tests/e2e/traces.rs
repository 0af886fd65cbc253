//! One trace from the gateway to the node and back, as a collector sees it; and what Prometheus would scrape.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use muster_harness::until;
use muster_tests::{AgentSpec, Cluster, SERVICES};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// An OTLP collector that keeps what it gets: service and span.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

impl Collector {
    /// Starts it; its address.
    pub(crate) async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(self.clone());
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        format!("http://{address}")
    }

    pub(crate) fn spans(&self) -> Vec<(String, Span)> {
        self.0.lock().unwrap().clone()
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().unwrap();
        for each in request.into_inner().resource_spans {
            let attributes = each.resource.unwrap_or_default().attributes;
            let name = attributes.into_iter().find(|pair| pair.key == "service.name");
            let name = name.and_then(|pair| pair.value).map(|value| format!("{value:?}"));
            let service = SERVICES
                .into_iter()
                .find(|service| name.as_ref().is_some_and(|name| name.contains(service)));
            let spans = each.scope_spans.into_iter().flat_map(|scope| scope.spans);
            kept.extend(spans.map(|span| (service.unwrap_or("unknown").to_owned(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
async fn one_trace_leads_from_the_gateway_to_the_node_and_back() {
    let collector = Collector::default();
    let otlp = collector.start().await;
    let settings = SERVICES.map(|service| (service, "MUSTER_TELEMETRY__OTLP", otlp.clone()));
    let mut cluster = Cluster::start_with(&[AgentSpec::tagged(&[("Role", "web")])], &settings).await;
    let sent = cluster
        .aws()
        .ok(&[
            "send-command",
            "--document-name",
            "AWS-RunShellScript",
            "--targets",
            "Key=tag:Role,Values=web",
            "--parameters",
            "commands=echo canary-of-a-script",
        ])
        .await;
    let id = sent["Command"]["CommandId"].as_str().unwrap();
    cluster.api().await.ended(id).await;
    // Stopping sends what is left.
    for service in SERVICES {
        cluster.stop(service).await;
    }

    let spans = collector.spans();
    let (_, gateway) = spans
        .iter()
        .find(|(service, span)| service == "muster-gateway" && span.name == "SendCommand")
        .unwrap_or_else(|| panic!("the gateway told of no SendCommand: {:?}", names(&spans)));
    let trace: Vec<_> = spans
        .iter()
        .filter(|(_, span)| span.trace_id == gateway.trace_id)
        .cloned()
        .collect();
    let services: BTreeSet<_> = trace.iter().map(|(service, _)| service.as_str()).collect();
    // Development asks nobody what its callers may do.
    let without_access = SERVICES.into_iter().filter(|service| *service != "muster-access");
    assert_eq!(services, without_access.collect(), "{:?}", names(&trace));

    // From the step on the node up to the gateway, parent by parent.
    let by_id: BTreeMap<_, _> = trace.iter().map(|(_, span)| (span.span_id.clone(), span)).collect();
    let (_, step) = trace
        .iter()
        .find(|(_, span)| span.name == "aws:runShellScript")
        .unwrap_or_else(|| panic!("no step in {:?}", names(&trace)));
    assert!(step.end_time_unix_nano >= step.start_time_unix_nano);
    let mut way = vec![step.name.as_str()];
    let mut here = step;
    while let Some(parent) = by_id.get(&here.parent_span_id) {
        way.push(&parent.name);
        here = parent;
    }
    assert_eq!(here.span_id, gateway.span_id, "the way up ends early: {way:?}");
    let told = format!("{spans:?}");
    assert!(told.contains(id), "a reader finds the command");
    assert!(!told.contains("canary-of-a-script"), "a script is in a span");
}

fn names(spans: &[(String, Span)]) -> Vec<String> {
    spans
        .iter()
        .map(|(service, span)| format!("{service}: {}", span.name))
        .collect()
}

#[tokio::test]
async fn every_service_shows_metrics_in_the_text_that_prometheus_reads() {
    let cluster = Cluster::start(&[AgentSpec::tagged(&[("Role", "web")])]).await;
    let aws = cluster.aws();
    let sent = aws
        .ok(&[
            "send-command",
            "--document-name",
            "AWS-RunShellScript",
            "--targets",
            "Key=tag:Role,Values=web",
            "--parameters",
            "commands=true",
        ])
        .await;
    cluster
        .api()
        .await
        .ended(sent["Command"]["CommandId"].as_str().unwrap())
        .await;
    for service in SERVICES {
        let address = cluster.address(service);
        let text = until("metrics are shown", async || scrape(&address).await).await;
        assert!(text.ends_with("# EOF\n"), "{service}: the text is cut off");
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(!samples.is_empty(), "{service} counts nothing");
        for sample in samples {
            let (name, value) = sample.rsplit_once(' ').unwrap();
            assert!(name.starts_with("muster_"), "{service}: {sample}");
            assert!(value.parse::<f64>().is_ok(), "{service}: {sample}");
        }
        let called = match service {
            "muster-gateway" => "muster_gateway_requests_total",
            _ => "muster_calls_total",
        };
        assert!(text.contains(called), "{service} counts no calls:\n{text}");
    }
}

/// The metrics of a service.
pub(crate) async fn scrape(address: &str) -> Result<String, String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    match head.lines().next() {
        Some(line) if line.contains(" 200 ") => Ok(body.to_owned()),
        other => Err(format!("{other:?}")),
    }
}
