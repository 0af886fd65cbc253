//! `DescribeInstanceInformation` (fleet 3).

use muster_proto::fleet::v1::{DescribeInstanceInformationRequest, DescribeInstanceInformationResult};
use muster_wire::{Failure, Principal};

use super::{FleetApi, view};
use crate::domain::filter;

/// Nodes on a page when the caller does not say.
const DEFAULT_PAGE: i32 = 10;

impl FleetApi {
    pub(super) async fn describe_information(
        &self,
        request: DescribeInstanceInformationRequest,
        asker: &Principal,
    ) -> Result<DescribeInstanceInformationResult, Failure> {
        let conditions = filter::parse(&request)?;
        let now = self.now();
        let size = request.max_results.unwrap_or(DEFAULT_PAGE);
        let token = request.next_token.as_deref();
        let page = self
            .page(
                &format!("{asker} DescribeInstanceInformation"),
                conditions,
                token,
                size,
                now,
            )
            .await?;
        let cutoff = self.cutoff(now);
        Ok(DescribeInstanceInformationResult {
            instance_information_list: page
                .nodes
                .into_iter()
                .map(|node| view::information(node, cutoff))
                .collect(),
            next_token: page.next_token,
        })
    }
}
