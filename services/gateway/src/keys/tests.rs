//! Keys that are kept, with a source that the tests make up.

use std::sync::atomic::{AtomicUsize, Ordering};

use muster_wire::Reason;
use tokio::sync::Semaphore;

use super::*;
use crate::sigv4::Secret;
use crate::throttle::{Limit, Throttle};

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
        cache.identity(asked, tries(&throttle(1)), NOW).await.unwrap();
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
    for odd in ["A:B", "a", "\u{c9}", "0000000000000000A", " A"] {
        let outcome = ask(&cache, odd, "20260101", NOW).await;
        assert_eq!(refused(outcome), Reason::UnrecognizedClientException);
    }
    for strange in ["", "MKIA", "AKIAIOSFODNN7EXAMPLE", "MXIA0000000000000000"] {
        let outcome = ask_by(&cache, strange, "20260101", NOW).await;
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
async fn an_address_asks_for_so_many_strange_keys_and_known_ones_do_not_suffer() {
    let (fake, cache) = start(active(None));
    let throttle = throttle(3);
    let here = tries(&throttle);
    let ask = async |name: &str, now| ask_from(&cache, &id(name), "20260101", here, now).await;
    for number in 0..10 {
        ask(&format!("GOOD{number}"), NOW).await.unwrap();
    }
    *fake.found.lock().unwrap() = Found::Unknown;
    for number in 0..3 {
        let outcome = ask(&format!("BAD{number}"), NOW).await;
        assert!(
            matches!(outcome, Err(Failure::Refused(refusal)) if refusal.reason == Reason::UnrecognizedClientException)
        );
    }
    let asked = fake.asked();
    let outcome = ask("BAD4", NOW).await;
    assert!(matches!(outcome, Err(Failure::Refused(refusal)) if refusal.reason == Reason::ThrottlingException));
    assert_eq!(fake.asked(), asked, "nobody is asked");

    // Those that were good are asked about, also once they are not believed any more.
    *fake.found.lock().unwrap() = active(None);
    ask("GOOD1", NOW).await.unwrap();
    assert_eq!(fake.asked(), asked);
    cache.forget_all();
    for name in ["GOOD1", "GOOD2"] {
        ask(name, NOW).await.unwrap();
    }
    assert_eq!(fake.asked(), asked + 2);
    assert!(
        ask("BAD4", NOW).await.is_err(),
        "they gave nothing back that they had not taken"
    );
    // One that is off is a stranger from then on.
    *fake.found.lock().unwrap() = Found::Inactive;
    cache.forget(&id("GOOD1"));
    for expected in [Reason::UnrecognizedClientException, Reason::ThrottlingException] {
        let outcome = ask("GOOD1", NOW).await;
        assert!(matches!(outcome, Err(Failure::Refused(refusal)) if refusal.reason == expected));
    }
    let later = NOW + SignedDuration::from_secs(1);
    assert_eq!(fake.asked(), asked + 3);
    assert!(ask("BAD4", later).await.is_err());
    assert_eq!(fake.asked(), asked + 4);
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

/// The id of a key that is called so.
fn id(name: &str) -> String {
    format!("MKIA{name:0>16}")
}

fn throttle(burst: u32) -> Throttle {
    let burst = burst.try_into().unwrap();
    let per_second = 1.try_into().unwrap();
    Throttle::new(Limit { per_second, burst })
}

fn tries(throttle: &Throttle) -> Tries<'_> {
    Tries { throttle, from: "here" }
}

async fn ask(cache: &KeyCache, name: &str, day: &str, now: Timestamp) -> Result<Identity, Failure> {
    ask_by(cache, &id(name), day, now).await
}

async fn ask_by(cache: &KeyCache, id: &str, day: &str, now: Timestamp) -> Result<Identity, Failure> {
    ask_from(cache, id, day, tries(&throttle(1)), now).await
}

async fn ask_from(
    cache: &KeyCache,
    access_key: &str,
    day: &str,
    tries: Tries<'_>,
    now: Timestamp,
) -> Result<Identity, Failure> {
    let asked = Asked {
        access_key,
        day,
        region: "us-east-1",
        service: "ssm",
        session_token: None,
    };
    cache.identity(asked, tries, now).await
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
