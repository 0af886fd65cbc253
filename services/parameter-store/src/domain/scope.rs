//! Where parameters live: the parts of an ARN that are the same for all of them.

use muster_model::Account;

/// Partition, region and account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) partition: String,
    pub(crate) region: String,
    pub(crate) account: String,
}

impl From<&Account> for Scope {
    fn from(account: &Account) -> Self {
        Self {
            partition: account.partition().to_owned(),
            region: account.region().to_owned(),
            account: account.id().to_owned(),
        }
    }
}

impl Scope {
    /// The ARN of a parameter by its name; `x` and `/x` have the same.
    pub(crate) fn arn(&self, name: &str) -> String {
        format!("{}/{}", self.prefix(), name.trim_start_matches('/'))
    }

    /// The ARN of a key by its id, which may be one already.
    pub(crate) fn key_arn(&self, id: &str) -> String {
        match id.starts_with("arn:") {
            true => id.to_owned(),
            false => format!("arn:{}:kms:{}:{}:key/{id}", self.partition, self.region, self.account),
        }
    }

    /// The ARN of a service setting by its id.
    pub(crate) fn setting_arn(&self, id: &str) -> String {
        let id = id.trim_start_matches('/');
        let (partition, region, account) = (&self.partition, &self.region, &self.account);
        format!("arn:{partition}:ssm:{region}:{account}:servicesetting/{id}")
    }

    /// What the ARN of every parameter begins with, without the slash.
    pub(crate) fn prefix(&self) -> String {
        format!("arn:{}:ssm:{}:{}:parameter", self.partition, self.region, self.account)
    }
}
