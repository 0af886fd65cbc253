//! Whoever reads values, and what has to be in the audit log of that: each version by its name, of secrets whether it was
//! decrypted, and with which key (parameter-store 12). Never a value.

use muster_boot::{Rights, Touched};
use muster_wire::{Failure, aws_json};

use crate::secret::KeyName;

/// Whoever reads values.
#[derive(Debug)]
pub(super) struct Reader {
    /// It wants encrypted values in clear.
    pub(super) decrypts: bool,
    pub(super) rights: Rights,
    /// Nobody is shown anything: it is only asked whether somebody might be.
    asks_only: bool,
}

/// A version that somebody asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// ARN of the parameter.
    pub(super) arn: &'a str,
    pub(super) version: i64,
    /// The colon and what follows it, where the caller named a version or a label.
    pub(super) selector: Option<&'a str>,
}

impl Reader {
    pub(super) fn new(decrypts: Option<bool>, rights: Rights) -> Self {
        Self {
            decrypts: decrypts.unwrap_or_default(),
            rights,
            asks_only: false,
        }
    }

    pub(super) fn asking_only(decrypts: Option<bool>, rights: Rights) -> Self {
        Self {
            asks_only: true,
            ..Self::new(decrypts, rights)
        }
    }

    /// Notes a version that is shown as it is.
    pub(super) fn note_plain(&self, seen: Seen<'_>) {
        self.note(seen.arn, details(seen), false);
    }

    /// Notes one that is shown encrypted.
    pub(super) fn note_sealed(&self, seen: Seen<'_>, key: &KeyName) {
        let mut details = details(seen);
        details.extend(of_key(false, key));
        self.note(seen.arn, details, false);
    }

    /// Notes that a secret was decrypted, or why it was not.
    pub(super) fn note_decrypted(&self, seen: Seen<'_>, key: &KeyName, outcome: Result<(), &Failure>) {
        let mut details = details(seen);
        details.extend(of_key(outcome.is_ok(), key));
        if let Err(failure) = outcome {
            details.push(format!("outcome={}", aws_json::word_and_status(failure).0));
        }
        self.note(seen.arn, details, outcome.is_ok());
    }

    /// Notes which version was asked for that is not there.
    pub(super) fn note_selector(&self, arn: &str, selector: Option<&str>) {
        if let Some(selector) = selector {
            self.note(arn, vec![format!("selector={selector}")], false);
        }
    }

    /// Notes that a parameter is not there, of a call that is answered all the same.
    pub(super) fn note_missing(&self, arn: String, selector: Option<&str>) {
        let mut details: Vec<String> = selector
            .map(|selector| format!("selector={selector}"))
            .into_iter()
            .collect();
        details.push("outcome=ParameterNotFound".to_owned());
        self.note(&arn, details, false);
    }

    fn note(&self, arn: &str, details: Vec<String>, is_secret: bool) {
        if !self.asks_only {
            self.rights.note(Touched {
                resource: arn.to_owned(),
                details,
                is_secret,
            });
        }
    }
}

fn details(seen: Seen<'_>) -> Vec<String> {
    let version = format!("version={}", seen.version);
    let selector = seen.selector.map(|selector| format!("selector={selector}"));
    [version].into_iter().chain(selector).collect()
}

fn of_key(is_decrypted: bool, key: &KeyName) -> [String; 3] {
    [
        format!("decrypted={is_decrypted}"),
        format!("key={}:{}", key.provider, key.id),
        format!("key-version={}", key.version),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_with_the_way_it_was_asked_for() {
        let seen = |selector| Seen {
            arn: "arn",
            version: 3,
            selector,
        };
        assert_eq!(details(seen(None)), ["version=3"]);
        assert_eq!(details(seen(Some(":live"))), ["version=3", "selector=:live"]);
    }

    #[test]
    fn a_secret_is_named_with_its_key() {
        let key = KeyName {
            provider: "file".to_owned(),
            id: "aws/ssm".to_owned(),
            version: "ab12".to_owned(),
        };
        let told = ["decrypted=true", "key=file:aws/ssm", "key-version=ab12"];
        assert_eq!(of_key(true, &key), told);
    }
}
