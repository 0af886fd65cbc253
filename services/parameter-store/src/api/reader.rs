//! Whoever reads values, and what has to be in the audit log of that: each secret by its name and version, whether it was
//! decrypted, and with which key. Never a value.

use muster_boot::{Read, Rights};
use muster_proto::Word as _;
use muster_proto::aws::v1::Reason;
use muster_wire::Failure;

use crate::secret::KeyName;

/// Whoever reads values.
#[derive(Debug)]
pub(super) struct Reader {
    /// It wants encrypted values in clear.
    pub(super) decrypts: bool,
    pub(super) rights: Rights,
    reads: Vec<Read>,
}

impl Reader {
    pub(super) fn new(decrypts: Option<bool>, rights: Rights) -> Self {
        Self {
            decrypts: decrypts.unwrap_or_default(),
            rights,
            reads: Vec::new(),
        }
    }

    /// Notes that a secret was decrypted, or why it was not.
    pub(super) fn note(&mut self, arn: String, version: i64, key: &KeyName, outcome: Result<(), &Failure>) {
        self.reads.push(Read {
            resource: arn,
            details: details(version, key, outcome),
        });
    }

    /// Gives an answer when everything that was noted is in the audit log.
    pub(super) async fn tell<T>(self, answer: Result<T, Failure>) -> Result<T, Failure> {
        self.rights.record_reads(self.reads).await?;
        answer
    }
}

fn details(version: i64, key: &KeyName, outcome: Result<(), &Failure>) -> Vec<String> {
    let mut details = vec![
        format!("version={version}"),
        format!("decrypted={}", outcome.is_ok()),
        format!("key={}:{}", key.provider, key.id),
        format!("key-version={}", key.version),
    ];
    if let Err(failure) = outcome {
        let word = match failure {
            Failure::Refused(refusal) => refusal.reason.word(),
            _ => Reason::InternalServerError.word(),
        };
        details.push(format!("outcome={word}"));
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ParameterError;

    #[test]
    fn a_read_says_the_version_the_key_and_what_became_of_it() {
        let key = KeyName {
            provider: "file".to_owned(),
            id: "aws/ssm".to_owned(),
            version: "ab12".to_owned(),
        };
        assert_eq!(
            details(3, &key, Ok(())),
            ["version=3", "decrypted=true", "key=file:aws/ssm", "key-version=ab12"]
        );
        let refused = ParameterError::KeyId("gone".to_owned()).into();
        let of_refused = details(3, &key, Err(&refused));
        assert_eq!(
            (of_refused[1].as_str(), of_refused[4].as_str()),
            ("decrypted=false", "outcome=InvalidKeyId")
        );
        let ours = Failure::internal("away");
        assert_eq!(details(3, &key, Err(&ours))[4], "outcome=InternalServerError");
    }
}
