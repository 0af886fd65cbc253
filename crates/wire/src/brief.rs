//! The layer that keeps errors short enough for gRPC, whose headers carry them: clients refuse long ones, and say so only
//! as a protocol error. NATS and the AWS surface carry errors whole.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::Status;
use tonic::body::Body;

use crate::{Failure, Refusal};

/// Bytes of a message that every client takes: it travels encoded, and twice.
const LIMIT: usize = 3_000;

/// Puts [`BriefService`] around a service.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BriefLayer;

impl<S> tower::Layer<S> for BriefLayer {
    type Service = BriefService<S>;

    fn layer(&self, inner: S) -> BriefService<S> {
        BriefService { inner }
    }
}

/// Cuts the text of a refusal that is longer than gRPC clients take, and says so.
#[derive(Debug, Clone)]
pub(crate) struct BriefService<S> {
    inner: S,
}

impl<S: tonic::server::NamedService> tonic::server::NamedService for BriefService<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> tower::Service<http::Request<Body>> for BriefService<S>
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
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // A short one cannot be long when it is decoded.
            let text = response.headers().get(Status::GRPC_MESSAGE);
            if text.is_none_or(|text| text.len() <= LIMIT) {
                return Ok(response);
            }
            match Status::from_header_map(response.headers()).map(Failure::from) {
                Some(Failure::Refused(refusal)) => Ok(Status::from(brief(refusal)).into_http()),
                _ => Ok(response),
            }
        })
    }
}

fn brief(refusal: Refusal) -> Refusal {
    let text = &refusal.message;
    if text.len() <= LIMIT {
        return refusal;
    }
    let head = &text[..text.floor_char_boundary(LIMIT)];
    // Findings are separated by semicolons: a whole one is worth more than a piece.
    let head = head.rsplit_once("; ").map_or(head, |(whole, _)| whole);
    let message = format!(
        "{head}; … ({} bytes in all: gRPC carries the beginning, NATS and the AWS API everything)",
        text.len()
    );
    Refusal::new(refusal.reason, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn a_long_refusal_keeps_whole_findings_and_says_that_there_are_more() {
        let message = ["/a: wrong", &"é".repeat(600), &"x".repeat(1_900)].join("; ");
        let length = message.len();
        let brief = brief(Refusal::new(Reason::InvalidDocumentContent, message));
        assert!(brief.message.starts_with("/a: wrong; éé") && !brief.message.contains('x'));
        assert!(
            brief.message.contains(&format!("({length} bytes in all")),
            "{}",
            brief.message
        );
        assert_eq!(brief.reason, Reason::InvalidDocumentContent);
    }

    #[test]
    fn an_endless_finding_is_cut_between_characters_and_a_short_one_stays() {
        let endless = brief(Refusal::validation("é".repeat(40_000)));
        assert!(endless.message.starts_with(&"é".repeat(1_500)) && endless.message.len() < LIMIT + 120);
        let short = Refusal::validation("a; b");
        assert_eq!(brief(short.clone()), short);
    }
}
