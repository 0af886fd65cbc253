//! The generated clients over NATS: a tower service that turns a gRPC call into a NATS request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::client::{Request, RequestErrorKind};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use http_body_util::StreamBody;
use tonic::Status;
use tonic::body::Body;

use crate::{ClientToken, frame, subject, trace};

/// How a call is made.
#[derive(Debug, Clone, Copy)]
pub struct CallOptions {
    /// How long to wait for the answer.
    pub timeout: Duration,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
        }
    }
}

/// A channel for the generated clients that calls services over NATS.
///
/// `RunCommandClient::new(NatsChannel::new(nats))` is used like a client over gRPC, for unary calls.
/// A service that nobody serves at the moment answers `Unavailable`.
#[derive(Debug, Clone)]
pub struct NatsChannel {
    nats: Client,
    options: CallOptions,
}

impl NatsChannel {
    /// A channel over this connection, with the default options.
    #[must_use]
    pub fn new(nats: Client) -> Self {
        Self {
            nats,
            options: CallOptions::default(),
        }
    }

    /// The same channel with other options.
    #[must_use]
    pub fn with_options(self, options: CallOptions) -> Self {
        Self { options, ..self }
    }

    /// Sends message bytes to a subject and waits for message bytes.
    ///
    /// # Errors
    /// What the service answered, `Unavailable` if there is none, `DeadlineExceeded` if it is slow.
    pub async fn request(&self, subject: String, mut headers: HeaderMap, message: Bytes) -> Result<Bytes, Status> {
        trace::into_nats(&mut headers);
        let request = Request::new()
            .headers(headers)
            .payload(message)
            .timeout(Some(self.options.timeout));
        let answer = self
            .nats
            .send_request(subject.clone(), request)
            .await
            .map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => Status::unavailable(format!("nobody serves {subject}")),
                RequestErrorKind::TimedOut => Status::deadline_exceeded(format!("no answer from {subject} in time")),
                _ => Status::unavailable(format!("the bus did not take the request for {subject}")),
            })?;
        match answer.headers.as_ref().and_then(NatsStatus::of) {
            Some(status) => Err(status),
            None => Ok(answer.payload),
        }
    }

    async fn call_http(self, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let subject = subject::api_of_path(path).ok_or_else(|| Status::internal(format!("{path} is no gRPC path")))?;
        let (framed, _) = frame::collect(body).await?;
        let mut headers = HeaderMap::new();
        let token = parts.headers.get(ClientToken::HEADER);
        if let Some(token) = token.and_then(|token| token.to_str().ok()) {
            headers.insert(ClientToken::HEADER, token);
        }
        let answer = self.request(subject, headers, frame::unwrap(framed)?).await?;
        Ok(grpc_response(&answer))
    }
}

/// A successful unary answer: one frame, then the trailers that say so.
fn grpc_response(message: &[u8]) -> http::Response<Body> {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    let frames = [
        Ok::<_, Status>(http_body::Frame::data(frame::wrap(message))),
        Ok(http_body::Frame::trailers(trailers)),
    ];
    let mut response = http::Response::new(Body::new(StreamBody::new(futures::stream::iter(frames))));
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/grpc"),
    );
    response
}

impl tower::Service<http::Request<Body>> for NatsChannel {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.clone().call_http(request))
    }
}

/// A gRPC status in NATS headers.
///
/// `Nats-Service-Error` and `-Code` are there for every NATS client, `Muster-Reason` for scripts,
/// and gRPC's own three headers carry the status whole.
#[derive(Debug)]
pub struct NatsStatus;

impl NatsStatus {
    /// The word that scripts match on.
    pub const REASON: &'static str = "Muster-Reason";

    /// The status that an answer's headers carry; `None` for a success.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Status> {
        let code = headers.get("Nats-Service-Error-Code")?;
        let mut http = http::HeaderMap::new();
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
            if let Some(value) = headers.get(name)
                && let Ok(value) = http::HeaderValue::from_str(value.as_str())
            {
                http.insert(name, value);
            }
        }
        let status = Status::from_header_map(&http).unwrap_or_else(|| {
            let text = headers.get("Nats-Service-Error").map_or("", |value| value.as_str());
            Status::unknown(format!("{code} {text}"))
        });
        Some(status)
    }

    /// The headers and the micro error that carry a status.
    #[must_use]
    pub fn headers(status: &Status) -> (HeaderMap, async_nats::service::error::Error) {
        let mut headers = HeaderMap::new();
        let mut http = http::HeaderMap::new();
        if status.add_header(&mut http).is_ok() {
            for (name, value) in &http {
                if let Ok(text) = value.to_str() {
                    headers.insert(name.as_str(), text);
                }
            }
        }
        let failure = crate::Failure::from_status(status);
        let (word, http_status) = crate::aws_json::word_and_status(&failure);
        headers.insert(Self::REASON, word.as_str());
        // A header cannot hold line ends; the whole text is in grpc-message.
        let text: String = status
            .message()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let error = async_nats::service::error::Error {
            status: text,
            code: usize::from(http_status),
        };
        (headers, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, Reason, Refusal};

    #[test]
    fn a_status_survives_nats_headers() {
        let status = Status::from(Refusal::new(
            Reason::InvalidDocumentContent,
            "line one\nline two: ünïcode",
        ));
        let (mut headers, error) = NatsStatus::headers(&status);
        assert_eq!(error.code, 400);
        assert!(!error.status.contains('\n'));
        headers.insert("Nats-Service-Error-Code", error.code.to_string());
        let back = NatsStatus::of(&headers).expect("an error");
        assert_eq!(back.message(), status.message());
        assert!(
            matches!(Failure::from_status(&back), Failure::Refused(refusal) if refusal.reason == Reason::InvalidDocumentContent)
        );
    }
}
