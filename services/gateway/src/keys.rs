//! The signing keys of callers: where they come from, and those of the last seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use muster_wire::{CallerKind, Failure, Principal};
use sha2::{Digest as _, Sha256};

use crate::sigv4::{Refused, SigningKey};
use crate::throttle::Tries;

/// How long an answer is believed. A key that was deactivated is refused within this time even if nobody tells.
const BELIEVED: SignedDuration = SignedDuration::from_secs(5);
/// What ids of access keys look like (aws-json-gateway 6).
const PREFIXES: [&str; 2] = ["MKIA", "MSIA"];
const ID_LENGTH: usize = 20;
/// Most keys kept; beyond, all that are out of date are forgotten, and then all others.
const MOST: usize = 10_000;

/// Whose key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The access key id, as the caller sent it.
    pub access_key: &'a str,
    /// The day of the scope, `20260101`.
    pub day: &'a str,
    /// The region of the scope.
    pub region: &'a str,
    /// The service of the scope, `ssm`.
    pub service: &'a str,
    /// The session token, which temporary access keys need and others must not have.
    pub session_token: Option<SessionToken<'a>>,
}

/// A session token, which is a credential and cannot be printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionToken<'a>(&'a str);

impl<'a> SessionToken<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The token, to be compared.
    #[must_use]
    pub fn reveal(self) -> &'a str {
        self.0
    }
}

impl std::fmt::Debug for SessionToken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

/// What is known of an access key.
#[derive(Debug, Clone)]
pub enum Found {
    /// It is active.
    Active(Identity),
    /// Nobody has it, or the session token is not its own.
    Unknown,
    /// It is switched off.
    Inactive,
    /// Its session token is past its end.
    ExpiredToken,
}

/// Whose an active access key is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What its requests are signed with, on the day and in the region that was asked for.
    pub signing_key: SigningKey,
    /// Who acts with it.
    pub principal: Principal,
    /// What that is.
    pub kind: CallerKind,
    /// When its session token ends; `None` for keys without one.
    pub until: Option<Timestamp>,
}

/// Knows the access keys; the service `access` in a running system.
pub trait Keys: std::fmt::Debug + Send + Sync + 'static {
    /// Finds an access key.
    ///
    /// # Errors
    /// If it could not be found out now; the request is then refused and may be repeated.
    fn find<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Found, Failure>>;
}

/// Keys that are kept for five seconds, or until somebody says that they changed.
///
/// Only active keys are kept. What is looked up while [`KeyCache::forget`] is called is not kept. That a key was good once
/// is remembered for longer, as long as there is room: it is asked about at once, however many strangers come from where its
/// owner is.
#[derive(Debug)]
pub struct KeyCache {
    keys: Arc<dyn Keys>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    entries: HashMap<Place, Entry>,
    /// Counts what was forgotten, so that an answer from before is not kept after.
    forgotten: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    access_key: String,
    day: String,
    region: String,
    service: String,
    /// SHA-256: the token itself stays with its owner.
    token: Option<[u8; 32]>,
}

#[derive(Debug)]
struct Entry {
    since: Timestamp,
    identity: Identity,
}

impl Entry {
    fn is_fresh(&self, now: Timestamp) -> bool {
        // A clock that was set back makes no key live longer.
        let age = now.duration_since(self.since);
        !age.is_negative() && age < BELIEVED
    }

    /// Nothing is believed of it any more, but that there was such a key.
    fn age(&mut self) {
        self.since = Timestamp::MIN;
    }
}

impl KeyCache {
    /// An empty one before `keys`.
    #[must_use]
    pub fn new(keys: Arc<dyn Keys>) -> Self {
        Self {
            keys,
            known: Mutex::default(),
        }
    }

    /// Forgets an access key: it was deactivated, deleted or changed hands.
    pub fn forget(&self, access_key: &str) {
        let mut known = self.known();
        known.forgotten += 1;
        let own = |(place, _): &(&Place, &mut Entry)| place.access_key == access_key;
        known.entries.iter_mut().filter(own).for_each(|(_, entry)| entry.age());
    }

    /// Forgets all access keys: what changed is not known.
    pub fn forget_all(&self) {
        let mut known = self.known();
        known.forgotten += 1;
        known.entries.values_mut().for_each(Entry::age);
    }

    /// Whose an access key is.
    ///
    /// # Errors
    /// [`Refused::Unrecognized`] or [`Refused::Expired`], `ThrottlingException` if the caller's address asked too often for
    /// keys that are not known, and whatever [`Keys::find`] fails with.
    pub(crate) async fn identity(
        &self,
        asked: Asked<'_>,
        tries: Tries<'_>,
        now: Timestamp,
    ) -> Result<Identity, Failure> {
        // What no access key can look like is not asked about.
        if !can_be_ours(asked.access_key) {
            return Err(Refused::Unrecognized.into());
        }
        let place = Place {
            access_key: asked.access_key.to_owned(),
            day: asked.day.to_owned(),
            region: asked.region.to_owned(),
            service: asked.service.to_owned(),
            token: asked.session_token.map(|token| Sha256::digest(token.0).into()),
        };
        let (before, is_strange) = {
            let known = self.known();
            if let Some(entry) = known.entries.get(&place).filter(|entry| entry.is_fresh(now)) {
                return in_time(entry.identity.clone(), now);
            }
            (known.forgotten, !known.entries.contains_key(&place))
        };
        if is_strange {
            tries.count(now)?;
        }
        let found = self.keys.find(asked).await;
        // Whoever has a key, and whom nobody could answer, has not tried in vain.
        if is_strange && matches!(found, Ok(Found::Active(_)) | Err(_)) {
            tries.uncount();
        }
        match found? {
            Found::Active(identity) => {
                let mut known = self.known();
                if known.forgotten == before {
                    known.make_room(now);
                    let entry = Entry {
                        since: now,
                        identity: identity.clone(),
                    };
                    known.entries.insert(place, entry);
                }
                drop(known);
                in_time(identity, now)
            }
            found => {
                self.known().entries.remove(&place);
                Err(match found {
                    Found::ExpiredToken => Refused::Expired.into(),
                    _ => Refused::Unrecognized.into(),
                })
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn make_room(&mut self, now: Timestamp) {
        if self.entries.len() >= MOST {
            self.entries.retain(|_, entry| entry.is_fresh(now));
        }
        if self.entries.len() >= MOST {
            self.entries.clear();
        }
    }
}

/// Whether an id is one that access could have made.
fn can_be_ours(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    id.len() == ID_LENGTH && id.bytes().all(is_plain) && PREFIXES.iter().any(|prefix| id.starts_with(prefix))
}

fn in_time(identity: Identity, now: Timestamp) -> Result<Identity, Failure> {
    if identity.until.is_some_and(|until| now >= until) {
        return Err(Refused::Expired.into());
    }
    Ok(identity)
}

#[cfg(test)]
mod tests;
