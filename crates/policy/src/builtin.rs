//! The policies that are always there.
//!
//! | Name | What it allows |
//! |---|---|
//! | `admin` | everything |
//! | `operator` | running commands, automations, associations and windows, what they need, and looking at everything but parameter values |
//! | `read-only` | looking at everything but parameter values |
//! | `node-core` | what every node needs: its own reports, and the documents that it is to run |
//!
//! `operator` and `read-only` name each operation, so that one which is new is allowed to nobody but `admin` until somebody
//! has thought about it. Neither reads parameter values, which may be secrets: that is opened path by path in a policy of
//! one's own, and so it is for nodes. `operator` changes no tags, because tags decide in conditions who may reach what.

use std::sync::{Arc, LazyLock};

use crate::policy::Policy;

/// Names and texts.
pub const ALL: [(&str, &str); 4] = [
    ("admin", include_str!("../builtin/admin.json")),
    ("operator", include_str!("../builtin/operator.json")),
    ("read-only", include_str!("../builtin/read-only.json")),
    ("node-core", include_str!("../builtin/node-core.json")),
];

static READ: LazyLock<Vec<(&str, Arc<Policy>)>> = LazyLock::new(|| {
    let read = |text| Arc::new(Policy::parse(text).expect("a test reads each of them"));
    ALL.iter().map(|(name, text)| (*name, read(text))).collect()
});

/// The policy of that name.
#[must_use]
pub fn policy(name: &str) -> Option<Arc<Policy>> {
    let found = READ.iter().find(|(each, _)| *each == name);
    found.map(|(_, policy)| Arc::clone(policy))
}
