//! `Nodes.RegisterNode` (agent.md B8): trusts whoever asks, and answers only where registration is open, or to services
//! that the bus knows as such.

use muster_credential::{KeyKind, PublicKey};
use muster_proto::aws::v1::{AddTagsToResourceRequest, Reason, ResourceTypeForTagging, Tag};
use muster_proto::fleet::v1::{RegisterNodeRequest, RegisterNodeResult};
use muster_wire::{CallerKind, Failure, Refusal, limits};
use prost::Message;
use prost_reflect::DynamicMessage;

use super::NodesApi;
use crate::Registration as Mode;
use crate::domain::{facts, tag};
use crate::store::register::Registration;

/// Longest identity of a machine, in bytes.
const LONGEST_IDENTITY: usize = 512;

impl NodesApi {
    pub(super) async fn register(
        &self,
        request: RegisterNodeRequest,
        caller: CallerKind,
    ) -> Result<RegisterNodeResult, Failure> {
        let is_service = self.issues_credentials && caller == CallerKind::Service;
        if self.registration != Mode::Open && !is_service {
            let message = "a machine needs an activation to become a node: run `muster-agent register` on it";
            return Err(Refusal::new(Reason::AccessDeniedException, message).into());
        }
        let machine_identity = request.machine_identity;
        if machine_identity.is_empty()
            || machine_identity.len() > LONGEST_IDENTITY
            || machine_identity.chars().any(char::is_control)
        {
            let message = format!("a machine needs an identity of 1 to {LONGEST_IDENTITY} printable characters");
            return Err(Refusal::validation(message).into());
        }
        let public_key = signed_for(&request.public_key)?;
        let tags = request.tags.into_iter().map(|(key, value)| Tag {
            key: Some(key),
            value: Some(value),
        });
        let registered = self
            .registrar
            .register(Registration {
                machine_identity,
                as_new: request.as_new,
                name: facts::name(&request.name),
                tags: tag::wanted(within_limits(tags.collect())?)?,
                facts: request.facts.unwrap_or_default().into(),
                public_key,
            })
            .await?;
        Ok(RegisterNodeResult {
            node_id: registered.node_id,
            existing: registered.existing,
        })
    }
}

/// The key for which the caller signs claims.
fn signed_for(text: &str) -> Result<Option<String>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let key = text.parse::<PublicKey>().and_then(|key| key.of_kind(KeyKind::User));
    let key = key.map_err(|error| Refusal::validation(format!("public_key cannot be used: {error}")))?;
    Ok(Some(key.to_string()))
}

/// Tags of a registration keep the same limits as tags that are added later; those stand in the contract.
fn within_limits(tags: Vec<Tag>) -> Result<Vec<Tag>, Failure> {
    if tags.is_empty() {
        return Ok(tags);
    }
    let request = AddTagsToResourceRequest {
        resource_type: Some(ResourceTypeForTagging::ManagedInstance.into()),
        resource_id: Some(String::new()),
        tags,
    };
    let descriptor = muster_proto::pool()
        .get_message_by_name("muster.aws.v1.AddTagsToResourceRequest")
        .ok_or_else(|| Failure::internal("the contract has no AddTagsToResourceRequest"))?;
    let message = DynamicMessage::decode(descriptor, request.encode_to_vec().as_slice()).map_err(Failure::internal)?;
    let violations = limits::check(&message);
    match violations.is_empty() {
        true => Ok(request.tags),
        false => Err(limits::refuse(&violations).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_a_registration_keep_the_limits_of_the_contract() {
        let tag = |key: &str, value: &str| Tag {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        };
        assert!(within_limits(vec![tag("Server Role", "web:1/2"), tag("Ünï", "")]).is_ok());
        for bad in [
            tag("", "v"),
            tag("a\0", "v"),
            tag("a*", "v"),
            tag("k", &"v".repeat(257)),
        ] {
            let failure = within_limits(vec![bad]).unwrap_err();
            assert!(failure.to_string().contains("tags.1.member"), "{failure}");
        }
    }
}
