//! Every subject on the bus (DESIGN 3), made in one place.

use muster_model::{IdError, NodeId};
use sha2::{Digest, Sha256};

/// Where `Service.Method` is called: `muster.v1.api.<Service>.<Method>`.
#[must_use]
pub fn api(service: &str, method: &str) -> String {
    format!("muster.v1.api.{service}.{method}")
}

/// Where that is called by people and their programs, whose account maps [`api`] to it: on this subject the broker says
/// who asks, and nobody else can publish there.
#[must_use]
pub fn ops_api(service: &str, method: &str) -> String {
    format!("muster.v1.ops.api.{service}.{method}")
}

/// Where a gRPC path such as `/muster.runcommand.v1.RunCommand/SendCommand` is called over NATS.
/// `None` if the text is no such path.
#[must_use]
pub fn api_of_path(path: &str) -> Option<String> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let service = service.rsplit('.').next()?;
    Some(api(service, method))
}

/// Work items for a node.
#[must_use]
pub fn work(node: &NodeId) -> String {
    format!("muster.v1.dn.{node}.work")
}

/// Cancels for a node.
#[must_use]
pub fn cancel(node: &NodeId) -> String {
    format!("muster.v1.dn.{node}.cancel")
}

/// Tells a node that what the service knows about it changed.
#[must_use]
pub fn config(node: &NodeId) -> String {
    format!("muster.v1.dn.{node}.config")
}

/// Tells a node that somebody listens to a run's output.
#[must_use]
pub fn output(node: &NodeId) -> String {
    format!("muster.v1.dn.{node}.output")
}

/// Everything that goes to a node.
#[must_use]
pub fn everything_for(node: &NodeId) -> String {
    format!("muster.v1.dn.{node}.>")
}

/// The doorbell of all nodes with a tag.
/// The hash keeps characters that mean something in subjects out (fleet 8).
#[must_use]
pub fn tag(key: &str, value: &str) -> String {
    format!("muster.v1.tag.{}", tag_hash(key, value))
}

/// The last word of that subject, 32 lower-case hexadecimal digits; it stands in a node's credentials too.
#[must_use]
pub fn tag_hash(key: &str, value: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(key.as_bytes());
    hasher.update([0]);
    hasher.update(value.as_bytes());
    hex::encode(&hasher.finalize()[..16])
}

/// A request from a node: `operation` is one of the `RPC_…` constants.
#[must_use]
pub fn rpc(node: &NodeId, operation: &str) -> String {
    format!("muster.v1.rpc.{node}.{operation}")
}

/// That request of any node, for the service that answers it.
#[must_use]
pub fn rpc_of_all(operation: &str) -> String {
    format!("muster.v1.rpc.*.{operation}")
}

/// Where machines without a credential ask to become nodes (fleet 9); fleet answers.
pub const REGISTER: &str = "muster.v1.register";
/// The same as account BOOT sees it, in which machines with a bootstrap ticket are.
pub const REGISTER_IN_BOOT: &str = "register";

/// Facts about the node; fleet answers.
pub const RPC_HELLO: &str = "hello";
/// New claims for the bus; fleet answers.
pub const RPC_AUTH_RENEW: &str = "auth.renew";
/// Another key for the node; fleet answers.
pub const RPC_AUTH_ROTATE: &str = "auth.rotate";
/// "What is there for me?"; the coordinator answers.
pub const RPC_WORK_PULL: &str = "work.pull";
/// Records of a run; the coordinator answers once they are committed.
pub const RPC_REPLY: &str = "reply";
/// A document's text; documents answers.
pub const RPC_DOCUMENT: &str = "doc.get";
/// Values of the parameter store; parameter-store answers.
pub const RPC_PARAMETERS: &str = "param.get";
/// The next bytes of a log stream; run-command answers once they are kept.
pub const RPC_LOG_APPEND: &str = "log.append";

/// Something a node publishes: `what` is one of the `UP_…` constants.
#[must_use]
pub fn up(node: &NodeId, what: &str) -> String {
    format!("muster.v1.up.{node}.{what}")
}

/// That message of any node.
#[must_use]
pub fn up_of_all(what: &str) -> String {
    format!("muster.v1.up.*.{what}")
}

/// A sign of life.
pub const UP_HEARTBEAT: &str = "hb";
/// A work item is in the journal, or refused.
pub const UP_ACK: &str = "ack";

/// Where a node offers output to a listener.
#[must_use]
pub fn up_output(node: &NodeId, listener: &str) -> String {
    format!("muster.v1.up.{node}.output.{listener}")
}

/// Where all nodes offer output to a listener.
#[must_use]
pub fn up_output_of_all(listener: &str) -> String {
    format!("muster.v1.up.*.output.{listener}")
}

/// In place of a person's name in [`output_for`] and [`output_seen`]: callers who are no people of the bus, as services
/// are. No person can be called so.
pub const NO_PERSON: &str = "~";

/// Where run-command passes a command's output on to a listener on NATS. Only that person hears it there.
#[must_use]
pub fn output_for(person: &str, listener: &str) -> String {
    format!("muster.v1.output.{person}.{listener}")
}

/// Where a listener on NATS says how much has arrived.
#[must_use]
pub fn output_seen(person: &str, listener: &str) -> String {
    format!("muster.v1.output-seen.{person}.{listener}")
}

/// Where news is published: `muster.v1.event.<domain>.<resource>.<what>`.
#[must_use]
pub fn event(domain: &str, resource: &str, what: &str) -> String {
    format!("muster.v1.event.{domain}.{resource}.{what}")
}

/// The node that a message on `muster.v1.{rpc,up,dn}.<node>.…` belongs to.
/// The broker enforces this token from the node's credential; nothing inside the message is believed instead.
///
/// # Errors
/// If the subject has no such token, or it is no node id.
pub fn node_of(subject: &str) -> Result<NodeId, IdError> {
    subject.split('.').nth(3).unwrap_or_default().parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_path_has_one_subject() {
        assert_eq!(
            api_of_path("/muster.runcommand.v1.RunCommand/SendCommand").as_deref(),
            Some("muster.v1.api.RunCommand.SendCommand")
        );
        assert_eq!(api_of_path("no-path"), None);
    }

    #[test]
    fn tag_subjects_have_no_free_text() {
        let subject = tag("Role", "*.>");
        let hash = subject.strip_prefix("muster.v1.tag.").unwrap();
        assert_eq!(hash.len(), 32);
        assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(tag("a", "bc"), tag("ab", "c"));
    }

    #[test]
    fn the_node_is_read_from_the_subject() {
        let node = NodeId::random();
        assert_eq!(node_of(&rpc(&node, RPC_WORK_PULL)), Ok(node.clone()));
        assert_eq!(node_of(&up(&node, UP_ACK)), Ok(node));
        assert!(node_of("muster.v1.up").is_err());
    }
}
