//! The port: one request from its first byte to its answer.
//!
//! The order is AWS's: target, credentials, body, limits; then the service takes over.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode, request};
use axum::routing::get;
use bytes::Bytes;
use muster_boot::Tasks;
use muster_model::Clock;
use muster_proto::facts;
use muster_wire::{Caller, Failure, Principal, trace, user_agent};
use prost_reflect::MethodDescriptor;
use tracing::{Instrument as _, Span, field, info_span};
use uuid::Uuid;

use crate::answer::Answer;
use crate::authentication::{Arrival, Authentication, source};
use crate::call::{self, Services};
use crate::config::Settings;
use crate::metrics::Metrics;
use crate::repeats::{Claim, Key, Pending, Repeats, Ticket};
use crate::target::{self, Operation};
use crate::throttle::{Throttle, Tries};
use crate::upload::Upload;
use crate::{sigv4, sts};

/// What is answered in where the request names no content type that we know.
const DEFAULT_CONTENT_TYPE: &str = "application/x-amz-json-1.1";
/// A body that took longer than this came at another time than its head, whose caller is asked about again.
const HELD_BACK: Duration = Duration::from_secs(1);
/// Longest body of a request without credentials, and of a form, in bytes.
const LONGEST_ANONYMOUS: usize = 64 * 1024;
/// How long a call that must not run twice is waited for. Its caller is told earlier to come again; a repeat then
/// finds this answer. Services give up after a minute themselves.
const LONGEST_CALL: Duration = Duration::from_secs(65);
/// Longest `amz-sdk-invocation-id` that counts, in bytes; SDKs send 36.
const LONGEST_INVOCATION: usize = 128;

/// Longest id of an access key that the log names, in bytes.
const LONGEST_KEY: usize = 128;

/// What every request needs.
#[derive(Debug)]
pub(crate) struct Surface {
    settings: Settings,
    door: Door,
    services: Services,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    repeats: Repeats,
}

/// Who comes in.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) authentication: Authentication,
    /// How often; `None` for no limit.
    pub(crate) throttle: Option<Throttle>,
    /// How often an address may ask for what needs no credentials.
    pub(crate) anonymous: Throttle,
    /// How often an address may come with access keys that nobody has, or signatures of others.
    pub(crate) failed: Throttle,
    /// Whether requests come by TLS, at least as far as the proxy in front.
    pub(crate) is_secure: bool,
}

/// What becomes known of a request on its way, for the log.
#[derive(Debug, Default)]
struct Seen {
    source_ip: Option<IpAddr>,
    operation: Option<String>,
    /// What the request says; who has proved to have it is a principal, too.
    access_key: Option<String>,
    principal: Option<Principal>,
    bytes: usize,
}

/// All paths of the surface, and the plain ones that every service has.
pub(crate) fn routes(surface: Arc<Surface>, plain: Router<Arc<Surface>>) -> Router {
    Router::new()
        .route(
            "/",
            get(|| async { "Muster answers AWS JSON 1.1 here.\n" }).post(answer),
        )
        .merge(plain)
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
        .with_state(surface)
}

async fn nothing_here(State(surface): State<Arc<Surface>>, request: Request<Body>) -> Response<Body> {
    let (started, id) = (Instant::now(), Uuid::new_v4());
    let answer = Answer {
        status: StatusCode::NOT_FOUND,
        ..Answer::failure(&target::unknown())
    };
    let (head, body) = request.into_parts();
    surface.note(id, &surface.first_sight(&head), &answer, started.elapsed());
    Upload::new(&head, body).drain(surface.settings.max_body_bytes).await;
    answer.into_response(id, DEFAULT_CONTENT_TYPE)
}

async fn answer(State(surface): State<Arc<Surface>>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let id = Uuid::new_v4();
    // A span's name is final once it has begun.
    let operation = Operation::of(request.headers());
    let is_sts = sts::is_meant(request.headers());
    let name = match &operation {
        _ if is_sts => sts::SERVICE,
        Ok(operation) => operation.name(),
        Err(_) => "unknown operation",
    };
    let span = info_span!(
        "request",
        otel.name = name,
        otel.kind = "server",
        request_id = %id,
        operation = field::Empty,
        code = field::Empty,
    );
    trace::continue_from_http(&span, request.headers());
    async {
        let (head, body) = request.into_parts();
        let mut seen = surface.first_sight(&head);
        let mut body = Upload::new(&head, body);
        if is_sts {
            let outcome = surface.identify(id, &head, &mut body, &mut seen).await;
            let answer = outcome.unwrap_or_else(|failure| sts::failure(&failure, id));
            surface.note(id, &seen, &answer, started.elapsed());
            return answer.into_response(id, sts::CONTENT_TYPE);
        }
        let content_type = target::content_type(&head.headers);
        let outcome = match &content_type {
            Ok(_) => surface.serve(id, operation, &head, &mut body, &mut seen).await,
            Err(_) => Err(target::unknown()),
        };
        let answer = outcome.unwrap_or_else(|failure| Answer::failure(&failure));
        surface.note(id, &seen, &answer, started.elapsed());
        body.drain(surface.settings.max_body_bytes).await;
        answer.into_response(id, content_type.unwrap_or(DEFAULT_CONTENT_TYPE))
    }
    .instrument(span)
    .await
}

impl Surface {
    pub(crate) fn new(
        settings: &Settings,
        door: Door,
        services: Services,
        metrics: Metrics,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
    ) -> Self {
        Self {
            settings: settings.clone(),
            door,
            services,
            metrics,
            clock,
            tasks,
            repeats: Repeats::default(),
        }
    }

    async fn serve(
        self: &Arc<Self>,
        id: Uuid,
        operation: Result<Operation, Failure>,
        head: &request::Parts,
        body: &mut Upload,
        seen: &mut Seen,
    ) -> Result<Answer, Failure> {
        let operation = operation?;
        seen.operation = Some(operation.name().to_owned());
        let arrival = self.arrival(id, head);
        if let Operation::Served(method) = operation
            && facts::operation(method).unauthenticated
        {
            return self.serve_anybody(method, arrival, body, seen).await;
        }
        let (caller, body) = self.admit(sigv4::SERVICE, arrival, head, body, seen).await?;
        let method = match operation {
            Operation::Served(method) => method,
            Operation::NotYet(operation) => return Err(Failure::Unsupported { operation }),
        };
        let request = call::request(method, &body)?;
        match invocation(&head.headers) {
            Some(invocation) if !facts::operation(method).idempotent => {
                let access_key = caller.access_key.as_deref().unwrap_or_default();
                let key = Key::of(access_key, invocation, method.full_name(), &body);
                self.once(key, caller, method, request).await
            }
            _ => {
                let timeout = self.settings.timeout(reads(method));
                let outcome = self.services.call(&caller, method, request, timeout, None).await;
                outcome.map(Answer::success)
            }
        }
    }

    /// Finds out who signed a request to a service (`ssm`), and takes one of the caller's tokens.
    async fn admit(
        &self,
        service: &str,
        arrival: Arrival,
        head: &request::Parts,
        body: &mut Upload,
        seen: &mut Seen,
    ) -> Result<(Caller, Bytes), Failure> {
        seen.access_key = claimed_key(head);
        let from = arrival.source_ip.map(network).unwrap_or_default();
        let tries = Tries {
            throttle: &self.door.failed,
            from: &from,
        };
        let begun = self.clock.now();
        let mut named = self.door.authentication.name(head, service, tries, begun).await?;
        let access_key = named.access_key().to_owned();
        let body = body.read(self.settings.max_body_bytes).await?;
        seen.bytes = body.len();
        // Nobody keeps a key alive, or a signature young, by holding back the body.
        let now = self.clock.now();
        if now.duration_since(begun).unsigned_abs() > HELD_BACK {
            named = self.door.authentication.name(head, service, tries, now).await?;
        }
        let caller = named.prove(&body, arrival).inspect_err(|_| {
            // Who has used up its tries gets this answer all the same.
            let _ = tries.count(now);
        })?;
        seen.principal = Some(caller.principal.clone());
        // Only after the proof: who merely knows the id of a key must not use up its tokens.
        if let Some(throttle) = &self.door.throttle {
            // Temporary ones cost nothing to make: all of a user share what one may do.
            let of = match access_key.starts_with(TEMPORARY) {
                true => caller.principal.as_str(),
                false => &access_key,
            };
            throttle.take(of, self.clock.now())?;
        }
        Ok((caller, body))
    }

    /// Tells a caller who it is, or gives it a temporary access key: for those who ask STS.
    async fn identify(
        &self,
        id: Uuid,
        head: &request::Parts,
        body: &mut Upload,
        seen: &mut Seen,
    ) -> Result<Answer, Failure> {
        let arrival = self.arrival(id, head);
        // What the form asks for says whether anybody has to have signed it.
        let body = body.read(self.settings.max_body_bytes.min(LONGEST_ANONYMOUS)).await?;
        let form = sts::Form::of(&body);
        seen.operation = form.operation().map(str::to_owned);
        let (caller, token) = match form.is_unsigned() {
            true => {
                let from = arrival.source_ip.map(network).unwrap_or_default();
                self.door.anonymous.take(&from, self.clock.now())?;
                seen.bytes = body.len();
                seen.principal = Some(Caller::anonymous().principal);
                (arrival.of(Caller::anonymous()), None)
            }
            false => {
                let (caller, _) = self
                    .admit(sts::SERVICE, arrival, head, &mut Upload::whole(body), seen)
                    .await?;
                (caller, session_token(head))
            }
        };
        let wish = form.read()?;
        match &wish {
            sts::Wish::Identity => {
                let answer = sts::identity(&caller.principal, id);
                let services = self.services.clone();
                self.tasks.spawn("use of an access key", async move {
                    services.note_use(&caller).await;
                    Ok(())
                });
                Ok(answer)
            }
            sts::Wish::Session(seconds) => {
                let made = self.services.issue_session(&caller, *seconds).await?;
                Ok(sts::session(&wish, &made, id))
            }
            sts::Wish::Assume(assume) => {
                let made = self.services.assume_role(&caller, token, assume).await?;
                Ok(sts::session(&wish, &made, id))
            }
        }
    }

    /// What is known of a request before anything of it is judged.
    fn first_sight(&self, head: &request::Parts) -> Seen {
        Seen {
            source_ip: source(head, self.settings.forwarded_for),
            ..Seen::default()
        }
    }

    fn arrival(&self, id: Uuid, head: &request::Parts) -> Arrival {
        Arrival {
            id,
            is_secure: self.door.is_secure,
            source_ip: source(head, self.settings.forwarded_for),
            user_agent: user_agent(&head.headers),
        }
    }

    /// Calls what needs no credentials, whatever stands in the request.
    async fn serve_anybody(
        &self,
        method: &'static MethodDescriptor,
        arrival: Arrival,
        body: &mut Upload,
        seen: &mut Seen,
    ) -> Result<Answer, Failure> {
        let from = arrival.source_ip.map(network).unwrap_or_default();
        self.door.anonymous.take(&from, self.clock.now())?;
        let body = body.read(self.settings.max_body_bytes.min(LONGEST_ANONYMOUS)).await?;
        seen.bytes = body.len();
        let caller = arrival.of(Caller::anonymous());
        seen.principal = Some(caller.principal.clone());
        let request = call::request(method, &body)?;
        let timeout = self.settings.timeout(reads(method));
        let outcome = self.services.call(&caller, method, request, timeout, None).await;
        outcome.map(Answer::success)
    }

    /// Calls what must not run twice, or waits for the call that runs already.
    async fn once(
        self: &Arc<Self>,
        key: Key,
        caller: Caller,
        method: &'static MethodDescriptor,
        request: Bytes,
    ) -> Result<Answer, Failure> {
        let pending = match self.repeats.claim(key, self.clock.now()) {
            Claim::Repeat(pending) => pending,
            Claim::First(ticket) => {
                let pending = ticket.pending();
                let surface = Arc::clone(self);
                let flight = async move {
                    surface.fly(ticket, &caller, method, request).await;
                    Ok(())
                };
                // The call goes on when its caller hangs up: a repeat wants its answer.
                self.tasks.spawn("call", flight.instrument(Span::current()));
                pending
            }
        };
        wait(pending, self.settings.timeout(false)).await
    }

    async fn fly(&self, ticket: Ticket, caller: &Caller, method: &MethodDescriptor, request: Bytes) {
        // Another replica, or this one after a restart, does not know that the request is a repeat; the service does.
        let token = ticket.key().to_text();
        let outcome = self
            .services
            .call(caller, method, request, LONGEST_CALL, Some(&token))
            .await;
        // A refusal did nothing, and neither did a service that is away; of the rest nobody can be sure.
        let done = !matches!(
            outcome,
            Err(Failure::Refused(_) | Failure::Unsupported { .. } | Failure::Unavailable { .. })
        );
        self.repeats
            .settle(ticket, Answer::from(outcome), done, self.clock.now());
    }

    /// Log and metrics. Bodies are in neither.
    fn note(&self, id: Uuid, seen: &Seen, answer: &Answer, took: Duration) {
        let operation = seen.operation.as_deref().unwrap_or_default();
        trace::record("operation", operation);
        trace::record("code", answer.code());
        self.metrics.record(operation, answer.code(), took);
        // Without the span, whose fields are all among these.
        tracing::info!(
            parent: None,
            request_id = %id,
            source_ip = seen.source_ip.map(|address| address.to_string()).unwrap_or_default(),
            access_key = seen.access_key.as_deref().unwrap_or_default(),
            principal = seen.principal.as_ref().map(Principal::as_str).unwrap_or_default(),
            operation,
            code = answer.code(),
            status = answer.status.as_u16(),
            milliseconds = took.as_secs_f64() * 1e3,
            bytes_in = seen.bytes,
            bytes_out = answer.body.len(),
            "answered"
        );
    }
}

/// What counts as one address: of IPv6 the half that names a network, since whoever has one has all addresses in it.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
    }
}

async fn wait(mut pending: Pending, timeout: Duration) -> Result<Answer, Failure> {
    let settled = tokio::time::timeout(timeout, pending.wait_for(Option::is_some)).await;
    match settled {
        Err(_) => Err(Failure::Deadline),
        Ok(Err(_)) => Err(Failure::internal("a call ended without an answer")),
        Ok(Ok(answer)) => (*answer).clone().ok_or(Failure::Deadline),
    }
}

fn invocation(headers: &HeaderMap) -> Option<&str> {
    headers
        .get("amz-sdk-invocation-id")?
        .to_str()
        .ok()
        .filter(|id| (1..=LONGEST_INVOCATION).contains(&id.len()))
}

/// The access key that a request names, if its id can be written down: callers choose it.
fn claimed_key(head: &request::Parts) -> Option<String> {
    let authorization = sigv4::Authorization::of(&head.headers, head.uri.query()).ok()?;
    let id = authorization.credential.access_key;
    let is_plain = (1..=LONGEST_KEY).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then(|| id.to_owned())
}

/// What the ids of temporary access keys begin with (aws-json-gateway 6).
const TEMPORARY: &str = "MSIA";

/// The session token that a request was signed with; the signature covers it.
fn session_token(head: &request::Parts) -> Option<String> {
    let token = head.headers.get("x-amz-security-token")?;
    token.to_str().ok().map(str::to_owned)
}

/// Whether an operation only reads.
fn reads(method: &MethodDescriptor) -> bool {
    let begins = |word: &&str| method.name().starts_with(*word);
    facts::operation(method).plain_read || ["Get", "List", "Describe"].iter().any(begins)
}
