//! Which processes speak as a node (agent.md B8): each agent has a session of its own from start to end, and one that
//! was started anew never speaks as the former one again. So two sessions that both go on speaking are two machines with
//! one key.
//!
//! Whenever a new session speaks, all that are there are asked to speak again. If the former one answers, the new one
//! is a copy, and is quarantined. Pure.

/// How long, in microseconds, a former session has to answer before it is taken for gone.
const GRACE: i64 = 30 * 1_000_000;

/// What is known of a node's sessions; empty: none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sessions {
    /// The one that the node is.
    pub(crate) holder: String,
    /// One that spoke later, and takes the holder's place unless the holder answers.
    pub(crate) rival: String,
    /// When the rival first spoke, in microseconds.
    pub(crate) rival_at: i64,
    /// A copy.
    pub(crate) quarantined: String,
}

/// What it means that a session speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing new.
    Known,
    /// A session that was not heard of: whoever else is there must be asked to speak.
    New,
    /// The holder speaks although a rival has: the rival is a copy, and quarantined from now on.
    Clone,
    /// A copy that is quarantined.
    Quarantined,
}

impl Sessions {
    /// A session speaks at `now`, in microseconds.
    pub(crate) fn hear(&mut self, session: &str, now: i64) -> Heard {
        if session == self.quarantined {
            return Heard::Quarantined;
        }
        if self.holder.is_empty() {
            session.clone_into(&mut self.holder);
            return Heard::Known;
        }
        let is_patient = now < self.rival_at.saturating_add(GRACE);
        if session == self.holder {
            if self.rival.is_empty() {
                return Heard::Known;
            }
            self.quarantined = std::mem::take(&mut self.rival);
            return Heard::Clone;
        }
        if session == self.rival {
            if !is_patient {
                self.holder = std::mem::take(&mut self.rival);
            }
            return Heard::Known;
        }
        if !self.rival.is_empty() && !is_patient {
            // The holder was asked, and did not answer.
            self.holder = std::mem::take(&mut self.rival);
        }
        session.clone_into(&mut self.rival);
        self.rival_at = now;
        Heard::New
    }
}

/// Whether a text can be a session: 1 to 64 letters, digits and hyphens. Agents of former versions have none.
pub(crate) fn is_session(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_copy_is_found_as_soon_as_the_former_one_answers() {
        let mut node = Sessions::default();
        assert_eq!(node.hear("one", 0), Heard::Known);
        assert_eq!(node.hear("two", 100 * SECOND), Heard::New);
        assert_eq!(node.hear("two", 100 * SECOND), Heard::Known);
        assert_eq!(node.hear("one", 101 * SECOND), Heard::Clone);
        assert_eq!(node.hear("two", 102 * SECOND), Heard::Quarantined);
        assert_eq!(node.hear("one", 999 * SECOND), Heard::Known);
    }

    #[test]
    fn one_that_was_away_when_it_was_asked_is_found_too() {
        let mut node = Sessions::default();
        node.hear("one", 0);
        node.hear("two", 0);
        // It has the place now.
        assert_eq!(node.hear("two", 60 * SECOND), Heard::Known);
        assert_eq!(node.hear("one", 90 * SECOND), Heard::New);
        assert_eq!(node.hear("two", 91 * SECOND), Heard::Clone);
        assert_eq!(node.hear("one", 92 * SECOND), Heard::Quarantined);
    }

    proptest! {
        /// An agent that is started again and again, and speaks now and then, is never taken for two.
        #[test]
        fn one_machine_is_never_a_copy(lives in proptest::collection::vec((1_usize..4, 0_i64..100), 1..20)) {
            let (mut node, mut now) = (Sessions::default(), 0);
            for (life, (hellos, pause)) in lives.into_iter().enumerate() {
                let session = format!("session-{life}");
                for _ in 0..hellos {
                    now += pause * SECOND;
                    // Asked because it is new, it speaks once more.
                    if node.hear(&session, now) == Heard::New {
                        prop_assert_eq!(node.hear(&session, now + 1), Heard::Known);
                    }
                    prop_assert_eq!(&node.quarantined, "");
                }
            }
        }

        /// Of two that live, in whatever order they speak, one is quarantined as soon as both were asked.
        #[test]
        fn two_machines_are_one_too_many(order in proptest::collection::vec((any::<bool>(), 0_i64..100), 2..20)) {
            let (mut node, mut now) = (Sessions::default(), 0);
            let mut spoken = [false, false];
            for (second, pause) in order {
                now += pause * SECOND;
                let name = |second| if second { "two" } else { "one" };
                spoken[usize::from(second)] = true;
                if node.hear(name(second), now) == Heard::New {
                    // Both are asked.
                    node.hear(name(!second), now + 1);
                    node.hear(name(second), now + 2);
                }
                if spoken == [true, true] {
                    prop_assert!(!node.quarantined.is_empty() && node.quarantined != node.holder);
                }
            }
        }
    }
}
