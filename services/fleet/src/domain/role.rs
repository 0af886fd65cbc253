//! The roles that nodes may have (fleet 2): those of the settings, and those that access knows.

use std::collections::BTreeSet;

use muster_model::Account;
use muster_wire::Refusal;

/// Longest name of a role, in characters; the contract's limit.
const LONGEST: usize = 64;

/// The roles of the settings, in an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roles {
    account: Account,
    names: BTreeSet<String>,
}

impl Roles {
    /// Roles of an account.
    pub(crate) fn new(account: &Account, names: &[String]) -> Self {
        Self {
            account: account.clone(),
            names: names.iter().cloned().collect(),
        }
    }

    /// The name of a role that a caller names, with or without a path before it. It may be that of no role.
    ///
    /// # Errors
    /// If the text is an ARN.
    pub(crate) fn named<'a>(&self, wanted: &'a str) -> Result<&'a str, Refusal> {
        if wanted.contains(':') {
            let message = format!(
                "IamRole {} is not the name of a role: give the name alone, not an ARN",
                wanted.escape_debug()
            );
            return Err(Refusal::validation(message));
        }
        Ok(without_path(wanted))
    }

    /// Whether the settings say that a role of this name exists.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The ARN of a role of this name.
    pub(crate) fn arn(&self, name: &str) -> String {
        format!(
            "arn:{}:iam::{}:role/{name}",
            self.account.partition(),
            self.account.id()
        )
    }

    /// The refusal of a role that is none.
    pub(crate) fn nonexistent(&self, name: &str) -> Refusal {
        // Terraform waits for a role to appear when it reads the first two words.
        Refusal::validation(format!(
            "Nonexistent role or missing ssm service principal in trust policy: {}",
            self.arn(&name.escape_debug().to_string())
        ))
    }
}

/// The name of a role without the path that may stand before it.
pub(crate) fn without_path(role: &str) -> &str {
    role.rsplit('/').next().unwrap_or(role)
}

/// Whether a text can be the name of a role.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |character: u8| character.is_ascii_alphanumeric() || b"_+=,.@-".contains(&character);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use muster_wire::Reason;

    use super::*;

    fn roles() -> Roles {
        Roles::new(&Account::default(), &["SSMServiceRole".to_owned()])
    }

    #[test]
    fn a_path_before_a_role_does_not_matter() {
        for given in ["SSMServiceRole", "service-role/SSMServiceRole", "/a/b/SSMServiceRole"] {
            assert_eq!(roles().named(given), Ok("SSMServiceRole"), "{given}");
        }
        assert!(roles().has("SSMServiceRole"));
    }

    #[test]
    fn what_is_no_role_is_refused_with_the_words_that_callers_wait_for() {
        for name in ["Nobody", "ssmservicerole", ""] {
            assert!(!roles().has(name));
            let refusal = roles().nonexistent(name);
            assert_eq!(refusal.reason, Reason::ValidationException);
            let expected = format!(
                "Nonexistent role or missing ssm service principal in trust policy: arn:aws:iam::000000000000:role/{name}"
            );
            assert_eq!(refusal.message, expected);
        }
        let refusal = roles()
            .named("arn:aws:iam::000000000000:role/SSMServiceRole")
            .unwrap_err();
        assert!(refusal.message.contains("not an ARN"), "{}", refusal.message);
    }

    #[test]
    fn names_of_roles_have_no_path_and_no_blanks() {
        assert!(is_name("SSMServiceRole") && is_name("a+b=c,d.e@f-g_h"));
        for bad in ["", "a/b", "a b", "rôle", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
