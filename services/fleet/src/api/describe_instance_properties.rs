//! `DescribeInstanceProperties` (fleet 3).

use muster_proto::fleet::v1::{DescribeInstancePropertiesRequest, DescribeInstancePropertiesResult};
use muster_wire::{Failure, Principal};

use super::{FleetApi, view};
use crate::domain::property_filter;

/// Nodes on a page when the caller does not say.
const DEFAULT_PAGE: i32 = 1_000;

impl FleetApi {
    pub(super) async fn describe_properties(
        &self,
        request: DescribeInstancePropertiesRequest,
        asker: &Principal,
    ) -> Result<DescribeInstancePropertiesResult, Failure> {
        let conditions = property_filter::parse(&request)?;
        let now = self.now();
        let size = request.max_results.unwrap_or(DEFAULT_PAGE);
        let token = request.next_token.as_deref();
        let page = self
            .page(
                &format!("{asker} DescribeInstanceProperties"),
                conditions,
                token,
                size,
                now,
            )
            .await?;
        let cutoff = self.cutoff(now);
        Ok(DescribeInstancePropertiesResult {
            instance_properties: page
                .nodes
                .into_iter()
                .map(|node| view::properties(node, cutoff))
                .collect(),
            next_token: page.next_token,
        })
    }
}
