//! Keeps the node's claims for the bus fresh (fleet 9): new ones at half of their life and when the node's tags have
//! changed, then a new connection at a moment of the node's own, before the old claims end.
//!
//! What is decided here stands on the service's time, which each hello brings; this machine's clock only measures.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use muster_credential::layout::TAG_NAME;
use muster_credential::{Claims, Creds, Proof, Purpose, UserClaims};
use muster_proto::agent::v1::{HelloResult, RenewRequest, RenewResult};
use muster_wire::subject;

use super::agent::{Agent, Event};
use super::backoff::CONNECTION;
use super::bus::{self, CallError};
use super::errand::Errand;
use super::reconnect::REFUSED;
use crate::machine;
use crate::registration::{Door, Returned};

/// A fleet whose tags change connects anew within this.
const SLOT: Duration = Duration::from_secs(60);

/// When to renew, and when to connect anew.
pub(crate) struct Renewal {
    errand: Errand,
    reconnect_due: Option<Instant>,
    /// The service's time in seconds since 1970, and when it was heard.
    heard: Option<(i64, Instant)>,
    /// Before this nobody is asked to renew claims that the server refuses.
    recovery_due: Instant,
}

impl Renewal {
    pub(crate) fn new() -> Self {
        Self {
            errand: Errand::new(CONNECTION),
            reconnect_due: None,
            heard: None,
            recovery_due: Instant::now(),
        }
    }

    /// The service's time in seconds since 1970, once it was heard.
    pub(super) fn service_time(&self, now: Instant) -> Option<i64> {
        let (seconds, at) = self.heard?;
        let passed = i64::try_from(now.duration_since(at).as_secs()).unwrap_or_default();
        Some(seconds.saturating_add(passed))
    }

    /// Connects anew at a moment of this node's own.
    pub(super) fn reconnect_soon(&mut self, now: Instant) {
        self.reconnect_due = Some(now + SLOT.mul_f64(rand::random()));
    }

    /// When there will be something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        [self.errand.due(), self.reconnect_due].into_iter().flatten().min()
    }
}

/// How long to wait before these claims are renewed: until half of their life, give or take a tenth of it.
/// `chance` is between 0 and 1.
fn pause(claims: &Claims<UserClaims>, service_seconds: i64, chance: f64) -> Option<Duration> {
    let life = claims.expires_at?.saturating_sub(claims.issued_at).max(0) as f64;
    let at = claims.issued_at as f64 + life * (0.4 + 0.2 * chance.clamp(0.0, 1.0));
    Some(Duration::from_secs_f64((at - service_seconds as f64).max(0.0)))
}

/// Whether the claims name the doorbells of exactly these tags.
fn has_tags<'a>(claims: &Claims<UserClaims>, tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> bool {
    let wanted: BTreeSet<String> = tags
        .into_iter()
        .map(|(key, value)| format!("{TAG_NAME}:{}", subject::tag_hash(key, value)))
        .collect();
    let named: BTreeSet<String> = claims.body.tags.iter().cloned().collect();
    wanted == named
}

impl Agent {
    /// A hello was answered: looks whether the claims are still good.
    pub(super) fn look_at_claims(&mut self, answer: &HelloResult) {
        let Some(time) = &answer.service_time else { return };
        let creds = match self.state.credentials() {
            Ok(Some(creds)) => creds,
            // The bus needs none, or somebody else looks after them.
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "the node's credentials cannot be read");
                return;
            }
        };
        let now = Instant::now();
        self.renewal.heard = Some((time.seconds, now));
        if !has_tags(creds.claims(), &answer.tags) {
            tracing::info!("this node's tags have changed: asking for new credentials");
            self.renewal.errand.wish(now);
        } else if let Some(pause) = pause(creds.claims(), time.seconds, rand::random()) {
            self.renewal.errand.wish(now + pause);
        }
    }

    /// Asks for new claims, or connects anew, if it is time.
    pub(super) fn renew_if_due(&mut self, now: Instant) {
        if self.renewal.reconnect_due.is_some_and(|due| due <= now) {
            self.renewal.reconnect_due = None;
            let client = self.client.clone();
            self.tasks.push(Box::pin(async move {
                if let Err(error) = client.force_reconnect().await {
                    tracing::warn!(%error, "cannot connect anew yet");
                }
                Event::Tick
            }));
        }
        let Some(time) = self.renewal.service_time(now) else {
            return;
        };
        if !self.renewal.errand.start(now) {
            return;
        }
        let question = match self.state.credentials() {
            Ok(Some(creds)) => self.renewal_question(&creds, time),
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "the node's credentials cannot be read");
                self.renewal.errand.failed(now, rand::random());
                return;
            }
        };
        let (client, subject) = (self.client.clone(), subject::rpc(&self.node, subject::RPC_AUTH_RENEW));
        self.tasks.push(Box::pin(async move {
            Event::Renewed(bus::call(&client, subject, HeaderMap::new(), &question).await)
        }));
    }

    pub(super) fn renewal_question(&self, creds: &Creds, time: i64) -> RenewRequest {
        let (key, text) = (creds.key().public(), time.to_string());
        let parts = [self.node.as_str(), key.as_str(), &text].map(str::as_bytes);
        RenewRequest {
            public_key: key.to_string(),
            proof_time: time,
            proof: Proof::sign(creds.key(), Purpose::Renewal, &parts).as_bytes().to_vec(),
            attributes: machine::attributes(&self.settings.host_root).into_iter().collect(),
            confirms_key: false,
        }
    }

    /// A renewal was answered, or was not.
    pub(super) fn renewed(&mut self, answer: Result<RenewResult, CallError>) {
        let now = Instant::now();
        match answer {
            Ok(answer) => match self.take_claims(answer.user_jwt) {
                Ok(()) => {
                    self.renewal.errand.answered(now, None);
                    // A new connection says hello, which plans the next renewal.
                    self.renewal.reconnect_soon(now);
                    tracing::info!("this node has new credentials");
                }
                Err(error) => {
                    tracing::error!(%error, "new credentials cannot be used");
                    self.renewal.errand.failed(now, rand::random());
                }
            },
            Err(error) if error.is_final() => {
                tracing::error!(%error, "the service does not renew this node's credentials; asking again every 5 minutes");
                self.report.refusal = Some(format!("the service does not renew this node's credentials: {error}"));
                self.report.wish(now);
                let pause = REFUSED.mul_f64(0.9 + 0.2 * rand::random::<f64>());
                self.renewal.errand.refused(now, pause);
            }
            Err(error) => {
                tracing::warn!(%error, "nobody renews this node's credentials yet");
                self.renewal.errand.failed(now, rand::random());
            }
        }
    }

    /// The server refuses us: if our claims ended while we were away, our key gets new ones where machines register.
    pub(super) fn recover(&mut self) {
        let now = Instant::now();
        if self.renewal.recovery_due > now || self.is_stopping() {
            return;
        }
        let (Ok(Some(creds)), Ok(Some(identity))) = (self.state.credentials(), self.state.known_identity()) else {
            return;
        };
        let door = match Door::of(&identity, &self.settings) {
            Ok(Some(door)) => door,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(error, "there is no way to ask for new credentials");
                return;
            }
        };
        self.renewal.recovery_due = now + REFUSED.mul_f64(0.8);
        let returned = Returned {
            door,
            node: self.node.clone(),
            creds,
            attributes: machine::attributes(&self.settings.host_root),
        };
        self.tasks.push(Box::pin(async move {
            Event::Recovered(returned.renew().await.map(Box::new))
        }));
    }

    /// The attempt to renew claims that the server refuses has ended.
    pub(super) fn recovered(&mut self, outcome: Result<Box<Creds>, String>) {
        let kept = outcome.and_then(|creds| self.state.set_credentials(&creds).map_err(|error| error.to_string()));
        match kept {
            Ok(()) => {
                tracing::info!("this node has new credentials after it was away");
                // The client may wait for minutes before it tries again; a new process does not.
                self.restart();
            }
            Err(error) => {
                tracing::error!(
                    error,
                    "the server refuses this node's credentials, and there are no new ones"
                );
                self.report.refusal = Some(format!("the server refuses this node's credentials: {error}"));
                self.report.wish(Instant::now());
            }
        }
    }

    fn take_claims(&self, token: String) -> io::Result<()> {
        let invalid = |error: muster_credential::CredsError| io::Error::new(io::ErrorKind::InvalidData, error);
        let Some(former) = self.state.credentials()? else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the node's credentials are gone",
            ));
        };
        let creds = Creds::new(token, former.key().clone()).map_err(invalid)?;
        if creds.name() != self.node.as_str() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "they are those of another node",
            ));
        }
        self.state.set_credentials(&creds)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use muster_credential::{Key, KeyKind};

    use super::*;

    fn claims(tags: &[(&str, &str)]) -> Claims<UserClaims> {
        let tags = tags
            .iter()
            .map(|(key, value)| format!("t:{}", subject::tag_hash(key, value)));
        Claims {
            name: "mi-0123456789abcdef0".to_owned(),
            subject: Key::generate(KeyKind::User).public().clone(),
            issued_at: 1_000,
            expires_at: Some(2_000),
            body: UserClaims::scoped(Key::generate(KeyKind::Account).public().clone(), tags.collect()),
        }
    }

    #[test]
    fn claims_are_renewed_at_half_of_their_life_give_or_take_a_tenth() {
        let check = |now: i64, chance: f64, seconds: u64| {
            assert_eq!(
                pause(&claims(&[]), now, chance),
                Some(Duration::from_secs(seconds)),
                "{now}"
            );
        };
        check(1_000, 0.5, 500);
        check(1_000, 0.0, 400);
        check(1_000, 1.0, 600);
        check(1_400, 0.5, 100);
        // Late, or after their end: at once.
        check(1_900, 0.5, 0);
        check(9_999, 0.5, 0);
        let endless = Claims {
            expires_at: None,
            ..claims(&[])
        };
        assert_eq!(pause(&endless, 1_000, 0.5), None);
    }

    #[test]
    fn claims_with_other_tags_are_noticed() {
        let tags = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let both = claims(&[("Role", "web"), ("Env", "prod")]);
        assert!(has_tags(&both, &tags(&[("Env", "prod"), ("Role", "web")])));
        assert!(!has_tags(&both, &tags(&[("Role", "web")])));
        assert!(!has_tags(&both, &tags(&[("Env", "prod"), ("Role", "db")])));
        assert!(has_tags(&claims(&[]), &tags(&[])));
    }
}
