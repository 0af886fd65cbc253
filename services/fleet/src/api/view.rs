//! Nodes in the shapes of the contract. Members that are not known are absent.

use muster_model::{Account, Timestamp};
use muster_proto::Word;
use muster_proto::aws::v1::PlatformType;
use muster_proto::fleet::v1::{
    InstanceInfo, InstanceInformation, InstanceProperty, ManagedStatus, Node, NodeOwnerInfo, NodeType, PingStatus,
    ResourceType, SourceType,
};

use crate::domain::node_list::AGENT;
use crate::domain::ping;
use crate::store::node::NodeRow;

/// The newest version of the agent: all of Muster has one version.
const LATEST: &str = env!("CARGO_PKG_VERSION");
/// The state of a machine that is known to run; of a silent one nothing is known.
const RUNNING: &str = "running";

/// What `DescribeInstanceInformation` shows of a node.
pub(super) fn information(node: NodeRow, cutoff: i64) -> InstanceInformation {
    let (resource_type, source_type) = kind(&node.node_id);
    InstanceInformation {
        ping_status: Some(ping::status(node.last_ping, cutoff).into()),
        last_ping_date_time: time(node.last_ping),
        is_latest_version: known(&node.agent_version).map(|version| version == LATEST),
        agent_version: known(&node.agent_version),
        platform_type: PlatformType::from_word(&node.platform_type).map(Into::into),
        platform_name: known(&node.platform_name),
        platform_version: known(&node.platform_version),
        activation_id: known(&node.activation_id),
        iam_role: known(&node.iam_role),
        registration_date: time(node.registered_at),
        resource_type: Some(resource_type.into()),
        name: known(&node.name),
        ip_address: known(&node.ip_address),
        computer_name: known(&node.computer_name),
        source_id: known(&node.node_id),
        source_type: Some(source_type.into()),
        instance_id: Some(node.node_id),
        ..InstanceInformation::default()
    }
}

/// What `DescribeInstanceProperties` shows of a node.
pub(super) fn properties(node: NodeRow, cutoff: i64) -> InstanceProperty {
    let (resource_type, source_type) = kind(&node.node_id);
    let status = ping::status(node.last_ping, cutoff);
    InstanceProperty {
        name: known(&node.name),
        instance_state: (status == PingStatus::Online).then(|| RUNNING.to_owned()),
        architecture: known(&node.architecture),
        ip_address: known(&node.ip_address),
        ping_status: Some(status.into()),
        last_ping_date_time: time(node.last_ping),
        agent_version: known(&node.agent_version),
        platform_type: PlatformType::from_word(&node.platform_type).map(Into::into),
        platform_name: known(&node.platform_name),
        platform_version: known(&node.platform_version),
        activation_id: known(&node.activation_id),
        iam_role: known(&node.iam_role),
        registration_date: time(node.registered_at),
        resource_type: Some(resource_type.word().to_owned()),
        computer_name: known(&node.computer_name),
        source_id: known(&node.node_id),
        source_type: Some(source_type.into()),
        availability_zone: known(&node.availability_zone),
        instance_id: Some(node.node_id),
        ..InstanceProperty::default()
    }
}

/// What `ListNodes` shows of a node.
pub(super) fn node(node: NodeRow, cutoff: i64, account: &Account) -> Node {
    let (resource_type, source_type) = kind(&node.node_id);
    let instance = InstanceInfo {
        agent_type: Some(AGENT.to_owned()),
        agent_version: known(&node.agent_version),
        computer_name: known(&node.computer_name),
        instance_status: Some(ping::status(node.last_ping, cutoff).word().to_owned()),
        ip_address: known(&node.ip_address),
        managed_status: Some(ManagedStatus::Managed.into()),
        name: known(&node.name),
        platform_type: PlatformType::from_word(&node.platform_type).map(Into::into),
        platform_name: known(&node.platform_name),
        platform_version: known(&node.platform_version),
        resource_type: Some(resource_type.into()),
        source_type: Some(source_type.into()),
        source_id: known(&node.node_id),
        availability_zone: known(&node.availability_zone),
        ..InstanceInfo::default()
    };
    Node {
        capture_time: time(node.last_ping),
        owner: Some(NodeOwnerInfo {
            account_id: Some(account.id().to_owned()),
            ..NodeOwnerInfo::default()
        }),
        region: Some(account.region().to_owned()),
        node_type: Some(NodeType {
            instance: Some(instance),
        }),
        id: Some(node.node_id),
    }
}

/// How a node with this id came to be one, and what it is elsewhere (fleet 1).
fn kind(node_id: &str) -> (ResourceType, SourceType) {
    match node_id.starts_with("i-") {
        true => (ResourceType::Ec2Instance, SourceType::AwsEc2Instance),
        false => (ResourceType::ManagedInstance, SourceType::AwsSsmManagedInstance),
    }
}

pub(super) fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Microseconds since 1970 as the contract's time; 0 is never.
pub(super) fn time(micros: i64) -> Option<prost_types::Timestamp> {
    let time = Timestamp::from_microsecond(micros).ok().filter(|_| micros > 0)?;
    Some(prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> NodeRow {
        NodeRow {
            node_id: "mi-0123456789abcdef0".to_owned(),
            name: String::new(),
            registered_at: 1_500_000,
            activation_id: String::new(),
            iam_role: String::new(),
            agent_version: LATEST.to_owned(),
            platform_type: "Linux".to_owned(),
            platform_name: "Debian GNU/Linux".to_owned(),
            platform_version: "13".to_owned(),
            computer_name: "web-1".to_owned(),
            ip_address: String::new(),
            architecture: "x86_64".to_owned(),
            availability_zone: String::new(),
            last_ping: 0,
        }
    }

    #[test]
    fn what_is_unknown_is_absent() {
        let shown = information(row(), 0);
        assert_eq!(
            (&shown.name, &shown.ip_address, &shown.activation_id),
            (&None, &None, &None)
        );
        assert_eq!(shown.last_ping_date_time, None);
        assert_eq!(shown.ping_status(), PingStatus::ConnectionLost);
        assert_eq!(shown.is_latest_version, Some(true));
        assert_eq!(shown.registration_date.unwrap().nanos, 500_000_000);
        let unknown = NodeRow {
            agent_version: String::new(),
            platform_type: String::new(),
            ..row()
        };
        let shown = information(unknown, 0);
        assert_eq!((shown.is_latest_version, shown.platform_type), (None, None));
    }

    #[test]
    fn only_a_node_that_is_online_is_said_to_run() {
        let online = NodeRow {
            last_ping: 2_000_000,
            ..row()
        };
        assert_eq!(
            properties(online.clone(), 1_000_000).instance_state.as_deref(),
            Some("running")
        );
        assert_eq!(properties(online, 2_000_000).instance_state, None);
    }
}
