//! What a list of documents is narrowed by (documents.md 8). Values of a filter are alternatives; all filters must hold.

use muster_document::{DocumentType, Platform};
use muster_proto::Word;
use muster_proto::documents::v1::{DocumentFilter, DocumentFilterKey, DocumentKeyValuesFilter};

use crate::error::DocumentError;

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    Owner(Owner),
    /// Beginnings of names.
    Name(Vec<String>),
    Platform(Vec<Platform>),
    Type(Vec<DocumentType>),
    TargetType(Vec<String>),
    /// Without values: any value will do.
    Tag {
        key: String,
        values: Vec<String>,
    },
    /// In lower case, to be found in name or description.
    Keyword(Vec<String>),
}

/// Whose documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The built-in ones.
    Amazon,
    /// This account's.
    Own,
    /// Those that are shared with everybody.
    Public,
    /// Those that other accounts share with this one; there is one account only, so there are none.
    Others,
}

/// Reads the filters of a request, in the newer or the older form.
pub(crate) fn parse(
    filters: &[DocumentKeyValuesFilter],
    older: &[DocumentFilter],
) -> Result<Vec<Filter>, DocumentError> {
    if !filters.is_empty() && !older.is_empty() {
        let message = "Filters and DocumentFilterList cannot be combined: use Filters";
        return Err(DocumentError::Filter(message.to_owned()));
    }
    let newer = filters
        .iter()
        .map(|filter| one(filter.key.as_deref().unwrap_or_default(), &filter.values));
    let older = older.iter().map(|filter| match filter.key() {
        DocumentFilterKey::Unset => Err(DocumentError::FilterKey("an unknown word".to_owned())),
        key => one(key.word(), &[filter.value.clone().unwrap_or_default()]),
    });
    newer.chain(older).collect()
}

fn one(key: &str, values: &[String]) -> Result<Filter, DocumentError> {
    let bad = |message: String| DocumentError::Filter(format!("filter {key}: {message}"));
    if values.iter().any(|value| value.contains('\0')) || key.contains('\0') {
        return Err(bad("a value has a NUL character".to_owned()));
    }
    if let Some(key) = key.strip_prefix("tag:").filter(|key| !key.is_empty()) {
        return Ok(Filter::Tag {
            key: key.to_owned(),
            values: values.to_vec(),
        });
    }
    let filter = match key {
        "Owner" => Filter::Owner(match values {
            [one] => owner(one).ok_or_else(|| bad(format!("{one} is none of {}", OWNERS.join(", "))))?,
            _ => return Err(bad("it takes one value".to_owned())),
        }),
        "Name" => Filter::Name(values.to_vec()),
        "PlatformTypes" => Filter::Platform(words(values).map_err(|word| bad(format!("{word} is no platform")))?),
        "DocumentType" => Filter::Type(words(values).map_err(|word| bad(format!("{word} is no document type")))?),
        "TargetType" => Filter::TargetType(values.to_vec()),
        "SearchKeyword" => Filter::Keyword(values.iter().map(|value| value.to_lowercase()).collect()),
        other => return Err(DocumentError::FilterKey(other.to_owned())),
    };
    match values.is_empty() {
        true => Err(bad("it takes at least one value".to_owned())),
        false => Ok(filter),
    }
}

const OWNERS: [&str; 5] = ["Amazon", "Private", "Public", "Self", "ThirdParty"];

fn owner(word: &str) -> Option<Owner> {
    // Scripts write these words in any case.
    let word = OWNERS.iter().find(|owner| owner.eq_ignore_ascii_case(word))?;
    Some(match *word {
        "Amazon" => Owner::Amazon,
        "Self" => Owner::Own,
        "Public" => Owner::Public,
        _ => Owner::Others,
    })
}

fn words<W: std::str::FromStr>(values: &[String]) -> Result<Vec<W>, &str> {
    values
        .iter()
        .map(|value| value.parse().map_err(|_| value.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::Reason;

    use super::*;

    fn newer(key: &str, values: &[&str]) -> DocumentKeyValuesFilter {
        DocumentKeyValuesFilter {
            key: Some(key.to_owned()),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    fn older(key: DocumentFilterKey, value: &str) -> DocumentFilter {
        let mut filter = DocumentFilter {
            value: Some(value.to_owned()),
            ..DocumentFilter::default()
        };
        filter.set_key(key);
        filter
    }

    #[test]
    fn both_forms_mean_the_same() {
        let check = |word: &str, key: DocumentFilterKey, value: &str| {
            assert_eq!(
                parse(&[newer(word, &[value])], &[]),
                parse(&[], &[older(key, value)]),
                "{word}"
            );
            assert!(parse(&[newer(word, &[value])], &[]).is_ok(), "{word}");
        };
        check("Owner", DocumentFilterKey::Owner, "Self");
        check("Name", DocumentFilterKey::Name, "AWS-");
        check("PlatformTypes", DocumentFilterKey::PlatformTypes, "Linux");
        check("DocumentType", DocumentFilterKey::DocumentType, "Command");
    }

    #[test]
    fn filters_are_read() {
        let check = |key: &str, values: &[&str], expected: Filter| {
            assert_eq!(parse(&[newer(key, values)], &[]), Ok(vec![expected]));
        };
        check("Owner", &["private"], Filter::Owner(Owner::Others));
        check("Owner", &["Self"], Filter::Owner(Owner::Own));
        check(
            "PlatformTypes",
            &["Linux", "MacOS"],
            Filter::Platform(vec![Platform::Linux, Platform::MacOs]),
        );
        check(
            "DocumentType",
            &["Automation.ChangeTemplate"],
            Filter::Type(vec![DocumentType::ChangeTemplate]),
        );
        check("SearchKeyword", &["DiSK"], Filter::Keyword(vec!["disk".to_owned()]));
        let tag = Filter::Tag {
            key: "tag:odd".to_owned(),
            values: Vec::new(),
        };
        check("tag:tag:odd", &[], tag);
    }

    #[test]
    fn bad_filters_are_refused() {
        let check = |filters: &[DocumentKeyValuesFilter], reason| {
            assert_eq!(parse(filters, &[]).unwrap_err().reason(), reason, "{filters:?}");
        };
        check(&[newer("Nope", &["x"])], Reason::InvalidFilterKey);
        check(&[newer("name", &["x"])], Reason::InvalidFilterKey);
        check(&[newer("tag:", &["x"])], Reason::InvalidFilterKey);
        check(&[DocumentKeyValuesFilter::default()], Reason::InvalidFilterKey);
        check(&[newer("Owner", &["Self", "Amazon"])], Reason::ValidationException);
        check(&[newer("Owner", &["Me"])], Reason::ValidationException);
        check(&[newer("Name", &[])], Reason::ValidationException);
        check(&[newer("Name", &["a\0b"])], Reason::ValidationException);
        check(&[newer("PlatformTypes", &["Plan9"])], Reason::ValidationException);
        check(&[newer("DocumentType", &["Letter"])], Reason::ValidationException);
        let both = parse(&[newer("Name", &["x"])], &[older(DocumentFilterKey::Name, "x")]);
        assert_eq!(both.unwrap_err().reason(), Reason::ValidationException);
    }
}
