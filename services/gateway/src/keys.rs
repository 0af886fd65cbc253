//! The signing keys of callers: where they come from, and those of the last seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use muster_wire::{CallerKind, Failure, Principal};
use sha2::{Digest as _, Sha256};

use crate::sigv4::{Refused, SigningKey};

/// How long an answer is believed. A key that was deactivated is refused within this time even if nobody tells.
const BELIEVED: SignedDuration = SignedDuration::from_secs(5);
/// Characters of an access key's id.
const ID: usize = 20;
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
/// Only active keys are kept. What is looked up while [`KeyCache::forget`] is called is not kept.
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
        known.entries.retain(|place, _| place.access_key != access_key);
    }

    /// Forgets all access keys: what changed is not known.
    pub fn forget_all(&self) {
        let mut known = self.known();
        known.forgotten += 1;
        known.entries.clear();
    }

    /// Whose an access key is.
    ///
    /// # Errors
    /// [`Refused::Unrecognized`] or [`Refused::Expired`], and whatever [`Keys::find`] fails with.
    pub(crate) async fn identity(&self, asked: Asked<'_>, now: Timestamp) -> Result<Identity, Failure> {
        // What no access key can look like is not asked about.
        if !is_id(asked.access_key) {
            return Err(Refused::Unrecognized.into());
        }
        let place = Place {
            access_key: asked.access_key.to_owned(),
            day: asked.day.to_owned(),
            region: asked.region.to_owned(),
            service: asked.service.to_owned(),
            token: asked.session_token.map(|token| Sha256::digest(token.0).into()),
        };
        let before = {
            let known = self.known();
            if let Some(entry) = known.entries.get(&place).filter(|entry| entry.is_fresh(now)) {
                return in_time(entry.identity.clone(), now);
            }
            known.forgotten
        };
        match self.keys.find(asked).await? {
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
            Found::Unknown | Found::Inactive => Err(Refused::Unrecognized.into()),
            Found::ExpiredToken => Err(Refused::Expired.into()),
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

/// Whether it looks as the ids that `access` makes (aws-json-gateway 6).
fn is_id(text: &str) -> bool {
    let is_made = text.starts_with("MKIA") || text.starts_with("MSIA");
    is_made
        && text.len() == ID
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn in_time(identity: Identity, now: Timestamp) -> Result<Identity, Failure> {
    if identity.until.is_some_and(|until| now >= until) {
        return Err(Refused::Expired.into());
    }
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use muster_wire::Reason;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::sigv4::Secret;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[derive(Debug)]
    struct Fake {
        asked: AtomicUsize,
        gate: Semaphore,
        found: Mutex<Found>,
    }

    #[tokio::test]
    async fn an_active_key_is_kept_for_five_seconds() {
        let (fake, cache) = start(active(None));
        for _ in 0..3 {
            ask(&cache, "A", "20260101", NOW).await.unwrap();
        }
        assert_eq!(fake.asked(), 1);
        ask(&cache, "A", "20260101", NOW + SignedDuration::from_secs(4))
            .await
            .unwrap();
        assert_eq!(fake.asked(), 1);
        ask(&cache, "A", "20260101", NOW + SignedDuration::from_secs(5))
            .await
            .unwrap();
        assert_eq!(fake.asked(), 2);
        ask(&cache, "A", "20260101", NOW - SignedDuration::from_secs(1))
            .await
            .unwrap();
        assert_eq!(fake.asked(), 3, "the clock was set back");
    }

    #[tokio::test]
    async fn other_keys_days_and_tokens_have_places_of_their_own() {
        let (fake, cache) = start(active(None));
        ask(&cache, "A", "20260101", NOW).await.unwrap();
        ask(&cache, "B", "20260101", NOW).await.unwrap();
        ask(&cache, "A", "20260102", NOW).await.unwrap();
        for (region, token) in [("eu-west-1", None), ("us-east-1", Some("t")), ("us-east-1", Some("u"))] {
            let asked = Asked {
                access_key: &id("A"),
                day: "20260101",
                region,
                service: "ssm",
                session_token: token.map(SessionToken::new),
            };
            cache.identity(asked, NOW).await.unwrap();
        }
        assert_eq!(fake.asked(), 6);
    }

    #[tokio::test]
    async fn what_is_not_active_is_refused_and_not_kept() {
        let (fake, cache) = start(Found::Unknown);
        let refused = |outcome: Result<Identity, Failure>| match outcome {
            Err(Failure::Refused(refusal)) => refusal.reason,
            other => panic!("{other:?}"),
        };
        for found in [Found::Unknown, Found::Inactive] {
            *fake.found.lock().unwrap() = found;
            let outcome = ask(&cache, "A", "20260101", NOW).await;
            assert_eq!(refused(outcome), Reason::UnrecognizedClientException);
        }
        *fake.found.lock().unwrap() = Found::ExpiredToken;
        let outcome = ask(&cache, "A", "20260101", NOW).await;
        assert_eq!(refused(outcome), Reason::ExpiredTokenException);
        assert_eq!(fake.asked(), 3);
        for odd in ["A:B", "a", "AAAAAAAAAAAAAAAAA"] {
            let outcome = ask(&cache, odd, "20260101", NOW).await;
            assert_eq!(refused(outcome), Reason::UnrecognizedClientException);
        }
        assert_eq!(fake.asked(), 3, "nobody has such a key");
    }

    #[tokio::test]
    async fn a_token_ends_while_it_is_kept() {
        let until = NOW + SignedDuration::from_secs(2);
        let (fake, cache) = start(active(Some(until)));
        ask(&cache, "A", "20260101", NOW).await.unwrap();
        let outcome = ask(&cache, "A", "20260101", until).await;
        assert!(matches!(outcome, Err(Failure::Refused(refusal)) if refusal.reason == Reason::ExpiredTokenException));
        assert_eq!(fake.asked(), 1);
    }

    #[tokio::test]
    async fn a_key_that_changed_is_asked_about_again() {
        let (fake, cache) = start(active(None));
        ask(&cache, "A", "20260101", NOW).await.unwrap();
        ask(&cache, "B", "20260101", NOW).await.unwrap();
        *fake.found.lock().unwrap() = Found::Inactive;
        cache.forget(&id("A"));
        assert!(ask(&cache, "A", "20260101", NOW).await.is_err());
        ask(&cache, "B", "20260101", NOW).await.unwrap();
        cache.forget_all();
        assert!(ask(&cache, "B", "20260101", NOW).await.is_err());
    }

    #[tokio::test]
    async fn an_answer_from_before_a_change_is_not_kept() {
        let (fake, cache) = start(active(None));
        fake.gate.forget_permits(1_000);
        let cache = Arc::new(cache);
        let early = Arc::clone(&cache);
        let early = tokio::spawn(async move { ask(&early, "A", "20260101", NOW).await });
        while fake.asked() == 0 {
            tokio::task::yield_now().await;
        }
        cache.forget(&id("A"));
        fake.gate.add_permits(1_000);
        early.await.unwrap().unwrap();
        ask(&cache, "A", "20260101", NOW).await.unwrap();
        assert_eq!(fake.asked(), 2);
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let (_, cache) = start(active(None));
        for number in 0..MOST + 5 {
            ask(&cache, &format!("A{number}"), "20260101", NOW).await.unwrap();
        }
        assert!(cache.known().entries.len() <= MOST);
    }

    #[test]
    fn a_session_token_cannot_be_printed() {
        assert_eq!(format!("{:?}", SessionToken::new("hunter2")), "SessionToken(…)");
    }

    fn active(until: Option<Timestamp>) -> Found {
        Found::Active(Identity {
            signing_key: SigningKey::derive(&Secret::new("s".to_owned()), "20260101", "us-east-1", "ssm"),
            principal: Principal::new("arn:aws:iam::000000000000:user/alice").unwrap(),
            kind: CallerKind::User,
            until,
        })
    }

    fn start(found: Found) -> (Arc<Fake>, KeyCache) {
        let fake = Arc::new(Fake {
            asked: AtomicUsize::new(0),
            gate: Semaphore::new(1_000),
            found: Mutex::new(found),
        });
        (Arc::clone(&fake), KeyCache::new(fake))
    }

    /// An id as `access` makes them.
    fn id(name: &str) -> String {
        format!("MKIA{name:0>16}")
    }

    async fn ask(cache: &KeyCache, access_key: &str, day: &str, now: Timestamp) -> Result<Identity, Failure> {
        let access_key = &id(access_key);
        let asked = Asked {
            access_key,
            day,
            region: "us-east-1",
            service: "ssm",
            session_token: None,
        };
        cache.identity(asked, now).await
    }

    impl Fake {
        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl Keys for Fake {
        fn find<'a>(&'a self, _: Asked<'a>) -> BoxFuture<'a, Result<Found, Failure>> {
            Box::pin(async {
                self.asked.fetch_add(1, Ordering::SeqCst);
                let _permit = self.gate.acquire().await;
                Ok(self.found.lock().unwrap().clone())
            })
        }
    }
}
