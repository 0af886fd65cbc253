//! Who vouches for what services answer to a run that asks while it runs (decision 18).
//!
//! A service has a key of its own for that. The keys that sign work vouch for it, so that nodes need to pin no other
//! keys, and so that whoever has the key of one service cannot make work, nor answer as another service.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::{NoSignature, Signature, WorkKeys};
use crate::{Key, KeyError, KeyKind, Proof, PublicKey, Purpose};

/// A question of a node and what is answered to it, as they are sent.
///
/// The question should hold something that nobody can guess: an answer is good for questions of the same bytes.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The node that asks.
    pub node: &'a str,
    /// The last words of the subject: `doc.get`.
    pub operation: &'a str,
    /// The question's bytes.
    pub question: &'a [u8],
    /// The answer's bytes.
    pub answer: &'a [u8],
}

impl Answered<'_> {
    fn parts<'a>(&'a self, digests: &'a [[u8; 32]; 2]) -> [&'a [u8]; 4] {
        let [question, answer] = digests;
        [self.node.as_bytes(), self.operation.as_bytes(), question, answer]
    }

    fn digests(&self) -> [[u8; 32]; 2] {
        [self.question, self.answer].map(|bytes| Sha256::digest(bytes).into())
    }
}

/// What keys that sign work say: this key is that of this service's answers.
///
/// As text: the service, its key, and for each key that vouches for it `<key>=<signature>`, all parted by blanks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerCertificate {
    service: String,
    key: PublicKey,
    /// One of them is enough: before and after a change of the keys that sign work some nodes know one, some the other.
    vouchers: Vec<(PublicKey, Proof)>,
}

/// Why an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerDistrust {
    /// There is no signature, or nobody says whose it is.
    #[error("it is not signed")]
    Unsigned,
    /// Signature or certificate are none.
    #[error("its signature is not understood")]
    Strange,
    /// The certificate is that of another service.
    #[error("it is signed by {0}, which does not answer this")]
    OtherService(String),
    /// No key that this node has pinned vouches for the certificate.
    #[error("no key that this node knows vouches for {0}, which has signed it")]
    Stranger(PublicKey),
    /// It was changed after it was signed, or is the answer to something else.
    #[error("its signature is not that of this answer to this question: it was altered on its way")]
    Altered,
}

/// The text is no key for answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswerKey {
    /// Not two lines.
    #[error("it has not two lines: a seed and a certificate")]
    Lines,
    /// The seed is none.
    #[error("its seed cannot be used")]
    Seed(#[from] KeyError),
    /// The certificate is none, or is another key's.
    #[error("its certificate is none of this key")]
    Certificate,
}

/// The key with which a service signs answers, and its certificate.
///
/// As a file: two lines, the seed and the certificate. One file, so that they always fit.
#[derive(Debug, Clone)]
pub struct AnswerKey {
    key: Key,
    certificate: AnswerCertificate,
}

impl AnswerCertificate {
    /// The NATS header that carries it.
    pub const HEADER: &str = "muster-certificate";

    /// Vouches for a service's key, with keys that sign work.
    #[must_use]
    pub fn issue(service: &str, key: &PublicKey, work_keys: &[&Key]) -> Self {
        let parts: [&[u8]; 2] = [service.as_bytes(), key.as_str().as_bytes()];
        let vouch = |by: &&Key| (by.public().clone(), Proof::sign(by, Purpose::AnswerKey, &parts));
        Self {
            service: service.to_owned(),
            key: key.clone(),
            vouchers: work_keys.iter().map(vouch).collect(),
        }
    }

    /// Whose key it is.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The keys that vouch for it, whether they are right or not.
    pub fn vouchers(&self) -> impl Iterator<Item = &PublicKey> {
        self.vouchers.iter().map(|(by, _)| by)
    }

    /// Whether one of these keys vouches for it.
    #[must_use]
    pub fn is_vouched_for_by(&self, pinned: &WorkKeys) -> bool {
        let parts: [&[u8]; 2] = [self.service.as_bytes(), self.key.as_str().as_bytes()];
        let holds = |(by, proof): &(PublicKey, Proof)| {
            pinned.keys().contains(by) && proof.holds(by, Purpose::AnswerKey, &parts)
        };
        self.vouchers.iter().any(holds)
    }
}

impl fmt::Display for AnswerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service, self.key)?;
        for (by, proof) in &self.vouchers {
            write!(f, " {by}={}", proof.to_text())?;
        }
        Ok(())
    }
}

impl FromStr for AnswerCertificate {
    type Err = NoSignature;

    fn from_str(text: &str) -> Result<Self, NoSignature> {
        let work_key = |text: &str| {
            let key = text.parse::<PublicKey>().and_then(|key| key.of_kind(KeyKind::Work));
            key.map_err(|_| NoSignature)
        };
        let mut words = text.split(' ');
        let service = words.next().filter(|word| !word.is_empty()).ok_or(NoSignature)?;
        let key = work_key(words.next().ok_or(NoSignature)?)?;
        let vouchers = words.map(|word| {
            let (by, proof) = word.split_once('=').ok_or(NoSignature)?;
            Ok((work_key(by)?, Proof::from_text(proof).ok_or(NoSignature)?))
        });
        Ok(Self {
            service: service.to_owned(),
            key,
            vouchers: vouchers.collect::<Result<_, _>>()?,
        })
    }
}

impl AnswerKey {
    /// Another key for a service, for which these keys vouch.
    #[must_use]
    pub fn make(service: &str, work_keys: &[&Key]) -> Self {
        let key = Key::generate(KeyKind::Work);
        let certificate = AnswerCertificate::issue(service, key.public(), work_keys);
        Self { key, certificate }
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &AnswerCertificate {
        &self.certificate
    }

    /// Signs an answer.
    #[must_use]
    pub fn sign(&self, answered: Answered<'_>) -> Signature {
        let digests = answered.digests();
        Signature::over(&self.key, Purpose::Answer, &answered.parts(&digests))
    }

    /// The file's text, which holds the seed.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n", self.key.seed().expose(), self.certificate)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, NoAnswerKey> {
        let mut lines = text.lines();
        let (Some(seed), Some(certificate), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoAnswerKey::Lines);
        };
        let key = Key::from_seed(seed, KeyKind::Work)?;
        let certificate: AnswerCertificate = certificate.parse().map_err(|_| NoAnswerKey::Certificate)?;
        match certificate.key == *key.public() {
            true => Ok(Self { key, certificate }),
            false => Err(NoAnswerKey::Certificate),
        }
    }
}

impl WorkKeys {
    /// Whether an answer comes from the service that should give it. `signature` and `certificate` are the texts of its
    /// headers.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn check_answer(
        &self,
        service: &str,
        certificate: Option<&str>,
        signature: Option<&str>,
        answered: Answered<'_>,
    ) -> Result<(), AnswerDistrust> {
        let (Some(certificate), Some(signature)) = (certificate, signature) else {
            return Err(AnswerDistrust::Unsigned);
        };
        let certificate: AnswerCertificate = certificate.parse().map_err(|_| AnswerDistrust::Strange)?;
        let signature: Signature = signature.parse().map_err(|_| AnswerDistrust::Strange)?;
        if certificate.service != service {
            return Err(AnswerDistrust::OtherService(certificate.service));
        }
        if !certificate.is_vouched_for_by(self) {
            return Err(AnswerDistrust::Stranger(certificate.key));
        }
        let digests = answered.digests();
        match *signature.key() == certificate.key && signature.holds_over(Purpose::Answer, &answered.parts(&digests)) {
            true => Ok(()),
            false => Err(AnswerDistrust::Altered),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ASKED: Answered<'static> = Answered {
        node: "mi-0123456789abcdef0",
        operation: "doc.get",
        question: b"which, and a nonce",
        answer: b"this",
    };

    fn pinned(keys: &[&Key]) -> WorkKeys {
        WorkKeys::new(1, keys.iter().map(|key| key.public().clone()).collect()).unwrap()
    }

    fn check(
        pinned: &WorkKeys,
        key: &AnswerKey,
        sent: Answered<'_>,
        heard: Answered<'_>,
    ) -> Result<(), AnswerDistrust> {
        let (certificate, signature) = (key.certificate().to_string(), key.sign(sent).to_string());
        pinned.check_answer("documents", Some(&certificate), Some(&signature), heard)
    }

    #[test]
    fn an_answer_is_believed_from_its_service_to_its_question_alone() {
        let [work, new, stranger] = [(); 3].map(|()| Key::generate(KeyKind::Work));
        let documents = AnswerKey::make("documents", &[&work, &new]);
        for known in [[&work].as_slice(), &[&new], &[&stranger, &work]] {
            assert_eq!(check(&pinned(known), &documents, ASKED, ASKED), Ok(()));
        }
        let known = pinned(&[&work]);
        for heard in [
            Answered {
                node: "mi-0123456789abcdef1",
                ..ASKED
            },
            Answered {
                operation: "param.get",
                ..ASKED
            },
            Answered {
                question: b"which",
                ..ASKED
            },
            Answered {
                answer: b"that",
                ..ASKED
            },
        ] {
            assert_eq!(
                check(&known, &documents, ASKED, heard),
                Err(AnswerDistrust::Altered),
                "{heard:?}"
            );
        }
        let other = AnswerKey::make("parameter-store", &[&work]);
        let expected = AnswerDistrust::OtherService("parameter-store".to_owned());
        assert_eq!(check(&known, &other, ASKED, ASKED), Err(expected));
        let forged = AnswerKey::make("documents", &[&stranger]);
        let expected = AnswerDistrust::Stranger(forged.certificate.key.clone());
        assert_eq!(check(&known, &forged, ASKED, ASKED), Err(expected));
    }

    #[test]
    fn a_certificate_of_one_key_or_service_is_not_that_of_another() {
        let [work, stranger] = [(); 2].map(|()| Key::generate(KeyKind::Work));
        let known = pinned(&[&work]);
        let right = AnswerKey::make("documents", &[&work]);
        let thief = AnswerKey::make("documents", &[&stranger]);
        let bent = [
            // Another key under the vouchers of the right one.
            AnswerCertificate {
                key: thief.certificate.key.clone(),
                ..right.certificate.clone()
            },
            AnswerCertificate {
                service: "parameter-store".to_owned(),
                ..right.certificate.clone()
            },
            // Signed by a stranger under the name of a key that is known.
            AnswerCertificate {
                vouchers: vec![(work.public().clone(), thief.certificate.vouchers[0].1.clone())],
                ..thief.certificate.clone()
            },
            AnswerCertificate {
                vouchers: Vec::new(),
                ..right.certificate.clone()
            },
        ];
        for certificate in bent {
            assert!(!certificate.is_vouched_for_by(&known), "{certificate}");
        }
        // The right certificate does not cover what somebody else has signed.
        let signature = thief.sign(ASKED).to_string();
        let checked = known.check_answer(
            "documents",
            Some(&right.certificate.to_string()),
            Some(&signature),
            ASKED,
        );
        assert_eq!(checked, Err(AnswerDistrust::Altered));
        assert_eq!(
            known.check_answer("documents", None, Some(&signature), ASKED),
            Err(AnswerDistrust::Unsigned)
        );
    }

    #[test]
    fn a_key_is_read_as_it_is_written_and_fits_its_certificate() {
        let work = Key::generate(KeyKind::Work);
        let made = AnswerKey::make("documents", &[&work]);
        let read = AnswerKey::parse(&made.to_text()).unwrap();
        assert_eq!(read.certificate, made.certificate);
        assert_eq!(check(&pinned(&[&work]), &read, ASKED, ASKED), Ok(()));
        let other = AnswerKey::make("documents", &[&work]);
        let mixed = format!("{}\n{}\n", other.key.seed().expose(), made.certificate);
        assert_eq!(AnswerKey::parse(&mixed).unwrap_err(), NoAnswerKey::Certificate);
        for text in ["", "x", "x\ny\n", &format!("{}x\n", made.to_text())] {
            assert!(AnswerKey::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn certificates_are_read_as_they_are_written_and_nothing_else_panics(service in "[a-z-]{1,20}", count in 0..3_usize, noise in ".{0,80}") {
            let keys: Vec<Key> = (0..count).map(|_| Key::generate(KeyKind::Work)).collect();
            let keys: Vec<&Key> = keys.iter().collect();
            let made = AnswerKey::make(&service, &keys).certificate;
            prop_assert_eq!(made.to_string().parse(), Ok(made));
            let _ = noise.parse::<AnswerCertificate>();
        }
    }
}
