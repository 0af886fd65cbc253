//! What a reader asks for: a name or an ARN, and perhaps which version (parameter-store 2).

use crate::domain::name::Name;
use crate::domain::scope::Scope;
use crate::error::ParameterError;

/// Which version of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Selector {
    Version(i64),
    Label(String),
    /// Two colons, or nothing after one: no parameter is called like this.
    Nothing,
}

/// What a reader asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) selector: Option<Selector>,
    /// The spelling to answer with; absent where the ARN was given.
    pub(crate) spelled: Option<String>,
    /// The colon and what follows it.
    pub(crate) selector_text: Option<String>,
    /// A name that Muster itself keeps nothing under.
    pub(crate) is_reserved: bool,
}

impl Asked {
    /// Reads what `GetParameter` and its like are given.
    pub(crate) fn parse(text: &str, scope: &Scope) -> Result<Self, ParameterError> {
        let text = text.trim_matches(' ');
        let (text, is_arn) = match text.strip_prefix("arn:") {
            Some(rest) => (resource(text, rest, scope)?, true),
            None => (text, false),
        };
        let (bare, selector_text) = match text.find(':') {
            Some(at) => (&text[..at], Some(&text[at..])),
            None => (text, None),
        };
        let name = Name::parse(bare, scope)?;
        Ok(Self {
            selector: selector_text.map(|text| selector(&text[1..])),
            is_reserved: name.check_new().is_err(),
            path: name.path(),
            spelled: (!is_arn).then(|| name.spelled().to_owned()),
            selector_text: selector_text.map(str::to_owned),
        })
    }
}

fn selector(text: &str) -> Selector {
    if text.is_empty() || text.contains([':', '\0']) {
        return Selector::Nothing;
    }
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too big for any version is that of none.
        true => Selector::Version(text.parse().unwrap_or(i64::MAX)),
        false => Selector::Label(text.to_owned()),
    }
}

/// What follows `parameter` in an ARN of this scope.
fn resource<'a>(whole: &str, rest: &'a str, scope: &Scope) -> Result<&'a str, ParameterError> {
    let mut parts = rest.splitn(5, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (partition, service, region, account, resource) = (part(), part(), part(), part(), part());
    let Some(path) = resource.strip_prefix("parameter").filter(|_| service == "ssm") else {
        return Err(ParameterError::Name);
    };
    if !path.starts_with('/') {
        return Err(ParameterError::Name);
    }
    if (partition, region, account) != (&scope.partition, &scope.region, &scope.account) {
        let arn = whole.to_owned();
        return Err(ParameterError::ForeignArn { arn });
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::Reason;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::name::tests::scope;

    fn asked(text: &str) -> Asked {
        Asked::parse(text, &scope()).unwrap()
    }

    #[test]
    fn selectors_are_versions_or_labels() {
        assert_eq!(asked("x").selector, None);
        assert_eq!(asked("x:3").selector, Some(Selector::Version(3)));
        assert_eq!(asked("/a/b:prod").selector, Some(Selector::Label("prod".to_owned())));
        assert_eq!(asked("/a/b:prod").selector_text.as_deref(), Some(":prod"));
        assert_eq!(
            asked("x:99999999999999999999").selector,
            Some(Selector::Version(i64::MAX))
        );
        for nothing in ["x:", "x:1:2", "x::"] {
            assert_eq!(asked(nothing).selector, Some(Selector::Nothing), "{nothing}");
        }
    }

    #[test]
    fn an_arn_of_this_scope_is_a_name_and_of_another_is_denied() {
        let arn = asked("arn:aws:ssm:us-east-1:000000000000:parameter/a/b:2");
        assert_eq!(
            (arn.path.as_str(), arn.selector, arn.spelled),
            ("/a/b", Some(Selector::Version(2)), None)
        );
        let check = |text: &str, reason| {
            assert_eq!(Asked::parse(text, &scope()).unwrap_err().reason(), reason, "{text}");
        };
        check(
            "arn:aws:ssm:us-east-1:111111111111:parameter/x",
            Reason::AccessDeniedException,
        );
        check(
            "arn:aws:ssm:eu-west-1:000000000000:parameter/x",
            Reason::AccessDeniedException,
        );
        check(
            "arn:aws-cn:ssm:us-east-1:000000000000:parameter/x",
            Reason::AccessDeniedException,
        );
        check(
            "arn:aws:ssm:us-east-1:000000000000:document/x",
            Reason::ValidationException,
        );
        check(
            "arn:aws:kms:us-east-1:000000000000:parameter/x",
            Reason::ValidationException,
        );
        check(
            "arn:aws:ssm:us-east-1:000000000000:parameter",
            Reason::ValidationException,
        );
        check("arn:", Reason::ValidationException);
        assert!(asked("/aws/service/x").is_reserved);
        for text in ["x:1", "arn:aws:ssm:us-east-1:000000000000:parameter/x"] {
            assert!(Name::parse(text, &scope()).is_err(), "writers are given names only");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*", arn in "arn:(aws:ssm:us-east-1:000000000000:)?.*") {
            let _ = Asked::parse(&text, &scope());
            let _ = Asked::parse(&arn, &scope());
        }
    }
}
