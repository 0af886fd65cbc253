//! Gives values to nodes: a run that refers to parameters asks for them just before it begins (parameter-store 11). What a
//! node may read its role says, and nobody on the way reads it.

use std::sync::Arc;

use muster_boot::{BoxError, NodeAnswerer, NodeGate, Parts, ResourceTags, answer_nodes};
use muster_credential::sealed;
use muster_model::NodeId;
use muster_proto::Word;
use muster_proto::agent::v1::{ParametersRequest, ParametersResult, StoredParameter, StoredParameters};
use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::{GetParametersRequest, Parameter, ParameterType};
use muster_proto::runcommand::v1::GetSenderRequest;
use muster_proto::runcommand::v1::command_senders_client::CommandSendersClient;
use muster_wire::{Failure, NatsChannel, Principal, Refusal, subject};
use prost::Message as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::Settings;
use crate::api::ParametersApi;

/// A name with the `/` that it may be written without.
fn fully(name: &str) -> String {
    match name.starts_with('/') {
        true => name.to_owned(),
        false => format!("/{name}"),
    }
}

/// Starts answering.
///
/// # Errors
/// If the bus does not take the subscription, or the key of the answers cannot be used.
pub(crate) async fn start(
    parts: &Parts,
    settings: &Settings,
    parameters: Arc<ParametersApi>,
    tags: Arc<dyn ResourceTags>,
) -> Result<(), BoxError> {
    let gate = NodeGate::start(parts, Some(tags)).await?;
    let senders = CommandSendersClient::new(NatsChannel::new(parts.nats.clone()));
    let lender = Lender {
        parameters,
        gate,
        senders: settings.require_sender_permission.then_some(senders),
    };
    answer_nodes(parts, &settings.answer_key_file, lender).await
}

struct Lender {
    parameters: Arc<ParametersApi>,
    gate: NodeGate,
    /// Who knows who sent a command, where that counts.
    senders: Option<CommandSendersClient<NatsChannel>>,
}

impl Lender {
    /// Refuses what the sender of the node's command may not read itself.
    async fn ask_for_sender(
        &self,
        node: &NodeId,
        run: Option<Uuid>,
        wanted: &GetParametersRequest,
    ) -> Result<(), Failure> {
        let Some(senders) = &self.senders else {
            return Ok(());
        };
        let question = GetSenderRequest {
            command_id: run.map(|run| run.to_string()).unwrap_or_default(),
            node_id: node.to_string(),
        };
        let found = senders.clone().get_sender(question).await?.into_inner();
        let sender = Some(found.sender).filter(|_| found.is_open);
        let sender = sender.and_then(|sender| Principal::new(sender).ok()).ok_or_else(|| {
            let text = "parameters are for commands that run on this node, and whose sender is known";
            Refusal::new(Reason::AccessDeniedException, text)
        })?;
        let rights = self
            .gate
            .admit_sender(sender, SERVICE, "GetParameters", wanted, run)
            .await?;
        // Reading them shows whether the sender may use their keys as well.
        let answer = self.parameters.may_get_many(wanted, rights.clone()).await;
        rights.conclude(answer).await
    }
}

/// The service of the contract that is asked.
const SERVICE: &str = "muster.parameterstore.v1.ParameterStore";

impl NodeAnswerer for Lender {
    type Question = ParametersRequest;
    type Answer = ParametersResult;

    const OPERATION: &'static str = subject::RPC_PARAMETERS;
    const SERVICE: &'static str = "parameter-store";

    async fn answer(&self, node: &NodeId, asked: ParametersRequest) -> Result<ParametersResult, Failure> {
        let wanted = GetParametersRequest {
            names: asked.names.clone(),
            with_decryption: Some(asked.with_decryption),
        };
        let run = Uuid::parse_str(&asked.run_id).ok();
        let rights = self.gate.admit(node, SERVICE, "GetParameters", &wanted, run).await?;
        let found = async {
            self.ask_for_sender(node, run, &wanted).await?;
            self.parameters.get_many(wanted, rights.clone()).await
        };
        let found = rights.conclude(found.await).await?;
        let mut values = StoredParameters::default();
        for name in asked.names {
            // One that was asked for by both of its spellings is answered once.
            let is_it = |parameter: &&Parameter| {
                let (spelled, selector) = (parameter.name(), parameter.selector());
                fully(&format!("{spelled}{selector}")) == fully(&name)
            };
            let Some(parameter) = found.parameters.iter().find(is_it) else {
                values.invalid_names.push(name);
                continue;
            };
            let value = match parameter.r#type() {
                // Encrypted it is of no use to anybody.
                ParameterType::SecureString if !asked.with_decryption => String::new(),
                _ => parameter.value().to_owned(),
            };
            values.parameters.push(StoredParameter {
                r#type: parameter.r#type().word().to_owned(),
                name,
                value,
            });
        }
        let values = Zeroizing::new(values.encode_to_vec());
        let sealed = sealed::seal(&asked.sealing_key, &values, node.as_str().as_bytes())
            .map_err(|_| Refusal::validation("sealing_key is no X25519 key of 32 bytes"))?;
        Ok(ParametersResult { sealed })
    }
}
