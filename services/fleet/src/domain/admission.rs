//! Whether an activation lets a machine in (fleet 9, step 4), for a group of machines one after the other. Pure: what
//! it finds comes from rows that the transaction has locked, and what it decides is written in the same one.

use std::collections::BTreeMap;

use super::claim;
use super::code::CodeHash;
use super::facts::Facts;
use super::identity::{Attributes, Evidence};
use super::tag;

/// Wrong codes in a row after which an activation is locked.
const WRONG_CODES: i64 = 10;
/// For how long, in microseconds.
const LOCK: i64 = 10 * 60 * 1_000_000;

/// A machine that wants to be a node and has shown that it holds its key.
#[derive(Debug, Clone)]
pub(crate) struct Applicant {
    pub(crate) activation_id: String,
    pub(crate) code: CodeHash,
    /// Names the installation of the agent.
    pub(crate) installation: String,
    /// Ask for a new node even if the machine is known.
    pub(crate) as_new: bool,
    pub(crate) key: String,
    /// A key that it has also shown to hold.
    pub(crate) former_key: Option<String>,
    /// Name and tags count for a new node only: later they are the operator's.
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) attributes: Attributes,
    pub(crate) facts: Facts,
    /// Where it asks from, as far as that is known; for the audit.
    pub(crate) source: String,
}

/// An activation as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) code_hash: String,
    pub(crate) registration_limit: i64,
    pub(crate) registrations_count: i64,
    pub(crate) expires_at: i64,
    pub(crate) is_deleted: bool,
    pub(crate) wrong_codes: i64,
    /// 0: not locked.
    pub(crate) locked_until: i64,
    /// Tags of nodes that register with it.
    pub(crate) tags: BTreeMap<String, String>,
}

/// A managed node that a machine may be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Candidate {
    pub(crate) node_id: String,
    /// Installations of the agent on it.
    pub(crate) installations: Vec<String>,
    pub(crate) attributes: Attributes,
    /// The keys it has: one, and while it changes it two.
    pub(crate) keys: Vec<String>,
    /// Whether it was heard of lately.
    pub(crate) is_online: bool,
    /// The fingerprint of the key to which an operator gave leave to take its place; empty: none.
    pub(crate) approved: String,
}

impl Candidate {
    /// What is known of the machine once the applicant is this node: with an operator's leave what it told, as all
    /// else was another machine's.
    pub(crate) fn parts_with(&self, applicant: &Applicant) -> Attributes {
        match has_leave(applicant, self) {
            true => applicant.attributes.clone(),
            false => applicant.attributes.over(&self.attributes),
        }
    }
}

/// Why a machine is not let in. For the audit only: the machine hears the same in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    Unknown,
    Deleted,
    Locked,
    WrongCode,
    Expired,
    UsedUp,
}

impl Denial {
    /// For logs and events.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Deleted => "deleted",
            Self::Locked => "locked",
            Self::WrongCode => "wrong-code",
            Self::Expired => "expired",
            Self::UsedUp => "used-up",
        }
    }
}

/// What becomes of an applicant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Denied {
        why: Denial,
        /// This was the wrong code that locked the activation.
        locks: bool,
    },
    /// It is a node that is online with another key: one of the two is a copy.
    Clone { node_id: String },
    /// It may be this node, which is silent; what speaks for it could also be told by another machine.
    Doubtful { node_id: String },
    /// The key is that of another node.
    ForeignKey,
    /// With the activation's tags it would have so many, which is more than a node can have.
    TooManyTags(usize),
    /// It is a node from now on, with these tags.
    New { tags: BTreeMap<String, String> },
    /// It is this node.
    Known { node_id: String },
}

/// Decides for one applicant, and changes the activation accordingly. `key_owner` is the node that has its key already.
pub(crate) fn decide(
    applicant: &Applicant,
    terms: Option<&mut Terms>,
    candidates: &[Candidate],
    key_owner: Option<&str>,
    now: i64,
) -> Verdict {
    let terms = match check(applicant, terms, now) {
        Ok(terms) => terms,
        Err((why, locks)) => return Verdict::Denied { why, locks },
    };
    let found = match applicant.as_new {
        // A new node has a new key. One that is known already comes from a machine that did not hear our answer.
        true => candidates.iter().find(|candidate| {
            key_owner == Some(candidate.node_id.as_str()) && candidate.installations.contains(&applicant.installation)
        }),
        false => match find(applicant, candidates) {
            Found::Nothing => None,
            Found::Sure(node) => Some(node),
            Found::Likely(node) => {
                return Verdict::Doubtful {
                    node_id: node.node_id.clone(),
                };
            }
        },
    };
    if let Some(owner) = key_owner
        && found.is_none_or(|found| found.node_id != owner)
    {
        return Verdict::ForeignKey;
    }
    let Some(found) = found else {
        if terms.registrations_count >= terms.registration_limit {
            return Verdict::Denied {
                why: Denial::UsedUp,
                locks: false,
            };
        }
        let tags = tags(&terms.tags, &applicant.tags);
        if tag::fits(tags.len()).is_err() {
            return Verdict::TooManyTags(tags.len());
        }
        terms.registrations_count += 1;
        return Verdict::New { tags };
    };
    let node_id = found.node_id.clone();
    let holds = |key: &String| *key == applicant.key || applicant.former_key.as_ref() == Some(key);
    let is_other = !found.keys.is_empty() && !found.keys.iter().any(holds);
    match is_other && found.is_online && !has_leave(applicant, found) {
        true => Verdict::Clone { node_id },
        false => Verdict::Known { node_id },
    }
}

fn check<'a>(applicant: &Applicant, terms: Option<&'a mut Terms>, now: i64) -> Result<&'a mut Terms, (Denial, bool)> {
    // First and in every case, so that it takes the same time.
    let is_right = applicant.code.is(terms.as_ref().map(|terms| terms.code_hash.as_str()));
    let terms = terms.ok_or((Denial::Unknown, false))?;
    if terms.is_deleted {
        return Err((Denial::Deleted, false));
    }
    if terms.locked_until > now {
        return Err((Denial::Locked, false));
    }
    if !is_right {
        terms.wrong_codes += 1;
        let locks = terms.wrong_codes >= WRONG_CODES;
        if locks {
            terms.wrong_codes = 0;
            terms.locked_until = now.saturating_add(LOCK);
        }
        return Err((Denial::WrongCode, locks));
    }
    terms.wrong_codes = 0;
    match terms.expires_at <= now {
        true => Err((Denial::Expired, false)),
        false => Ok(terms),
    }
}

/// Whether an operator said that this machine is that node.
fn has_leave(applicant: &Applicant, candidate: &Candidate) -> bool {
    candidate.approved == claim::of_key(&applicant.key)
}

/// The node that a machine is.
enum Found<'a> {
    Nothing,
    /// It may be this one.
    Likely(&'a Candidate),
    Sure(&'a Candidate),
}

/// By an operator's word, or by the state directory if the parts do not contradict, otherwise by the parts.
fn find<'a>(applicant: &Applicant, candidates: &'a [Candidate]) -> Found<'a> {
    if let Some(approved) = candidates.iter().find(|candidate| has_leave(applicant, candidate)) {
        return Found::Sure(approved);
    }
    let own = candidates.iter().find(|candidate| {
        let is_own = candidate.installations.contains(&applicant.installation);
        is_own && applicant.attributes.continues(&candidate.attributes)
    });
    let best = candidates
        .iter()
        .filter(|candidate| !candidate.installations.contains(&applicant.installation))
        .filter_map(|candidate| Some((applicant.attributes.evidence(&candidate.attributes)?, candidate)))
        .max_by(|(one, first), (other, second)| one.cmp(other).then_with(|| second.node_id.cmp(&first.node_id)));
    match (own, best) {
        (Some(own), _) => Found::Sure(own),
        (None, Some((Evidence::Enough(_), node))) => Found::Sure(node),
        (None, Some((Evidence::Some(_), node))) => Found::Likely(node),
        (None, None) => Found::Nothing,
    }
}

/// Tags of a new node: those of its activation, and of the machine's own those with other keys.
fn tags(of_activation: &BTreeMap<String, String>, of_machine: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut tags = of_machine.clone();
    tags.extend(of_activation.clone());
    tags
}

#[cfg(test)]
mod tests;
