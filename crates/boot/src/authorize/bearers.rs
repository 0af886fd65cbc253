//! The access keys of callers by gRPC, believed for five seconds.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use muster_proto::access::v1::{CheckBearerRequest, KeyState};
use muster_wire::{Bearers, Failure, Principal};
use sha2::{Digest as _, Sha256};

use super::authority::Authority;
use super::fresh::Fresh;

/// An access key with its secret, which is not kept.
type Hash = [u8; 32];

/// Asks for what is not known.
#[derive(Debug)]
pub(crate) struct BearerCache {
    authority: Arc<dyn Authority>,
    good: Fresh<Hash, Principal>,
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

    async fn find(&self, access_key: &str, secret: &str) -> Result<Option<Principal>, Failure> {
        let (hash, now) = (hash(access_key, secret), Instant::now());
        let good = match self.good.get(&hash, now) {
            Ok(principal) => return Ok(Some(principal)),
            Err(question) => question,
        };
        let bad = match self.bad.get(&hash, now) {
            Ok(()) => return Ok(None),
            Err(question) => question,
        };
        let request = CheckBearerRequest {
            access_key_id: Some(access_key.to_owned()),
            secret_access_key: Some(secret.to_owned()),
        };
        let answer = match self.authority.bearer(request).await {
            Ok(answer) => answer,
            // What access does not even look at is nobody's.
            Err(Failure::Refused(_)) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        match answer.state() {
            KeyState::Active => {
                let principal = Principal::new(answer.principal()).map_err(Failure::internal)?;
                self.good.keep(good, hash, principal.clone());
                Ok(Some(principal))
            }
            KeyState::Inactive | KeyState::Unknown | KeyState::Expired | KeyState::Unset => {
                self.bad.keep(bad, hash, ());
                Ok(None)
            }
        }
    }
}

impl Bearers for BearerCache {
    fn principal<'a>(
        &'a self,
        access_key: &'a str,
        secret: &'a str,
    ) -> BoxFuture<'a, Result<Option<Principal>, Failure>> {
        Box::pin(self.find(access_key, secret))
    }
}

fn hash(access_key: &str, secret: &str) -> Hash {
    // The first colon divides the two.
    Sha256::digest(format!("{access_key}:{secret}")).into()
}
