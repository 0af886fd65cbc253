//! The access keys of callers by gRPC, believed for five seconds.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use muster_proto::access::v1::{CheckBearerRequest, CheckBearerResult, KeyState};
use muster_wire::{Bearer, Bearers, Failure, Holder, Principal, SessionBounds};
use sha2::{Digest as _, Sha256};

use super::authority::Authority;
use super::fresh::Fresh;

/// An access key with its secret, which is not kept.
type Hash = [u8; 32];

/// Asks for what is not known.
#[derive(Debug)]
pub(crate) struct BearerCache {
    authority: Arc<dyn Authority>,
    good: Fresh<Hash, Holder>,
    /// Apart from the good ones, so that nobody who guesses can push them out.
    bad: Fresh<Hash, ()>,
}

impl BearerCache {
    pub(crate) fn new(authority: Arc<dyn Authority>) -> Self {
        Self {
            authority,
            good: Fresh::new(),
            bad: Fresh::new(),
        }
    }

    pub(super) fn forget_all(&self) {
        self.good.forget_all();
        self.bad.forget_all();
    }

    async fn find(&self, bearer: Bearer<'_>) -> Result<Option<Holder>, Failure> {
        let (hash, now) = (hash(bearer), Instant::now());
        let good = match self.good.get(&hash, now) {
            Ok(holder) => return Ok(Some(holder)),
            Err(question) => question,
        };
        let bad = match self.bad.get(&hash, now) {
            Ok(()) => return Ok(None),
            Err(question) => question,
        };
        let request = CheckBearerRequest {
            access_key_id: Some(bearer.access_key.to_owned()),
            secret_access_key: Some(bearer.secret.to_owned()),
            session_token: bearer.session_token.map(str::to_owned),
        };
        let answer = match self.authority.bearer(request).await {
            Ok(answer) => answer,
            // What access does not even look at is nobody's.
            Err(Failure::Refused(_)) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        match answer.state() {
            KeyState::Active => {
                let holder = holder(&answer)?;
                self.good.keep(good, hash, holder.clone());
                Ok(Some(holder))
            }
            KeyState::Inactive | KeyState::Unknown | KeyState::Expired | KeyState::Unset => {
                self.bad.keep(bad, hash, ());
                Ok(None)
            }
        }
    }
}

impl Bearers for BearerCache {
    fn holder<'a>(&'a self, bearer: Bearer<'a>) -> BoxFuture<'a, Result<Option<Holder>, Failure>> {
        Box::pin(self.find(bearer))
    }
}

fn holder(answer: &CheckBearerResult) -> Result<Holder, Failure> {
    let session = answer.session.as_ref().map(|bounds| {
        Ok::<_, Failure>(SessionBounds {
            until: bounds.until(),
            owner: Principal::new(bounds.owner()).map_err(Failure::internal)?,
            access_key: bounds.access_key_id.clone(),
        })
    });
    Ok(Holder {
        principal: Principal::new(answer.principal()).map_err(Failure::internal)?,
        session: session.transpose()?,
    })
}

fn hash(bearer: Bearer<'_>) -> Hash {
    let parts = [
        bearer.access_key,
        bearer.secret,
        bearer.session_token.unwrap_or_default(),
    ];
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}
