//! How callers name keys: a key id, `alias/…`, or the ARN of either.

use crate::domain::scope::Scope;

/// A key as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyId {
    /// What follows `alias/`.
    Alias(String),
    /// An id.
    Key(String),
    /// The ARN of a key of another account or region, or of no key.
    Foreign(String),
}

impl KeyId {
    /// Reads what a caller gives; its characters were checked by the contract.
    pub(crate) fn parse(text: &str, scope: &Scope) -> Self {
        let plain = |text: &str| match text.strip_prefix("alias/") {
            Some(alias) => Self::Alias(alias.to_owned()),
            None => Self::Key(text.to_owned()),
        };
        let Some(rest) = text.strip_prefix("arn:") else {
            return plain(text);
        };
        let prefix = format!("{}:kms:{}:{}:", scope.partition, scope.region, scope.account);
        match rest.strip_prefix(&prefix) {
            Some(resource) if resource.starts_with("alias/") => plain(resource),
            Some(resource) => match resource.strip_prefix("key/") {
                Some(key) => Self::Key(key.to_owned()),
                None => Self::Foreign(text.to_owned()),
            },
            None => Self::Foreign(text.to_owned()),
        }
    }

    /// The ARN that a key with this name would have, where nobody knows which one is meant.
    pub(crate) fn arn(&self, scope: &Scope) -> String {
        let (Self::Alias(name) | Self::Key(name) | Self::Foreign(name)) = self;
        // An ARN that is none may be the name of a key, like everything else that is none of ours.
        let is_whole = name.splitn(6, ':').filter(|part| !part.is_empty()).count() == 6;
        match is_whole {
            true => scope.key_arn(name),
            false => scope.key_arn(name.trim_start_matches("arn:")),
        }
    }

    /// Why there is no such key, as the public key service says it.
    pub(crate) fn not_found(&self, scope: &Scope) -> String {
        let arn = |resource: &str| {
            format!(
                "arn:{}:kms:{}:{}:{resource}",
                scope.partition, scope.region, scope.account
            )
        };
        match self {
            Self::Alias(alias) => format!("Alias {} is not found.", arn(&format!("alias/{alias}"))),
            Self::Key(key) => format!("Key '{}' does not exist", arn(&format!("key/{key}"))),
            Self::Foreign(arn) => format!("Key '{arn}' does not exist"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::tests::scope;

    #[test]
    fn keys_are_named_in_four_ways() {
        let check = |text: &str, expected: KeyId| assert_eq!(KeyId::parse(text, &scope()), expected, "{text}");
        check("alias/aws/ssm", KeyId::Alias("aws/ssm".to_owned()));
        check("payments", KeyId::Key("payments".to_owned()));
        check(
            "arn:aws:kms:us-east-1:000000000000:key/payments",
            KeyId::Key("payments".to_owned()),
        );
        check(
            "arn:aws:kms:us-east-1:000000000000:alias/x",
            KeyId::Alias("x".to_owned()),
        );
        for foreign in [
            "arn:aws:kms:us-east-1:111111111111:key/x",
            "arn:aws:kms:us-east-1:000000000000:x",
            "arn:",
        ] {
            check(foreign, KeyId::Foreign(foreign.to_owned()));
        }
        let ours = "arn:aws:kms:us-east-1:000000000000:key/x";
        for text in [
            "x",
            "alias/x",
            ours,
            "arn:aws:kms:us-east-1:000000000000:alias/x",
            "arn:x",
        ] {
            assert_eq!(KeyId::parse(text, &scope()).arn(&scope()), ours, "{text}");
        }
        let foreign = "arn:aws:kms:us-east-1:111111111111:key/x";
        assert_eq!(KeyId::parse(foreign, &scope()).arn(&scope()), foreign);
        let text = KeyId::Alias("x".to_owned()).not_found(&scope());
        assert_eq!(text, "Alias arn:aws:kms:us-east-1:000000000000:alias/x is not found.");
    }
}
