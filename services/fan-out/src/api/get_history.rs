//! `GetHistory`: what happened, as it was stored, whichever replica works on the rollout.

use muster_proto::fanout::v1::{GetHistoryRequest, GetHistoryResult, HistoryPage};
use muster_store::StoreError;
use muster_wire::Failure;
use prost::Message as _;

use super::Api;
use super::sight::Reader;
use crate::contract::{Order, rollout_id, wire_time};
use crate::error::{from_store, no_such_rollout};
use crate::store::load;

/// Most pages in one answer, and most bytes: an answer fits one message of the bus.
const PAGES: i64 = 256;
const BYTES: usize = 512 * 1024;

impl Api {
    pub(super) async fn history(
        &self,
        reader: &Reader,
        request: &GetHistoryRequest,
    ) -> Result<GetHistoryResult, Failure> {
        let id = rollout_id(&request.rollout_id)?;
        let stored = load::rollout(&self.db, id).await.map_err(from_store)?;
        let stored = stored.ok_or_else(|| no_such_rollout(id))?;
        let order = Order::reread(&stored.request, stored.concurrency, stored.errors_allowed).map_err(from_store)?;
        reader.must_see(&self.channel, id, &order.owner).await?;
        let after = i64::try_from(request.after).unwrap_or(i64::MAX);
        let rows = load::history(&self.db, id, after, PAGES).await.map_err(from_store)?;
        let mut has_more = rows.len() == usize::try_from(PAGES).unwrap_or(usize::MAX);
        let mut pages = Vec::with_capacity(rows.len());
        let mut bytes = 0;
        for (sequence, payload) in rows {
            bytes += payload.len();
            if bytes > BYTES && !pages.is_empty() {
                has_more = true;
                break;
            }
            let page =
                HistoryPage::decode(payload.as_slice()).map_err(|error| from_store(StoreError::corrupt(error)))?;
            pages.push(HistoryPage {
                sequence: u64::try_from(sequence).unwrap_or_default(),
                ..page
            });
        }
        Ok(GetHistoryResult {
            targets: u32::try_from(order.plan.targets.len()).unwrap_or(u32::MAX),
            concurrency: order.plan.concurrency,
            errors_allowed: order.plan.errors_allowed,
            deadline: Some(wire_time(order.plan.deadline)),
            pages,
            has_more,
        })
    }
}
