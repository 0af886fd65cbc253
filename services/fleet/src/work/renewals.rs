//! Renews the credentials of nodes (fleet 9): at half of their life, and when their tags have changed.

use std::sync::Arc;

use async_nats::{Client, Message};
use futures::{StreamExt, stream};
use muster_boot::{BoxError, NodeQuota, Parts};
use muster_credential::{Proof, PublicKey, Purpose};
use muster_model::{Clock, NodeId, Timestamp};
use muster_proto::agent::v1::{RenewRequest, RenewResult};
use muster_proto::aws::v1::Reason;
use muster_store::Db;
use muster_wire::{Failure, Refusal, subject};
use prost::Message as _;
use tonic::Status;

use crate::domain::identity::{Attributes, Recognition};
use crate::error::from_store;
use crate::store::key::Holding;
use crate::store::{identity, key, tag};
use crate::work::issuer::Issuer;
use crate::work::{News, answer, greeter};

/// Replicas share the questions.
const QUEUE: &str = "fleet";
/// Questions that are answered at once.
const AT_ONCE: usize = 64;
/// How old a proof may be, and how far ahead, in seconds.
const WINDOW: u64 = 300;

/// Starts answering.
///
/// # Errors
/// If the bus does not take the subscription.
pub(crate) async fn listen(parts: &Parts, renewals: Arc<Renewals>) -> Result<(), BoxError> {
    let nats = parts.nats.clone();
    let of_all = subject::rpc_of_all;
    let renew = nats
        .queue_subscribe(of_all(subject::RPC_AUTH_RENEW), QUEUE.to_owned())
        .await?;
    let rotate = nats
        .queue_subscribe(of_all(subject::RPC_AUTH_ROTATE), QUEUE.to_owned())
        .await?;
    let questions = stream::select(renew, rotate).take_until(parts.tasks.stopping().cancelled_owned());
    parts.tasks.spawn("renewals", async move {
        let clerk = &renewals;
        let serving = questions.for_each_concurrent(AT_ONCE, |question| async move { clerk.serve(&question).await });
        serving.await;
        Ok(())
    });
    Ok(())
}

/// Renews credentials.
#[derive(Debug)]
pub(crate) struct Renewals {
    pub(super) db: Db,
    pub(super) nats: Client,
    pub(super) issuer: Arc<Issuer>,
    news: News,
    pub(super) quota: NodeQuota,
    pub(super) clock: Arc<dyn Clock>,
}

impl Renewals {
    pub(crate) fn new(parts: &Parts, db: Db, issuer: Arc<Issuer>, news: News) -> Self {
        Self {
            db,
            nats: parts.nats.clone(),
            issuer,
            news,
            quota: parts.node_quota.clone(),
            clock: Arc::clone(&parts.clock),
        }
    }

    async fn serve(&self, question: &Message) {
        if question.subject.ends_with(subject::RPC_AUTH_ROTATE) {
            return self.serve_rotation(question).await;
        }
        match self.answer(question).await {
            Ok(result) => answer::give(&self.nats, question, result.encode_to_vec()).await,
            Err(failure) => answer::refuse(&self.nats, question, &Status::from(failure)).await,
        }
    }

    async fn answer(&self, question: &Message) -> Result<RenewResult, Failure> {
        self.quota.take(question)?;
        // Whoever it claims to be from inside, it is from whom the subject says.
        let node = subject::node_of(&question.subject).map_err(|error| Refusal::validation(error.to_string()))?;
        let request = RenewRequest::decode(question.payload.clone())
            .map_err(|error| Refusal::validation(format!("the renewal cannot be read: {error}")))?;
        self.renew(&node, &request).await
    }

    /// Signs new credentials for a node, if it shows its key.
    ///
    /// # Errors
    /// `AccessDeniedException` if the key is not that of the node, `ConflictException` if its machine is another one.
    pub(crate) async fn renew(&self, node: &NodeId, request: &RenewRequest) -> Result<RenewResult, Failure> {
        let now = self.clock.now();
        let service_time = Some(prost_types::Timestamp {
            seconds: now.as_second(),
            nanos: now.subsec_nanosecond(),
        });
        if request.proof.is_empty() {
            return Ok(RenewResult {
                service_time,
                user_jwt: String::new(),
            });
        }
        let public = proven(node, request, now)?;
        let Some(tags) = tag::of_node(&self.db, node.as_str()).await.map_err(from_store)? else {
            return Err(stranger(node).into());
        };
        let mut holding = self.check_key(node, &public, now).await?;
        self.recognise(node, &Attributes::read(&request.attributes), now)
            .await?;
        if request.confirms_key {
            let confirmed = key::confirm(&self.db, node.as_str(), public.as_str(), now.as_microsecond()).await;
            if confirmed.map_err(from_store)? {
                tracing::info!(node_id = node.as_str(), "a node has another key");
                self.news.key_rotated(node.as_str()).await;
            }
            // It may have been over in the meantime.
            holding = self.check_key(node, &public, now).await?;
        }
        // Claims for a key that nobody has confirmed end when the offer does.
        let until = match holding {
            Holding::Own => None,
            Holding::Offered(until) => Some(until),
        };
        Ok(RenewResult {
            service_time,
            user_jwt: self.issuer.sign(node.as_str(), &public, &tags, now, until)?,
        })
    }

    /// How the node has the key.
    ///
    /// # Errors
    /// `AccessDeniedException` if it has it no more.
    pub(super) async fn check_key(
        &self,
        node: &NodeId,
        public: &PublicKey,
        now: Timestamp,
    ) -> Result<Holding, Failure> {
        let holding = key::holding(&self.db, node.as_str(), public.as_str(), now.as_microsecond()).await;
        match holding.map_err(from_store)? {
            Some(holding) => Ok(holding),
            None => {
                let message = format!("the key is not that of {node} any more: register again with --force");
                Err(Refusal::new(Reason::AccessDeniedException, message).into())
            }
        }
    }

    /// Whether it is still the same machine.
    pub(super) async fn recognise(&self, node: &NodeId, told: &Attributes, now: Timestamp) -> Result<(), Failure> {
        let known = identity::of_nodes(&self.db, &[node.as_str()])
            .await
            .map_err(from_store)?;
        match known.get(node.as_str()).map(|stored| stored.recognise(told)) {
            Some(Recognition::Changed { fingerprint }) => {
                let claim = [(node.as_str(), fingerprint.as_str())];
                let asked = identity::doubt(&self.db, &claim, now.as_microsecond()).await;
                for node_id in asked.map_err(from_store)? {
                    tracing::error!(
                        node_id,
                        "the machine of a node is another one: approve it, or put the node out"
                    );
                    self.news.identity_changed(&node_id).await;
                }
                Err(greeter::another(node, &fingerprint).into())
            }
            Some(Recognition::Learn(known)) => {
                let learned = [(node.as_str(), known)];
                identity::learn(&self.db, &learned).await.map_err(from_store)
            }
            Some(Recognition::Same) | None => Ok(()),
        }
    }
}

/// The key that the node has shown to hold.
fn proven(node: &NodeId, request: &RenewRequest, now: Timestamp) -> Result<PublicKey, Refusal> {
    let key = request
        .public_key
        .parse::<PublicKey>()
        .map_err(|error| Refusal::validation(format!("public_key cannot be used: {error}")))?;
    check_time(request.proof_time, now)?;
    let time = request.proof_time.to_string();
    let parts = [node.as_str(), request.public_key.as_str(), &time];
    match Proof::from_bytes(&request.proof).holds(&key, Purpose::Renewal, &parts.map(str::as_bytes)) {
        true => Ok(key),
        false => Err(Refusal::validation(
            "proof is not the key's signature over node, key and time",
        )),
    }
}

/// Whether a proof is over a time near the service's.
pub(super) fn check_time(proof_time: i64, now: Timestamp) -> Result<(), Refusal> {
    match now.as_second().abs_diff(proof_time) > WINDOW {
        true => {
            let message = "proof_time is not near the service's time: ask without proof for the time, and sign that";
            Err(Refusal::validation(message))
        }
        false => Ok(()),
    }
}

pub(super) fn stranger(node: &NodeId) -> Refusal {
    let message = format!("{node} is no managed node: register again with --force");
    Refusal::new(Reason::InvalidInstanceId, message)
}
