//! Where machines register by activation (fleet 9): reads what they say, checks the proof, and answers. Whoever is not
//! let in hears the same whatever the reason, and at the same time after the question.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message};
use futures::StreamExt;
use muster_boot::{BoxError, Parts};
use muster_credential::{KeyKind, Proof, PublicKey, Purpose};
use muster_model::{Clock, NodeId, Quota, Rate, Timestamp};
use muster_proto::agent::v1::RenewRequest;
use muster_proto::aws::v1::Reason;
use muster_proto::fleet::v1::{RegisterManagedInstanceRequest, RegisterManagedInstanceResult};
use muster_store::Db;
use muster_wire::{Failure, Refusal, limits, subject};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use tokio::time::Instant;
use tonic::Status;

use crate::Settings;
use crate::domain::admission::{Applicant, Verdict};
use crate::domain::claim;
use crate::domain::code::Code;
use crate::domain::facts;
use crate::domain::identity::Attributes;
use crate::domain::tag::wanted;
use crate::error::from_store;
use crate::store::tag;
use crate::work::issuer::Issuer;
use crate::work::renewals::Renewals;
use crate::work::welcome::Welcome;
use crate::work::{Admissions, answer};

/// Replicas share the questions.
const QUEUE: &str = "fleet";
/// Questions that are answered at once.
const AT_ONCE: usize = 256;
/// How old a proof may be, and how far ahead, in seconds.
const WINDOW: i64 = 300;
/// The only kind of key.
const KEY_TYPE: &str = "Ed25519Nkey";
/// After this time whoever is not let in is told so, however long it took to find out.
const DENIED_AFTER: Duration = Duration::from_millis(300);
/// Addresses, and activations, whose tries are remembered.
const REMEMBERED: usize = 10_000;
/// How often an address may ask: a site may stand behind one.
const PER_SOURCE: Rate = Rate {
    burst: 200.0,
    per_second: 20.0,
};
/// How often an activation may be used, or tried.
const PER_ACTIVATION: Rate = Rate {
    burst: 200.0,
    per_second: 50.0,
};

/// Takes registrations.
#[derive(Debug)]
pub(crate) struct Desk {
    admissions: Admissions,
    clock: Arc<dyn Clock>,
    machine_tags: bool,
    /// What machines are told of the bus.
    welcome: Welcome,
    /// None where the bus needs no credentials.
    issuer: Option<Arc<Issuer>>,
    renewals: Option<Arc<Renewals>>,
    db: Db,
    sources: Mutex<Quota<String>>,
    activations: Mutex<Quota<String>>,
}

impl Desk {
    pub(crate) fn new(
        parts: &Parts,
        settings: &Settings,
        welcome: Welcome,
        admissions: Admissions,
        issuer: Option<Arc<Issuer>>,
        renewals: Option<Arc<Renewals>>,
    ) -> Self {
        Self {
            admissions,
            clock: Arc::clone(&parts.clock),
            machine_tags: settings.machine_tags,
            welcome,
            issuer,
            renewals,
            db: parts.database(),
            sources: Mutex::new(Quota::new(PER_SOURCE, REMEMBERED)),
            activations: Mutex::new(Quota::new(PER_ACTIVATION, REMEMBERED)),
        }
    }

    /// Makes a machine a node, or finds the node that it is. `source` is where it asks from; empty: nobody knows.
    ///
    /// # Errors
    /// `InvalidActivation` if the activation does not let it in, whatever the reason; other words if the request
    /// itself cannot be.
    pub(crate) async fn register(
        &self,
        request: RegisterManagedInstanceRequest,
        source: &str,
    ) -> Result<RegisterManagedInstanceResult, Failure> {
        let arrived = Instant::now();
        let now = self.clock.now();
        let service_time = Some(prost_types::Timestamp {
            seconds: now.as_second(),
            nanos: now.subsec_nanosecond(),
        });
        if request.proof.is_none() {
            return Ok(RegisterManagedInstanceResult {
                service_time,
                ..RegisterManagedInstanceResult::default()
            });
        }
        if !request.instance_id().is_empty() {
            return self.renew(request, source, arrived).await;
        }
        // Nobody is let in who could not be told all of it.
        let welcome = self.welcome.answer(now).map_err(Failure::internal)?;
        let (applicant, key) = self.read(request, source, now)?;
        self.ration(&applicant, now)?;
        let admitted = self.admissions.apply(applicant).await?;
        let existing = match admitted.verdict {
            Verdict::New { .. } => false,
            Verdict::Known { .. } => true,
            Verdict::Denied { .. } => {
                tokio::time::sleep_until(arrived + DENIED_AFTER).await;
                return Err(denied().into());
            }
            Verdict::Clone { node_id } => return Err(cloned(&node_id, &claim::of_key(key.as_str())).into()),
            Verdict::Doubtful { node_id } => return Err(doubtful(&node_id, &claim::of_key(key.as_str())).into()),
            Verdict::ForeignKey => {
                let message = "ForeignKey: this key belongs to another node, or did: make a new one on this machine";
                return Err(Refusal::validation(message).into());
            }
            Verdict::TooManyTags(count) => {
                let message = format!("with the tags of the activation the node would have {count} tags, more than 50");
                return Err(Refusal::validation(message).into());
            }
        };
        let user_jwt = match (&self.issuer, &admitted.node_id) {
            (Some(issuer), Some(node_id)) => {
                // As they stand now: of a known node they are the operator's.
                let Some(tags) = tag::of_node(&self.db, node_id).await.map_err(from_store)? else {
                    // It was put out in this moment.
                    tokio::time::sleep_until(arrived + DENIED_AFTER).await;
                    return Err(denied().into());
                };
                Some(issuer.sign(node_id, &key, &tags, now, None)?)
            }
            _ => None,
        };
        Ok(RegisterManagedInstanceResult {
            instance_id: admitted.node_id,
            existing: Some(existing),
            service_time,
            user_jwt,
            ..welcome
        })
    }

    /// New credentials for a node whose own have ended while it was away. Whoever does not hold the node's key hears
    /// the same as whoever has no activation.
    async fn renew(
        &self,
        request: RegisterManagedInstanceRequest,
        source: &str,
        arrived: Instant,
    ) -> Result<RegisterManagedInstanceResult, Failure> {
        let Some(renewals) = &self.renewals else {
            return Err(Failure::Unsupported {
                operation: "renewing credentials on a bus that needs none".to_owned(),
            });
        };
        self.ration_key(source, request.instance_id(), self.clock.now())?;
        let renewal = RenewRequest {
            public_key: request.public_key().to_owned(),
            proof_time: request.proof_time(),
            proof: request.proof().to_vec(),
            attributes: request.attributes.clone(),
            confirms_key: false,
        };
        let renewed = match request.instance_id().parse::<NodeId>() {
            Ok(node) => renewals.renew(&node, &renewal).await,
            Err(_) => Err(denied().into()),
        };
        match renewed {
            Ok(renewed) => Ok(RegisterManagedInstanceResult {
                instance_id: request.instance_id,
                existing: Some(true),
                service_time: renewed.service_time,
                user_jwt: Some(renewed.user_jwt),
                ..self.welcome.bus()
            }),
            Err(Failure::Refused(refusal))
                if [
                    Reason::AccessDeniedException,
                    Reason::InvalidInstanceId,
                    Reason::InvalidActivation,
                ]
                .contains(&refusal.reason) =>
            {
                tracing::warn!(node_id = request.instance_id, source, %refusal, "credentials were not renewed");
                tokio::time::sleep_until(arrived + DENIED_AFTER).await;
                Err(denied().into())
            }
            Err(failure) => Err(failure),
        }
    }

    fn read(
        &self,
        request: RegisterManagedInstanceRequest,
        source: &str,
        now: Timestamp,
    ) -> Result<(Applicant, PublicKey), Refusal> {
        if request.public_key_type() != KEY_TYPE {
            let message = format!("PublicKeyType is not {KEY_TYPE}, which is the only one");
            return Err(Refusal::validation(message));
        }
        let installation = request.fingerprint().to_owned();
        if installation.is_empty() || installation.chars().any(char::is_control) {
            return Err(Refusal::validation("Fingerprint must be 1 to 512 printable characters"));
        }
        let key = self.proven(&request, request.public_key(), request.proof(), now)?;
        let former_key = match request.former_key() {
            "" => None,
            former => Some(self.proven(&request, former, request.former_proof(), now)?),
        };
        if !request.tags.is_empty() && !self.machine_tags {
            return Err(Refusal::validation(
                "machines may not choose tags here: an activation gives them",
            ));
        }
        let applicant = Applicant {
            former_key: former_key.map(|key| key.to_string()),
            key: key.to_string(),
            as_new: request.as_new(),
            name: facts::name(request.name()),
            attributes: Attributes::read(&request.attributes),
            installation,
            source: source.to_owned(),
            tags: wanted(request.tags)?,
            facts: request.facts.unwrap_or_default().into(),
            code: Code::given(request.activation_code.unwrap_or_default()).hash(),
            activation_id: request.activation_id.unwrap_or_default(),
        };
        Ok((applicant, key))
    }

    /// A key that the machine has shown to hold.
    fn proven(
        &self,
        request: &RegisterManagedInstanceRequest,
        key: &str,
        proof: &[u8],
        now: Timestamp,
    ) -> Result<PublicKey, Refusal> {
        let read = key.parse::<PublicKey>().and_then(|key| key.of_kind(KeyKind::User));
        let key = read.map_err(|error| Refusal::validation(format!("PublicKey cannot be used: {error}")))?;
        if now.as_second().abs_diff(request.proof_time()) > WINDOW.unsigned_abs() {
            let message = "ProofTime is not near the service's time: ask without Proof for the time, and sign that";
            return Err(Refusal::validation(message));
        }
        let time = request.proof_time().to_string();
        // Both keys sign the new one.
        let parts = [
            request.activation_id(),
            request.public_key(),
            &time,
            request.fingerprint(),
        ];
        match Proof::from_bytes(proof).holds(&key, Purpose::Registration, &parts.map(str::as_bytes)) {
            true => Ok(key),
            false => Err(Refusal::validation(
                "Proof is not the key's signature over activation, key, time and fingerprint",
            )),
        }
    }

    /// Whether it may be tried at all now.
    fn ration(&self, applicant: &Applicant, now: Timestamp) -> Result<(), Refusal> {
        self.ration_key(&applicant.source, &applicant.activation_id, now)
    }

    /// The same for whatever is tried: an activation, or a node's key.
    fn ration_key(&self, source: &str, tried: &str, now: Timestamp) -> Result<(), Refusal> {
        let take = |quota: &Mutex<Quota<String>>, key: &str| {
            let mut quota = quota.lock().unwrap_or_else(PoisonError::into_inner);
            quota.take(key.to_owned(), now)
        };
        let is_fine = (source.is_empty() || take(&self.sources, source)) && take(&self.activations, tried);
        match is_fine {
            true => Ok(()),
            false => {
                let message = "too many registrations at once: try again in a few seconds";
                Err(Refusal::new(Reason::ThrottlingException, message))
            }
        }
    }
}

/// The one answer for an activation that is not known, deleted, locked, expired or used up, and for a wrong code.
fn denied() -> Refusal {
    let message = "the activation does not let this machine in: it is not known, expired, used up or locked, or the \
                   code is wrong; make a new one, or ask whoever made it";
    Refusal::new(Reason::InvalidActivation, message)
}

fn cloned(node_id: &str, fingerprint: &str) -> Refusal {
    let message = format!(
        "this machine is node {node_id}, which is online with another key: if that is a copy or an older installation, \
         stop it and try again in a few minutes, or approve this one with \
         `muster nodes approve {node_id} --fingerprint {fingerprint}` and register again; if this is the copy, register \
         it with --new"
    );
    Refusal::new(Reason::ConflictException, message)
}

fn doubtful(node_id: &str, fingerprint: &str) -> Refusal {
    let message = format!(
        "this machine may be node {node_id}, but what speaks for it others could tell as well: approve it with \
         `muster nodes approve {node_id} --fingerprint {fingerprint}` and register again, or make it another node with \
         --new"
    );
    Refusal::new(Reason::ConflictException, message)
}

/// Starts answering on the subject that account BOOT sees.
///
/// # Errors
/// If the bus does not take the subscription.
pub(crate) async fn listen(parts: &Parts, desk: Arc<Desk>) -> Result<(), BoxError> {
    let nats = parts.nats.clone();
    let questions = nats.queue_subscribe(subject::REGISTER, QUEUE.to_owned()).await?;
    let questions = questions.take_until(parts.tasks.stopping().cancelled_owned());
    parts.tasks.spawn("desk", async move {
        let (desk, nats) = (&desk, &nats);
        let serving = questions.for_each_concurrent(AT_ONCE, |question| async move {
            serve(desk, nats, &question).await;
        });
        serving.await;
        Ok(())
    });
    Ok(())
}

async fn serve(desk: &Desk, nats: &Client, question: &Message) {
    let source = question.headers.as_ref().map(source_of).unwrap_or_default();
    let answer = match read(&question.payload) {
        Ok(request) => desk.register(request, &source).await,
        Err(failure) => Err(failure),
    };
    match answer {
        Ok(result) => answer::give(nats, question, result.encode_to_vec()).await,
        Err(failure) => answer::refuse(nats, question, &Status::from(failure)).await,
    }
}

/// A request within the limits of the contract.
fn read(payload: &[u8]) -> Result<RegisterManagedInstanceRequest, Failure> {
    let malformed = |error: prost::DecodeError| {
        let message = format!("the registration cannot be read: {error}");
        Failure::from(Refusal::new(Reason::SerializationException, message))
    };
    let descriptor = muster_proto::pool()
        .get_message_by_name("muster.fleet.v1.RegisterManagedInstanceRequest")
        .ok_or_else(|| Failure::internal("the contract has no RegisterManagedInstanceRequest"))?;
    let message = DynamicMessage::decode(descriptor, payload).map_err(malformed)?;
    let violations = limits::check(&message);
    if !violations.is_empty() {
        return Err(limits::refuse(&violations).into());
    }
    RegisterManagedInstanceRequest::decode(payload).map_err(malformed)
}

/// The address from which a message came into our account. The server sets this header on what crosses a border.
fn source_of(headers: &HeaderMap) -> String {
    #[derive(serde::Deserialize)]
    struct Info {
        #[serde(default)]
        host: String,
    }
    let text = headers.get("Nats-Request-Info").map_or("", |value| value.as_str());
    let info: Option<Info> = serde_json::from_str(text).ok();
    let host = info.map(|info| info.host).unwrap_or_default();
    host.chars()
        .filter(|character| !character.is_control())
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_what_the_server_says() {
        let mut headers = HeaderMap::new();
        assert_eq!(source_of(&headers), "");
        headers.insert("Nats-Request-Info", r#"{"acc":"A","host":"192.0.2.1","user":"boot"}"#);
        assert_eq!(source_of(&headers), "192.0.2.1");
        headers.insert("Nats-Request-Info", "nonsense");
        assert_eq!(source_of(&headers), "");
    }
}
