//! Who sees a rollout: whoever sees what its owner made it for.

use muster_boot::Rights;
use muster_model::RolloutId;
use muster_proto::fanout::v1::{IsSeenRequest, IsSeenResult};
use muster_wire::{Caller, Failure, NatsChannel, Principal, subject};
use prost::Message as _;
use tonic::Request;

use crate::error::no_such_rollout;

/// Who may do this sees everybody's commands although others see only their own.
const ALL: &str = "muster:ReadAllCommands";

/// Who wants to see a rollout.
pub(super) enum Reader {
    /// Who may see all.
    All,
    /// Somebody whose sight is the owner's to say.
    One(Principal),
}

impl Reader {
    pub(super) fn of<T>(request: &Request<T>) -> Result<Self, Failure> {
        match Rights::of(request)?.may(ALL, "*")? {
            true => Ok(Self::All),
            false => Ok(Self::One(Caller::of(request)?.principal.clone())),
        }
    }

    /// Refuses a rollout that is not there for this reader, in the words for what is not there.
    pub(super) async fn must_see(&self, channel: &NatsChannel, id: RolloutId, owner: &str) -> Result<(), Failure> {
        let Self::One(principal) = self else {
            return Ok(());
        };
        let question = IsSeenRequest {
            rollout_id: id.to_string(),
            principal: principal.to_string(),
        };
        let subject = subject::api(&format!("{owner}Rollouts"), "IsSeen");
        let answer = channel
            .request(subject, async_nats::HeaderMap::new(), question.encode_to_vec().into())
            .await
            .map_err(|status| Failure::from_status(&status))?;
        match IsSeenResult::decode(answer).map_err(Failure::internal)?.is_seen {
            true => Ok(()),
            false => Err(no_such_rollout(id)),
        }
    }
}
