//! The layer that checks every request against the limits of the contract, whatever surface it came by.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::Status;
use tonic::body::Body;

use crate::{frame, limits};

/// Methods whose requests have limits, by gRPC path.
static CONSTRAINED: LazyLock<HashMap<String, MessageDescriptor>> = LazyLock::new(|| {
    let mut inputs = HashMap::new();
    for service in muster_proto::pool().services() {
        for method in service.methods() {
            let input = method.input();
            if limits::is_constrained(&input) {
                inputs.insert(format!("/{}/{}", service.full_name(), method.name()), input);
            }
        }
    }
    inputs
});

/// The message of a request, read by reflection, for the layers behind this one.
#[derive(Debug, Clone)]
pub(crate) struct Decoded(pub(crate) Arc<DynamicMessage>);

/// Puts [`CheckService`] around a service.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckLayer;

impl<S> tower::Layer<S> for CheckLayer {
    type Service = CheckService<S>;

    fn layer(&self, inner: S) -> CheckService<S> {
        CheckService { inner }
    }
}

/// Refuses requests that break a limit of the contract, with all violations in one answer.
#[derive(Debug, Clone)]
pub struct CheckService<S> {
    inner: S,
}

impl<S> tower::Service<http::Request<Body>> for CheckService<S>
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
        let Some(input) = CONSTRAINED.get(request.uri().path()) else {
            return Box::pin(inner.call(request));
        };
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let framed = match frame::collect(body).await {
                Ok((framed, _)) => framed,
                Err(status) => return Ok(status.into_http()),
            };
            match check(framed.clone(), input) {
                Ok(message) => {
                    parts.extensions.insert(Decoded(Arc::new(message)));
                    inner.call(http::Request::from_parts(parts, frame::body(framed))).await
                }
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

/// Reads the message of a frame.
pub(crate) fn read(framed: Bytes, input: &MessageDescriptor) -> Result<DynamicMessage, Status> {
    DynamicMessage::decode(input.clone(), frame::unwrap(framed)?)
        .map_err(|error| Status::invalid_argument(format!("the request is no {}: {error}", input.name())))
}

fn check(framed: Bytes, input: &MessageDescriptor) -> Result<DynamicMessage, Status> {
    let message = read(framed, input)?;
    let violations = limits::check(&message);
    if violations.is_empty() {
        Ok(message)
    } else {
        Err(limits::refuse(&violations).into())
    }
}
