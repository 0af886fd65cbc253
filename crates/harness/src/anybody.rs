//! An authorizer for fakes that are mounted in tests.

use futures::future::BoxFuture;
use muster_model::Account;
use muster_wire::{Admitted, Asked, Authorizer, Failure};

/// Allows everything to anybody.
#[derive(Debug, Default)]
pub struct Anybody(Account);

impl Authorizer for Anybody {
    fn account(&self) -> &Account {
        &self.0
    }

    fn authorize<'a>(&'a self, _: Asked<'a>) -> BoxFuture<'a, Result<Admitted, Failure>> {
        Box::pin(async { Ok(Admitted::default()) })
    }
}
