//! Serves tonic services on gRPC and as NATS micro endpoints, from one implementation.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::service::{Request, Service as MicroService, ServiceExt, endpoint::Endpoint};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures::StreamExt;
use muster_model::Account;
use muster_proto::facts;
use prost_reflect::MethodDescriptor;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::{LayerExt, RoutesBuilder};
use tonic_health::ServingStatus;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::authorize::{AuthorizeLayer, Authorizer};
use crate::brief::BriefLayer;
use crate::form::Form;
use crate::grpc_caller::{GrpcCallerLayer, GrpcCallers};
use crate::nats_caller;
use crate::services_only::{CameBy, ServicesOnlyLayer};
use crate::{
    CallMetrics, CheckLayer, ClientToken, Failure, NatsStatus, ObserveLayer, Port, Refusal, frame, reply_of, serve,
    subject,
};

type Served = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

/// Calls of one service that run at once; more wait on the bus.
const CONCURRENT_CALLS: usize = 1024;
/// Longest time for a call that came by NATS; gRPC calls have their own deadline.
const LONGEST_CALL: Duration = Duration::from_secs(60);

/// Room for headers in an answer on the bus, in bytes.
const HEADERS: usize = 4096;

/// Headers of NATS that reach a service as gRPC metadata.
const PASSED_ON: [&str; 3] = ["traceparent", "tracestate", ClientToken::HEADER];

/// Why services could not be put on their surfaces.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The bus did not take the endpoints.
    #[error("the bus refused the endpoints of {service}")]
    Nats {
        /// The service's name.
        service: String,
        /// What the client said.
        #[source]
        source: async_nats::Error,
    },
    /// The reflection service could not be built from the contract.
    #[error("the contract's descriptors are broken")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener has no address.
    #[error("the listener has no address")]
    Listener(#[from] std::io::Error),
}

/// Services on their way to their surfaces.
#[derive(Debug)]
pub struct Mount {
    nats: Client,
    observe: ObserveLayer,
    authorizer: Arc<dyn Authorizer>,
    grpc_caller: GrpcCallerLayer,
    routes: RoutesBuilder,
    services: Vec<(&'static str, Served)>,
    /// Answered on the bus only.
    on_bus: Vec<(&'static str, Served)>,
    stop: CancellationToken,
}

impl Mount {
    /// Nothing mounted yet. The authorizer is asked before each call of what will be.
    #[must_use]
    pub fn new(nats: Client, metrics: CallMetrics, authorizer: Arc<dyn Authorizer>) -> Self {
        Self {
            nats,
            observe: ObserveLayer(metrics),
            authorizer,
            grpc_caller: GrpcCallerLayer::default(),
            routes: RoutesBuilder::default(),
            services: Vec::new(),
            on_bus: Vec::new(),
            stop: CancellationToken::new(),
        }
    }

    /// How callers by gRPC are known, in what is added from now on.
    #[must_use]
    pub fn know_by_grpc(mut self, callers: GrpcCallers) -> Self {
        self.grpc_caller = GrpcCallerLayer(callers);
        self
    }

    /// Cancelled when calls are no longer taken: streams without an end of their own must end then.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Adds a generated server; its calls are observed, checked and authorised, and know their [`crate::Caller`], on
    /// every surface.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a service is added, nothing is summed up")]
    pub fn add<S>(mut self, service: S) -> Self
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        // Constraints before rights, rights before meaning (aws-json-gateway 1).
        let service = AuthorizeLayer(Arc::clone(&self.authorizer)).named_layer(service);
        let service = self.observe.named_layer(CheckLayer.named_layer(service));
        let on_grpc = BriefLayer.named_layer(self.grpc_caller.named_layer(service.clone()));
        self.routes.add_service(on_grpc);
        self.services.push((S::NAME, BoxCloneSyncService::new(service)));
        self
    }

    /// Adds a generated server that services ask and nobody else may: it is answered on the bus, which knows who is a
    /// service, and not on the port.
    #[must_use]
    pub fn add_on_bus<S>(mut self, service: S) -> Self
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let service = self.observe.named_layer(CheckLayer.named_layer(service));
        let service = ServicesOnlyLayer.named_layer(service);
        self.on_bus.push((S::NAME, BoxCloneSyncService::new(service)));
        self
    }

    /// Opens all surfaces. When this returns, calls by NATS and by gRPC are answered.
    ///
    /// `extra` is served on the same port as gRPC: metrics, health for plain HTTP.
    ///
    /// # Errors
    /// If the bus refuses, or the contract's descriptors are broken.
    pub async fn start(mut self, port: impl Into<Port>, extra: axum::Router) -> Result<Mounted, MountError> {
        let port = port.into();
        let stop = self.stop.clone();
        let tasks = TaskTracker::new();
        let mut micro = Vec::new();
        for (name, served) in self.services.iter().chain(&self.on_bus) {
            micro.push(on_nats(&self.nats, name, served, &self.authorizer, &tasks).await?);
        }
        // An endpoint exists for callers only when the server knows the subscription.
        self.nats.flush().await.map_err(|error| MountError::Nats {
            service: "all services".to_owned(),
            source: error.into(),
        })?;

        let (health, health_server) = tonic_health::server::health_reporter();
        for (name, _) in &self.services {
            health.set_service_status(*name, ServingStatus::Serving).await;
        }
        self.routes.add_service(health_server);
        self.routes.add_service(self.reflection().build_v1()?);
        self.routes.add_service(self.reflection().build_v1alpha()?);

        let address = port.address()?;
        let router = self.routes.routes().into_axum_router().merge(extra);
        tasks.spawn(serve(port, router, stop.clone()));
        Ok(Mounted {
            address,
            nats: self.nats,
            health,
            names: self.services.iter().map(|(name, _)| *name).collect(),
            micro,
            tasks,
            stop,
        })
    }

    fn reflection(&self) -> tonic_reflection::server::Builder<'static> {
        let mut builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(muster_proto::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        for (name, _) in &self.services {
            builder = builder.with_service_name(*name);
        }
        builder
    }
}

/// Services that answer on all their surfaces.
#[derive(Debug)]
pub struct Mounted {
    address: SocketAddr,
    nats: Client,
    health: tonic_health::server::HealthReporter,
    names: Vec<&'static str>,
    micro: Vec<MicroService>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Mounted {
    /// Where gRPC is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Full names of the services.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Takes no more calls, answers those that are under way for at most `grace`, and ends.
    pub async fn stop(self, grace: Duration) {
        for name in &self.names {
            self.health.set_service_status(*name, ServingStatus::NotServing).await;
        }
        for service in self.micro {
            if let Err(error) = service.stop().await {
                tracing::warn!(
                    error = &*error as &dyn std::error::Error,
                    "an endpoint did not stop cleanly"
                );
            }
        }
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!("calls were still under way when the grace ended");
        }
        let _ = self.nats.flush().await;
    }
}

/// Puts the unary methods of a service on the bus.
async fn on_nats(
    nats: &Client,
    full_name: &'static str,
    served: &Served,
    authorizer: &Arc<dyn Authorizer>,
    tasks: &TaskTracker,
) -> Result<MicroService, MountError> {
    let failed = |source| MountError::Nats {
        service: full_name.to_owned(),
        source,
    };
    let service = muster_proto::pool()
        .get_service_by_name(full_name)
        .ok_or_else(|| failed(format!("{full_name} is not in the contract").into()))?;
    let micro = nats
        .service_builder()
        .description(full_name)
        .start(service.name(), env!("CARGO_PKG_VERSION"))
        .await
        .map_err(failed)?;
    let calls = Arc::new(Semaphore::new(CONCURRENT_CALLS));
    for method in service.methods() {
        if method.is_client_streaming() || method.is_server_streaming() {
            continue;
        }
        let (name, of) = (service.name(), method.name());
        let mut doors = vec![(Door::Services, subject::api(name, of))];
        if facts::is_for_people(&method) {
            let account = Arc::new(authorizer.account().clone());
            doors.push((Door::People(account), subject::ops_api(name, of)));
        }
        for (door, subject) in doors {
            let endpoint = micro.endpoint_builder().name(of).add(subject).await.map_err(failed)?;
            tasks.spawn(answer_all(
                nats.clone(),
                endpoint,
                door,
                method.clone(),
                served.clone(),
                Arc::clone(&calls),
                tasks.clone(),
            ));
        }
    }
    Ok(micro)
}

/// By which of its subjects a call came, which decides who is believed to ask.
#[derive(Debug, Clone)]
enum Door {
    /// `muster.v1.api`, where only services can publish: they name the caller in a header.
    Services,
    /// `muster.v1.ops.api`, which only another account's messages reach: the broker names the caller, a user of ours.
    People(Arc<Account>),
}

async fn answer_all(
    nats: Client,
    mut endpoint: Endpoint,
    door: Door,
    method: MethodDescriptor,
    served: Served,
    calls: Arc<Semaphore>,
    tasks: TaskTracker,
) {
    while let Some(request) = endpoint.next().await {
        let Ok(permit) = Arc::clone(&calls).acquire_owned().await else {
            return;
        };
        let (method, served, door) = (method.clone(), served.clone(), door.clone());
        let most = nats.server_info().max_payload;
        tasks.spawn(async move {
            answer(&request, &door, &method, served, most).await;
            drop(permit);
        });
    }
}

/// `most` is the longest message that the bus takes, in bytes.
async fn answer(request: &Request, door: &Door, method: &MethodDescriptor, served: Served, most: usize) {
    if request.message.reply.is_some() && reply_of(&request.message).is_none() {
        return;
    }
    let call = call(request, door, method, served);
    let answer = match tokio::time::timeout(LONGEST_CALL, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::Deadline.into()),
    };
    // The client would refuse to send it, and whoever asked would wait for nothing.
    let answer = answer.and_then(|(payload, headers)| match payload.len() + HEADERS > most {
        true => Err(too_long(payload.len(), most)),
        false => Ok((payload, headers)),
    });
    let sent = match answer {
        Ok((payload, headers)) => request.respond_with_headers(Ok(payload), headers).await,
        Err(status) => {
            let (headers, error) = NatsStatus::headers(&status);
            request.respond_with_headers(Err(error), headers).await
        }
    };
    if let Err(error) = sent {
        // A publish without a reply subject, or a lost connection: there is nobody to tell.
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            method = method.full_name(),
            "an answer was not sent"
        );
    }
}

async fn call(
    request: &Request,
    door: &Door,
    method: &MethodDescriptor,
    served: Served,
) -> Result<(Bytes, HeaderMap), Status> {
    let headers = request.message.headers.as_ref();
    let form = Form::of(headers)?;
    let caller = match door {
        Door::Services => nats_caller::of_service(headers)?,
        Door::People(account) => nats_caller::of_person(headers, account)?,
    };
    let message = form.read(&request.message.payload, method)?;

    let mut call = http::Request::new(frame::body(frame::wrap(&message)));
    *call.method_mut() = http::Method::POST;
    call.extensions_mut()
        .insert(CameBy(request.message.subject.to_string()));
    *call.uri_mut() = format!("/{}/{}", method.parent_service().full_name(), method.name())
        .parse()
        .map_err(|_| Status::internal("a method name is no path"))?;
    let grpc = call.headers_mut();
    grpc.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/grpc"),
    );
    grpc.insert(http::header::TE, http::HeaderValue::from_static("trailers"));
    for name in PASSED_ON {
        if let Some(value) = headers.and_then(|headers| headers.get(name))
            && let Ok(value) = http::HeaderValue::from_str(value.as_str())
        {
            grpc.insert(name, value);
        }
    }

    call.extensions_mut().insert(caller);

    let response = match served.oneshot(call).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (head, body) = response.into_parts();
    if let Some(status) = Status::from_header_map(&head.headers)
        && status.code() != tonic::Code::Ok
    {
        return Err(name_unimplemented(status, method));
    }
    let (framed, trailers) = frame::collect(body).await?;
    if let Some(status) = trailers.as_ref().and_then(Status::from_header_map)
        && status.code() != tonic::Code::Ok
    {
        return Err(name_unimplemented(status, method));
    }
    form.write(frame::unwrap(framed)?, method)
}

fn too_long(length: usize, most: usize) -> Status {
    let message =
        format!("the answer has {length} bytes and the bus takes {most}: ask for less, with MaxResults or a filter");
    Refusal::validation(message).into()
}

/// The generated default of an operation says only "not yet implemented": put its name there.
/// A refusal that says what is not supported has details, and stays as it is.
fn name_unimplemented(status: Status, method: &MethodDescriptor) -> Status {
    match status.code() {
        tonic::Code::Unimplemented if status.details().is_empty() => Status::unimplemented(method.name()),
        _ => status,
    }
}
