//! The service `access`, as others ask it.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use muster_proto::access::v1::decisions_client::DecisionsClient;
use muster_proto::access::v1::{
    CheckBearerRequest, CheckBearerResult, DecisionRecord, GetPrincipalRequest, GetPrincipalResult,
    RecordDecisionsRequest,
};
use muster_wire::{CallOptions, Failure, NatsChannel};

/// How long is waited for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Knows principals and keeps the audit log: the service `access`, or inside of it, itself.
pub trait Authority: fmt::Debug + Send + Sync + 'static {
    /// What a principal has.
    ///
    /// # Errors
    /// If it cannot be found out now.
    fn principal(&self, asked: GetPrincipalRequest) -> BoxFuture<'_, Result<GetPrincipalResult, Failure>>;

    /// Whose an access key is that came with its secret.
    ///
    /// # Errors
    /// If it cannot be found out now.
    fn bearer(&self, bearer: CheckBearerRequest) -> BoxFuture<'_, Result<CheckBearerResult, Failure>>;

    /// Writes decisions down, at most 1000. When this returns they are there for good.
    ///
    /// # Errors
    /// If it is not known that they are.
    fn record(&self, decisions: Vec<DecisionRecord>) -> BoxFuture<'_, Result<(), Failure>>;
}

/// The service `access` over the bus.
#[derive(Debug, Clone)]
pub struct AccessOverBus(NatsChannel);

impl AccessOverBus {
    /// Asks over this connection.
    #[must_use]
    pub fn new(nats: async_nats::Client) -> Self {
        Self(NatsChannel::new(nats).with_options(CallOptions { timeout: PATIENCE }))
    }

    fn client(&self) -> DecisionsClient<NatsChannel> {
        DecisionsClient::new(self.0.clone())
    }
}

/// What the caller of a call learns, who does not know whom it is asked of.
fn away(status: &tonic::Status) -> Failure {
    match Failure::from_status(status) {
        Failure::Unavailable { what } => unavailable(&what),
        Failure::Deadline => unavailable("no answer in time"),
        other => other,
    }
}

fn unavailable(why: &str) -> Failure {
    tracing::warn!(why, "nobody knows now who may do what");
    Failure::Unavailable {
        what: "Access".to_owned(),
    }
}

impl Authority for AccessOverBus {
    fn principal(&self, asked: GetPrincipalRequest) -> BoxFuture<'_, Result<GetPrincipalResult, Failure>> {
        Box::pin(async move {
            let answer = self.client().get_principal(asked).await;
            Ok(answer.map_err(|status| away(&status))?.into_inner())
        })
    }

    fn bearer(&self, bearer: CheckBearerRequest) -> BoxFuture<'_, Result<CheckBearerResult, Failure>> {
        Box::pin(async move {
            let answer = self.client().check_bearer(bearer).await;
            Ok(answer.map_err(|status| away(&status))?.into_inner())
        })
    }

    fn record(&self, decisions: Vec<DecisionRecord>) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let written = self
                .client()
                .record_decisions(RecordDecisionsRequest { decisions })
                .await;
            written.map_err(|status| away(&status))?;
            Ok(())
        })
    }
}
