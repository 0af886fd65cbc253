//! The accounts: what each may use, gives and takes.

use std::collections::BTreeMap;

use crate::claims::{AccountClaims, AccountLimits, Claims, Crossing, Export, Import, OperatorClaims, SigningKey};
use crate::{Key, KeyKind, PublicKey};

use super::NOTIFICATIONS;

/// Machines that register at once: more are told to come again, and no node feels it.
const BOOT_CONNECTIONS: i64 = 200;
/// A registration is short.
const BOOT_PAYLOAD: i64 = 16 * 1024;

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// The servers' own.
    System,
    /// Services and nodes.
    Muster,
    /// Machines that register.
    Boot,
    /// People and their programs.
    Ops,
}

/// All of them.
pub const ACCOUNTS: [Account; 4] = [Account::System, Account::Muster, Account::Boot, Account::Ops];

impl Account {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "SYS",
            Self::Muster => "MUSTER",
            Self::Boot => "BOOT",
            Self::Ops => "OPS",
        }
    }
}

/// Their public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// The servers' own.
    pub system: PublicKey,
    /// Services and nodes.
    pub muster: PublicKey,
    /// Machines that register.
    pub boot: PublicKey,
    /// People and their programs.
    pub ops: PublicKey,
}

/// Who signs users of `MUSTER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeys {
    /// Signs services.
    pub services: PublicKey,
    /// Sign nodes: one, and while it is being changed two.
    pub nodes: Vec<PublicKey>,
}

impl Accounts {
    /// The key of an account.
    #[must_use]
    pub fn key(&self, account: Account) -> &PublicKey {
        match account {
            Account::System => &self.system,
            Account::Muster => &self.muster,
            Account::Boot => &self.boot,
            Account::Ops => &self.ops,
        }
    }

    /// The operator's own claims.
    #[must_use]
    pub fn operator(&self, operator: &Key, now: i64) -> Claims<OperatorClaims> {
        Claims {
            name: "muster".to_owned(),
            subject: operator.public().clone(),
            issued_at: now,
            expires_at: None,
            body: OperatorClaims {
                system_account: self.system.clone(),
            },
        }
    }

    /// The claims of an account, to be signed by the operator.
    #[must_use]
    pub fn claims(&self, account: Account, signers: &SigningKeys, now: i64) -> Claims<AccountClaims> {
        Claims {
            name: account.name().to_owned(),
            subject: self.key(account).clone(),
            issued_at: now,
            expires_at: None,
            body: match account {
                Account::System => AccountClaims::default(),
                Account::Muster => muster(signers),
                Account::Boot => self.boot(),
                Account::Ops => self.ops(),
            },
        }
    }

    fn boot(&self) -> AccountClaims {
        AccountClaims {
            limits: AccountLimits {
                connections: BOOT_CONNECTIONS,
                payload: BOOT_PAYLOAD,
                ..AccountLimits::default()
            },
            imports: vec![self.question("registration", "muster.v1.register", Some("register"))],
            ..AccountClaims::default()
        }
    }

    fn ops(&self) -> AccountClaims {
        AccountClaims {
            imports: vec![
                self.question("operations", "muster.v1.ops.api.>", Some("muster.v1.api.>")),
                self.question("what a listener has seen", "muster.v1.output-seen.*.*", None),
                self.messages("events", "muster.v1.event.>"),
                self.messages("output", "muster.v1.output.*.*"),
                self.messages("notifications", NOTIFICATIONS),
            ],
            ..AccountClaims::default()
        }
    }

    fn question(&self, name: &str, subject: &str, here: Option<&str>) -> Import {
        Import {
            name: name.to_owned(),
            subject: subject.to_owned(),
            account: self.muster.clone(),
            local_subject: here.map(str::to_owned),
            crossing: Crossing::Service,
            share: true,
        }
    }

    fn messages(&self, name: &str, subject: &str) -> Import {
        Import {
            crossing: Crossing::Stream,
            share: false,
            ..self.question(name, subject, None)
        }
    }
}

fn muster(signers: &SigningKeys) -> AccountClaims {
    let export = |name: &str, subject: &str, crossing| Export {
        name: name.to_owned(),
        subject: subject.to_owned(),
        crossing,
        response_type: (crossing == Crossing::Service).then(|| "Singleton".to_owned()),
    };
    let scoped = signers.nodes.iter().cloned().map(super::scope);
    AccountClaims {
        exports: vec![
            export("registration", "muster.v1.register", Crossing::Service),
            export("operations", "muster.v1.ops.api.>", Crossing::Service),
            export(
                "what a listener has seen",
                "muster.v1.output-seen.*.*",
                Crossing::Service,
            ),
            export("events", "muster.v1.event.>", Crossing::Stream),
            export("output", "muster.v1.output.*.*", Crossing::Stream),
            export("notifications", NOTIFICATIONS, Crossing::Stream),
        ],
        limits: AccountLimits::default().with_jetstream(),
        signing_keys: std::iter::once(SigningKey::Plain(signers.services.clone()))
            .chain(scoped.map(SigningKey::Scoped))
            .collect(),
        ..AccountClaims::default()
    }
}

/// The claims to push: those of the layout, with the revocations that the server knows and that still matter, since a
/// list that forgets one lets somebody in again.
///
/// A revocation older than the longest life of a user's claims, `longest_life` seconds, throws nobody out any more.
#[must_use]
pub fn carried_over(
    mut wanted: Claims<AccountClaims>,
    known: &AccountClaims,
    longest_life: i64,
) -> Claims<AccountClaims> {
    let now = wanted.issued_at;
    for (user, at) in &known.revocations {
        if at.saturating_add(longest_life) >= now {
            let entry = wanted.body.revocations.entry(user.clone()).or_insert(*at);
            *entry = (*entry).max(*at);
        }
    }
    wanted
}

/// The account as the server has it, with these revocations besides, or later, and without those of the keys that are
/// `over`.
#[must_use]
pub fn revoked(
    mut known: Claims<AccountClaims>,
    missing: &BTreeMap<String, i64>,
    over: &[String],
    now: i64,
) -> Claims<AccountClaims> {
    known.issued_at = now;
    let revocations = &mut known.body.revocations;
    revocations.retain(|key, _| !over.contains(key));
    for (key, at) in missing {
        let entry = revocations.entry(key.clone()).or_insert(*at);
        *entry = (*entry).max(*at);
    }
    known
}

impl Accounts {
    /// New keys for all accounts, with their secret halves in the order of [`ACCOUNTS`].
    #[must_use]
    pub fn generate() -> (Self, [Key; 4]) {
        let keys = [(); 4].map(|()| Key::generate(KeyKind::Account));
        (Self::of(&keys), keys)
    }

    /// The public halves of keys in the order of [`ACCOUNTS`].
    #[must_use]
    pub fn of(keys: &[Key; 4]) -> Self {
        let [system, muster, boot, ops] = keys.each_ref().map(|key| key.public().clone());
        Self {
            system,
            muster,
            boot,
            ops,
        }
    }
}
