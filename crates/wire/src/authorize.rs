//! The layer that asks, behind the limits and before the service, whether the caller may do that.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use muster_model::Account;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Status;
use tonic::body::Body;

use crate::check::{self, Decoded};
use crate::services_only::CameBy;
use crate::{Caller, CallerKind, Failure, aws_json, frame};

/// The methods of the contract, by gRPC path.
static METHODS: LazyLock<HashMap<String, MethodDescriptor>> = LazyLock::new(|| {
    let services = muster_proto::pool().services();
    let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    let path = |method: &MethodDescriptor| format!("/{}/{}", method.parent_service().full_name(), method.name());
    methods.map(|method| (path(&method), method)).collect()
});

/// By what a call came, as the audit log says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// AWS JSON.
    AwsJson,
    /// gRPC.
    Grpc,
    /// A person on the bus.
    Nats,
    /// A node's own subject.
    Node,
}

impl Surface {
    /// As it is written down.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AwsJson => "aws-json",
            Self::Grpc => "grpc",
            Self::Nats => "nats",
            Self::Node => "node",
        }
    }

    /// Where a call came by the bus there is its subject: on that of services a gateway names its callers.
    fn of(caller: &Caller, came_by: Option<&CameBy>) -> Self {
        match came_by {
            None => Self::Grpc,
            Some(_) if caller.kind == CallerKind::Node => Self::Node,
            Some(subject) if subject.is_of_people() => Self::Nats,
            Some(_) => Self::AwsJson,
        }
    }
}

/// A call that somebody wants to make.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// By what it came.
    pub surface: Surface,
    /// The operation.
    pub method: &'a MethodDescriptor,
    /// The request. `None` if nobody needs it: the caller is not one that is decided, or the operation takes a stream.
    pub request: Option<&'a DynamicMessage>,
}

/// Says who may do what.
pub trait Authorizer: fmt::Debug + Send + Sync + 'static {
    /// The account of the principals that surfaces make themselves.
    fn account(&self) -> &Account;

    /// Lets a call go on.
    ///
    /// # Errors
    /// If the caller may not do that, or it cannot be found out or written down.
    fn authorize<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Admitted, Failure>>;
}

/// A call that may go on.
#[derive(Default)]
pub struct Admitted {
    /// Put into the extensions of the request, where the service finds it.
    pub extensions: http::Extensions,
    /// Hears what became of the call, where somebody wants to know.
    pub conclude: Option<Arc<dyn Conclude>>,
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted")
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}

/// Hears what became of a call.
pub trait Conclude: Send + Sync + 'static {
    /// The call was answered: `OK`, or with this word. The answer waits for what this gives.
    ///
    /// # Errors
    /// If the answer must not be given: this is answered in its place.
    fn conclude<'a>(&'a self, outcome: &'a str) -> BoxFuture<'a, Result<(), Failure>>;
}

/// What is told of a call that was answered without a failure.
pub const OK: &str = "OK";

/// Puts [`AuthorizeService`] around a service.
#[derive(Debug, Clone)]
pub(crate) struct AuthorizeLayer(pub(crate) Arc<dyn Authorizer>);

impl<S> tower::Layer<S> for AuthorizeLayer {
    type Service = AuthorizeService<S>;

    fn layer(&self, inner: S) -> AuthorizeService<S> {
        AuthorizeService {
            inner,
            authorizer: Arc::clone(&self.0),
        }
    }
}

/// Asks an [`Authorizer`] before each call.
#[derive(Debug, Clone)]
pub(crate) struct AuthorizeService<S> {
    inner: S,
    authorizer: Arc<dyn Authorizer>,
}

impl<S> tower::Service<http::Request<Body>> for AuthorizeService<S>
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
        let authorizer = Arc::clone(&self.authorizer);
        Box::pin(async move {
            let (request, conclude) = match admit(&*authorizer, request).await {
                Ok(admitted) => admitted,
                Err(status) => return Ok(status.into_http()),
            };
            let response = inner.call(request).await?;
            let Some(conclude) = conclude else {
                return Ok(response);
            };
            match conclude.conclude(&outcome(&response)).await {
                Ok(()) => Ok(response),
                Err(failure) => Ok(Status::from(failure).into_http()),
            }
        })
    }
}

/// What became of a call. One that answers a stream is there as soon as the stream begins.
fn outcome(response: &http::Response<Body>) -> String {
    // A refused call carries its status in the head.
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != tonic::Code::Ok => aws_json::word_and_status(&status.into()).0,
        _ => OK.to_owned(),
    }
}

/// The request with what the service is to know of the caller's rights, and who hears what becomes of it.
async fn admit(
    authorizer: &dyn Authorizer,
    request: http::Request<Body>,
) -> Result<(http::Request<Body>, Option<Arc<dyn Conclude>>), Status> {
    let (mut head, mut body) = request.into_parts();
    let Some(method) = METHODS.get(head.uri.path()) else {
        // The service itself says that it has no such method.
        return Ok((http::Request::from_parts(head, body), None));
    };
    let Some(caller) = head.extensions.get::<Caller>().cloned() else {
        let failure = Failure::internal("a request came by no surface: its caller is not known");
        return Err(failure.into());
    };
    let mut message = None;
    if caller.is_decided() && !method.is_client_streaming() {
        message = match head.extensions.remove::<Decoded>() {
            Some(Decoded(message)) => Some(message),
            None => {
                let (framed, _) = frame::collect(body).await?;
                let message = check::read(framed.clone(), &method.input())?;
                body = frame::body(framed);
                Some(Arc::new(message))
            }
        };
    }
    let asked = Asked {
        caller: &caller,
        surface: Surface::of(&caller, head.extensions.get::<CameBy>()),
        method,
        request: message.as_deref(),
    };
    let Admitted { extensions, conclude } = authorizer.authorize(asked).await?;
    head.extensions.extend(extensions);
    Ok((http::Request::from_parts(head, body), conclude))
}
