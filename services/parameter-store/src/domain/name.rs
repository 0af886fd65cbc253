//! Names of parameters (parameter-store 2).

use crate::domain::scope::Scope;
use crate::error::ParameterError;

/// Longest name, with what comes before it in the ARN.
const LONGEST: usize = 1011;
/// Most levels of a hierarchy.
const LEVELS: usize = 15;

/// A name as it was spelled. `x` and `/x` are two spellings of one parameter, whose path is `/x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    spelled: String,
}

impl Name {
    /// Reads a name. Spaces at its ends do not belong to it.
    pub(crate) fn parse(text: &str, scope: &Scope) -> Result<Self, ParameterError> {
        let spelled = text.trim_matches(' ');
        let bare = spelled.strip_prefix('/').unwrap_or(spelled);
        let is_shaped = bare.split('/').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        });
        if !is_shaped || begins_with(bare, "ssm") {
            return Err(ParameterError::Name);
        }
        if bare.contains('/') && bare.len() == spelled.len() {
            return Err(ParameterError::NotQualified);
        }
        let levels = bare.split('/').count();
        if levels > LEVELS {
            return Err(ParameterError::TooDeep { limit: LEVELS });
        }
        // By its ARN, which is the same for all spellings.
        if scope.prefix().len() + 1 + bare.len() > LONGEST {
            return Err(ParameterError::NameTooLong { limit: LONGEST });
        }
        Ok(Self {
            spelled: spelled.to_owned(),
        })
    }

    /// Refuses a name that nobody may make a parameter of.
    pub(crate) fn check_new(&self) -> Result<(), ParameterError> {
        match begins_with(self.bare(), "aws") {
            true => Err(ParameterError::ReservedName {
                name: self.spelled.clone(),
            }),
            false => Ok(()),
        }
    }

    /// The name as it was spelled.
    pub(crate) fn spelled(&self) -> &str {
        &self.spelled
    }

    /// The one form of all spellings: with a slash in front.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.bare())
    }

    fn bare(&self) -> &str {
        self.spelled.strip_prefix('/').unwrap_or(&self.spelled)
    }
}

/// The path that a path is a direct child of: `/a` of `/a/b`, and the empty text of `/a`.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// A path below which parameters are looked for: empty, or `/a/b` without a slash at its end.
pub(crate) fn folder(text: &str) -> Result<String, ParameterError> {
    let Some(bare) = text.strip_prefix('/') else {
        return Err(ParameterError::Path);
    };
    // The slash at the end is one; of `//` the first part is empty.
    let bare = bare.strip_suffix('/').filter(|bare| !bare.is_empty()).unwrap_or(bare);
    let is_shaped = bare.is_empty()
        || bare.split('/').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        });
    match is_shaped {
        true if bare.is_empty() => Ok(String::new()),
        true => Ok(format!("/{bare}")),
        false => Err(ParameterError::Path),
    }
}

/// Whether a parameter, by either spelling, lies below a folder as [`folder`] gives it.
pub(crate) fn is_below(name: &str, folder: &str, recursive: bool) -> bool {
    let path = format!("/{}", name.trim_start_matches('/'));
    match recursive {
        true => path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
        false => parent(&path) == folder,
    }
}

/// Whether a text begins with a word, in any case.
pub(crate) fn begins_with(text: &str, word: &str) -> bool {
    text.get(..word.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(word))
}

#[cfg(test)]
pub(crate) mod tests {
    use muster_proto::aws::v1::Reason;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::asked::Asked;

    pub(crate) fn scope() -> Scope {
        Scope {
            partition: "aws".to_owned(),
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
        }
    }

    pub(crate) fn name(text: &str) -> Name {
        Name::parse(text, &scope()).unwrap()
    }

    #[test]
    fn both_spellings_of_a_root_name_are_one_path() {
        assert_eq!(name("x").path(), "/x");
        assert_eq!(name("/x").path(), "/x");
        assert_eq!(name("  x ").spelled(), "x");
        assert_eq!(scope().arn("x"), scope().arn("/x"));
        assert_eq!(scope().arn("/a/b"), "arn:aws:ssm:us-east-1:000000000000:parameter/a/b");
        assert_ne!(name("X").path(), name("x").path());
    }

    #[test]
    fn bad_names_are_refused_with_their_word() {
        let check = |text: &str, reason: Reason| {
            assert_eq!(Name::parse(text, &scope()).unwrap_err().reason(), reason, "{text:?}");
        };
        for text in [
            "", " ", "/", "//", "//a", "/a//b", "/a/", "a b", "a:b", "é", "a/b", "/a b", "a\0", "{a}", "ssm", "SSMx",
            "/ssm/a", "/Ssm-x",
        ] {
            check(text, Reason::ValidationException);
        }
        check(
            "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16",
            Reason::HierarchyLevelLimitExceededException,
        );
        name("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15");
        name("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/name");
        let longest = LONGEST - scope().prefix().len() - 1;
        let text = "a".repeat(longest);
        // All spellings are one parameter, the ARN that it has among them.
        assert_eq!(name(&text).path(), name(&format!("/{text}")).path());
        assert_eq!(scope().arn(&text).len(), LONGEST);
        assert_eq!(
            Asked::parse(&scope().arn(&text), &scope()).unwrap().path,
            format!("/{text}")
        );
        check(&"a".repeat(longest + 1), Reason::ValidationException);
        check(&format!("/{}", "a".repeat(longest + 1)), Reason::ValidationException);
        for text in ["aws", "/aws/x", "AWSome", "/Aws"] {
            assert_eq!(
                name(text).check_new().unwrap_err().reason(),
                Reason::AccessDeniedException
            );
        }
        for text in ["a", "_", ".", "-", "/a/aws/ssm", "my-aws", "/a/b/c"] {
            name(text).check_new().unwrap();
        }
    }

    #[test]
    fn folders_take_a_slash_at_their_end() {
        assert_eq!(folder("/").unwrap(), "");
        assert_eq!(folder("/a/b/").unwrap(), "/a/b");
        assert_eq!(folder("/a/b").unwrap(), "/a/b");
        for bad in ["", "a", "a/b", "//", "/a//", "/a b", "/a:1", "/a\0"] {
            assert!(folder(bad).is_err(), "{bad:?}");
        }
        assert_eq!((parent("/a/b"), parent("/a")), ("/a", ""));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_a_name_has_no_colon(text in ".*") {
            if let Ok(name) = Name::parse(&text, &scope()) {
                prop_assert!(name.path().starts_with('/'));
                prop_assert!(!name.spelled().contains([':', ' ', '\0']));
                prop_assert_eq!(Name::parse(&name.path(), &scope()).unwrap().path(), name.path());
            }
            let _ = folder(&text);
        }
    }
}
