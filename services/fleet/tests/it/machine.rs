//! A machine that registers by activation, as an agent does it.

use std::collections::HashMap;

use muster_credential::{Key, KeyKind, Proof, Purpose};
use muster_proto::fleet::v1::{CreateActivationRequest, RegisterManagedInstanceRequest, RegisterManagedInstanceResult};
use muster_wire::subject;
use prost::Message;

use crate::world::{Refused, World, facts, tags};

/// Id and code of an activation.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) id: String,
    pub(crate) code: String,
}

impl Ticket {
    pub(crate) async fn of(world: &World, request: CreateActivationRequest) -> Self {
        let made = world
            .by_nats()
            .fleet
            .create_activation(request)
            .await
            .unwrap()
            .into_inner();
        Self {
            id: made.activation_id.unwrap(),
            code: made.activation_code.unwrap(),
        }
    }

    pub(crate) fn with_code(&self, code: &str) -> Self {
        Self {
            code: code.to_owned(),
            ..self.clone()
        }
    }
}

/// A machine with its key.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) key: Key,
    /// What its parts are called; the same for the same machine.
    pub(crate) parts: String,
}

impl Machine {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            key: Key::generate(KeyKind::User),
            parts: name.to_owned(),
        }
    }

    /// A question as an agent asks it, with a proof over this time.
    pub(crate) fn question(&self, ticket: &Ticket, time: i64) -> RegisterManagedInstanceRequest {
        let key = self.key.public().to_string();
        RegisterManagedInstanceRequest {
            activation_id: Some(ticket.id.clone()),
            activation_code: Some(ticket.code.clone()),
            public_key_type: Some("Ed25519Nkey".to_owned()),
            fingerprint: Some(self.name.clone()),
            attributes: attributes(&self.parts),
            facts: Some(facts(&self.name)),
            proof_time: Some(time),
            proof: Some(self.proof(&self.key, ticket, time)),
            public_key: Some(key),
            ..RegisterManagedInstanceRequest::default()
        }
    }

    /// The signature of a key over the registration of this machine's own.
    pub(crate) fn proof(&self, key: &Key, ticket: &Ticket, time: i64) -> Vec<u8> {
        let (own, time) = (self.key.public().to_string(), time.to_string());
        let parts = [
            ticket.id.as_bytes(),
            own.as_bytes(),
            time.as_bytes(),
            self.name.as_bytes(),
        ];
        Proof::sign(key, Purpose::Registration, &parts).as_bytes().to_vec()
    }

    /// Asks once, with a good proof.
    pub(crate) async fn register(
        &self,
        world: &World,
        ticket: &Ticket,
    ) -> Result<RegisterManagedInstanceResult, Refused> {
        ask(world, self.question(ticket, world.second())).await
    }
}

/// Asks as machines do that have no credential.
pub(crate) async fn ask(
    world: &World,
    question: RegisterManagedInstanceRequest,
) -> Result<RegisterManagedInstanceResult, Refused> {
    let answer = world
        .nats
        .request(subject::REGISTER, question.encode_to_vec().into())
        .await
        .unwrap();
    match answer.headers {
        None => Ok(RegisterManagedInstanceResult::decode(answer.payload).unwrap()),
        Some(headers) => Err(Refused::of(&headers)),
    }
}

/// What stays the same on a machine.
pub(crate) fn attributes(parts: &str) -> HashMap<String, String> {
    let hash = |kind: &str| {
        let text = format!("{parts}/{kind}");
        let bytes = text.bytes().cycle().take(32);
        bytes.map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    ["machine-id", "product-uuid", "mac", "disk"]
        .map(|kind| (kind.to_owned(), hash(kind)))
        .into()
}

/// An activation for nodes of this kind.
pub(crate) fn wanted(limit: i32) -> CreateActivationRequest {
    CreateActivationRequest {
        iam_role: Some("SSMServiceRole".to_owned()),
        default_instance_name: Some("web".to_owned()),
        registration_limit: Some(limit),
        tags: tags(&[("Role", "web")]),
        ..CreateActivationRequest::default()
    }
}
