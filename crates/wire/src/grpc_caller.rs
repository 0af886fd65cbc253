//! The layer that says who calls by gRPC.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use futures::future::BoxFuture;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tonic::Status;
use tonic::body::Body;

use crate::{Caller, CallerKind, Failure, Peer, Principal};

/// Longest value of `authorization` that is looked at, in bytes.
const LONGEST: usize = 512;
const NO_BEARER: &str = "calls by gRPC need the metadata \"authorization: Bearer <access key id>:<secret access key>\"";
/// One text for everything that is wrong, so that nobody learns which half was right.
const WRONG_BEARER: &str = "the access key is not known or not active, or its secret is another one";

/// Whose access keys are: asked for those that come as bearers.
pub trait Bearers: fmt::Debug + Send + Sync + 'static {
    /// The principal of an active access key whose secret this is.
    ///
    /// # Errors
    /// If it cannot be found out now.
    fn principal<'a>(
        &'a self,
        access_key: &'a str,
        secret: &'a str,
    ) -> BoxFuture<'a, Result<Option<Principal>, Failure>>;
}

/// Puts [`GrpcCallerService`] around a service. Without bearers everybody is [`Caller::development`].
#[derive(Debug, Clone, Default)]
pub(crate) struct GrpcCallerLayer(pub(crate) Option<Arc<dyn Bearers>>);

impl<S> tower::Layer<S> for GrpcCallerLayer {
    type Service = GrpcCallerService<S>;

    fn layer(&self, inner: S) -> GrpcCallerService<S> {
        GrpcCallerService {
            inner,
            bearers: self.0.clone(),
        }
    }
}

/// Gives each request its caller.
///
/// Anybody can write metadata: a caller that stands there is refused.
#[derive(Debug, Clone)]
pub(crate) struct GrpcCallerService<S> {
    inner: S,
    bearers: Option<Arc<dyn Bearers>>,
}

impl<S> tower::Service<http::Request<Body>> for GrpcCallerService<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
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
        let bearers = self.bearers.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            match caller(bearers.as_deref(), &head).await {
                Ok(caller) => {
                    head.headers.remove(AUTHORIZATION);
                    head.extensions.insert(caller);
                    inner.call(http::Request::from_parts(head, body)).await
                }
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

async fn caller(bearers: Option<&dyn Bearers>, head: &http::request::Parts) -> Result<Caller, Status> {
    if head.headers.contains_key(Caller::HEADER) {
        let failure = Failure::internal("a call by gRPC has the metadata muster-caller, which only the bus carries");
        return Err(failure.into());
    }
    let peer = head.extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| peer);
    let source_ip: Option<IpAddr> = peer.map(|peer| peer.address.ip().to_canonical());
    let anybody = Caller {
        source_ip,
        secure_transport: peer.is_some_and(|peer| peer.is_encrypted),
        ..Caller::development()
    };
    let Some(bearers) = bearers else { return Ok(anybody) };
    let (access_key, secret) = bearer(&head.headers).ok_or_else(|| Status::unauthenticated(NO_BEARER))?;
    let principal = bearers.principal(access_key, secret).await?;
    let principal = principal.ok_or_else(|| Status::unauthenticated(WRONG_BEARER))?;
    Ok(Caller {
        kind: CallerKind::of(&principal),
        principal,
        access_key: Some(access_key.to_owned()),
        ..anybody
    })
}

/// Id and secret of the only bearer in the metadata.
fn bearer(headers: &HeaderMap) -> Option<(&str, &str)> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = value.to_str().ok().filter(|text| text.len() <= LONGEST)?;
    let (scheme, token) = text.split_once(' ')?;
    let (access_key, secret) = token.trim().split_once(':')?;
    let is_whole = scheme.eq_ignore_ascii_case("bearer") && !access_key.is_empty() && !secret.is_empty();
    is_whole.then_some((access_key, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Alice;

    impl Bearers for Alice {
        fn principal<'a>(&'a self, key: &'a str, secret: &'a str) -> BoxFuture<'a, Result<Option<Principal>, Failure>> {
            let alice = Principal::new("arn:aws:iam::000000000000:user/alice").unwrap();
            Box::pin(async move { Ok(((key, secret) == ("MKIA", "a:b/c")).then_some(alice)) })
        }
    }

    async fn ask(values: &[&str]) -> Result<Caller, Status> {
        let mut request = http::Request::new(Body::default());
        for value in values {
            request.headers_mut().append(AUTHORIZATION, value.parse().unwrap());
        }
        caller(Some(&Alice), &request.into_parts().0).await
    }

    #[tokio::test]
    async fn a_bearer_is_an_access_key_with_its_secret() {
        for good in ["Bearer MKIA:a:b/c", "bearer MKIA:a:b/c"] {
            let caller = ask(&[good]).await.unwrap();
            assert_eq!(caller.principal.as_str(), "arn:aws:iam::000000000000:user/alice");
            assert_eq!(
                (caller.kind, caller.access_key.as_deref()),
                (CallerKind::User, Some("MKIA"))
            );
        }
    }

    #[tokio::test]
    async fn whoever_has_none_is_told_how_and_whoever_has_a_wrong_one_is_not_told_what_is_wrong() {
        for none in [
            &[][..],
            &["Basic x"],
            &["Bearer MKIA"],
            &["Bearer MKIA:a:b/c", "Bearer MKIA:a:b/c"],
        ] {
            let status = ask(none).await.unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unauthenticated);
            assert!(status.message().contains("Bearer <access key id>"), "{none:?}");
        }
        for wrong in ["Bearer MKIA:x", "Bearer OTHER:a:b/c"] {
            let status = ask(&[wrong]).await.unwrap_err();
            assert_eq!(
                (status.code(), status.message()),
                (tonic::Code::Unauthenticated, WRONG_BEARER)
            );
        }
    }
}
