//! Gives nodes other keys (fleet 9): the node offers one, signed by both; it is the node's once it has connected with
//! it. Until then its former key is good, so that whatever is interrupted in between leaves a node that can connect.

use async_nats::Message;
use muster_credential::{KeyKind, Proof, PublicKey, Purpose};
use muster_model::{NodeId, Timestamp};
use muster_proto::agent::v1::{RotateRequest, RotateResult};
use muster_proto::aws::v1::Reason;
use muster_wire::{Failure, Refusal, subject};
use prost::Message as _;
use tonic::Status;

use super::renewals::{Renewals, check_time, stranger};
use crate::domain::identity::Attributes;
use crate::domain::rotation::OFFER;
use crate::error::from_store;
use crate::store::{key, tag};
use crate::work::answer;

impl Renewals {
    pub(super) async fn serve_rotation(&self, question: &Message) {
        match self.answer_rotation(question).await {
            Ok(result) => answer::give(&self.nats, question, result.encode_to_vec()).await,
            Err(failure) => answer::refuse(&self.nats, question, &Status::from(failure)).await,
        }
    }

    async fn answer_rotation(&self, question: &Message) -> Result<RotateResult, Failure> {
        self.quota.take(question)?;
        let node = subject::node_of(&question.subject).map_err(|error| Refusal::validation(error.to_string()))?;
        let request = RotateRequest::decode(question.payload.clone())
            .map_err(|error| Refusal::validation(format!("the offer cannot be read: {error}")))?;
        let now = self.clock.now();
        let (old, new) = proven(&node, &request, now)?;
        let Some(tags) = tag::of_node(&self.db, node.as_str()).await.map_err(from_store)? else {
            return Err(stranger(&node).into());
        };
        self.check_key(&node, &old, now).await?;
        self.recognise(&node, &Attributes::read(&request.attributes), now)
            .await?;
        let at = now.as_microsecond();
        let until = at.saturating_add(OFFER);
        let kept = key::offer(&self.db, node.as_str(), new.as_str(), at, until).await;
        if !kept.map_err(from_store)? {
            let message = "new_key was retired, or is another node's: make another one";
            return Err(Refusal::new(Reason::AccessDeniedException, message).into());
        }
        tracing::info!(node_id = node.as_str(), "a node offers another key");
        Ok(RotateResult {
            user_jwt: self.issuer.sign(node.as_str(), &new, &tags, now, Some(until))?,
        })
    }
}

/// The keys that the node has shown to hold: the one that it has, and the one that is to take its place.
fn proven(node: &NodeId, request: &RotateRequest, now: Timestamp) -> Result<(PublicKey, PublicKey), Refusal> {
    let read = |name: &str, text: &str| {
        let key = text.parse::<PublicKey>().and_then(|key| key.of_kind(KeyKind::User));
        key.map_err(|error| Refusal::validation(format!("{name} cannot be used: {error}")))
    };
    let old = read("public_key", &request.public_key)?;
    let new = read("new_key", &request.new_key)?;
    if old == new {
        return Err(Refusal::validation("new_key is the key that the node has"));
    }
    check_time(request.proof_time, now)?;
    let time = request.proof_time.to_string();
    let parts = [node.as_str(), old.as_str(), new.as_str(), &time].map(str::as_bytes);
    for (name, key, proof) in [("proof", &old, &request.proof), ("new_proof", &new, &request.new_proof)] {
        if !Proof::from_bytes(proof).holds(key, Purpose::Rotation, &parts) {
            let message = format!("{name} is not the key's signature over node, both keys and time");
            return Err(Refusal::validation(message));
        }
    }
    Ok((old, new))
}
