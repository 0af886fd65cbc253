//! Values, which may be secret: they cannot be printed, and they are wiped from memory.

use muster_proto::parameterstore::v1::ParameterType;
use zeroize::Zeroizing;

use crate::domain::data_type::DataType;
use crate::error::ParameterError;

/// Longest value that is looked at before the tiers have their say, in characters.
const LONGEST: usize = 32_768;

/// The value of a parameter.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Value(Zeroizing<String>);

impl Value {
    /// A value that came from a caller or from the tables.
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Refuses what no tier takes.
    pub(crate) fn check_length(&self) -> Result<(), ParameterError> {
        if self.0.is_empty() {
            return Err(ParameterError::EmptyValue);
        }
        // Bytes are counted first: they are never fewer.
        if self.0.len() > LONGEST && self.0.chars().count() > LONGEST {
            return Err(ParameterError::LongValue { limit: LONGEST });
        }
        Ok(())
    }

    /// The text, for the answer that shows it, for encryption and for checks.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Bytes of the text.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Checks the value against its type and its data type.
    pub(crate) fn check(&self, kind: ParameterType, data_type: DataType, path: &str) -> Result<(), ParameterError> {
        // PostgreSQL takes no NUL in a text, and no parameter needs one.
        if self.0.contains('\0') {
            return Err(ParameterError::Nul { member: "value" });
        }
        if holds_reference(&self.0) {
            return Err(ParameterError::Reference);
        }
        data_type.check(&self.0, kind, path)
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value(…)")
    }
}

/// Whether a text refers to a parameter: `{{ssm:` or `{{ssm-secure:`, with spaces after the braces or without.
fn holds_reference(text: &str) -> bool {
    let is_opened = |(at, _): (usize, &str)| text[..at].trim_end_matches(' ').ends_with("{{");
    text.match_indices("ssm:").any(is_opened) || text.match_indices("ssm-secure:").any(is_opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_no_printed_form() {
        assert_eq!(format!("{:?}", Value::new("hunter2".to_owned())), "Value(…)");
    }

    #[test]
    fn references_are_found() {
        for text in ["{{ssm:x}}", "a {{  ssm-secure:x }}", "{{{ssm:x}}}", "{{x}}{{ssm:"] {
            assert!(holds_reference(text), "{text}");
        }
        for text in ["{{x}}", "{ssm:x}", "{{\tssm:x}}", "{{SSM:x}}", "{{", "{{ssm}}", "{{é"] {
            assert!(!holds_reference(text), "{text}");
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let value = |text: String| Value::new(text).check_length();
        assert!(value(String::new()).is_err());
        assert!(value("é".repeat(LONGEST)).is_ok());
        assert!(value("é".repeat(LONGEST + 1)).is_err());
    }
}
