//! What each service may publish and hear in account `MUSTER`. This table is the only place that says so.

use std::time::Duration;

use crate::PublicKey;
use crate::claims::{Answers, Claims, Permission, UserClaims};

use super::{inbox, inboxes};

/// Where run-command publishes notifications for sinks on NATS; `OPS` hears them.
pub const NOTIFICATIONS: &str = "notify.>";

/// How often a service may answer on one reply subject. A question may match several subscriptions of a connection,
/// and each match counts (fleet 8): three services of one process hear `$SRV.PING`.
const ANSWERS: i64 = 8;
/// How long a service may take to answer; no call takes longer.
const ANSWER_TIME: Duration = Duration::from_secs(60);

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
        hears: &["muster.v1.event.access.principal.changed"],
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
            "muster.v1.up.*.hb",
        ],
    },
    Service {
        name: "muster-documents",
        answers: &["Documents", "DocumentTags", "DocumentValidation"],
        publishes: &["muster.v1.event.documents.>"],
        hears: &["muster.v1.rpc.*.doc.get"],
    },
    Service {
        name: "muster-parameter-store",
        answers: &["ParameterStore", "ParameterTags"],
        publishes: &["muster.v1.event.parameter-store.>"],
        hears: &[],
    },
    Service {
        name: "muster-run-command",
        answers: &["RunCommand", "RunCommandOutput", "RunCommandRollouts"],
        publishes: &[
            "muster.v1.dn.*.output",
            "muster.v1.event.run-command.>",
            "muster.v1.output.*",
            "muster.v1.output-seen.*",
            NOTIFICATIONS,
            "muster.v1.api.Documents.*",
            "muster.v1.api.Nodes.ResolveTargets",
            "muster.v1.api.FanOut.*",
        ],
        hears: &[
            "muster.v1.event.fleet.node.deregistered",
            "muster.v1.output-seen.*",
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
            "muster.v1.api.RunCommandRollouts.Record",
        ],
        hears: &[
            "muster.v1.fanout.>",
            "muster.v1.rpc.*.reply",
            "muster.v1.rpc.*.work.pull",
            "muster.v1.up.*.ack",
        ],
    },
];

impl Service {
    /// The service of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SERVICES.iter().find(|service| service.name == name)
    }

    /// Everything that it may publish, besides answers.
    #[must_use]
    pub fn publish(&self) -> Vec<String> {
        // Its own inbox too: what comes back from there has passed the broker.
        let own = [inboxes(self.name)];
        self.publishes
            .iter()
            .map(|subject| (*subject).to_owned())
            .chain(own)
            .collect()
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
        subjects.push(inboxes(self.name));
        subjects
    }

    /// The claims of its user, to be signed by the key for services of account `muster`.
    #[must_use]
    pub fn claims(&self, subject: PublicKey, muster: PublicKey, now: i64) -> Claims<UserClaims> {
        let ttl = i64::try_from(ANSWER_TIME.as_nanos()).unwrap_or(i64::MAX);
        let permissions = UserClaims::with_permissions(
            muster,
            Permission::only(self.publish()),
            Permission::only(self.subscribe()),
        );
        Claims {
            name: self.name.to_owned(),
            subject,
            issued_at: now,
            expires_at: None,
            body: UserClaims {
                // Who is asked nothing needs no leave to answer.
                answers: (!self.answers.is_empty()).then_some(Answers { max: ANSWERS, ttl }),
                ..permissions
            },
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
                format!("{}.>", inbox(name)),
            ]),
        ),
    }
}
