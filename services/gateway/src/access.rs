//! The access keys of the service `access`, asked for over the bus.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use muster_boot::{BoxError, Tasks};
use muster_model::Timestamp;
use muster_proto::access::v1::decisions_client::DecisionsClient;
use muster_proto::access::v1::{GetSigningKeyRequest, GetSigningKeyResult, KeyState};
use muster_wire::{CallerKind, Failure, NatsChannel, Principal, subject};

use crate::keys::{Asked, Found, Identity, KeyCache, Keys};
use crate::sigv4::SigningKey;

/// Asks `access`.
#[derive(Debug, Clone)]
pub(crate) struct Access(NatsChannel);

impl Access {
    pub(crate) fn new(nats: async_nats::Client) -> Self {
        Self(NatsChannel::new(nats))
    }

    async fn ask(&self, asked: Asked<'_>) -> Result<Found, Failure> {
        let question = GetSigningKeyRequest {
            access_key_id: Some(asked.access_key.to_owned()),
            day: Some(asked.day.to_owned()),
            region: Some(asked.region.to_owned()),
            service: Some(asked.service.to_owned()),
            session_token: asked.session_token.map(|token| token.reveal().to_owned()),
        };
        let answer = DecisionsClient::new(self.0.clone()).get_signing_key(question).await;
        match answer {
            Ok(answer) => found(&answer.into_inner()),
            Err(status) => match Failure::from_status(&status) {
                // What it does not even look at is nobody's.
                Failure::Refused(_) => Ok(Found::Unknown),
                Failure::Unavailable { what } => {
                    tracing::warn!(what, "nobody knows access keys now");
                    let what = "Access".to_owned();
                    Err(Failure::Unavailable { what })
                }
                other => Err(other),
            },
        }
    }
}

impl Keys for Access {
    fn find<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(self.ask(asked))
    }
}

fn found(answer: &GetSigningKeyResult) -> Result<Found, Failure> {
    match answer.state() {
        KeyState::Active => {
            let bytes = answer.signing_key().try_into().map_err(Failure::internal)?;
            let principal = Principal::new(answer.principal()).map_err(Failure::internal)?;
            Ok(Found::Active(Identity {
                signing_key: SigningKey::new(bytes),
                kind: CallerKind::of(&principal),
                principal,
                until: answer.until.and_then(|until| Timestamp::from_second(until).ok()),
            }))
        }
        KeyState::Inactive => Ok(Found::Inactive),
        KeyState::Expired => Ok(Found::ExpiredToken),
        KeyState::Unknown | KeyState::Unset => Ok(Found::Unknown),
    }
}

/// Forgets keys as soon as `access` says that something changed; without news they are forgotten after five seconds.
///
/// # Errors
/// If the bus does not take the subscription.
pub(crate) async fn listen(nats: &async_nats::Client, keys: Arc<KeyCache>, tasks: &Tasks) -> Result<(), BoxError> {
    let changed = subject::event("access", "principal", "changed");
    let mut news = nats.subscribe(changed).await?;
    let stopping = tasks.stopping();
    tasks.spawn("news of access keys", async move {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                changed = news.next() => match changed {
                    Some(_) => keys.forget_all(),
                    // The connection is closed only when the service ends.
                    None => return Ok(()),
                },
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(signing_key: Vec<u8>, principal: &str) -> GetSigningKeyResult {
        GetSigningKeyResult {
            state: Some(KeyState::Active.into()),
            signing_key: Some(signing_key),
            principal: Some(principal.to_owned()),
            ..GetSigningKeyResult::default()
        }
    }

    #[test]
    fn only_a_whole_answer_lets_somebody_in() {
        let user = "arn:aws:iam::000000000000:user/ann";
        let Found::Active(identity) = found(&active(vec![7; 32], user)).unwrap() else {
            panic!("not active");
        };
        assert_eq!((identity.principal.as_str(), identity.kind), (user, CallerKind::User));
        assert!(found(&active(vec![7; 31], user)).is_err());
        assert!(found(&active(vec![7; 32], "ann")).is_err());
        assert!(matches!(found(&GetSigningKeyResult::default()), Ok(Found::Unknown)));
        let inactive = GetSigningKeyResult {
            state: Some(KeyState::Inactive.into()),
            ..active(vec![7; 32], user)
        };
        assert!(matches!(found(&inactive), Ok(Found::Inactive)));
    }
}
