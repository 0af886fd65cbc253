//! The body of a request: it is read once, or thrown away, so that its sender gets to hear the answer.

use std::time::Duration;

use axum::body::Body;
use axum::http::{header, request};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use muster_wire::{Failure, Reason, Refusal};

use crate::call;

/// Longest time for a body to arrive.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a body that nobody wants is read all the same, in multiples of what is taken: a caller who is cut off
/// while sending never reads why.
const DRAINED: usize = 64;

/// A body that may be read.
pub(crate) struct Upload {
    body: Option<Body>,
    /// Its sender waits for leave to send it, and needs none to hear the answer.
    is_announced: bool,
}

impl Upload {
    pub(crate) fn new(head: &request::Parts, body: Body) -> Self {
        Self {
            body: Some(body),
            is_announced: head.headers.contains_key(header::EXPECT),
        }
    }

    /// One that was read already.
    pub(crate) fn whole(body: Bytes) -> Self {
        Self {
            body: Some(body.into()),
            is_announced: false,
        }
    }

    /// Reads at most `most` bytes.
    pub(crate) async fn read(&mut self, most: usize) -> Result<Bytes, Failure> {
        let body = self.body.take().unwrap_or_default();
        tokio::time::timeout(TIMEOUT, read_whole(body, most))
            .await
            .unwrap_or_else(|_| Err(broken_off()))
    }

    /// Reads what was not read, as much as would be read of a body of more than `most` bytes.
    pub(crate) async fn drain(mut self, most: usize) {
        if let Some(mut body) = self.body.take().filter(|_| !self.is_announced) {
            let end = async {
                let mut length = 0_usize;
                while let Some(Ok(frame)) = body.frame().await {
                    length = length.saturating_add(frame.data_ref().map_or(0, Bytes::len));
                    if length > most.saturating_mul(DRAINED) {
                        break;
                    }
                }
            };
            // Who takes longer is cut off.
            let _ = tokio::time::timeout(TIMEOUT, end).await;
        }
    }
}

async fn read_whole(mut body: Body, most: usize) -> Result<Bytes, Failure> {
    let mut whole = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| broken_off())?.into_data() else {
            continue;
        };
        length = length.saturating_add(data.len());
        if length <= most {
            whole.extend_from_slice(&data);
        } else if length > most.saturating_mul(DRAINED) {
            break;
        }
    }
    if length > most {
        return Err(call::too_large());
    }
    Ok(whole.freeze())
}

fn broken_off() -> Failure {
    Refusal::new(Reason::SerializationException, "The body broke off").into()
}
