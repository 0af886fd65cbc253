//! `CancelCommand` (run-command 5.4).

use muster_model::{CommandId, NodeId};
use muster_proto::aws::v1::Reason;
use muster_proto::runcommand::v1::{CancelCommandRequest, CancelCommandResult};
use muster_store::StoreError;
use muster_wire::{Failure, Refusal, trace};

use crate::api::Api;
use crate::domain::sight::Sight;
use crate::domain::targets::refuse_duplicates;
use crate::error::from_store;
use crate::store;
use crate::store::cancel::Scope;

impl Api {
    pub(super) async fn cancel(
        &self,
        request: CancelCommandRequest,
        sight: &Sight,
    ) -> Result<CancelCommandResult, Failure> {
        let text = request.command_id.as_deref().unwrap_or_default();
        let unknown = || Refusal::new(Reason::InvalidCommandId, format!("there is no command {text}"));
        let id: CommandId = text.parse().map_err(|_| unknown())?;
        let mut nodes = Vec::with_capacity(request.instance_ids.len());
        for node in &request.instance_ids {
            let node: NodeId = node
                .parse()
                .map_err(|_| Refusal::new(Reason::InvalidInstanceId, format!("{node} is no node id")))?;
            nodes.push(node);
        }
        refuse_duplicates(&nodes)?;
        let seen = store::read::seen(&self.db, id, sight).await.map_err(from_store)?;
        if seen.is_none() {
            return Err(unknown().into());
        }
        let strangers = store::cancel::strangers(&self.db, id, &request.instance_ids)
            .await
            .map_err(from_store)?;
        if !strangers.is_empty() {
            let message = format!("not a target of command {id}: {}", strangers.join(", "));
            return Err(Refusal::new(Reason::InvalidInstanceId, message).into());
        }
        let traceparent = trace::current().unwrap_or_default();
        let now = self.now().as_microsecond();
        let scope = match request.instance_ids.as_slice() {
            [] => Scope::All,
            nodes => Scope::Nodes(nodes),
        };
        match store::cancel::cancel(&self.db, id, scope, &traceparent, now).await {
            Ok(Some((entry, told))) => {
                self.dispatcher.tell(vec![entry]);
                self.news.tell(told.news);
            }
            Ok(None) => {}
            Err(StoreError::Missing) => return Err(unknown().into()),
            Err(error) => return Err(from_store(error)),
        }
        Ok(CancelCommandResult {})
    }
}
