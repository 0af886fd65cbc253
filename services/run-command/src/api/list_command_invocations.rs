//! `ListCommandInvocations` (run-command 5.2).

use std::collections::HashMap;

use muster_proto::runcommand::v1::{ListCommandInvocationsRequest, ListCommandInvocationsResult};
use muster_wire::{Failure, Principal};

use crate::api::list_commands::{fingerprint, truncate};
use crate::api::{Api, view};
use crate::domain::filter::{Filters, List};
use crate::domain::sight::Sight;
use crate::error::from_store;
use crate::store;
use crate::store::read::PluginRow;

impl Api {
    pub(super) async fn list_invocations(
        &self,
        request: ListCommandInvocationsRequest,
        asker: &Principal,
        sight: &Sight,
    ) -> Result<ListCommandInvocationsResult, Failure> {
        let selects = ListCommandInvocationsRequest {
            next_token: None,
            max_results: None,
            ..request.clone()
        };
        let selects = format!("{asker} ListCommandInvocations {}", fingerprint(&selects));
        let mut question = self
            .question(request.command_id, request.instance_id, request.max_results, sight)
            .await?;
        question.filters = Filters::parse(&request.filters, List::Invocations)?;
        question.after = self.position(&selects, request.next_token.as_deref())?;
        let limit = question.limit;
        question.limit += 1;
        let mut rows = store::read::invocations(&self.db, &question)
            .await
            .map_err(from_store)?;
        let more = truncate(&mut rows, limit);
        let next_token = rows.last().filter(|_| more).map(|last| {
            let position = format!(
                "{}/{}/{}",
                last.accepted_at, last.invocation.command_id, last.invocation.node_id
            );
            self.pager.token(&selects, &position, self.now())
        });

        let mut steps: HashMap<(String, String), Vec<PluginRow>> = HashMap::new();
        let with_details = request.details.unwrap_or(false);
        if with_details {
            let of: Vec<_> = rows
                .iter()
                .map(|row| (row.invocation.command_id.as_str(), row.invocation.node_id.as_str()))
                .collect();
            for step in store::read::plugins(&self.db, &of).await.map_err(from_store)? {
                let key = (step.command_id.clone(), step.node_id.clone());
                steps.entry(key).or_default().push(step);
            }
        }
        let command_invocations = rows
            .iter()
            .map(|row| {
                let key = (row.invocation.command_id.clone(), row.invocation.node_id.clone());
                let all = row.all_steps(steps.remove(&key).unwrap_or_default())?;
                let shown = if with_details { all.as_slice() } else { &[] };
                view::invocation(row, shown, &all, &self.objects_url)
            })
            .collect::<Result<_, _>>()
            .map_err(from_store)?;
        Ok(ListCommandInvocationsResult {
            command_invocations,
            next_token,
        })
    }
}
