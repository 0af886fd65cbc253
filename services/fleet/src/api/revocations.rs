//! `Nodes.SyncRevocations` (fleet 9): what the bus refuses, and what it should refuse.
//!
//! Nothing is noted when the bus was told: whoever tells it comes back with what it holds, so what got lost is missing
//! again, and it does not matter how many there are that tell it.

use muster_proto::fleet::v1::{NodeConnection, SharedKey, SyncRevocationsRequest, SyncRevocationsResult};
use muster_wire::Failure;

use super::NodesApi;
use crate::domain::revocation::{aged, horizon, settle};
use crate::error::from_store;
use crate::store::{alien, key, session};

impl NodesApi {
    pub(super) async fn revocations(&self, request: SyncRevocationsRequest) -> Result<SyncRevocationsResult, Failure> {
        let now = self.clock.now().as_microsecond();
        self.look_at(request.connections, now).await?;
        self.look_at_shared(request.shared).await?;
        let held = request.held.into_iter().collect();
        let retired = key::retired_since(&self.db, horizon(now)).await.map_err(from_store)?;
        let nodes = key::known(&self.db, &aged(&held, now)).await.map_err(from_store)?;
        let aliens = alien::all(&self.db).await.map_err(from_store)?;
        let settlement = settle(&retired, aliens, &held, nodes, now);
        self.metrics
            .missing_revocations
            .set(i64::try_from(settlement.missing.len()).unwrap_or(i64::MAX));
        Ok(SyncRevocationsResult {
            missing: settlement.missing.into_iter().collect(),
            over: settlement.over,
        })
    }

    /// A node whose key is used in two places at once is told of, until an operator has looked.
    async fn look_at_shared(&self, shared: Vec<SharedKey>) -> Result<(), Failure> {
        for SharedKey {
            name,
            public_key,
            hosts,
        } in shared
        {
            let is_news = session::share(&self.db, &name, &public_key).await.map_err(from_store)?;
            if is_news {
                let hosts = hosts.join(", ");
                tracing::error!(
                    node_id = name,
                    hosts,
                    "two machines are connected with the key of one node: one of the two is a copy"
                );
                self.news.claimed("clone", &name, "", &hosts).await;
            }
        }
        Ok(())
    }

    /// Whoever has connected with credentials that fleet did not sign is refused from now on.
    async fn look_at(&self, connections: Vec<NodeConnection>, now: i64) -> Result<(), Failure> {
        if connections.is_empty() {
            return Ok(());
        }
        let connections: Vec<_> = connections
            .into_iter()
            .map(|each| (each.public_key, each.name))
            .collect();
        for (public_key, name) in alien::see(&self.db, &connections, now).await.map_err(from_store)? {
            tracing::error!(
                public_key,
                name,
                "somebody else signs credentials of nodes: change the key with `muster nats rotate-scope --now`"
            );
            self.news.alien(&public_key, &name).await;
        }
        Ok(())
    }
}
