//! Registrations by activation, many at a time: one transaction that locks the activations, decides and writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use muster_model::NodeId;
use muster_store::{Column, Db, StoreError, json, transact};

use crate::domain::admission::{Applicant, Candidate, Terms, Verdict, decide};
use crate::domain::claim::of_key;
use crate::domain::identity::{Attributes, Kind};
use crate::store::claim;
use crate::store::hello::{FACTS_COLUMNS, UPDATE_FACTS, facts_row};
use crate::store::register::{
    INSERT_NODES, INSERT_PRESENCE, INSERT_TAGS, KEY_COLUMNS, MACHINE_COLUMNS, NODE_COLUMNS, TAG_COLUMNS, TAKE,
};

/// What became of an applicant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) verdict: Verdict,
    /// The node that the machine is; none if it was not let in.
    pub(crate) node_id: Option<String>,
}

// In the order of the ids, so that two replicas never wait for each other. SQLite has one writer at a time.
const TERMS: &str = "
    select a.activation_id, a.code_hash, a.registration_limit, a.registrations_count, a.expires_at,
        a.deleted_at is not null, a.wrong_codes, a.locked_until, a.tags, a.iam_role, a.default_instance_name
    from {rows} as r join activation as a on a.activation_id = r.activation_id
    order by a.activation_id";
const TERMS_LOCKED: &str = "
    select a.activation_id, a.code_hash, a.registration_limit, a.registrations_count, a.expires_at,
        a.deleted_at is not null, a.wrong_codes, a.locked_until, a.tags, a.iam_role, a.default_instance_name
    from {rows} as r join activation as a on a.activation_id = r.activation_id
    order by a.activation_id for update of a";
const ID: [Column; 1] = [Column::Text("activation_id")];
const UPDATE_TERMS: &str = "
    update activation set registrations_count = r.registrations_count, wrong_codes = r.wrong_codes,
        locked_until = r.locked_until
    from {rows} as r where activation.activation_id = r.activation_id";
const TERMS_COLUMNS: [Column; 4] = [
    Column::Text("activation_id"),
    Column::BigInt("registrations_count"),
    Column::BigInt("wrong_codes"),
    Column::BigInt("locked_until"),
];

const BY_INSTALLATION: &str = "
    select m.node_id from {rows} as r join machine as m on m.machine_identity = r.machine_identity";
// In the order in which a node that is put out is written: machines, then nodes.
const BY_INSTALLATION_LOCKED: &str = "
    select m.node_id from {rows} as r join machine as m on m.machine_identity = r.machine_identity
    order by m.machine_identity for update of m";
const INSTALLATION: [Column; 1] = [Column::Text("machine_identity")];
// The system's own id is on all copies of an image, and never enough: it would find a whole fleet.
const BY_ATTRIBUTE: &str = "
    select a.node_id from {rows} as r join machine_attribute as a on a.kind = r.kind and a.hash = r.hash";
const ATTRIBUTE: [Column; 2] = [Column::Text("kind"), Column::Text("hash")];
const NODES: &str = "
    select n.node_id, p.last_ping, n.approved
    from {rows} as r join node as n on n.node_id = r.node_id join presence as p on p.node_id = n.node_id
    where n.deregistered_at is null";
// A node that is put out in this moment is waited for, and is none of them then.
const NODES_LOCKED: &str = "
    select n.node_id, p.last_ping, n.approved
    from {rows} as r join node as n on n.node_id = r.node_id join presence as p on p.node_id = n.node_id
    where n.deregistered_at is null
    order by n.node_id for update of n";
const INSTALLATIONS: &str = "
    select m.node_id, m.machine_identity from {rows} as r join machine as m on m.node_id = r.node_id";
const ATTRIBUTES: &str = "
    select a.node_id, a.kind, a.hash from {rows} as r join machine_attribute as a on a.node_id = r.node_id";
const KEYS: &str = "
    select k.node_id, k.public_key from {rows} as r join node_key as k on k.node_id = r.node_id
    where k.retired_at is null";
const KEY_OWNERS: &str = "
    select k.public_key, k.node_id from {rows} as r join node_key as k on k.public_key = r.public_key";
const KEY: [Column; 1] = [Column::Text("public_key")];
const NODE: [Column; 1] = [Column::Text("node_id")];

// An operator's leave is used up by using it. The role of a node follows the activation that let it in last.
const BELONG: &str = "
    update node set
        iam_role = case when node.activation_id = r.activation_id then node.iam_role else r.iam_role end,
        activation_id = r.activation_id, approved = '', concern = ''
    from {rows} as r where node.node_id = r.node_id";
const BELONG_COLUMNS: [Column; 3] = [
    Column::Text("node_id"),
    Column::Text("activation_id"),
    Column::Text("iam_role"),
];
const FORGET_ATTRIBUTES: &str = "
    delete from machine_attribute where node_id in (select r.node_id from {rows} as r)";
const INSERT_ATTRIBUTES: &str = "
    insert into machine_attribute (node_id, kind, hash) select r.node_id, r.kind, r.hash from {rows} as r";
const ATTRIBUTE_COLUMNS: [Column; 3] = [Column::Text("node_id"), Column::Text("kind"), Column::Text("hash")];
const RETIRE_KEYS: &str = "
    update node_key set retired_at = r.at from {rows} as r
    where node_key.node_id = r.node_id and node_key.public_key <> r.public_key and node_key.retired_at is null";
const INSERT_KEYS: &str = "
    insert into node_key (public_key, node_id, created_at)
    select r.public_key, r.node_id, r.at from {rows} as r where true
    on conflict (public_key) do update set retired_at = null, offered_until = null";
const FORGET_CLAIMS: &str = "
    delete from node_claim where node_id in (select r.node_id from {rows} as r)";
const CONCERN: &str = "
    update node set concern = r.concern from {rows} as r where node.node_id = r.node_id";

type TermsRow = (String, String, i64, i64, i64, bool, i64, i64, String, String, String);

/// Lets machines in, or not, in one transaction; the answers are in the order of the questions.
/// No installation may stand in the group twice. Who was heard of after `cutoff` is online.
///
/// # Errors
/// If the database does not take it; then nothing has changed.
pub(crate) async fn admit(
    db: &Db,
    applicants: &[Applicant],
    now: i64,
    cutoff: i64,
) -> Result<Vec<Admitted>, StoreError> {
    let asked = Asked::of(applicants);
    transact!(db, tx => {
        let (terms, installations, found) = match db {
            Db::Sqlite(_) => (TERMS, BY_INSTALLATION, NODES),
            Db::Postgres(_) => (TERMS_LOCKED, BY_INSTALLATION_LOCKED, NODES_LOCKED),
        };
        let terms: Vec<TermsRow> =
            sqlx::query_as(db.with_rows(terms, &ID)).bind(&asked.activations).fetch_all(&mut *tx).await?;
        let mut nodes: BTreeSet<String> = BTreeSet::new();
        for (sql, columns, rows) in [
            (installations, INSTALLATION.as_slice(), &asked.installations),
            (BY_ATTRIBUTE, ATTRIBUTE.as_slice(), &asked.attributes),
        ] {
            let found: Vec<String> =
                sqlx::query_scalar(db.with_rows(sql, columns)).bind(rows).fetch_all(&mut *tx).await?;
            nodes.extend(found);
        }
        let ids: Vec<_> = nodes.into_iter().map(|node_id| (node_id,)).collect();
        let ids = json(&ids);
        let nodes: Vec<(String, i64, String)> =
            sqlx::query_as(db.with_rows(found, &NODE)).bind(&ids).fetch_all(&mut *tx).await?;
        let installations: Vec<(String, String)> =
            sqlx::query_as(db.with_rows(INSTALLATIONS, &NODE)).bind(&ids).fetch_all(&mut *tx).await?;
        let attributes: Vec<(String, String, String)> =
            sqlx::query_as(db.with_rows(ATTRIBUTES, &NODE)).bind(&ids).fetch_all(&mut *tx).await?;
        let keys: Vec<(String, String)> =
            sqlx::query_as(db.with_rows(KEYS, &NODE)).bind(&ids).fetch_all(&mut *tx).await?;
        let owners: Vec<(String, String)> =
            sqlx::query_as(db.with_rows(KEY_OWNERS, &KEY)).bind(&asked.keys).fetch_all(&mut *tx).await?;

        let found = Found { terms, nodes, installations, attributes, keys, owners };
        let plan = Plan::of(applicants, found, now, cutoff)?;
        for (sql, columns, rows) in [
            (UPDATE_TERMS, TERMS_COLUMNS.as_slice(), &plan.terms),
            (TAKE, MACHINE_COLUMNS.as_slice(), &plan.machines),
            (INSERT_NODES, NODE_COLUMNS.as_slice(), &plan.nodes),
            (INSERT_PRESENCE, NODE_COLUMNS.as_slice(), &plan.nodes),
            (BELONG, BELONG_COLUMNS.as_slice(), &plan.belonging),
            (UPDATE_FACTS, FACTS_COLUMNS.as_slice(), &plan.facts),
            (INSERT_TAGS, TAG_COLUMNS.as_slice(), &plan.tags),
            (FORGET_ATTRIBUTES, BELONG_COLUMNS.as_slice(), &plan.belonging),
            (FORGET_CLAIMS, BELONG_COLUMNS.as_slice(), &plan.belonging),
            (INSERT_ATTRIBUTES, ATTRIBUTE_COLUMNS.as_slice(), &plan.attributes),
            (RETIRE_KEYS, KEY_COLUMNS.as_slice(), &plan.keys),
            (INSERT_KEYS, KEY_COLUMNS.as_slice(), &plan.keys),
            (CONCERN, claim::COLUMNS.as_slice(), &plan.claims),
            (claim::INSERT, claim::COLUMNS.as_slice(), &plan.claims),
            (claim::PRUNE, claim::COLUMNS.as_slice(), &plan.claims),
        ] {
            sqlx::query(db.with_rows(sql, columns)).bind(rows).execute(&mut *tx).await?;
        }
        Ok(plan.answers)
    })
}

/// What a group asks for, as rows.
struct Asked {
    activations: String,
    installations: String,
    attributes: String,
    keys: String,
}

impl Asked {
    fn of(applicants: &[Applicant]) -> Self {
        let activations: BTreeSet<_> = applicants.iter().map(|each| (&each.activation_id,)).collect();
        let installations: Vec<_> = applicants.iter().map(|each| (&each.installation,)).collect();
        let attributes: BTreeSet<_> = applicants
            .iter()
            .flat_map(|each| each.attributes.0.iter())
            .filter(|(kind, _)| **kind != Kind::MachineId)
            .map(|(kind, hash)| (kind.word(), hash))
            .collect();
        let keys: BTreeSet<_> = applicants.iter().map(|each| (&each.key,)).collect();
        Self {
            activations: json(&activations.into_iter().collect::<Vec<_>>()),
            installations: json(&installations),
            attributes: json(&attributes.into_iter().collect::<Vec<_>>()),
            keys: json(&keys.into_iter().collect::<Vec<_>>()),
        }
    }
}

/// What the database has about it.
struct Found {
    terms: Vec<TermsRow>,
    /// With the time of the last sign of life, and to whom an operator gave leave.
    nodes: Vec<(String, i64, String)>,
    installations: Vec<(String, String)>,
    attributes: Vec<(String, String, String)>,
    keys: Vec<(String, String)>,
    owners: Vec<(String, String)>,
}

impl Found {
    fn candidates(&self, cutoff: i64) -> Vec<Candidate> {
        let mut candidates: BTreeMap<&str, Candidate> = BTreeMap::new();
        for (node_id, last_ping, approved) in &self.nodes {
            let candidate = Candidate {
                node_id: node_id.clone(),
                is_online: *last_ping > cutoff,
                approved: approved.clone(),
                ..Candidate::default()
            };
            candidates.insert(node_id, candidate);
        }
        for (node_id, installation) in &self.installations {
            if let Some(candidate) = candidates.get_mut(node_id.as_str()) {
                candidate.installations.push(installation.clone());
            }
        }
        for (node_id, kind, hash) in &self.attributes {
            if let (Some(candidate), Some(kind)) = (candidates.get_mut(node_id.as_str()), Kind::from_word(kind)) {
                candidate.attributes.0.insert(kind, hash.clone());
            }
        }
        for (node_id, key) in &self.keys {
            if let Some(candidate) = candidates.get_mut(node_id.as_str()) {
                candidate.keys.push(key.clone());
            }
        }
        candidates.into_values().collect()
    }
}

/// What a group of applicants comes to.
struct Plan {
    answers: Vec<Admitted>,
    terms: String,
    machines: String,
    nodes: String,
    belonging: String,
    facts: String,
    tags: String,
    attributes: String,
    keys: String,
    claims: String,
}

impl Plan {
    fn of(applicants: &[Applicant], found: Found, now: i64, cutoff: i64) -> Result<Self, StoreError> {
        let mut candidates = found.candidates(cutoff);
        let mut owners: HashMap<String, String> = found.owners.into_iter().collect();
        let mut activations = HashMap::new();
        for row in found.terms {
            let activation = Activation::of(row)?;
            activations.insert(activation.activation_id.clone(), activation);
        }
        let mut rows = Rows::default();
        let mut answers = Vec::with_capacity(applicants.len());
        for applicant in applicants {
            let activation = activations.get_mut(&applicant.activation_id);
            let (terms, about) = activation.map(|found| (&mut found.terms, &found.about)).unzip();
            let owner = owners.get(&applicant.key).map(String::as_str);
            let verdict = decide(applicant, terms, &candidates, owner, now);
            let node_id = match &verdict {
                Verdict::New { .. } => Some(NodeId::random().to_string()),
                Verdict::Known { node_id } => Some(node_id.clone()),
                Verdict::Clone { node_id } => {
                    rows.claim(applicant, node_id, "Clone", now);
                    None
                }
                Verdict::Doubtful { node_id } => {
                    rows.claim(applicant, node_id, "Doubtful", now);
                    None
                }
                Verdict::Denied { .. } | Verdict::ForeignKey | Verdict::TooManyTags(_) => None,
            };
            if let (Some(node_id), Some(about)) = (&node_id, about) {
                let known = candidates.iter().find(|candidate| candidate.node_id == *node_id);
                let parts = known.map_or_else(|| applicant.attributes.clone(), |known| known.parts_with(applicant));
                rows.admit(applicant, &verdict, node_id, about, &parts, now);
                remember(&mut candidates, applicant, node_id, parts);
                owners.insert(applicant.key.clone(), node_id.clone());
            }
            answers.push(Admitted { verdict, node_id });
        }
        let terms: Vec<_> = activations
            .values()
            .map(
                |Activation {
                     activation_id, terms, ..
                 }| {
                    (
                        activation_id,
                        terms.registrations_count,
                        terms.wrong_codes,
                        terms.locked_until,
                    )
                },
            )
            .collect();
        Ok(Self {
            answers,
            terms: json(&terms),
            machines: json(&rows.machines),
            nodes: json(&rows.nodes),
            belonging: json(&rows.belonging),
            facts: json(&rows.facts),
            tags: json(&rows.tags),
            attributes: json(&rows.attributes),
            keys: json(&rows.keys),
            claims: json(&rows.claims),
        })
    }
}

/// Whoever comes later in the group finds the machine as it is now.
fn remember(candidates: &mut Vec<Candidate>, applicant: &Applicant, node_id: &str, parts: Attributes) {
    let at = candidates.iter().position(|candidate| candidate.node_id == node_id);
    let mut candidate = at.map(|at| candidates.swap_remove(at)).unwrap_or_default();
    candidate.node_id = node_id.to_owned();
    candidate.installations.push(applicant.installation.clone());
    candidate.attributes = parts;
    candidate.keys = vec![applicant.key.clone()];
    // It is there: it has just spoken.
    candidate.is_online = true;
    candidate.approved = String::new();
    candidates.push(candidate);
}

struct Activation {
    activation_id: String,
    terms: Terms,
    about: About,
}

/// What nodes get from an activation besides tags.
struct About {
    iam_role: String,
    default_instance_name: String,
}

impl Activation {
    fn of(row: TermsRow) -> Result<Self, StoreError> {
        let (activation_id, code_hash, limit, count, expires_at, is_deleted, wrong, locked, tags, role, name) = row;
        Ok(Self {
            activation_id,
            terms: Terms {
                code_hash,
                registration_limit: limit,
                registrations_count: count,
                expires_at,
                is_deleted,
                wrong_codes: wrong,
                locked_until: locked,
                tags: serde_json::from_str(&tags).map_err(StoreError::corrupt)?,
            },
            about: About {
                iam_role: role,
                default_instance_name: name,
            },
        })
    }
}

#[derive(Default)]
struct Rows<'a> {
    machines: Vec<(&'a str, String)>,
    nodes: Vec<(String, String, i64)>,
    belonging: Vec<(String, &'a str, String)>,
    facts: Vec<[String; 12]>,
    tags: Vec<(String, String, String)>,
    attributes: Vec<(String, &'static str, String)>,
    keys: Vec<(String, &'a str, i64)>,
    claims: Vec<(String, String, &'static str, &'a str, i64)>,
}

impl<'a> Rows<'a> {
    /// An operator is asked whether the applicant is that node.
    fn claim(&mut self, applicant: &'a Applicant, node_id: &str, concern: &'static str, now: i64) {
        let fingerprint = of_key(&applicant.key);
        // One key asks for a node once.
        self.claims
            .retain(|(node, print, ..)| node != node_id || *print != fingerprint);
        self.claims
            .push((node_id.to_owned(), fingerprint, concern, &applicant.source, now));
    }

    fn admit(
        &mut self,
        applicant: &'a Applicant,
        verdict: &Verdict,
        node_id: &str,
        about: &About,
        parts: &Attributes,
        now: i64,
    ) {
        let id = || node_id.to_owned();
        // Of a machine that asks twice in a group the last answer is what it is.
        self.keys.retain(|(node, _, _)| node != node_id);
        self.attributes.retain(|(node, _, _)| node != node_id);
        self.belonging.retain(|(node, _, _)| node != node_id);
        self.facts.retain(|facts| facts[0] != node_id);
        if let Verdict::New { tags } = verdict {
            let name = match applicant.name.as_str() {
                "" => &about.default_instance_name,
                name => name,
            };
            self.nodes.push((id(), name.to_owned(), now));
            self.tags
                .extend(tags.iter().map(|(key, value)| (id(), key.clone(), value.clone())));
        }
        self.machines.push((&applicant.installation, id()));
        self.belonging
            .push((id(), &applicant.activation_id, about.iam_role.clone()));
        self.facts.push(facts_row(node_id, &applicant.facts).map(str::to_owned));
        let known = parts.0.iter();
        self.attributes
            .extend(known.map(|(kind, hash)| (id(), kind.word(), hash.clone())));
        self.keys.push((id(), &applicant.key, now));
    }
}
