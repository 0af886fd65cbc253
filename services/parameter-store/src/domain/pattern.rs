//! `AllowedPattern`: a regular expression that the whole value must match, with bounded effort (parameter-store 3).

use muster_document::parameter::{ParameterType, Pattern, PatternError};

use crate::error::ParameterError;

/// Checks a value against a pattern as Java reads it.
///
/// # Errors
/// If the pattern is none that can be used, or the value does not match it; the value is not repeated.
pub(crate) fn check(pattern: &str, value: &str) -> Result<(), ParameterError> {
    let found = Pattern::whole(pattern, &ParameterType::String).and_then(|whole| whole.find(value));
    let bad = |why: &str| ParameterError::Pattern {
        pattern: pattern.to_owned(),
        why: why.to_owned(),
    };
    match found {
        Ok(true) => Ok(()),
        Ok(false) => Err(ParameterError::PatternMismatch {
            pattern: pattern.to_owned(),
        }),
        Err(PatternError::Unusable) => Err(bad("it is no regular expression, or one that is too big")),
        Err(PatternError::TooCostly) => Err(bad("matching a value takes too long")),
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::Reason;
    use proptest::prelude::*;

    use super::*;

    fn reason(pattern: &str, value: &str) -> Option<Reason> {
        check(pattern, value).err().map(|error| error.reason())
    }

    #[test]
    fn the_whole_value_must_match() {
        assert_eq!(reason(r"\d{1,4}", "1234"), None);
        assert_eq!(reason("a|ab", "ab"), None);
        assert_eq!(reason("^[a-z]+$", "abc"), None);
        assert_eq!(reason("(?=.*[0-9])(?=.*[a-z]).{3,}", "a1b"), None);
        assert_eq!(reason("(?x)[a-z]+ # letters", "abc"), None);
        let mismatch = Some(Reason::ParameterPatternMismatchException);
        for (pattern, value) in [
            (r"\d{1,4}", "12345"),
            (r"\d+", "a1"),
            ("a", "a\n"),
            ("a|b", "ab"),
            ("(?x)[a-z]+ # letters)|(.*", "a1"),
            (r"\Qa)|(.*", "b"),
        ] {
            assert_eq!(reason(pattern, value), mismatch, "{pattern}");
        }
        let bad = Some(Reason::InvalidAllowedPatternException);
        for pattern in ["[", "(", "a)(b", "*", r"\p{Nope}"] {
            assert_eq!(reason(pattern, "x"), bad, "{pattern}");
        }
        assert_eq!(reason("(a|aa)+(?=b)$", &"a".repeat(4000)), bad, "it ends all the same");
    }

    #[test]
    fn the_value_is_not_in_the_text() {
        let text = check(r"\d", "hunter2").unwrap_err().to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_pattern_has_an_answer(pattern in ".{0,40}", value in ".{0,40}") {
            let _ = check(&pattern, &value);
        }

        #[test]
        fn what_is_quoted_matches_itself_only(quoted in "[^\0]{0,20}", other in "[^\0]{0,20}") {
            prop_assume!(!quoted.contains("\\E"));
            for pattern in [format!("\\Q{quoted}"), format!("\\Q{quoted}\\E"), format!("(?x) \\Q{quoted}\\E # and {other}")] {
                prop_assume!(!pattern.contains('\n') || !pattern.starts_with("(?x)"));
                prop_assert_eq!(reason(&pattern, &quoted), None, "{}", pattern);
                prop_assert_eq!(reason(&pattern, &other).is_none(), quoted == other, "{}", pattern);
            }
        }
    }
}
