//! The layer that says who calls by gRPC.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use tonic::Status;
use tonic::body::Body;

use crate::{Caller, Failure};

/// Puts [`GrpcCallerService`] around a service.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GrpcCallerLayer;

impl<S> tower::Layer<S> for GrpcCallerLayer {
    type Service = GrpcCallerService<S>;

    fn layer(&self, inner: S) -> GrpcCallerService<S> {
        GrpcCallerService { inner }
    }
}

/// Gives each request its caller. gRPC has no credentials yet, so that everybody is [`Caller::development`].
///
/// Anybody can write metadata: a caller that stands there is refused.
#[derive(Debug, Clone)]
pub(crate) struct GrpcCallerService<S> {
    inner: S,
}

impl<S> tower::Service<http::Request<Body>> for GrpcCallerService<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if request.headers().contains_key(Caller::HEADER) {
            let failure =
                Failure::internal("a call by gRPC has the metadata muster-caller, which only the bus carries");
            return Box::pin(async { Ok(Status::from(failure).into_http()) });
        }
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let caller = Caller {
            source_ip: peer.map(|ConnectInfo(address)| address.ip()),
            ..Caller::development()
        };
        request.extensions_mut().insert(caller);
        Box::pin(self.inner.call(request))
    }
}
