//! Access keys in the place of the service `access`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use jiff::Timestamp;
use muster_gateway::sigv4::{Secret, SigningKey};
use muster_gateway::{Asked, Found, Identity, KeyCache, Keys};
use muster_wire::{CallerKind, Failure, Principal};

use crate::signer::AccessKey;

pub(crate) const ALICE: &str = "arn:aws:iam::000000000000:user/alice";

/// What is known of a key.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    secret: String,
    token: Option<String>,
    pub(crate) active: bool,
    pub(crate) until: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(crate) struct FakeKeys {
    known: Mutex<HashMap<String, Known>>,
    asked: AtomicUsize,
    away: Mutex<bool>,
}

impl FakeKeys {
    /// Alice's key, and what knows it.
    pub(crate) fn with_alice() -> (Arc<Self>, Arc<KeyCache>, AccessKey) {
        let keys = Arc::new(Self::default());
        let alice = AccessKey::new("MKIAALICEALICEALICE2", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYSECRETKEY1");
        keys.add(&alice);
        let cache = KeyCache::new(Arc::clone(&keys) as Arc<dyn Keys>);
        (keys, Arc::new(cache), alice)
    }

    pub(crate) fn add(&self, key: &AccessKey) {
        let known = Known {
            secret: key.secret.clone(),
            token: key.token.clone(),
            active: true,
            until: None,
        };
        self.known.lock().expect("no panic").insert(key.id.clone(), known);
    }

    pub(crate) fn change(&self, key: &AccessKey, change: impl FnOnce(&mut Known)) {
        change(
            self.known
                .lock()
                .expect("no panic")
                .get_mut(&key.id)
                .expect("a known key"),
        );
    }

    pub(crate) fn set_away(&self, away: bool) {
        *self.away.lock().expect("no panic") = away;
    }

    /// How often a key was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Keys for FakeKeys {
    fn find<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if *self.away.lock().expect("no panic") {
                let what = "Access".to_owned();
                return Err(Failure::Unavailable { what });
            }
            let known = self.known.lock().expect("no panic").get(asked.access_key).cloned();
            let token = asked.session_token.map(|token| token.reveal().to_owned());
            Ok(match known {
                Some(known) if known.token != token => Found::Unknown,
                None => Found::Unknown,
                Some(known) if !known.active => Found::Inactive,
                Some(known) => Found::Active(Identity {
                    signing_key: SigningKey::derive(&Secret::new(known.secret), asked.day, asked.region, asked.service),
                    principal: Principal::new(ALICE).expect("an ARN"),
                    kind: CallerKind::User,
                    until: known.until,
                }),
            })
        })
    }
}
