//! Where an answer may go: whoever asks names the subject, and a service may publish there because it was asked.

use async_nats::{Message, Subject};

use crate::subject;

/// Inboxes of clients that were given no name. No user in operator mode hears them, so they are those of an open bus.
const UNNAMED: &str = "_INBOX.";
/// The inboxes of simulated agents, which are many nodes on one connection; only tests make their credentials.
const SIMULATED: &str = "_INBOX_muster-agent-sim.";

/// Where the answer to a message goes: to an inbox, and to a node only into its own.
///
/// None if nobody waits, and if the subject named is no inbox: a service that answered there would say with its own
/// leave to publish what the sender may not say.
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
    if !is_node {
        // An inbox, or what the broker puts in its place for another account.
        return reply.starts_with("_INBOX") || reply.starts_with("_R_");
    }
    let own = subject::node_of(asked).is_ok_and(|node| {
        reply
            .strip_prefix("_INBOX_")
            .and_then(|rest| rest.strip_prefix(node.as_str()))
            .is_some_and(|rest| rest.starts_with('.'))
    });
    own || reply.starts_with(UNNAMED) || reply.starts_with(SIMULATED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_answered_in_its_own_inbox_only() {
        let node = "mi-0123456789abcdef0";
        let asked = "muster.v1.rpc.mi-0123456789abcdef0.hello";
        assert!(may_answer(asked, &format!("_INBOX_{node}.a.b")));
        for other in [
            "muster.v1.up.mi-0123456789abcdef1.hb",
            "muster.v1.up.mi-0123456789abcdef0.hb",
            "muster.v1.dn.mi-0123456789abcdef1.work",
            "muster.v1.api.FanOut.StartRollout",
            "_INBOX_mi-0123456789abcdef1.a.b",
            "_INBOX_mi-0123456789abcdef00.a",
            "_INBOX_mi-0123456789abcdef0",
            "_INBOX_operator.a.b",
            "_R_.abc",
            "$JS.API.STREAM.LIST",
        ] {
            assert!(!may_answer(asked, other), "{other}");
            assert!(!may_answer("muster.v1.up.mi-0123456789abcdef0.ack", other), "{other}");
        }
        assert!(!may_answer("muster.v1.rpc", "muster.v1.dn.x.work"));
    }

    #[test]
    fn others_are_answered_in_inboxes() {
        let asked = "muster.v1.api.Fleet.DescribeInstanceInformation";
        assert!(may_answer(asked, "_INBOX_muster-gateway.a.b"));
        assert!(may_answer(asked, "_INBOX.a.b"));
        assert!(may_answer("muster.v1.register", "_R_.abc.d"));
        assert!(!may_answer(asked, "muster.v1.dn.mi-0123456789abcdef0.work"));
        assert!(!may_answer(
            "muster.v1.register",
            "muster.v1.dn.mi-0123456789abcdef0.work"
        ));
    }
}
