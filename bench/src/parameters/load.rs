//! Callers that call one after the other for a while.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use muster_harness::Signed;
use serde_json::Value;
use tokio::task::JoinSet;

use super::NAMES;
use crate::report::{median, ms, percentile};

const TIME: Duration = Duration::from_secs(3);

/// How long calls took.
#[derive(Debug)]
pub(super) struct Figure(Vec<Duration>);

impl Figure {
    pub(super) fn rate(&self) -> f64 {
        self.0.len() as f64 / TIME.as_secs_f64()
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99) = (median(self.0.clone()), percentile(self.0.clone(), 99));
        write!(f, "{:.0}/s, p50 {}, p99 {}", self.rate(), ms(p50), ms(p99))
    }
}

/// Calls for a while on each of some connections, one after the other; `connect` makes what calls.
pub(super) async fn load<C, F, Fut>(connections: usize, connect: impl Fn(usize) -> C) -> Result<Figure>
where
    C: Future<Output = Result<F>>,
    F: Fn(usize) -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let mut tasks = JoinSet::new();
    for connection in 0..connections {
        let call = connect(connection).await?;
        tasks.spawn(async move {
            let (begun, mut times, mut number) = (Instant::now(), Vec::new(), connection);
            while begun.elapsed() < TIME {
                let started = Instant::now();
                call(number % NAMES).await?;
                times.push(started.elapsed());
                number += connections;
            }
            anyhow::Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = tasks.join_next().await {
        all.extend(times??);
    }
    Ok(Figure(all))
}

/// The same for callers that post to this address, each over a connection of its own.
pub(super) async fn post(connections: usize, poster: &Poster, body: fn(usize) -> Value) -> Result<Figure> {
    load(connections, |_| {
        let client: Arc<Http> = Arc::new(Client::builder(TokioExecutor::new()).build_http());
        let poster = poster.clone();
        let call = move |number| {
            let (client, poster) = (Arc::clone(&client), poster.clone());
            let call = async move { poster.call(&client, body(number).to_string()).await };
            Box::pin(call) as Pin<Box<dyn Future<Output = Result<()>> + Send>>
        };
        std::future::ready(Ok(call))
    })
    .await
}

/// Posts once for each name.
pub(super) async fn once(poster: &Poster, body: fn(usize) -> Value) -> Result<()> {
    let client: Http = Client::builder(TokioExecutor::new()).build_http();
    for number in 0..NAMES {
        poster.call(&client, body(number).to_string()).await?;
    }
    Ok(())
}

type Http = Client<HttpConnector, Full<Bytes>>;

/// Where and how something is posted.
#[derive(Debug, Clone)]
pub(super) struct Poster {
    pub(super) url: String,
    /// Of AWS JSON; otherwise the address says it.
    pub(super) operation: &'static str,
    /// Without, a signature that nobody looks at.
    pub(super) signed: Option<Signed>,
}

impl Poster {
    async fn call(&self, client: &Http, body: String) -> Result<()> {
        let mut request = http::Request::post(&self.url);
        match &self.signed {
            Some(signed) => {
                for (name, value) in signed.headers(self.operation, &body) {
                    request = request.header(name, value);
                }
            }
            // No AWS: another's server would look at the signature.
            None if self.operation.is_empty() => request = request.header("Content-Type", "application/json"),
            None => {
                request = request
                    .header("X-Amz-Target", format!("AmazonSSM.{}", self.operation))
                    .header("Content-Type", "application/x-amz-json-1.1")
                    .header("X-Amz-Date", "20260101T000000Z")
                    .header(
                        "Authorization",
                        "AWS4-HMAC-SHA256 Credential=MKIABENCH/20260101/us-east-1/ssm/aws4_request, \
                         SignedHeaders=host;x-amz-target, Signature=00",
                    );
            }
        }
        let response = client.request(request.body(Full::new(Bytes::from(body)))?).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&answer));
        Ok(())
    }
}
