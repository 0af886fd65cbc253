//! `Nodes`: what other services and agents ask.

use async_nats::Client;
use muster_proto::fleet::v1::nodes_server::Nodes;
use muster_proto::fleet::v1::{
    ApproveNodeRequest, ApproveNodeResult, GetNodeRoleRequest, GetNodeRoleResult, ListConcernsRequest,
    ListConcernsResult, RegisterNodeRequest, RegisterNodeResult, ResolveTargetsRequest, ResolveTargetsResult,
};
use muster_store::Db;
use muster_wire::Caller;
use tonic::{Request, Response, Status};

use crate::error::from_store;
use crate::store::node;
use crate::work::Registrar;
use crate::{Registration, Settings};

/// Registration and target resolution.
#[derive(Debug)]
pub(crate) struct NodesApi {
    pub(super) db: Db,
    pub(super) nats: Client,
    pub(super) registrar: Registrar,
    pub(super) registration: Registration,
    /// Whether the bus tells services from others, so that they may register machines.
    pub(super) is_bus_guarded: bool,
}

impl NodesApi {
    pub(crate) fn new(db: Db, nats: Client, registrar: Registrar, settings: &Settings) -> Self {
        Self {
            db,
            nats,
            registrar,
            registration: settings.registration,
            is_bus_guarded: !settings.node_key_file.is_empty(),
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
