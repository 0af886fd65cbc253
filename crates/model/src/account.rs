//! The account of an installation: what ARNs are made of.

use std::fmt;

/// The account of an installation, and where it is: the parts of ARNs that say whose a resource is.
///
/// Two installations that know each other's ARNs should differ in one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    partition: String,
    region: String,
    id: String,
}

/// A part that cannot stand in an ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The id is none.
    #[error("the account {0:?} has not 12 digits")]
    Id(String),
    /// The partition is none.
    #[error("the partition {0:?} has other characters than letters, digits and \"-\", or none")]
    Partition(String),
    /// The region is none.
    #[error("the region {0:?} has other characters than letters, digits and \"-\", or none")]
    Region(String),
}

impl Account {
    /// Puts one together from `aws`, `us-east-1` and `000000000000`.
    ///
    /// # Errors
    /// If a part cannot stand in an ARN.
    pub fn new(
        partition: impl Into<String>,
        region: impl Into<String>,
        id: impl Into<String>,
    ) -> Result<Self, AccountError> {
        let (partition, region, id) = (partition.into(), region.into(), id.into());
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        match () {
            () if !is_word(&partition) => Err(AccountError::Partition(partition)),
            () if !is_word(&region) => Err(AccountError::Region(region)),
            () if id.len() != 12 || !id.bytes().all(|b| b.is_ascii_digit()) => Err(AccountError::Id(id)),
            () => Ok(Self { partition, region, id }),
        }
    }

    /// `aws`.
    #[must_use]
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// `us-east-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// 12 digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The ARN of a user: `arn:aws:iam::000000000000:user/alice`.
    #[must_use]
    pub fn user(&self, name: &str) -> String {
        format!("arn:{}:iam::{}:user/{name}", self.partition, self.id)
    }
}

/// What an installation is where nobody says otherwise: `aws`, `us-east-1`, `000000000000`.
impl Default for Account {
    fn default() -> Self {
        Self {
            partition: "aws".to_owned(),
            region: "us-east-1".to_owned(),
            id: "000000000000".to_owned(),
        }
    }
}

/// The id: what an account is called in texts.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_arn_is_refused() {
        assert_eq!(Account::new("aws", "us-east-1", "000000000000"), Ok(Account::default()));
        for id in ["", "12345678901", "12345678901x", "1234567890123"] {
            let refused = Account::new("aws", "us-east-1", id);
            assert_eq!(refused, Err(AccountError::Id(id.to_owned())));
        }
        assert!(Account::new("a:b", "us-east-1", "000000000000").is_err());
        assert!(Account::new("aws", "", "000000000000").is_err());
    }
}
