//! `ListCommands` (run-command 5.1), and what both lists share.

use muster_model::{CommandId, NodeId};
use muster_proto::aws::v1::Reason;
use muster_proto::fleet::v1::ResolveTargetsRequest;
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_proto::runcommand::v1::{CommandFilterKey, ListCommandsRequest, ListCommandsResult};
use muster_wire::{Failure, NatsChannel, Principal, Refusal};

use crate::api::{Api, view};
use crate::domain::filter::{Filters, List};
use crate::domain::sight::Sight;
use crate::error::from_store;
use crate::store;
use crate::store::read::Question;

/// Rows of a page when the caller does not say.
const DEFAULT_PAGE: i32 = 50;

impl Api {
    pub(super) async fn list(
        &self,
        request: ListCommandsRequest,
        asker: &Principal,
        sight: &Sight,
    ) -> Result<ListCommandsResult, Failure> {
        let pending = request
            .filters
            .iter()
            .any(|filter| filter.key() == CommandFilterKey::Status && filter.value.as_deref() == Some("Pending"));
        if pending && request.instance_id.is_some() {
            return Err(Refusal::validation("InstanceId cannot be combined with the filter Status=Pending").into());
        }
        let selects = ListCommandsRequest {
            next_token: None,
            max_results: None,
            ..request.clone()
        };
        let selects = format!("{asker} ListCommands {}", fingerprint(&selects));
        let mut question = self
            .question(request.command_id, request.instance_id, request.max_results, sight)
            .await?;
        question.filters = Filters::parse(&request.filters, List::Commands)?;
        question.after = self.position(&selects, request.next_token.as_deref())?;
        let limit = question.limit;
        question.limit += 1;
        let mut rows = store::read::commands(&self.db, &question).await.map_err(from_store)?;
        let more = truncate(&mut rows, limit);
        let next_token = rows.last().filter(|_| more).map(|last| {
            let position = format!("{}/{}/", last.requested_at, last.command_id);
            self.pager.token(&selects, &position, self.now())
        });
        let commands = rows
            .iter()
            .map(view::command)
            .collect::<Result<_, _>>()
            .map_err(from_store)?;
        Ok(ListCommandsResult { commands, next_token })
    }

    /// The checks that both lists make of their ids.
    pub(super) async fn question(
        &self,
        command_id: Option<String>,
        node_id: Option<String>,
        max_results: Option<i32>,
        sight: &Sight,
    ) -> Result<Question, Failure> {
        if let Some(text) = &command_id {
            let known = match text.parse::<CommandId>() {
                Ok(id) => store::read::seen(&self.db, id, sight)
                    .await
                    .map_err(from_store)?
                    .is_some(),
                Err(_) => false,
            };
            if !known {
                return Err(Refusal::new(Reason::InvalidCommandId, format!("there is no command {text}")).into());
            }
        }
        if let Some(node) = &node_id {
            self.require_node(node).await?;
        }
        Ok(Question {
            command_id,
            node_id,
            sender: sight.sender(),
            limit: i64::from(max_results.unwrap_or(DEFAULT_PAGE)),
            ..Question::default()
        })
    }

    /// A node must be managed now or have been a target once.
    async fn require_node(&self, node: &str) -> Result<(), Failure> {
        let unknown = || Refusal::new(Reason::InvalidInstanceId, format!("{node} is no managed node"));
        node.parse::<NodeId>().map_err(|_| unknown())?;
        if store::read::knows_node(&self.db, node).await.map_err(from_store)? {
            return Ok(());
        }
        let request = ResolveTargetsRequest {
            instance_ids: vec![node.to_owned()],
            ..ResolveTargetsRequest::default()
        };
        let resolved = NodesClient::new(NatsChannel::new(self.nats.clone()))
            .resolve_targets(request)
            .await
            .map_err(Failure::from)?
            .into_inner();
        match resolved.nodes.is_empty() {
            true => Err(unknown().into()),
            false => Ok(()),
        }
    }

    /// The position in a token: time, command, node.
    pub(super) fn position(
        &self,
        question: &str,
        token: Option<&str>,
    ) -> Result<Option<(i64, String, String)>, Refusal> {
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        let bad = || {
            let message = "the token is not one of this list: repeat the call without NextToken";
            Refusal::new(Reason::InvalidNextToken, message)
        };
        let position = self.pager.position(question, token, self.now()).map_err(|_| bad())?;
        let mut parts = position.splitn(3, '/');
        match (parts.next().map(str::parse), parts.next(), parts.next()) {
            (Some(Ok(at)), Some(command), Some(node)) => Ok(Some((at, command.to_owned(), node.to_owned()))),
            _ => Err(bad()),
        }
    }
}

/// Cuts the row that was read only to learn whether there is more.
pub(super) fn truncate<T>(rows: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or_default();
    let more = rows.len() > limit;
    rows.truncate(limit);
    more
}

/// What selects the rows, as text; ids and filters hold no secrets, and the text is only hashed.
pub(super) fn fingerprint(request: &impl prost::Message) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(request.encode_to_vec())
}
