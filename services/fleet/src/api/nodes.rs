//! `Nodes`: what other services and agents ask.

use std::sync::Arc;

use async_nats::Client;
use muster_boot::Parts;
use muster_model::Clock;
use muster_proto::fleet::v1::nodes_server::Nodes;
use muster_proto::fleet::v1::{
    ApproveNodeRequest, ApproveNodeResult, GetNodeRoleRequest, GetNodeRoleResult, ListConcernsRequest,
    ListConcernsResult, RegisterNodeRequest, RegisterNodeResult, ResolveTargetsRequest, ResolveTargetsResult,
    RotateKeyRequest, RotateKeyResult, SyncRevocationsRequest, SyncRevocationsResult,
};
use muster_store::Db;
use muster_wire::Caller;
use tonic::{Request, Response, Status};

use crate::error::from_store;
use crate::store::node;
use crate::work::{Metrics, News, Registrar};
use crate::{Registration, Settings};

/// Registration and target resolution.
#[derive(Debug)]
pub(crate) struct NodesApi {
    pub(super) db: Db,
    pub(super) nats: Client,
    pub(super) registrar: Registrar,
    pub(super) registration: Registration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
    pub(super) news: News,
    /// Whether fleet signs credentials of nodes: then the bus tells services from others, so that they may register
    /// machines.
    pub(super) issues_credentials: bool,
}

impl NodesApi {
    pub(crate) fn new(parts: &Parts, settings: &Settings, db: Db, registrar: Registrar, metrics: Metrics) -> Self {
        Self {
            db,
            nats: parts.nats.clone(),
            registrar,
            registration: settings.registration,
            clock: Arc::clone(&parts.clock),
            metrics,
            news: News::new(parts),
            issues_credentials: !settings.node_key_file.is_empty(),
        }
    }
}

#[tonic::async_trait]
impl Nodes for NodesApi {
    async fn register_node(
        &self,
        request: Request<RegisterNodeRequest>,
    ) -> Result<Response<RegisterNodeResult>, Status> {
        let kind = Caller::of(&request)?.kind;
        Ok(Response::new(self.register(request.into_inner(), kind).await?))
    }

    async fn list_concerns(
        &self,
        request: Request<ListConcernsRequest>,
    ) -> Result<Response<ListConcernsResult>, Status> {
        Ok(Response::new(self.concerns(request.into_inner()).await?))
    }

    async fn approve_node(&self, request: Request<ApproveNodeRequest>) -> Result<Response<ApproveNodeResult>, Status> {
        Ok(Response::new(self.approve(request.into_inner()).await?))
    }

    async fn rotate_key(&self, request: Request<RotateKeyRequest>) -> Result<Response<RotateKeyResult>, Status> {
        Ok(Response::new(self.rotate(request.into_inner()).await?))
    }

    async fn sync_revocations(
        &self,
        request: Request<SyncRevocationsRequest>,
    ) -> Result<Response<SyncRevocationsResult>, Status> {
        Ok(Response::new(self.revocations(request.into_inner()).await?))
    }

    async fn get_node_role(&self, request: Request<GetNodeRoleRequest>) -> Result<Response<GetNodeRoleResult>, Status> {
        let role = node::role(&self.db, &request.into_inner().node_id).await;
        let role = role.map_err(from_store)?;
        Ok(Response::new(GetNodeRoleResult {
            is_managed: role.is_some(),
            iam_role: role.unwrap_or_default(),
        }))
    }

    async fn resolve_targets(
        &self,
        request: Request<ResolveTargetsRequest>,
    ) -> Result<Response<ResolveTargetsResult>, Status> {
        Ok(Response::new(self.resolve(request.into_inner()).await?))
    }
}
