//! Service settings: what an account can change without a restart (parameter-store 9).

use muster_proto::Word;
use muster_proto::parameterstore::v1::ParameterTier;

use crate::domain::scope::Scope;
use crate::error::ParameterError;

/// A setting that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// The tier of new parameters for which nobody names one.
    DefaultTier,
    /// Kept and shown; there is no throughput to buy here.
    HighThroughput,
    /// Kept and shown; here neither tier limits how many nodes there are (fleet 2).
    ActivationTier,
}

const ALL: [Setting; 3] = [Setting::DefaultTier, Setting::HighThroughput, Setting::ActivationTier];

impl Setting {
    /// The setting of this id, which may be its ARN.
    pub(crate) fn parse(given: &str, scope: &Scope) -> Result<Self, ParameterError> {
        let arn = scope.setting_arn("");
        let id = given
            .strip_prefix(&arn)
            .map_or_else(|| given.to_owned(), |id| format!("/{id}"));
        let found = ALL.into_iter().find(|setting| setting.id() == id);
        found.ok_or_else(|| ParameterError::MissingSetting { id: given.to_owned() })
    }

    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::DefaultTier => "/ssm/parameter-store/default-parameter-tier",
            Self::HighThroughput => "/ssm/parameter-store/high-throughput-enabled",
            Self::ActivationTier => "/ssm/managed-instance/activation-tier",
        }
    }

    /// The values that it takes.
    fn words(self) -> Vec<&'static str> {
        match self {
            Self::DefaultTier => ParameterTier::WORDS.to_vec(),
            Self::HighThroughput => vec!["true", "false"],
            Self::ActivationTier => vec!["standard", "advanced"],
        }
    }

    /// Refuses what it cannot be.
    pub(crate) fn check(self, value: &str) -> Result<(), ParameterError> {
        let words = self.words();
        match words.contains(&value) {
            true => Ok(()),
            false => Err(ParameterError::SettingValue {
                id: self.id(),
                words: words.join(", "),
            }),
        }
    }

    /// What it is unless somebody changed it.
    pub(crate) fn default_value(self, tier: ParameterTier) -> &'static str {
        match self {
            Self::DefaultTier => tier.word(),
            Self::HighThroughput => "false",
            Self::ActivationTier => "standard",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::tests::scope;

    #[test]
    fn a_setting_is_known_by_its_id_and_by_its_arn() {
        for setting in ALL {
            assert_eq!(Setting::parse(setting.id(), &scope()), Ok(setting));
            assert_eq!(
                Setting::parse(&scope().setting_arn(setting.id()), &scope()),
                Ok(setting)
            );
        }
        for id in ["", "/ssm/other", "ssm/parameter-store/default-parameter-tier"] {
            assert!(
                matches!(Setting::parse(id, &scope()), Err(ParameterError::MissingSetting { .. })),
                "{id}"
            );
        }
    }

    #[test]
    fn each_takes_its_own_words() {
        assert_eq!(Setting::DefaultTier.check("Intelligent-Tiering"), Ok(()));
        assert!(Setting::DefaultTier.check("true").is_err());
        assert!(Setting::HighThroughput.check("Standard").is_err());
        for setting in ALL {
            assert_eq!(setting.check(setting.default_value(ParameterTier::Advanced)), Ok(()));
        }
    }
}
