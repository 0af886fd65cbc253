//! The layer of what services ask each other: whoever else finds a way to it is refused.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::Status;
use tonic::body::Body;

/// What only services may publish on (DESIGN 3): people's subjects are others.
const OF_SERVICES: &str = "muster.v1.api.";
/// What only people's messages reach.
const OF_PEOPLE: &str = "muster.v1.ops.api.";

/// The subject that a call came by; calls that did not come by the bus have none.
#[derive(Debug, Clone)]
pub(crate) struct CameBy(pub(crate) String);

impl CameBy {
    /// Whether only people publish there.
    pub(crate) fn is_of_people(&self) -> bool {
        self.0.starts_with(OF_PEOPLE)
    }
}

/// Puts [`ServicesOnly`] around a service.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServicesOnlyLayer;

impl<S> tower::Layer<S> for ServicesOnlyLayer {
    type Service = ServicesOnly<S>;

    fn layer(&self, inner: S) -> ServicesOnly<S> {
        ServicesOnly { inner }
    }
}

/// Passes on what came by a subject of services, and nothing else, whoever may have mounted it wherever.
#[derive(Debug, Clone)]
pub(crate) struct ServicesOnly<S> {
    inner: S,
}

impl<S> tower::Service<http::Request<Body>> for ServicesOnly<S>
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

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let came_by = request.extensions().get::<CameBy>();
        match came_by.is_some_and(|subject| subject.0.starts_with(OF_SERVICES)) {
            true => Box::pin(self.inner.call(request)),
            false => {
                let refused = Status::permission_denied("only services of Muster may ask this");
                Box::pin(async { Ok(refused.into_http()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tower::{Layer as _, ServiceExt as _, service_fn};

    use super::*;
    use crate::subject;

    async fn ask(came_by: Option<String>) -> bool {
        let inner = service_fn(async |_: http::Request<Body>| Ok(http::Response::new(Body::default())));
        let mut request = http::Request::new(Body::default());
        if let Some(subject) = came_by {
            request.extensions_mut().insert(CameBy(subject));
        }
        let answer = ServicesOnlyLayer.layer(inner).oneshot(request).await.unwrap();
        Status::from_header_map(answer.headers()).is_none()
    }

    #[tokio::test]
    async fn only_what_came_by_a_subject_of_services_is_passed_on() {
        assert!(ask(Some(subject::api("Decisions", "GetSigningKey"))).await);
        for other in [
            Some("muster.v1.ops.api.Decisions.GetSigningKey".to_owned()),
            Some("muster.v1.apis.Decisions.GetSigningKey".to_owned()),
            Some(String::new()),
            None,
        ] {
            assert!(!ask(other.clone()).await, "{other:?}");
        }
    }
}
