//! Names of documents, and the ARNs that stand for them (documents.md 8).

use muster_model::Account;

use crate::error::DocumentError;

/// Beginnings that only built-in documents have, in any case. The longer reserved ones, `AWSSupport` and its like,
/// begin with the first of these.
const RESERVED: [&str; 4] = ["aws", "amazon", "amzn", "Muster-"];

/// Refuses a name that a user's document must not have. Its shape was checked by the contract.
pub(crate) fn check_new(name: &str) -> Result<(), DocumentError> {
    let begins_with = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    match RESERVED.into_iter().find(|prefix| begins_with(prefix)) {
        None => Ok(()),
        Some(prefix) => Err(DocumentError::ReservedName {
            name: name.to_owned(),
            prefix,
        }),
    }
}

/// The name that a caller asks by: a plain name, or the ARN of a document of this account or of a built-in one.
///
/// # Errors
/// For the ARN of anything else: no such document can be here.
pub(crate) fn asked<'a>(text: &'a str, account: &Account) -> Result<&'a str, DocumentError> {
    let Some(rest) = text.strip_prefix("arn:") else {
        return Ok(text);
    };
    let mut parts = rest.splitn(5, ':');
    let (_partition, service, _region) = (parts.next(), parts.next(), parts.next());
    // The built-in documents belong to no account. Regions are not told apart: one installation is one region.
    let is_ours = parts
        .next()
        .is_some_and(|owner| owner.is_empty() || owner == account.id());
    match parts.next().and_then(|resource| resource.strip_prefix("document/")) {
        Some(name) if service == Some("ssm") && is_ours => Ok(name),
        _ => Err(DocumentError::Missing { name: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_beginnings_are_refused_in_any_case() {
        for name in [
            "AWS-X",
            "awsome",
            "AmAzOn-Mine",
            "AMZN.a",
            "AWSSupport-X",
            "muster-x",
            "Muster-NodeReport",
        ] {
            assert!(check_new(name).is_err(), "{name}");
        }
        for name in ["my-AWS-doc", "muster", "Musterdoc", "a.b", "aw_s"] {
            assert!(check_new(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn an_arn_of_this_account_or_of_none_is_a_name() {
        let account = Account::new("aws", "us-east-1", "123456789012").unwrap();
        let check = |text: &str, name: Option<&str>| assert_eq!(asked(text, &account).ok(), name, "{text}");
        check("Plain", Some("Plain"));
        check("arn:aws:ssm:eu-west-1:123456789012:document/Mine", Some("Mine"));
        check(
            "arn:aws:ssm:us-east-1::document/AWS-RunShellScript",
            Some("AWS-RunShellScript"),
        );
        check("arn:aws:ssm:us-east-1:999999999999:document/Theirs", None);
        check("arn:aws:s3:us-east-1:123456789012:document/Mine", None);
        check("arn:aws:ssm:us-east-1:123456789012:parameter/Mine", None);
        check("arn:aws", None);
    }
}
