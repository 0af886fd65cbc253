//! `GetParameter` and `PutParameter` on each surface, beside the plainest thing that does the same: axum over SQLite with
//! a sync for each write.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use muster_proto::parameterstore::v1::parameter_store_client::ParameterStoreClient;
use muster_proto::parameterstore::v1::{GetParameterRequest, ParameterType, PutParameterRequest};
use muster_wire::NatsChannel;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::task::JoinSet;

use crate::report::{Report, median, ms, percentile};
use crate::world::World;

const TIME: Duration = Duration::from_secs(3);
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// Parameters that are written in turn, so that no history gets long at once.
const NAMES: usize = 256;
const VALUE: &str = "db.example.com:5432";

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let world = World::start(0).await?;
    let nats = world.nats().await?;
    let mut by_nats = ParameterStoreClient::new(NatsChannel::new(nats.clone()));
    for number in 0..NAMES {
        by_nats.put_parameter(put(number)).await?;
    }
    let grpc = world
        .ready
        .grpc
        .get("ParameterStore")
        .context("nobody serves ParameterStore")?;
    let grpc = format!("http://{grpc}");
    let gateway = world.ready.gateway.clone();
    let floor = floor(&world).await?;
    for connections in CONNECTIONS {
        let floors = [
            load(connections, |_| post_json(&floor, "", get_json)).await?,
            load(connections, |_| post_json(&floor, "put", put_json)).await?,
        ];
        for (surface, figures) in [
            (
                "AWS JSON",
                [
                    load(connections, |_| post_json(&gateway, "GetParameter", get_json)).await?,
                    load(connections, |_| post_json(&gateway, "PutParameter", put_json)).await?,
                ],
            ),
            (
                "gRPC",
                [
                    by_grpc(&grpc, connections, false).await?,
                    by_grpc(&grpc, connections, true).await?,
                ],
            ),
            (
                "NATS",
                [
                    load(connections, |_| {
                        let client = by_nats.clone();
                        std::future::ready(Ok(move |number| get_with(client.clone(), number)))
                    })
                    .await?,
                    load(connections, |_| {
                        let client = by_nats.clone();
                        std::future::ready(Ok(move |number| put_with(client.clone(), number)))
                    })
                    .await?,
                ],
            ),
        ] {
            for ((operation, figure), floor) in ["GetParameter", "PutParameter"].into_iter().zip(figures).zip(&floors) {
                report.row(
                    format!("{operation} over {surface}, {connections} connections"),
                    floor.to_string(),
                    figure.to_string(),
                    format!("{:.0} % of the floor", 100.0 * figure.rate() / floor.rate()),
                );
            }
        }
    }
    Ok(())
}

/// How long calls took.
#[derive(Debug)]
struct Figure(Vec<Duration>);

impl Figure {
    fn rate(&self) -> f64 {
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
async fn load<C, F, Fut>(connections: usize, connect: impl Fn(usize) -> C) -> Result<Figure>
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

async fn by_grpc(address: &str, connections: usize, writes: bool) -> Result<Figure> {
    match writes {
        false => {
            load(connections, |_| async {
                let client = ParameterStoreClient::connect(address.to_owned()).await?;
                Ok(move |number| get_with(client.clone(), number))
            })
            .await
        }
        true => {
            load(connections, |_| async {
                let client = ParameterStoreClient::connect(address.to_owned()).await?;
                Ok(move |number| put_with(client.clone(), number))
            })
            .await
        }
    }
}

macro_rules! call {
    ($name:ident, $method:ident, $request:expr) => {
        async fn $name<T>(mut client: ParameterStoreClient<T>, number: usize) -> Result<()>
        where
            T: tonic::client::GrpcService<tonic::body::Body>,
            T::Error: Into<tonic::codegen::StdError>,
            T::ResponseBody: tonic::codegen::Body<Data = Bytes> + Send + 'static,
            <T::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
        {
            client.$method($request(number)).await?;
            Ok(())
        }
    };
}
call!(get_with, get_parameter, get);
call!(put_with, put_parameter, put);

fn name(number: usize) -> String {
    format!("/bench/{number:03}")
}

fn get(number: usize) -> GetParameterRequest {
    GetParameterRequest {
        name: Some(name(number)),
        with_decryption: None,
    }
}

fn put(number: usize) -> PutParameterRequest {
    let mut request = PutParameterRequest {
        name: Some(name(number)),
        value: Some(VALUE.to_owned()),
        overwrite: Some(true),
        ..PutParameterRequest::default()
    };
    request.set_type(ParameterType::String);
    request
}

fn get_json(number: usize) -> Value {
    json!({"Name": name(number)})
}

fn put_json(number: usize) -> Value {
    json!({"Name": name(number), "Value": VALUE, "Type": "String", "Overwrite": true})
}

/// A connection that posts JSON.
async fn post_json(
    url: &str,
    operation: &str,
    body: fn(usize) -> Value,
) -> Result<impl Fn(usize) -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + 'static> {
    let client: Arc<Client<HttpConnector, Full<Bytes>>> = Arc::new(Client::builder(TokioExecutor::new()).build_http());
    let (url, target) = (url.to_owned(), format!("AmazonSSM.{operation}"));
    Ok(move |number| {
        let (client, url, target) = (Arc::clone(&client), url.clone(), target.clone());
        let body = body(number).to_string();
        let call = async move {
            let request = http::Request::post(url)
                .header("X-Amz-Target", target)
                .header("Content-Type", "application/x-amz-json-1.1")
                .header(
                    "Authorization",
                    "AWS4-HMAC-SHA256 Credential=MKIABENCH/20260101/us-east-1/ssm/aws4_request, \
                     SignedHeaders=host;x-amz-target, Signature=00",
                )
                .header("X-Amz-Date", "20260101T000000Z")
                .body(Full::new(Bytes::from(body)))?;
            let response = client.request(request).await?;
            let status = response.status();
            let answer = response.into_body().collect().await?.to_bytes();
            ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&answer));
            Ok(())
        };
        Box::pin(call) as std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>
    })
}

/// The plainest thing: a table, a query for each read, a transaction with a sync for each write.
async fn floor(world: &World) -> Result<String> {
    let file = world.folder().join("floor.sqlite");
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10));
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone())
        .await?;
    let reader = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_with(options)
        .await?;
    sqlx::query("create table parameter (name text primary key, version bigint not null, value text not null)")
        .execute(&writer)
        .await?;
    for number in 0..NAMES {
        write(&writer, &name(number)).await?;
    }
    let router = Router::new().fallback(post(serve)).with_state((writer, reader));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn write(pool: &SqlitePool, name: &str) -> Result<i64, sqlx::Error> {
    let sql = "insert into parameter (name, version, value) values ($1, 1, $2)
        on conflict (name) do update set version = version + 1, value = excluded.value returning version";
    sqlx::query_scalar(sql).bind(name).bind(VALUE).fetch_one(pool).await
}

async fn serve(
    State((writer, reader)): State<(SqlitePool, SqlitePool)>,
    body: Bytes,
) -> Result<Json<Value>, http::StatusCode> {
    let failed = |_| http::StatusCode::INTERNAL_SERVER_ERROR;
    let asked: Value = serde_json::from_slice(&body).map_err(|_| http::StatusCode::BAD_REQUEST)?;
    let name = asked["Name"].as_str().unwrap_or_default();
    if asked["Value"].is_string() {
        let version = write(&writer, name).await.map_err(failed)?;
        return Ok(Json(json!({"Version": version, "Tier": "Standard"})));
    }
    let (version, value): (i64, String) = sqlx::query_as("select version, value from parameter where name = $1")
        .bind(name)
        .fetch_one(&reader)
        .await
        .map_err(failed)?;
    Ok(Json(
        json!({"Parameter": {"Name": name, "Type": "String", "Value": value, "Version": version}}),
    ))
}
