//! What goes back to the caller.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use muster_wire::{Failure, aws_json};
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// An answer, before it has a request to belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The error word; `None` for a success.
    pub(crate) word: Option<String>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn success(body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            word: None,
            body,
        }
    }

    pub(crate) fn failure(failure: &Failure) -> Self {
        let (word, status) = aws_json::word_and_status(failure);
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            word: Some(word),
            body: aws_json::error_body(failure).into(),
        }
    }

    /// The word for logs and metrics.
    pub(crate) fn code(&self) -> &str {
        self.word.as_deref().unwrap_or("OK")
    }

    /// The answer to a request. The server adds `Date` and `Content-Length`.
    pub(crate) fn into_response(self, request: Uuid, content_type: &'static str) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(id) = HeaderValue::from_str(&request.to_string()) {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(Ok(word)) = self.word.map(|word| HeaderValue::from_str(&word)) {
            headers.insert(ERROR_TYPE, word);
        }
        response
    }
}

impl From<Result<Bytes, Failure>> for Answer {
    fn from(outcome: Result<Bytes, Failure>) -> Self {
        match outcome {
            Ok(body) => Self::success(body),
            Err(failure) => Self::failure(&failure),
        }
    }
}
