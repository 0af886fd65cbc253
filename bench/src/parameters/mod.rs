//! `GetParameter` and `PutParameter` on each surface, with signatures and without, beside the plainest thing that does the
//! same (axum over SQLite with a sync for each write), and beside what else is installed.

mod floor;
mod load;
mod others;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use muster_proto::parameterstore::v1::parameter_store_client::ParameterStoreClient;
use muster_proto::parameterstore::v1::{GetParameterRequest, ParameterType, PutParameterRequest};
use muster_wire::NatsChannel;
use serde_json::{Value, json};

use crate::policy;
use crate::report::Report;
use crate::world::World;
use load::{Figure, Poster, load, post};

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
    let held = policy::held().await?;
    let mut signed_store = ParameterStoreClient::new(NatsChannel::new(held.world.nats().await?));
    for number in 0..NAMES {
        signed_store.put_parameter(put(number)).await?;
    }
    let floor = floor::start(&world).await?;
    for connections in CONNECTIONS {
        let plain = |url: &str, operation| Poster {
            url: url.to_owned(),
            operation,
            signed: None,
        };
        let signed = |operation| Poster {
            url: held.world.ready.gateway.clone(),
            operation,
            signed: Some(held.caller.clone()),
        };
        let floors = [
            post(connections, &plain(&floor, ""), get_json).await?,
            post(connections, &plain(&floor, ""), put_json).await?,
        ];
        for (surface, figures) in [
            (
                "AWS JSON",
                [
                    post(connections, &plain(&gateway, "GetParameter"), get_json).await?,
                    post(connections, &plain(&gateway, "PutParameter"), put_json).await?,
                ],
            ),
            (
                "AWS JSON with SigV4, policy and audit log",
                [
                    post(connections, &signed("GetParameter"), get_json).await?,
                    post(connections, &signed("PutParameter"), put_json).await?,
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
        others::run(report, connections).await?;
    }
    Ok(())
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
