//! Data types: what a value has to look like (parameter-store 3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_proto::parameterstore::v1::ParameterType;

use crate::error::ParameterError;

/// Below this path are the integrations of webhooks.
const INTEGRATIONS: &str = "/d9d01087-4a3f-49e0-b0b4-d568d7826553/ssm/integrations/webhook/";

/// What a value has to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataType {
    Text,
    Ec2Image,
    SsmIntegration,
    Region,
    AccountId,
    Boolean,
    Integer,
    Float,
    Binary,
    Hostname,
    Email,
    Ipv4Address,
    Ipv6Address,
    Url,
    Json,
    Jsonc,
}

const WORDS: [(&str, DataType); 16] = [
    ("text", DataType::Text),
    ("aws:ec2:image", DataType::Ec2Image),
    ("aws:ssm:integration", DataType::SsmIntegration),
    ("aws:region", DataType::Region),
    ("aws:account:id", DataType::AccountId),
    ("boolean", DataType::Boolean),
    ("integer", DataType::Integer),
    ("float", DataType::Float),
    ("binary", DataType::Binary),
    ("hostname", DataType::Hostname),
    ("email", DataType::Email),
    ("ipv4-address", DataType::Ipv4Address),
    ("ipv6-address", DataType::Ipv6Address),
    ("url", DataType::Url),
    ("json", DataType::Json),
    ("jsonc", DataType::Jsonc),
];

impl DataType {
    /// Reads a word; case matters.
    pub(crate) fn parse(word: &str) -> Result<Self, ParameterError> {
        let found = WORDS.into_iter().find(|(known, _)| *known == word);
        found
            .map(|(_, data_type)| data_type)
            .ok_or_else(|| ParameterError::DataType { given: word.to_owned() })
    }

    /// The word.
    pub(crate) fn word(self) -> &'static str {
        WORDS
            .into_iter()
            .find(|(_, data_type)| *data_type == self)
            .map_or("text", |(word, _)| word)
    }

    /// Whether only advanced parameters have it.
    pub(crate) fn needs_advanced(self) -> bool {
        matches!(self, Self::Url | Self::Json | Self::Jsonc)
    }

    /// Checks a value; the parameter's type and path matter to integrations only.
    pub(crate) fn check(self, text: &str, kind: ParameterType, path: &str) -> Result<(), ParameterError> {
        if self == Self::SsmIntegration && (kind != ParameterType::SecureString || !path.starts_with(INTEGRATIONS)) {
            return Err(ParameterError::Integration { below: INTEGRATIONS });
        }
        match self.fits(text) {
            true => Ok(()),
            // The value may be secret: it is not repeated.
            false => Err(ParameterError::DataTypeMismatch { word: self.word() }),
        }
    }

    fn fits(self, text: &str) -> bool {
        match self {
            Self::Text | Self::SsmIntegration => true,
            Self::Ec2Image => text.strip_prefix("ami-").is_some_and(|id| {
                matches!(id.len(), 8 | 17) && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            }),
            Self::Region => is_region(text),
            Self::AccountId => text.len() == 12 && is_digits(text),
            Self::Boolean => matches!(text, "true" | "false"),
            Self::Integer => is_digits(text.strip_prefix('-').unwrap_or(text)),
            Self::Float => is_float(text),
            Self::Binary => STANDARD.decode(text).is_ok(),
            Self::Hostname => is_hostname(text),
            Self::Email => text.rsplit_once('@').is_some_and(|(local, host)| {
                let is_local =
                    |b: u8| b.is_ascii_graphic() && !matches!(b, b'@' | b'<' | b'>' | b',' | b'"' | b'(' | b')');
                !local.is_empty() && local.len() <= 64 && local.bytes().all(is_local) && is_hostname(host)
            }),
            Self::Ipv4Address => text.parse::<std::net::Ipv4Addr>().is_ok(),
            Self::Ipv6Address => text.parse::<std::net::Ipv6Addr>().is_ok(),
            Self::Url => is_url(text),
            Self::Json => is_json(text),
            Self::Jsonc => is_json(&without_comments(text)),
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `us-east-1`, `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        [first, middle @ .., last] => {
            let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
            is_word(first) && !middle.is_empty() && middle.iter().all(is_word) && is_digits(last)
        }
        _ => false,
    }
}

/// Digits with a point or an exponent or neither.
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (text, None),
    };
    let is_number = match number.split_once('.') {
        Some((whole, part)) => is_digits(whole) && is_digits(part),
        None => is_digits(number),
    };
    is_number && exponent.is_none_or(|exponent| is_digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
}

fn is_hostname(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    is_scheme && !host.is_empty() && rest.chars().all(|c| !c.is_whitespace() && !c.is_control())
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// JSON with comments and commas at the ends of lists as plain JSON.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let end = string_end(rest);
            plain.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
            plain.push(' ');
        } else {
            if matches!(first, ']' | '}') && plain.trim_end().ends_with(',') {
                let comma = plain.trim_end().len() - 1;
                plain.replace_range(comma..=comma, " ");
            }
            plain.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    plain
}

/// Where the string that a text begins with ends.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::Reason;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_fit_their_data_type_or_not() {
        for (word, good, bad) in [
            ("text", vec!["", "x"], vec![]),
            (
                "aws:ec2:image",
                vec!["ami-12345678", "ami-0123456789abcdef0"],
                vec!["ami-", "ami-1234567", "ami-1234567G", "x"],
            ),
            (
                "aws:region",
                vec!["us-east-1", "us-gov-west-2"],
                vec!["us", "us-1", "US-EAST-1", "us-east-", "-"],
            ),
            (
                "aws:account:id",
                vec!["123456789012"],
                vec!["12345678901", "12345678901x"],
            ),
            ("boolean", vec!["true", "false"], vec!["True", "1", ""]),
            ("integer", vec!["0", "-12"], vec!["", "-", "1.0", "+1"]),
            (
                "float",
                vec!["1", "-1.5", "1e9", "1.5E-3"],
                vec!["", ".5", "1.", "e9", "1e", "NaN"],
            ),
            ("binary", vec!["aGk=", ""], vec!["a", "%%"]),
            (
                "hostname",
                vec!["a", "a.example.com", "a-b.c."],
                vec!["", "-a", "a-", "a..b", "a_b"],
            ),
            (
                "email",
                vec!["a@example.com", "a.b+c@d"],
                vec!["a", "@b", "a@", "a b@c"],
            ),
            ("ipv4-address", vec!["10.0.0.1"], vec!["10.0.0", "256.0.0.1", "::1"]),
            ("ipv6-address", vec!["::1", "fe80::1"], vec!["10.0.0.1", "x"]),
            (
                "url",
                vec!["https://example.com/a?b#c", "s3://b/k"],
                vec!["example.com", "http://", "http:// x", "1x://a"],
            ),
            ("json", vec!["{}", "[1]", "1", "\"x\""], vec!["", "{", "{a:1}", "[1,]"]),
            (
                "jsonc",
                vec!["{} // x", "/* x */ [1, /* y */ ]", "{\"a//\": \"/*\\\"\",}"],
                vec!["", "{", "// x", "/*"],
            ),
        ] {
            let data_type = DataType::parse(word).unwrap();
            assert_eq!(data_type.word(), word);
            for text in good {
                assert!(data_type.fits(text), "{word}: {text}");
            }
            for text in bad {
                assert!(!data_type.fits(text), "{word}: {text}");
            }
        }
    }

    #[test]
    fn an_unknown_word_and_a_misplaced_integration_are_refused() {
        for word in ["Text", "", "not_ec2"] {
            assert_eq!(DataType::parse(word).unwrap_err().reason(), Reason::ValidationException);
        }
        let check = |kind, path: &str| DataType::SsmIntegration.check("x", kind, path);
        let path = format!("{INTEGRATIONS}x");
        assert!(check(ParameterType::SecureString, &path).is_ok());
        assert!(check(ParameterType::String, &path).is_err());
        assert!(check(ParameterType::SecureString, "/x").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*", odd in "[/*\"\\\\,\\]}{\\[ xé\n]*") {
            for (_, data_type) in WORDS {
                let _ = data_type.fits(&text);
                let _ = data_type.fits(&odd);
            }
        }
    }
}
