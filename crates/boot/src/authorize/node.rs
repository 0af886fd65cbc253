//! What nodes may do, each in the role of its activation (aws-json-gateway 6): for services that answer what nodes ask on
//! their own subjects.

use std::sync::Arc;
use std::time::Instant;

use muster_model::NodeId;
use muster_proto::fleet::v1::GetNodeRoleRequest;
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_proto::pool;
use muster_wire::{
    Asked, Authorizer as _, Caller, CallerKind, Failure, NatsChannel, Principal, Reason, Refusal, Surface, limits,
};
use prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use uuid::Uuid;

use super::fresh::Fresh;
use super::holdings::NO_ROLE;
use super::{AccessOverBus, Gate, Ledger, Rights};
use crate::{Authority, BoxError, Parts, ResourceTags};

/// Decides on what nodes ask. Which node it is the subject says, and in which role it acts fleet.
#[derive(Debug, Clone)]
pub struct NodeGate {
    gate: Gate,
    nodes: NodesClient<NatsChannel>,
    roles: Arc<Fresh<NodeId, String>>,
}

impl NodeGate {
    /// A gate before a service that answers nodes, which may know the tags of its resources.
    ///
    /// # Errors
    /// If the bus does not take the subscription to news of principals.
    pub async fn start(parts: &Parts, tags: Option<Arc<dyn ResourceTags>>) -> Result<Self, BoxError> {
        let authority: Arc<dyn Authority> = Arc::new(AccessOverBus::new(parts.nats.clone()));
        let ledger = Ledger::start(Arc::clone(&authority), &parts.tasks);
        let clock = Arc::clone(&parts.clock);
        let gate = Gate::new(parts.account.clone(), clock, authority, ledger, tags);
        gate.listen(None, &parts.nats, &parts.tasks).await?;
        Ok(Self {
            gate,
            nodes: NodesClient::new(NatsChannel::new(parts.nats.clone())),
            roles: Arc::new(Fresh::new()),
        })
    }

    /// Lets a node call an operation of the contract, `muster.documents.v1.Documents` and `GetDocument`, with this request;
    /// gives what else it may do. The decision is in the audit log as those on people are, with the run that asks as the
    /// request's id.
    ///
    /// # Errors
    /// `AccessDeniedException` if its role does not allow it, `InvalidInstanceId` if it is no managed node; another failure
    /// if that cannot be found out, and then it may not.
    pub async fn admit(
        &self,
        node: &NodeId,
        service: &str,
        operation: &str,
        request: &impl Message,
        run: Option<Uuid>,
    ) -> Result<Rights, Failure> {
        let principal = self.principal(node).await?;
        self.decide(CallerKind::Node, principal, service, operation, request, run)
            .await
    }

    /// Lets a command have something done on its node if whoever sent it may; gives what else that may do. Of commands that
    /// nobody had to be allowed to send, the sender is [`Caller::service`].
    ///
    /// # Errors
    /// `AccessDeniedException` if its policies do not allow it; another failure if that cannot be found out.
    pub async fn admit_sender(
        &self,
        sender: Principal,
        service: &str,
        operation: &str,
        request: &impl Message,
        run: Option<Uuid>,
    ) -> Result<Rights, Failure> {
        if sender == Caller::service().principal {
            return Ok(Rights::everything());
        }
        let kind = CallerKind::of(&sender);
        self.decide(kind, sender, service, operation, request, run).await
    }

    async fn decide(
        &self,
        kind: CallerKind,
        principal: Principal,
        service: &str,
        operation: &str,
        request: &impl Message,
        run: Option<Uuid>,
    ) -> Result<Rights, Failure> {
        let method = method(service, operation)?;
        let request =
            DynamicMessage::decode(method.input(), request.encode_to_vec().as_slice()).map_err(Failure::internal)?;
        let violations = limits::check(&request);
        if !violations.is_empty() {
            return Err(limits::refuse(&violations).into());
        }
        let caller = Caller {
            principal,
            kind,
            // The broker does not say how a node is connected, nor does anybody how a command came.
            secure_transport: false,
            request_id: run,
            ..Caller::service()
        };
        let asked = Asked {
            caller: &caller,
            surface: Surface::Node,
            method: &method,
            request: Some(&request),
        };
        self.gate.decide(asked).await
    }

    /// The session of the node's role that is called after the node.
    async fn principal(&self, node: &NodeId) -> Result<Principal, Failure> {
        let role = match self.roles.get(node, Instant::now()) {
            Ok(role) => role,
            Err(question) => {
                let request = GetNodeRoleRequest {
                    node_id: node.to_string(),
                };
                let answer = self.nodes.clone().get_node_role(request).await?.into_inner();
                if !answer.is_managed {
                    let message = format!("{node} is no managed node: register again");
                    return Err(Refusal::new(Reason::InvalidInstanceId, message).into());
                }
                self.roles.keep(question, node.clone(), answer.iam_role.clone());
                answer.iam_role
            }
        };
        let role = if role.is_empty() { NO_ROLE } else { role.as_str() };
        let account = self.gate.account();
        let (partition, id) = (account.partition(), account.id());
        Principal::new(format!("arn:{partition}:sts::{id}:assumed-role/{role}/{node}")).map_err(Failure::internal)
    }
}

fn method(service: &str, operation: &str) -> Result<MethodDescriptor, Failure> {
    let found = pool()
        .get_service_by_name(service)
        .and_then(|service| service.methods().find(|method| method.name() == operation));
    found.ok_or_else(|| Failure::internal(format!("the contract has no {service}.{operation}")))
}
