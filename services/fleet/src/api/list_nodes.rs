//! `ListNodes` and `ListNodesSummary` (fleet 3): nodes in the form of one list over accounts and regions.

use muster_proto::Word;
use muster_proto::aws::v1::Reason;
use muster_proto::fleet::v1::{
    ListNodesRequest, ListNodesResult, ListNodesSummaryRequest, ListNodesSummaryResult, NodeSummary,
};
use muster_wire::{Failure, Principal, Refusal};

use super::{FleetApi, view};
use crate::domain::condition::{Condition, Field};
use crate::domain::node_list::{Grouping, attribute, conditions, groupings, no_sync};
use crate::error::from_store;
use crate::store::list;

/// Nodes, or groups of them, on a page when the caller does not say.
const DEFAULT_PAGE: i32 = 50;

/// Where a group stands in a summary: the number of its grouping, then its values.
type Place = (usize, String, String);

impl FleetApi {
    pub(super) async fn nodes(&self, request: ListNodesRequest, asker: &Principal) -> Result<ListNodesResult, Failure> {
        no_sync(request.sync_name())?;
        let conditions = conditions(&request.filters, &self.account)?;
        let now = self.now();
        let size = request.max_results.unwrap_or(DEFAULT_PAGE);
        let token = request.next_token.as_deref();
        let page = self
            .page(&format!("{asker} ListNodes"), conditions, token, size, now)
            .await?;
        let cutoff = self.cutoff(now);
        let nodes = page.nodes.into_iter();
        Ok(ListNodesResult {
            nodes: nodes.map(|node| view::node(node, cutoff, &self.account)).collect(),
            next_token: page.next_token,
        })
    }

    pub(super) async fn summary(
        &self,
        request: ListNodesSummaryRequest,
        asker: &Principal,
    ) -> Result<ListNodesSummaryResult, Failure> {
        no_sync(request.sync_name())?;
        let conditions = conditions(&request.filters, &self.account)?;
        let groupings = groupings(&request.aggregators)?;
        let now = self.now();
        let question = format!("{asker} ListNodesSummary {groupings:?} {conditions:?}");
        let after: Option<Place> = match request.next_token() {
            "" => None,
            token => {
                let position = self.pager.position(&question, token, now).ok();
                let place = position.and_then(|text| serde_json::from_str(&text).ok());
                Some(place.ok_or_else(|| {
                    let message = "the token is not one of this summary: repeat the call without NextToken";
                    Refusal::new(Reason::InvalidNextToken, message)
                })?)
            }
        };
        // There are few groups: they are counted anew for each page, and put in order here.
        let mut groups = self.count(&conditions, &groupings).await?;
        groups.retain(|(place, _)| after.as_ref().is_none_or(|after| place > after));
        let size = usize::try_from(request.max_results.unwrap_or(DEFAULT_PAGE)).unwrap_or_default();
        let is_more = groups.len() > size;
        groups.truncate(size);
        let last = groups.last().filter(|_| is_more);
        let position = last.map(|(place, _)| serde_json::to_string(place).map_err(Failure::internal));
        let position = position.transpose()?;
        Ok(ListNodesSummaryResult {
            next_token: position.map(|position| self.pager.token(&question, &position, now)),
            summary: groups
                .into_iter()
                .map(|(place, count)| shown(&groupings, place, count))
                .collect(),
        })
    }

    async fn count(&self, conditions: &[Condition], groupings: &[Grouping]) -> Result<Vec<(Place, i64)>, Failure> {
        if conditions.iter().any(Condition::is_of_presence) {
            // The database decides who is online: let it know what was heard.
            self.pulse.flush().await.map_err(from_store)?;
        }
        let cutoff = self.cutoff(self.now());
        let mut groups = Vec::new();
        for (number, Grouping(attributes)) in groupings.iter().enumerate() {
            let field = |at: usize| {
                let name = attributes.get(at);
                name.map_or_else(|| Field::Same(String::new()), |name| attribute(*name, &self.account))
            };
            let by = [&field(0), &field(1)];
            let counted = list::counts(&self.db, conditions, by, cutoff)
                .await
                .map_err(from_store)?;
            groups.extend(
                counted
                    .into_iter()
                    .map(|(outer, inner, count)| ((number, outer, inner), count)),
            );
        }
        groups.sort_unstable();
        Ok(groups)
    }
}

fn shown(groupings: &[Grouping], (number, outer, inner): Place, count: i64) -> NodeSummary {
    let attributes = groupings.get(number).map_or(&[][..], |Grouping(attributes)| attributes);
    let values = attributes.iter().zip([outer, inner]);
    let named = values.map(|(attribute, value)| (attribute.word().to_owned(), value));
    NodeSummary {
        items: named.chain([("Count".to_owned(), count.to_string())]).collect(),
    }
}
