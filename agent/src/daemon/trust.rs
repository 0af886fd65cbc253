//! Whose work is carried out (fleet 10, decision 18): whoever controls the bus can withhold work, but cannot make any.
//!
//! - Work and cancels must be signed by a key that this node has pinned, for this node.
//! - Work ends with its `not_after_ms`, by the coordinator's time. That time is heard in answers that are signed over a
//!   nonce of ours, and goes on by this machine's uptime, so that neither its clock nor the bus can turn it back. Work
//!   that comes before it was heard must come again.
//! - What a service answers to a step that asks is signed with a key for which a pinned key vouches.
//! - Keys are pinned when the coordinator shows them first, and change only as a pinned key says.

use async_nats::HeaderMap;
use muster_credential::work::{
    AnswerCertificate, AnswerDistrust, Answered, Distrust, Signature, WorkKeys, WorkKeysChange,
};
use muster_credential::{PublicKey, Purpose};
use muster_proto::agent::v1::{PullResult, WorkKeys as WireKeys};

use super::admission::Refused;
use super::agent::Agent;
use super::bus::Answer;
use crate::settings::WorkSignatures;

/// How long whoever is not believed for the moment is asked to wait, in milliseconds.
pub(super) const AGAIN_MS: u64 = 2_000;

/// What this node believes in.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// The keys that it has pinned.
    keys: Option<WorkKeys>,
    /// What the answer to the last pull is signed over.
    nonce: [u8; 16],
    /// The coordinator's time, in milliseconds since 1970, and the uptime when it was heard.
    time: Option<(i64, u64)>,
    /// Messages that were not believed, and why the last one was not.
    pub(crate) refused: u64,
    pub(crate) last: Option<String>,
    /// How many of them the service was told of.
    told: u64,
}

/// What this node believes of answers to runners' questions.
#[derive(Debug, Clone)]
pub(super) enum Credulity {
    /// Everything: no keys are pinned, or nobody is to ask for signatures.
    All,
    /// Nothing: no keys are pinned, and signatures are asked for.
    Nothing,
    /// What somebody says for whom these keys vouch.
    Of(WorkKeys),
}

impl Credulity {
    /// Whether an answer comes from the service that should give it.
    pub(super) fn check(
        &self,
        service: &str,
        headers: Option<&HeaderMap>,
        answered: Answered<'_>,
    ) -> Result<(), AnswerDistrust> {
        let header = |name: &str| Some(headers?.get(name)?.as_str());
        match self {
            Self::All => Ok(()),
            Self::Nothing => Err(AnswerDistrust::Unsigned),
            Self::Of(keys) => {
                let (certificate, signature) = (header(AnswerCertificate::HEADER), header(Signature::HEADER));
                keys.check_answer(service, certificate, signature, answered)
            }
        }
    }
}

impl Trust {
    pub(crate) fn new(keys: Option<WorkKeys>) -> Self {
        Self {
            keys,
            ..Self::default()
        }
    }

    /// Another nonce, and the serial of the keys that are pinned.
    pub(super) fn question(&mut self) -> (Vec<u8>, u64) {
        self.nonce = rand::random();
        (self.nonce.to_vec(), self.keys.as_ref().map_or(0, WorkKeys::serial))
    }

    /// What is believed of answers to runners' questions.
    pub(super) fn credulity(&self, mode: WorkSignatures) -> Credulity {
        match (mode, &self.keys) {
            (WorkSignatures::Off, _) | (WorkSignatures::Pinned, None) => Credulity::All,
            (WorkSignatures::Required, None) => Credulity::Nothing,
            (_, Some(keys)) => Credulity::Of(keys.clone()),
        }
    }

    /// How many messages were not believed that the service was not told of yet, and why the last one was not. They
    /// count as told.
    pub(super) fn tell(&mut self) -> (u32, String) {
        let count = self.refused - std::mem::replace(&mut self.told, self.refused);
        let why = self.last.clone().filter(|_| count > 0);
        (u32::try_from(count).unwrap_or(u32::MAX), why.unwrap_or_default())
    }

    /// Whether a message comes from whom it should.
    fn check(
        &self,
        mode: WorkSignatures,
        purpose: Purpose,
        node: &str,
        headers: Option<&HeaderMap>,
        message: &[u8],
        nonce: &[u8],
    ) -> Result<(), Distrust> {
        let keys = match (mode, &self.keys) {
            (WorkSignatures::Off, _) | (WorkSignatures::Pinned, None) => return Ok(()),
            (WorkSignatures::Required, None) => return Err(Distrust::Unsigned),
            (_, Some(keys)) => keys,
        };
        let signature = headers.and_then(|headers| headers.get(Signature::HEADER));
        keys.check(
            signature.map(async_nats::HeaderValue::as_str),
            purpose,
            node,
            message,
            nonce,
        )
    }

    /// Milliseconds that are left for work, at this uptime. Without keys nothing is known of that.
    ///
    /// # Errors
    /// If its time is over, or the time is not known yet.
    fn left(&self, mode: WorkSignatures, not_after_ms: i64, up_ms: u64) -> Result<u64, Refused> {
        if mode == WorkSignatures::Off || self.keys.is_none() {
            return Ok(u64::MAX);
        }
        let (heard, at) = self.time.ok_or(Refused::NoTime)?;
        let passed = i64::try_from(up_ms.saturating_sub(at)).unwrap_or(i64::MAX);
        let left = not_after_ms.saturating_sub(heard.saturating_add(passed));
        match u64::try_from(left) {
            Ok(left) if left > 0 => Ok(left),
            _ => Err(Refused::Expired),
        }
    }

    /// Takes keys that the coordinator tells. Gives the set to be kept, if it is another one now.
    fn learn(&mut self, mode: WorkSignatures, told: &[WireKeys]) -> Result<Option<WorkKeys>, String> {
        let before = self.keys.clone();
        for told in told {
            let change = read(told).ok_or("keys that are none")?;
            match &mut self.keys {
                Some(keys) => keys.apply(&change).map_err(|error| error.to_string())?,
                None if mode == WorkSignatures::Pinned => self.keys = Some(change.keys),
                None => {}
            }
        }
        Ok(self.keys.clone().filter(|keys| Some(keys) != before.as_ref()))
    }
}

fn read(told: &WireKeys) -> Option<WorkKeysChange> {
    let keys: Result<Vec<PublicKey>, _> = told.keys.iter().map(|key| key.parse()).collect();
    let keys = WorkKeys::new(told.serial, keys.ok()?).ok()?;
    let signed_by = match told.signed_by.as_str() {
        // The first set is vouched for by nobody.
        "" => keys.signer()?.clone(),
        key => key.parse().ok()?,
    };
    Some(WorkKeysChange {
        keys,
        signed_by,
        signature: told.signature.clone(),
    })
}

impl Agent {
    /// Whether a message to this node is to be obeyed. What is not believed is counted, and told to the log.
    pub(super) fn believes(&mut self, purpose: Purpose, message: &async_nats::Message) -> Result<(), Refused> {
        let mode = self.settings.work_signatures;
        let headers = message.headers.as_ref();
        let checked = self
            .trust
            .check(mode, purpose, self.node.as_str(), headers, &message.payload, b"");
        checked.map_err(|distrust| {
            self.distrust(&distrust.to_string());
            if matches!(distrust, Distrust::Stranger(_)) {
                // Perhaps a new key, which is told to whoever asks.
                self.talk.pull_soon();
            }
            Refused::Distrusted(distrust)
        })
    }

    /// How long the coordinator lets work wait from now on, in milliseconds.
    pub(super) fn time_left(&mut self, not_after_ms: i64) -> Result<u64, Refused> {
        let left = self
            .trust
            .left(self.settings.work_signatures, not_after_ms, self.moment().up_ms);
        if left == Err(Refused::NoTime) {
            self.talk.pull_soon();
        }
        left
    }

    /// The coordinator answered a pull: takes its keys, and its time if the answer is its own.
    pub(super) fn hear_coordinator(&mut self, answer: &Answer<PullResult>) {
        let mode = self.settings.work_signatures;
        match self.trust.learn(mode, &answer.content.work_keys) {
            Ok(None) => {}
            Ok(Some(keys)) => {
                let names: Vec<&str> = keys.keys().iter().map(PublicKey::as_str).collect();
                match self.state.set_work_keys(&keys) {
                    Ok(()) => tracing::info!(serial = keys.serial(), ?names, "work of these keys is carried out"),
                    Err(error) => tracing::error!(%error, "cannot remember whose work is carried out"),
                }
            }
            Err(error) => self.distrust(&format!("other keys for work are not taken: {error}")),
        }
        let nonce = self.trust.nonce;
        let headers = answer.message.headers.as_ref();
        let checked = self.trust.check(
            mode,
            Purpose::PullAnswer,
            self.node.as_str(),
            headers,
            &answer.message.payload,
            &nonce,
        );
        match (checked, &answer.content.service_time) {
            (Ok(()), Some(time)) => {
                let heard = time
                    .seconds
                    .saturating_mul(1_000)
                    .saturating_add(i64::from(time.nanos) / 1_000_000);
                self.trust.time = Some((heard, self.moment().up_ms));
            }
            (Ok(()), None) => {}
            (Err(error), _) => self.distrust(&format!("the coordinator's answer is not believed: {error}")),
        }
    }

    pub(super) fn distrust(&mut self, why: &str) {
        tracing::error!(why, "something came over the bus that is not obeyed");
        self.trust.refused += 1;
        self.trust.last = Some(why.to_owned());
        let now = std::time::Instant::now();
        self.talk.alarm(now);
        self.report.wish(now);
    }
}

#[cfg(test)]
mod tests {
    use muster_credential::{Key, KeyKind};

    use super::*;

    fn wire(keys: &WorkKeys) -> WireKeys {
        WireKeys {
            serial: keys.serial(),
            keys: keys.keys().iter().map(ToString::to_string).collect(),
            ..WireKeys::default()
        }
    }

    #[test]
    fn keys_are_pinned_once_and_changed_only_by_themselves() {
        let [one, two] = [(); 2].map(|()| Key::generate(KeyKind::Work));
        let set = |serial, key: &Key| WorkKeys::new(serial, vec![key.public().clone()]).unwrap();
        let mut trust = Trust::new(None);
        assert_eq!(trust.learn(WorkSignatures::Required, &[wire(&set(1, &one))]), Ok(None));
        assert!(
            trust.keys.is_none(),
            "who requires pins does not take the first that come"
        );
        let first = set(1, &one);
        assert_eq!(
            trust.learn(WorkSignatures::Pinned, &[wire(&first)]),
            Ok(Some(first.clone()))
        );
        assert!(trust.learn(WorkSignatures::Pinned, &[wire(&set(2, &two))]).is_err());
        assert_eq!(trust.keys, Some(first));
        let change = set(2, &two).signed(&one);
        let told = WireKeys {
            signed_by: change.signed_by.to_string(),
            signature: change.signature,
            ..wire(&set(2, &two))
        };
        assert_eq!(trust.learn(WorkSignatures::Pinned, &[told]), Ok(Some(set(2, &two))));
    }

    #[test]
    fn time_goes_on_by_the_uptime_and_work_ends_with_it() {
        let key = Key::generate(KeyKind::Work);
        let mut trust = Trust::new(WorkKeys::new(1, vec![key.public().clone()]).ok());
        let mode = WorkSignatures::Pinned;
        assert_eq!(trust.left(mode, 9_000, 0), Err(Refused::NoTime));
        trust.time = Some((5_000, 100));
        assert_eq!(trust.left(mode, 9_000, 100), Ok(4_000));
        assert_eq!(trust.left(mode, 9_000, 4_099), Ok(1));
        assert_eq!(trust.left(mode, 9_000, 4_100), Err(Refused::Expired));
        assert_eq!(trust.left(mode, 0, 100), Err(Refused::Expired));
        assert_eq!(trust.left(WorkSignatures::Off, 0, 100), Ok(u64::MAX));
    }

    #[test]
    fn who_requires_signatures_and_has_no_keys_believes_nobody() {
        let trust = Trust::new(None);
        let check = |mode| trust.check(mode, Purpose::WorkItem, "mi-a", None, b"x", b"");
        assert_eq!(check(WorkSignatures::Required), Err(Distrust::Unsigned));
        assert_eq!(check(WorkSignatures::Pinned), Ok(()));
        assert_eq!(check(WorkSignatures::Off), Ok(()));
    }
}
