//! `Fleet`: nodes and activations as users see them.

use std::sync::Arc;

use muster_boot::Parts;
use muster_model::{Account, Clock, Timestamp};
use muster_proto::aws::v1::Reason;
use muster_proto::fleet::v1::fleet_server::Fleet;
use muster_proto::fleet::v1::{
    CreateActivationRequest, CreateActivationResult, DeleteActivationRequest, DeleteActivationResult,
    DeregisterManagedInstanceRequest, DeregisterManagedInstanceResult, DescribeActivationsRequest,
    DescribeActivationsResult, DescribeInstanceInformationRequest, DescribeInstanceInformationResult,
    DescribeInstancePropertiesRequest, DescribeInstancePropertiesResult, GetConnectionStatusRequest,
    GetConnectionStatusResponse, ListNodesRequest, ListNodesResult, ListNodesSummaryRequest, ListNodesSummaryResult,
    UpdateManagedInstanceRoleRequest, UpdateManagedInstanceRoleResult,
};
use muster_store::{Db, Pager, Secret};
use muster_wire::{Caller, ClientToken, Failure, Refusal};
use tonic::{Request, Response, Status};

use crate::Settings;
use crate::domain::condition::Condition;
use crate::domain::ping;
use crate::error::from_store;
use crate::store::list::{self, Question};
use crate::store::node::NodeRow;
use crate::work::{News, Pulse, RoleBook};

/// Nodes as users see them.
#[derive(Debug)]
pub(crate) struct FleetApi {
    pub(super) db: Db,
    pub(super) pager: Pager,
    /// Of the database.
    pub(super) secret: Secret,
    pub(super) roles: RoleBook,
    pub(super) account: Account,
    pub(super) pulse: Arc<Pulse>,
    pub(super) news: News,
    clock: Arc<dyn Clock>,
    connection_lost_seconds: u32,
}

/// A page of a list.
pub(super) struct Page {
    /// Each with its last sign of life as this replica knows it.
    pub(super) nodes: Vec<NodeRow>,
    pub(super) next_token: Option<String>,
}

impl FleetApi {
    pub(crate) fn new(
        parts: &Parts,
        settings: &Settings,
        db: Db,
        (pager, secret): (Pager, Secret),
        pulse: Arc<Pulse>,
        news: News,
    ) -> Self {
        Self {
            db,
            pager,
            secret,
            roles: RoleBook::new(parts, settings.roles(&parts.account)),
            account: parts.account.clone(),
            pulse,
            news,
            clock: Arc::clone(&parts.clock),
            connection_lost_seconds: settings.connection_lost_seconds,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn cutoff(&self, now: Timestamp) -> i64 {
        ping::cutoff(now, self.connection_lost_seconds)
    }

    /// A page of the nodes that meet the conditions, by id. The token goes with this list, which says who asks by which
    /// operation, and with these conditions.
    pub(super) async fn page(
        &self,
        list: &str,
        conditions: Vec<Condition>,
        token: Option<&str>,
        size: i32,
        now: Timestamp,
    ) -> Result<Page, Failure> {
        let list = format!("{list} {conditions:?}");
        let after = match token.filter(|token| !token.is_empty()) {
            None => String::new(),
            Some(token) => self.pager.position(&list, token, now).map_err(|_| {
                let message = "the token is not one of this list: repeat the call without NextToken";
                Refusal::new(Reason::InvalidNextToken, message)
            })?,
        };
        if conditions.iter().any(Condition::is_of_presence) {
            // The database decides who is online: let it know what was heard.
            self.pulse.flush().await.map_err(from_store)?;
        }
        let question = Question {
            conditions,
            cutoff: self.cutoff(now),
            after,
            // One more than fits tells whether there is a next page.
            limit: i64::from(size) + 1,
        };
        let mut nodes = list::page(&self.db, &question).await.map_err(from_store)?;
        let size = usize::try_from(size).unwrap_or_default();
        let more = nodes.len() > size;
        nodes.truncate(size);
        for node in &mut nodes {
            node.last_ping = self.pulse.last(&node.node_id, node.last_ping);
        }
        let next_token = nodes
            .last()
            .filter(|_| more)
            .map(|last| self.pager.token(&list, &last.node_id, now));
        Ok(Page { nodes, next_token })
    }
}

#[tonic::async_trait]
impl Fleet for FleetApi {
    async fn describe_instance_information(
        &self,
        request: Request<DescribeInstanceInformationRequest>,
    ) -> Result<Response<DescribeInstanceInformationResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(
            self.describe_information(request.into_inner(), &asker).await?,
        ))
    }

    async fn describe_instance_properties(
        &self,
        request: Request<DescribeInstancePropertiesRequest>,
    ) -> Result<Response<DescribeInstancePropertiesResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(
            self.describe_properties(request.into_inner(), &asker).await?,
        ))
    }

    async fn deregister_managed_instance(
        &self,
        request: Request<DeregisterManagedInstanceRequest>,
    ) -> Result<Response<DeregisterManagedInstanceResult>, Status> {
        Ok(Response::new(self.deregister(request.into_inner()).await?))
    }

    async fn create_activation(
        &self,
        request: Request<CreateActivationRequest>,
    ) -> Result<Response<CreateActivationResult>, Status> {
        let token = ClientToken::of(&request)?;
        let caller = Caller::of(&request)?.principal.clone();
        let token = token.map(|token| (token, caller));
        Ok(Response::new(self.create(request.into_inner(), token).await?))
    }

    async fn describe_activations(
        &self,
        request: Request<DescribeActivationsRequest>,
    ) -> Result<Response<DescribeActivationsResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(
            self.list_activations(request.into_inner(), &asker).await?,
        ))
    }

    async fn delete_activation(
        &self,
        request: Request<DeleteActivationRequest>,
    ) -> Result<Response<DeleteActivationResult>, Status> {
        Ok(Response::new(self.delete(request.into_inner()).await?))
    }

    async fn update_managed_instance_role(
        &self,
        request: Request<UpdateManagedInstanceRoleRequest>,
    ) -> Result<Response<UpdateManagedInstanceRoleResult>, Status> {
        Ok(Response::new(self.update_role(request.into_inner()).await?))
    }

    async fn list_nodes(&self, request: Request<ListNodesRequest>) -> Result<Response<ListNodesResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(self.nodes(request.into_inner(), &asker).await?))
    }

    async fn list_nodes_summary(
        &self,
        request: Request<ListNodesSummaryRequest>,
    ) -> Result<Response<ListNodesSummaryResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(self.summary(request.into_inner(), &asker).await?))
    }

    async fn get_connection_status(
        &self,
        request: Request<GetConnectionStatusRequest>,
    ) -> Result<Response<GetConnectionStatusResponse>, Status> {
        Ok(Response::new(self.connection(request.into_inner()).await?))
    }
}
