//! Which roles exist (fleet 2): those of the settings, and those that access knows where it runs.

use muster_boot::Parts;
use muster_proto::access::v1::GetPrincipalRequest;
use muster_proto::access::v1::decisions_client::DecisionsClient;
use muster_wire::{Failure, NatsChannel};

use crate::domain::role::{self, Roles};

/// Looks roles up.
#[derive(Debug, Clone)]
pub(crate) struct RoleBook {
    set: Roles,
    access: NatsChannel,
}

impl RoleBook {
    pub(crate) fn new(parts: &Parts, set: Roles) -> Self {
        Self {
            set,
            access: NatsChannel::new(parts.nats.clone()),
        }
    }

    /// The name of a role that exists, as a caller names it, with or without a path before it.
    ///
    /// # Errors
    /// `ValidationException` if there is none, or the text is an ARN; another failure if access does not say.
    pub(crate) async fn find(&self, wanted: &str) -> Result<String, Failure> {
        let name = self.set.named(wanted)?;
        if self.set.has(name) || (role::is_name(name) && self.is_known(name).await?) {
            return Ok(name.to_owned());
        }
        Err(self.set.nonexistent(name).into())
    }

    async fn is_known(&self, name: &str) -> Result<bool, Failure> {
        let question = GetPrincipalRequest {
            arn: Some(self.set.arn(name)),
            ..GetPrincipalRequest::default()
        };
        let answer = DecisionsClient::new(self.access.clone()).get_principal(question).await;
        match answer.map_err(Failure::from) {
            Ok(answer) => Ok(answer.into_inner().known()),
            // Where access does not run there are the roles of the settings and no others.
            Err(Failure::Unavailable { what }) => {
                tracing::warn!(
                    role = name,
                    what,
                    "access does not say whether there is a role: none is taken for it"
                );
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }
}
