//! What each service may publish and hear in account `MUSTER`. This table is the only place that says so.

use crate::PublicKey;
use crate::claims::{Claims, Permission, UserClaims};

use super::inbox::{ACROSS, NODES, below, node_inbox, service_inbox};

/// Where run-command publishes notifications for sinks on NATS; `OPS` hears them.
pub const NOTIFICATIONS: &str = "notify.>";

/// What every service asks `Access` before it answers a call: what its caller has, and to write down what was decided.
const DECISIONS: [&str; 3] = [
    "muster.v1.api.Decisions.GetPrincipal",
    "muster.v1.api.Decisions.CheckBearer",
    "muster.v1.api.Decisions.RecordDecisions",
];
/// Where it hears that what it knows of a caller has changed.
const PRINCIPAL_CHANGED: &str = "muster.v1.event.access.principal.changed";

/// A service: the user that its process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// The process, and the user.
    pub name: &'static str,
    /// Services of the contract that it answers.
    pub answers: &'static [&'static str],
    /// What it publishes besides answers.
    pub publishes: &'static [&'static str],
    /// What it hears besides questions for the services that it answers.
    pub hears: &'static [&'static str],
}

/// All services.
pub const SERVICES: &[Service] = &[
    Service {
        name: "muster-gateway",
        answers: &[],
        // It knows no operation by name.
        publishes: &["muster.v1.api.>"],
        hears: &[PRINCIPAL_CHANGED],
    },
    Service {
        name: "muster-access",
        answers: &["Access", "Audit", "Decisions"],
        publishes: &["muster.v1.event.access.>"],
        hears: &[],
    },
    Service {
        name: "muster-fleet",
        answers: &["Fleet", "Nodes", "Registrar", "Tags"],
        publishes: &[
            "muster.v1.dn.*.config",
            "muster.v1.event.fleet.>",
            "muster.v1.api.DocumentTags.*",
            "muster.v1.api.ParameterTags.*",
        ],
        hears: &[
            "muster.v1.register",
            "muster.v1.rpc.*.hello",
            "muster.v1.rpc.*.auth.renew",
            "muster.v1.rpc.*.auth.rotate",
            "muster.v1.up.*.hb",
        ],
    },
    Service {
        name: "muster-documents",
        answers: &["Documents", "DocumentTags", "DocumentValidation"],
        publishes: &["muster.v1.event.documents.>", "muster.v1.api.Nodes.GetNodeRole"],
        hears: &["muster.v1.rpc.*.doc.get"],
    },
    Service {
        name: "muster-parameter-store",
        answers: &["ParameterStore", "ParameterTags", "ParameterWatch", "Settings"],
        publishes: &[
            "muster.v1.event.parameter-store.>",
            "muster.v1.api.CommandSenders.GetSender",
            "muster.v1.api.Nodes.GetNodeRole",
        ],
        hears: &[
            "muster.v1.event.parameter-store.parameter.*",
            "muster.v1.rpc.*.param.get",
        ],
    },
    Service {
        name: "muster-run-command",
        answers: &["CommandSenders", "RunCommand", "RunCommandOutput", "RunCommandRollouts"],
        publishes: &[
            "muster.v1.dn.*.output",
            "muster.v1.event.run-command.>",
            "muster.v1.output.*.*",
            "muster.v1.output-seen.*.*",
            NOTIFICATIONS,
            "muster.v1.api.Documents.*",
            "muster.v1.api.DocumentTags.List",
            "muster.v1.api.Nodes.ResolveTargets",
            "muster.v1.api.FanOut.*",
        ],
        hears: &[
            "muster.v1.event.fleet.node.deregistered",
            "muster.v1.output-seen.*.*",
            "muster.v1.rpc.*.log.append",
            "muster.v1.up.*.output.*",
        ],
    },
    Service {
        name: "muster-fan-out",
        answers: &["FanOut"],
        publishes: &[
            "muster.v1.dn.*.work",
            "muster.v1.dn.*.cancel",
            "muster.v1.tag.*",
            "muster.v1.fanout.>",
            "muster.v1.api.RunCommandRollouts.*",
        ],
        hears: &[
            "muster.v1.fanout.>",
            "muster.v1.rpc.*.reply",
            "muster.v1.rpc.*.work.pull",
            "muster.v1.up.*.ack",
        ],
    },
    // `muster nats watch`, which has the keys of the accounts besides. It serves nobody.
    Service {
        name: "muster-watcher",
        answers: &[],
        publishes: &["muster.v1.api.Nodes.SyncRevocations"],
        hears: &[],
    },
];

impl Service {
    /// The service of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SERVICES.iter().find(|service| service.name == name)
    }

    /// The inboxes into which it may answer: of those who may ask it, and of nobody else. There is no leave to answer on
    /// any subject that a question names, since whoever asks may name what it likes.
    #[must_use]
    pub fn answers_into(&self) -> Vec<String> {
        let asked = self.asked();
        let is_asked_by_nodes = asked.iter().any(|subject| is_of_nodes(subject));
        let is_asked_across =
            !self.answers.is_empty() || asked.iter().any(|subject| CROSSING.contains(&subject.as_str()));
        let askers = SERVICES.iter().filter(|other| {
            let mut published = other.asks();
            published.any(|published| asked.iter().any(|asked| meet(published, asked)))
        });
        let nodes = is_asked_by_nodes.then(|| NODES.to_owned());
        let across = is_asked_across.then(|| ACROSS.to_owned());
        let services = askers.map(|other| below(&service_inbox(other.name)));
        nodes.into_iter().chain(services).chain(across).collect()
    }

    /// On which subjects it is asked something.
    fn asked(&self) -> Vec<String> {
        let operations = self.answers.iter().map(|name| format!("muster.v1.api.{name}.*"));
        let hears = self
            .hears
            .iter()
            .filter(|subject| !subject.starts_with("muster.v1.event."));
        operations.chain(hears.map(|subject| (*subject).to_owned())).collect()
    }

    /// Everything that it may publish.
    #[must_use]
    pub fn publish(&self) -> Vec<String> {
        let mut subjects: Vec<String> = self.asks().map(str::to_owned).collect();
        subjects.extend(self.answers_into());
        // Its own inbox too: what comes back from there has passed the broker.
        let own = below(&service_inbox(self.name));
        if !subjects.contains(&own) {
            subjects.push(own);
        }
        subjects
    }

    /// What it publishes besides answers.
    fn asks(&self) -> impl Iterator<Item = &'static str> {
        let decisions = DECISIONS.into_iter().filter(|_| self.decides());
        self.publishes.iter().copied().chain(decisions)
    }

    /// Whether it decides on callers by what `Access` knows of them.
    fn decides(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Everything that it may hear.
    #[must_use]
    pub fn subscribe(&self) -> Vec<String> {
        let mut subjects: Vec<String> = self.hears.iter().map(|subject| (*subject).to_owned()).collect();
        for name in self.answers {
            subjects.extend([
                format!("muster.v1.api.{name}.*"),
                format!("muster.v1.ops.api.{name}.*"),
                // Discovery of NATS services.
                format!("$SRV.*.{name}"),
                format!("$SRV.*.{name}.*"),
            ]);
        }
        if !self.answers.is_empty() {
            subjects.push("$SRV.*".to_owned());
        }
        if self.decides() {
            subjects.push(PRINCIPAL_CHANGED.to_owned());
        }
        subjects.push(below(&service_inbox(self.name)));
        subjects
    }

    /// The claims of its user, to be signed by the key for services of account `muster`.
    #[must_use]
    pub fn claims(&self, subject: PublicKey, muster: PublicKey, now: i64) -> Claims<UserClaims> {
        Claims {
            name: self.name.to_owned(),
            subject,
            issued_at: now,
            expires_at: None,
            body: UserClaims::with_permissions(
                muster,
                Permission::only(self.publish()),
                Permission::only(self.subscribe()),
            ),
        }
    }
}

/// Where other accounts ask, besides operations.
const CROSSING: [&str; 2] = ["muster.v1.register", "muster.v1.output-seen.*.*"];

/// Whether nodes publish there.
fn is_of_nodes(subject: &str) -> bool {
    ["muster.v1.rpc.", "muster.v1.up."]
        .iter()
        .any(|space| subject.starts_with(space))
}

/// Whether a subject can match both patterns.
fn meet(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(left), Some(right)) if left == right || left == "*" || right == "*" => {}
            _ => return false,
        }
    }
}

/// A user that speaks for any node, as the simulator does, which is many nodes on a few connections. For tests and
/// benchmarks only: `muster init` makes none.
#[must_use]
pub fn crowd(subject: PublicKey, muster: PublicKey, now: i64) -> Claims<UserClaims> {
    let name = "muster-agent-sim";
    Claims {
        name: name.to_owned(),
        subject,
        issued_at: now,
        expires_at: None,
        body: UserClaims::with_permissions(
            muster,
            Permission::only(["muster.v1.up.>", "muster.v1.rpc.>", "muster.v1.api.Nodes.RegisterNode"]),
            Permission::only([
                "muster.v1.dn.>".to_owned(),
                "muster.v1.tag.*".to_owned(),
                // Where services answer nodes; no node is called so.
                below(&node_inbox(name)),
            ]),
        ),
    }
}
