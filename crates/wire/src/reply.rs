//! Where an answer may go: whoever asks names the subject, and a service may publish there because it was asked.

use async_nats::{Message, Subject};

use crate::subject;

/// Where inboxes are.
const INBOX: &str = "_INBOX.";
/// The second token of the inboxes of those who have names. Other inboxes are those of clients of an open bus: no user
/// in operator mode hears them.
const NAMED: [&str; 5] = ["node", "svc", "ops", "boot", "sys"];
/// The name of simulated agents, which are many nodes on one connection; only tests make their credentials.
const SIMULATED: &str = "muster-agent-sim";

/// Where the answer to a message goes: to an inbox, and to a node only into its own.
///
/// None if nobody waits, and if the subject named is no inbox of the sender's: a service that answered there would say
/// with its own leave to publish what the sender may not say.
#[must_use]
pub fn reply_of(message: &Message) -> Option<Subject> {
    let reply = message.reply.as_ref()?;
    if may_answer(&message.subject, reply) {
        return Some(reply.clone());
    }
    tracing::warn!(
        subject = message.subject.as_str(),
        reply = reply.as_str(),
        "a question is not answered: its reply subject is not the sender's inbox"
    );
    None
}

fn may_answer(asked: &str, reply: &str) -> bool {
    let is_node = ["muster.v1.rpc.", "muster.v1.up."]
        .iter()
        .any(|space| asked.starts_with(space));
    let Some(inbox) = reply.strip_prefix(INBOX) else {
        // What the broker puts in the place of an inbox in another account. Nodes are in none.
        return !is_node && reply.starts_with("_R_.");
    };
    let (kind, rest) = inbox.split_once('.').unwrap_or((inbox, ""));
    let name = rest.split_once('.').map_or("", |(name, _)| name);
    match kind {
        "node" if name == SIMULATED => true,
        "node" if is_node => subject::node_of(asked).is_ok_and(|node| node.as_str() == name),
        // A replica of the coordinator passes on what a node asked it.
        "node" => asked.starts_with("muster.v1.fanout."),
        _ => !is_node || !NAMED.contains(&kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_answered_in_its_own_inbox_only() {
        let node = "mi-0123456789abcdef0";
        let asked = "muster.v1.rpc.mi-0123456789abcdef0.hello";
        assert!(may_answer(asked, "_INBOX.node.muster-agent-sim.0.a"));
        assert!(may_answer(asked, "_INBOX.Gx5s0uXAhgLJBI6UMzUsRw.a"), "an open bus");
        assert!(may_answer(asked, "_INBOX.Gx5s0uXAhgLJBI6UMzUsRw"));
        assert!(may_answer(asked, &format!("_INBOX.node.{node}.a.b")));
        for other in [
            "muster.v1.up.mi-0123456789abcdef1.hb",
            "muster.v1.up.mi-0123456789abcdef0.hb",
            "muster.v1.dn.mi-0123456789abcdef1.work",
            "muster.v1.api.FanOut.StartRollout",
            "_INBOX.node.mi-0123456789abcdef1.a.b",
            "_INBOX.node.mi-0123456789abcdef00.a",
            "_INBOX.node.mi-0123456789abcdef0",
            "_INBOX.svc.muster-gateway.a.b",
            "_INBOX.ops.operator.a.b",
            "_INBOX.boot.a",
            "_INBOX",
            "_R_.abc",
            "$JS.API.STREAM.LIST",
        ] {
            assert!(!may_answer(asked, other), "{other}");
            assert!(!may_answer("muster.v1.up.mi-0123456789abcdef0.ack", other), "{other}");
        }
        assert!(!may_answer("muster.v1.rpc", "muster.v1.dn.x.work"));
        assert!(!may_answer(asked, "_R_.abc.d"), "no node is in another account");
    }

    #[test]
    fn others_are_answered_in_inboxes() {
        let asked = "muster.v1.api.Fleet.DescribeInstanceInformation";
        assert!(may_answer(asked, "_INBOX.svc.muster-gateway.a.b"));
        assert!(may_answer(asked, "_INBOX.Gx5s0uXAhgLJBI6UMzUsRw.b"));
        assert!(!may_answer(asked, "_INBOX.node.mi-0123456789abcdef0.a"));
        assert!(may_answer("muster.v1.register", "_R_.abc.d"));
        assert!(!may_answer(asked, "muster.v1.dn.mi-0123456789abcdef0.work"));
        assert!(!may_answer(
            "muster.v1.register",
            "muster.v1.dn.mi-0123456789abcdef0.work"
        ));
    }
}
