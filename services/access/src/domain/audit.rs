//! The audit log as a chain: each record's hash covers the hash of the record before it and all of its own content.
//!
//! Who changes, removes, inserts or moves a record would have to change the hashes of all that follow, and the log's
//! ends are sealed with a key that is not in the tables (`Ends::seal`).

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::secret::SealingKey;

/// Says which form is hashed; another one has another first line.
const FORM: &[u8] = b"muster audit record 1\n";
const FORM_WITH_DETAILS: &[u8] = b"muster audit record 2\n";
const FORM_OF_ENDS: &[u8] = b"muster audit ends 1\n";
const FORM_OF_KEY: &[u8] = b"muster audit sealing key 1\n";

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first record is chained to.
    pub const NONE: Self = Self([0; 32]);

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        // One spelling only, so that a stored hash cannot be changed without being another one.
        let hash = Self(bytes);
        (hash.to_string() == text).then_some(hash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a record says. Never a secret, and never the value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Microseconds since 1970.
    pub time: i64,
    /// Who: an ARN.
    pub principal: String,
    /// With which access key; empty where it was none.
    pub access_key_id: String,
    /// By which surface: `aws-json`, `grpc`, `nats`, `node`, `local`.
    pub surface: String,
    /// From where; empty where that is not known.
    pub source_ip: String,
    /// What: `ssm:SendCommand`.
    pub action: String,
    /// To what: an ARN, or `*`.
    pub resource: String,
    /// `Allow`, `ExplicitDeny` or `ImplicitDeny`.
    pub decision: String,
    /// The statements that made it so.
    pub statements: Vec<String>,
    /// The request's id, as the caller knows it.
    pub request_id: String,
    /// What else is known: `version=3`.
    pub details: Vec<String>,
}

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// From 1, without a gap.
    pub sequence: i64,
    /// What it says.
    pub entry: Entry,
    /// Over the hash before it, the number and the entry.
    pub hash: Hash,
}

/// A place between two records: the number and the hash of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Number of the last record before this place; 0 before the first.
    pub sequence: i64,
    /// Its hash.
    pub hash: Hash,
}

impl Link {
    /// Before the first record.
    pub const START: Self = Self {
        sequence: 0,
        hash: Hash::NONE,
    };

    /// The record that says this, at this place.
    #[must_use]
    pub fn next(&self, entry: Entry) -> Record {
        let sequence = self.sequence + 1;
        Record {
            sequence,
            hash: hash(&self.hash, sequence, &entry),
            entry,
        }
    }
}

impl Record {
    /// The place behind it.
    #[must_use]
    pub fn link(&self) -> Link {
        Link {
            sequence: self.sequence,
            hash: self.hash,
        }
    }
}

/// The records that say this, one behind the other, and the place behind them.
pub(crate) fn chain(after: Link, entries: Vec<Entry>) -> (Vec<Record>, Link) {
    let mut end = after;
    let records = entries.into_iter().map(|entry| {
        let record = end.next(entry);
        end = record.link();
        record
    });
    let records: Vec<_> = records.collect();
    (records, end)
}

/// Every part with its length before it, so that no two contents have one form.
fn hash(before: &Hash, sequence: i64, entry: &Entry) -> Hash {
    let mut hasher = Sha256::new();
    // Records from before there were details keep their hashes.
    hasher.update(if entry.details.is_empty() {
        FORM
    } else {
        FORM_WITH_DETAILS
    });
    hasher.update(before.0);
    hasher.update(sequence.to_be_bytes());
    hasher.update(entry.time.to_be_bytes());
    let mut put = |text: &str| {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    };
    for text in [
        &entry.principal,
        &entry.access_key_id,
        &entry.surface,
        &entry.source_ip,
        &entry.action,
        &entry.resource,
        &entry.decision,
        &entry.request_id,
    ] {
        put(text);
    }
    put(&entry.statements.len().to_string());
    for statement in &entry.statements {
        put(statement);
    }
    if !entry.details.is_empty() {
        put(&entry.details.len().to_string());
        for detail in &entry.details {
            put(detail);
        }
    }
    Hash(hasher.finalize().into())
}

/// The ends of a log: what was before the first record that is there, and the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) anchor: Link,
    pub(crate) last: Link,
}

impl Ends {
    /// Of a log without records.
    pub(crate) const START: Self = Self {
        anchor: Link::START,
        last: Link::START,
    };

    fn mac(&self, key: &SealingKey) -> Hmac<Sha256> {
        let new = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        let mut own = new(key.bytes());
        own.update(FORM_OF_KEY);
        let mut mac = new(&own.finalize().into_bytes());
        mac.update(FORM_OF_ENDS);
        for link in [&self.anchor, &self.last] {
            mac.update(&link.sequence.to_be_bytes());
            mac.update(&link.hash.0);
        }
        mac
    }

    /// What only the holder of the key can make of them.
    pub(crate) fn seal(&self, key: &SealingKey) -> String {
        hex::encode(self.mac(key).finalize().into_bytes())
    }

    /// Whether the holder of the key made this seal.
    pub(crate) fn is_sealed(&self, key: &SealingKey, seal: &str) -> bool {
        hex::decode(seal).is_ok_and(|seal| self.mac(key).verify_slice(&seal).is_ok())
    }
}

/// Where a log is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A record is not there, or stands elsewhere.
    #[error("record {sequence} is missing: record {found} comes where it belongs")]
    Gap {
        /// The number that should have come.
        sequence: i64,
        /// The number that came.
        found: i64,
    },
    /// The hash does not fit.
    #[error("record {sequence} is not what was written: it was changed or put in, or the one before it was replaced")]
    Altered {
        /// The record.
        sequence: i64,
    },
    /// Records at the end are gone.
    #[error("record {sequence} is missing, and all behind it to {last}")]
    Cut {
        /// The first that is missing.
        sequence: i64,
        /// The last that was written.
        last: i64,
    },
    /// Records stand behind the last one that was written.
    #[error("record {sequence} was put in behind the last one that was written, {last}")]
    Beyond {
        /// The first of them.
        sequence: i64,
        /// The last that was written.
        last: i64,
    },
    /// The last record is another one than was written.
    #[error("record {sequence} is the last, and not the one that was written as such: the log was replaced")]
    OtherEnd {
        /// The last record.
        sequence: i64,
    },
    /// The ends are not sealed by the key file's key.
    #[error(
        "the ends of the log, behind record {sequence}, are not sealed with the key file's key: the log was replaced"
    )]
    Seal {
        /// The last record, as the tables say.
        sequence: i64,
    },
    /// A record that somebody knows is another one.
    #[error("record {sequence} has another hash than the one that is known: the log was replaced")]
    NotTheKnown {
        /// The record.
        sequence: i64,
    },
    /// A record that somebody knows is not there.
    #[error("record {sequence}, whose hash is known, is not there: the log ends with record {last}")]
    KnownIsMissing {
        /// The record.
        sequence: i64,
        /// The last that is there.
        last: i64,
    },
}

impl Fault {
    /// The number of the record where it shows.
    #[must_use]
    pub fn sequence(&self) -> i64 {
        match *self {
            Self::Gap { sequence, .. }
            | Self::Altered { sequence }
            | Self::Cut { sequence, .. }
            | Self::Beyond { sequence, .. }
            | Self::OtherEnd { sequence }
            | Self::Seal { sequence }
            | Self::NotTheKnown { sequence }
            | Self::KnownIsMissing { sequence, .. } => sequence,
        }
    }
}

/// Goes along a log, record by record.
#[derive(Debug, Clone)]
pub struct Verifier {
    anchor: Link,
    at: Link,
    known: Option<Link>,
}

impl Verifier {
    /// Begins behind the anchor. `known` is a record whose hash somebody kept.
    #[must_use]
    pub fn new(anchor: Link, known: Option<Link>) -> Self {
        Self {
            anchor,
            at: anchor,
            known,
        }
    }

    /// Looks at the next record.
    ///
    /// # Errors
    /// If it is not the one that was written at this place.
    pub fn take(&mut self, record: &Record) -> Result<(), Fault> {
        let expected = self.at.sequence + 1;
        if record.sequence != expected {
            return Err(Fault::Gap {
                sequence: expected,
                found: record.sequence,
            });
        }
        if hash(&self.at.hash, expected, &record.entry) != record.hash {
            return Err(Fault::Altered { sequence: expected });
        }
        self.at = record.link();
        self.compare_known()
    }

    fn compare_known(&self) -> Result<(), Fault> {
        match self.known.filter(|known| known.sequence == self.at.sequence) {
            Some(known) if known.hash != self.at.hash => Err(Fault::NotTheKnown {
                sequence: known.sequence,
            }),
            _ => Ok(()),
        }
    }

    /// The place behind the last record that was looked at.
    #[must_use]
    pub fn at(&self) -> Link {
        self.at
    }

    /// How many records were looked at.
    #[must_use]
    pub fn records(&self) -> i64 {
        self.at.sequence - self.anchor.sequence
    }

    /// Ends where the log says that it ends.
    ///
    /// # Errors
    /// If that is elsewhere.
    pub fn end(&self, last: Link) -> Result<(), Fault> {
        if self.at.sequence < last.sequence {
            return Err(Fault::Cut {
                sequence: self.at.sequence + 1,
                last: last.sequence,
            });
        }
        if self.at.sequence > last.sequence {
            return Err(Fault::Beyond {
                sequence: last.sequence + 1,
                last: last.sequence,
            });
        }
        if self.at.hash != last.hash {
            return Err(Fault::OtherEnd {
                sequence: last.sequence,
            });
        }
        match self.known {
            Some(known) if known.sequence > last.sequence => Err(Fault::KnownIsMissing {
                sequence: known.sequence,
                last: last.sequence,
            }),
            // The known record may be the anchor itself; what is before that was exported.
            Some(known) if known.sequence == self.anchor.sequence && known.hash != self.anchor.hash => {
                Err(Fault::NotTheKnown {
                    sequence: known.sequence,
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
