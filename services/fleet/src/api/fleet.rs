//! `Fleet`: nodes as users see them. Activations and roles come with registration by activation.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_model::{Clock, Target, TargetKey, Timestamp};
use muster_proto::Word;
use muster_proto::aws::v1::{PlatformType, Reason};
use muster_proto::fleet::v1::fleet_server::Fleet;
use muster_proto::fleet::v1::{
    ConnectionStatus, DeregisterManagedInstanceRequest, DeregisterManagedInstanceResult,
    DescribeInstanceInformationRequest, DescribeInstanceInformationResult, GetConnectionStatusRequest,
    GetConnectionStatusResponse, InstanceInformation, PingStatus,
};
use muster_store::{Db, Pager, StoreError};
use muster_wire::{Failure, Refusal};
use tonic::{Request, Response, Status};

use crate::Settings;
use crate::domain::filter::{self, Facts, Filter};
use crate::domain::{ping, target};
use crate::error::from_store;
use crate::store;
use crate::store::node::NodeRow;
use crate::work::Pulse;

/// Nodes on a page when the caller does not say.
const DEFAULT_PAGE: i32 = 10;
/// Nodes that are looked at together when a filter has to be tried on each.
const LOOK_AT: i64 = 1_000;

/// Nodes as users see them.
#[derive(Debug)]
pub(crate) struct FleetApi {
    db: Db,
    pager: Pager,
    pulse: Arc<Pulse>,
    clock: Arc<dyn Clock>,
    settings: Settings,
}

impl FleetApi {
    pub(crate) fn new(db: Db, pager: Pager, pulse: Arc<Pulse>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self {
            db,
            pager,
            pulse,
            clock,
            settings,
        }
    }

    async fn describe(
        &self,
        request: DescribeInstanceInformationRequest,
    ) -> Result<DescribeInstanceInformationResult, Failure> {
        let filters = filter::parse(&request)?;
        let question = format!("DescribeInstanceInformation {filters:?}");
        let now = self.clock.now();
        let after = match request.next_token.as_deref().filter(|token| !token.is_empty()) {
            None => String::new(),
            Some(token) => self.pager.position(&question, token, now).map_err(|_| {
                let message = "the token is not one of this list: repeat the call without NextToken";
                Refusal::new(Reason::InvalidNextToken, message)
            })?,
        };
        let size = usize::try_from(request.max_results.unwrap_or(DEFAULT_PAGE)).unwrap_or_default();
        // One more than fits tells whether there is a next page.
        let mut nodes = self.pick(&filters, after, size + 1, now).await?;
        let more = nodes.len() > size;
        nodes.truncate(size);
        let last = nodes.last().and_then(|node| node.instance_id.as_deref());
        let next_token = last.filter(|_| more).map(|last| self.pager.token(&question, last, now));
        Ok(DescribeInstanceInformationResult {
            instance_information_list: nodes,
            next_token,
        })
    }

    /// The first `count` nodes after this one that pass all filters.
    async fn pick(
        &self,
        filters: &[Filter],
        mut after: String,
        count: usize,
        now: Timestamp,
    ) -> Result<Vec<InstanceInformation>, Failure> {
        let mut picked = Vec::new();
        let named = self.named(filters).await.map_err(from_store)?;
        loop {
            let rows = match &named {
                Some(ids) => {
                    let above = (std::ops::Bound::Excluded(after.as_str()), std::ops::Bound::Unbounded);
                    let ids: Vec<_> = ids
                        .range::<str, _>(above)
                        .map(String::as_str)
                        .take(LOOK_AT as usize)
                        .collect();
                    store::node::by_ids(&self.db, &ids).await
                }
                None => store::node::page(&self.db, &after, LOOK_AT).await,
            }
            .map_err(from_store)?;
            let Some(last) = rows.last() else {
                return Ok(picked);
            };
            after.clone_from(&last.node_id);
            for row in &rows {
                let shown = self.show(row, now).map_err(from_store)?;
                if filters.iter().all(|filter| filter.passes(&about(&shown))) {
                    picked.push(shown);
                    if picked.len() == count {
                        return Ok(picked);
                    }
                }
            }
        }
    }

    /// The nodes that filters by id or tag leave; `None` if there is no such filter.
    async fn named(&self, filters: &[Filter]) -> Result<Option<BTreeSet<String>>, StoreError> {
        let mut sets = Vec::new();
        for filter in filters {
            let target = match filter {
                Filter::InstanceIds(ids) => {
                    sets.push(ids.iter().cloned().collect());
                    continue;
                }
                Filter::Tag(key, values) => Target {
                    key: TargetKey::Tag(key.clone()),
                    values: values.clone(),
                },
                Filter::TagKey(values) => Target {
                    key: TargetKey::TagKey,
                    values: values.clone(),
                },
                _ => continue,
            };
            sets.push(store::target::matching(&self.db, &target).await?);
        }
        Ok((!sets.is_empty()).then(|| target::in_all(sets)))
    }

    fn show(&self, row: &NodeRow, now: Timestamp) -> Result<InstanceInformation, StoreError> {
        let facts = row.facts()?;
        let last_ping = self.pulse.last(&row.node_id, row.last_ping);
        let status = ping::status(last_ping, now.as_microsecond(), self.settings.connection_lost_seconds);
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (resource, source) = (
            filter::resource_type_of(&row.node_id),
            filter::source_type_of(&row.node_id),
        );
        Ok(InstanceInformation {
            instance_id: Some(row.node_id.clone()),
            ping_status: Some(status.into()),
            last_ping_date_time: Some(time(last_ping)),
            is_latest_version: known(&facts.agent_version).map(|version| version == env!("CARGO_PKG_VERSION")),
            agent_version: known(&facts.agent_version),
            platform_type: PlatformType::from_word(&facts.platform_type).map(Into::into),
            platform_name: known(&facts.platform_name),
            platform_version: known(&facts.platform_version),
            registration_date: Some(time(row.registered_at)),
            resource_type: Some(resource.into()),
            name: known(&row.name),
            ip_address: known(&facts.ip_address),
            computer_name: known(&facts.computer_name),
            source_id: Some(row.node_id.clone()),
            source_type: Some(source.into()),
            ..InstanceInformation::default()
        })
    }

    async fn deregister(
        &self,
        request: DeregisterManagedInstanceRequest,
    ) -> Result<DeregisterManagedInstanceResult, Failure> {
        let id = request.instance_id.unwrap_or_default();
        let now = self.clock.now().as_microsecond();
        match store::node::deregister(&self.db, &id, now).await {
            Ok(()) => {
                self.pulse.forget(&id);
                Ok(DeregisterManagedInstanceResult {})
            }
            Err(StoreError::Missing) => {
                let message = format!("{id} is no managed node");
                Err(Refusal::new(Reason::InvalidInstanceId, message).into())
            }
            Err(error) => Err(from_store(error)),
        }
    }

    async fn connection(&self, request: GetConnectionStatusRequest) -> Result<GetConnectionStatusResponse, Failure> {
        let id = request.target.unwrap_or_default();
        let rows = store::node::by_ids(&self.db, &[&id]).await.map_err(from_store)?;
        let now = self.clock.now().as_microsecond();
        let is_online = rows.first().is_some_and(|row| {
            let last = self.pulse.last(&id, row.last_ping);
            ping::status(last, now, self.settings.connection_lost_seconds) == PingStatus::Online
        });
        let status = match is_online {
            true => ConnectionStatus::Connected,
            false => ConnectionStatus::Notconnected,
        };
        Ok(GetConnectionStatusResponse {
            target: Some(id),
            status: Some(status.into()),
        })
    }
}

/// What filters ask of a node.
fn about(node: &InstanceInformation) -> Facts<'_> {
    Facts {
        node_id: node.instance_id.as_deref().unwrap_or_default(),
        agent_version: node.agent_version.as_deref().unwrap_or_default(),
        platform_type: node.platform_type().word(),
        ping: node.ping_status(),
    }
}

/// Microseconds since 1970 as the contract's time.
fn time(micros: i64) -> prost_types::Timestamp {
    let time = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

#[tonic::async_trait]
impl Fleet for FleetApi {
    async fn describe_instance_information(
        &self,
        request: Request<DescribeInstanceInformationRequest>,
    ) -> Result<Response<DescribeInstanceInformationResult>, Status> {
        Ok(Response::new(self.describe(request.into_inner()).await?))
    }

    async fn deregister_managed_instance(
        &self,
        request: Request<DeregisterManagedInstanceRequest>,
    ) -> Result<Response<DeregisterManagedInstanceResult>, Status> {
        Ok(Response::new(self.deregister(request.into_inner()).await?))
    }

    async fn get_connection_status(
        &self,
        request: Request<GetConnectionStatusRequest>,
    ) -> Result<Response<GetConnectionStatusResponse>, Status> {
        Ok(Response::new(self.connection(request.into_inner()).await?))
    }
}
