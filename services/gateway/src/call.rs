//! From a JSON text over the bus to a JSON text.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use muster_proto::access::v1::decisions_client::DecisionsClient;
use muster_proto::access::v1::{AssumeRoleRequest, IssueSessionRequest, IssueSessionResult, NoteUseRequest};
use muster_wire::{
    CallOptions, Caller, CallerKind, ClientToken, Failure, NatsChannel, Reason, Refusal, aws_json, limits, subject,
};
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor};

use crate::sts::Assume;

/// How long assuming a role may take: perhaps an identity provider is asked for its keys.
const ASSUMING: Duration = Duration::from_secs(15);
/// Room for headers in a message on the bus, in bytes.
const HEADERS: usize = 4096;
/// Every bus takes messages of this length.
const SURELY_TAKEN: usize = 512 * 1024;

/// The services, called over the bus.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    nats: Client,
    channel: NatsChannel,
}

impl Services {
    pub(crate) fn new(nats: Client) -> Self {
        Self {
            channel: NatsChannel::new(nats.clone()),
            nats,
        }
    }

    /// Calls an operation in the name of `caller`, and waits at most so long for its answer. What must not be done twice has
    /// a token: a service that knows tokens does it once, whichever gateway asks.
    pub(crate) async fn call(
        &self,
        caller: &Caller,
        method: &MethodDescriptor,
        request: Bytes,
        timeout: Duration,
        token: Option<&str>,
    ) -> Result<Bytes, Failure> {
        if request.len() > SURELY_TAKEN && request.len() + HEADERS > self.nats.server_info().max_payload {
            return Err(too_large());
        }
        // The client would keep the request and send it when the bus is back, long after the caller was told that
        // nothing happened.
        if self.nats.connection_state() != State::Connected {
            let what = "the bus".to_owned();
            return Err(Failure::Unavailable { what });
        }
        let service = method.parent_service();
        let subject = subject::api(service.name(), method.name());
        let channel = self.channel.clone().with_options(CallOptions { timeout });
        let mut headers = HeaderMap::new();
        headers.insert(Caller::HEADER, caller.to_header());
        if let Some(token) = token {
            headers.insert(ClientToken::HEADER, token);
        }
        let answer = match channel.request(subject, headers, request).await {
            Ok(answer) => answer,
            Err(status) => return Err(failure(&status, service.name())),
        };
        let message = DynamicMessage::decode(method.output(), answer).map_err(Failure::internal)?;
        Ok(aws_json::encode(&message).into())
    }

    /// Tells access that a caller has used its access key. Nobody waits for it: when a key was last used is no promise.
    pub(crate) async fn note_use(&self, caller: &Caller) {
        let Ok(id) = shown_key(caller) else { return };
        let question = NoteUseRequest {
            access_key_id: Some(id),
        };
        if let Err(status) = DecisionsClient::new(self.channel.clone()).note_use(question).await {
            tracing::debug!(%status, "access does not know that an access key was used");
        }
    }

    /// A temporary access key for a caller who came with one that is not.
    pub(crate) async fn issue_session(&self, caller: &Caller, seconds: i64) -> Result<IssueSessionResult, Failure> {
        let id = shown_key(caller)?;
        let question = IssueSessionRequest {
            access_key_id: Some(id),
            duration_seconds: Some(seconds),
            source_ip: caller.source_ip.map(|address| address.to_string()),
            request_id: caller.request_id.map(|id| id.to_string()),
        };
        let answer = DecisionsClient::new(self.channel.clone()).issue_session(question).await;
        match answer {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(match failure(&status, "Access") {
                // A temporary one, or one that was switched off a moment ago.
                Failure::Refused(refusal) => Refusal::new(Reason::AccessDeniedException, refusal.message).into(),
                other => other,
            }),
        }
    }

    /// A temporary access key in a role, for a caller who came with an access key and perhaps its session token, or with the
    /// token of an identity provider.
    pub(crate) async fn assume_role(
        &self,
        caller: &Caller,
        session_token: Option<String>,
        assume: &Assume,
    ) -> Result<IssueSessionResult, Failure> {
        let access_key_id = match assume.web_identity_token {
            Some(_) => None,
            None => Some(shown_key(caller)?),
        };
        let question = AssumeRoleRequest {
            access_key_id,
            session_token,
            web_identity_token: assume.web_identity_token.clone(),
            role_arn: assume.role_arn.clone(),
            role_session_name: assume.name.clone(),
            duration_seconds: Some(assume.seconds),
            source_ip: caller.source_ip.map(|address| address.to_string()),
            secure_transport: Some(caller.secure_transport),
            request_id: caller.request_id.map(|id| id.to_string()),
        };
        let channel = self.channel.clone().with_options(CallOptions { timeout: ASSUMING });
        let answer = DecisionsClient::new(channel).assume_role(question).await;
        match answer {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(failure(&status, "Access")),
        }
    }
}

/// The access key that a caller has proved to have.
fn shown_key(caller: &Caller) -> Result<String, Refusal> {
    let has_proved = matches!(caller.kind, CallerKind::User | CallerKind::Role);
    let text = "there are no sessions in development: no access key is looked at";
    let key = caller.access_key.clone().filter(|_| has_proved);
    key.ok_or_else(|| Refusal::new(Reason::AccessDeniedException, text))
}

/// What a status means for the caller, who knows services by name and nothing of the bus.
fn failure(status: &tonic::Status, service: &str) -> Failure {
    match Failure::from_status(status) {
        Failure::Unavailable { what } => {
            tracing::warn!(service, what, "unavailable");
            Failure::Unavailable {
                what: service.to_owned(),
            }
        }
        Failure::Internal(cause) => {
            tracing::error!(service, error = &*cause as &dyn std::error::Error, "a service failed");
            Failure::Internal(cause)
        }
        other => other,
    }
}

/// The protobuf of a request body.
///
/// What only the text shows to be wrong is answered here, together with everything else that is wrong;
/// all other limits are the service's to check, with the same words.
pub(crate) fn request(method: &MethodDescriptor, body: &[u8]) -> Result<Bytes, Refusal> {
    let decoded = aws_json::decode(body, method.input())?;
    if decoded.violations.is_empty() {
        return Ok(decoded.message.encode_to_vec().into());
    }
    let mut violations = decoded.violations;
    violations.extend(limits::check(&decoded.message));
    Err(limits::refuse(&violations))
}

/// The body is longer than is taken.
pub(crate) fn too_large() -> Failure {
    Refusal::new(Reason::RequestEntityTooLargeException, "The request body is too large").into()
}
