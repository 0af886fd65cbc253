//! What lists of parameters are narrowed by (parameter-store 8). Values of a filter are alternatives; all filters hold.

use muster_proto::Word;
use muster_proto::parameterstore::v1::{
    ParameterStringFilter, ParameterTier, ParameterType, ParametersFilter, ParametersFilterKey,
};

use crate::domain::name::{begins_with, folder};
use crate::error::ParameterError;

/// What a filter looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    /// Values begin with a slash.
    Name,
    Type,
    KeyId,
    Tier,
    DataType,
    Tag(String),
}

/// How a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equals,
    BeginsWith,
    Contains,
}

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Below one of these folders.
    Below { folders: Vec<String>, recursive: bool },
    /// The version with one of these labels, in the place of the latest one.
    Label(Vec<String>),
    /// No values, which only tags may have: any value will do.
    Compare {
        key: By,
        comparison: Comparison,
        values: Vec<String>,
    },
}

/// Which operation filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    DescribeParameters,
    GetParametersByPath,
}

/// Reads the filters of `DescribeParameters` in the older form.
pub(crate) fn older(filters: &[ParametersFilter]) -> Result<Vec<Filter>, ParameterError> {
    let one = |filter: &ParametersFilter| {
        let (key, comparison) = match filter.key() {
            ParametersFilterKey::Name | ParametersFilterKey::Unset => (By::Name, Comparison::BeginsWith),
            ParametersFilterKey::Type => (By::Type, Comparison::Equals),
            ParametersFilterKey::KeyId => (By::KeyId, Comparison::Equals),
        };
        compare(key, comparison, filter.values.clone())
    };
    filters.iter().map(one).collect()
}

/// Reads the filters of a request.
pub(crate) fn parse(filters: &[ParameterStringFilter], of: Of) -> Result<Vec<Filter>, ParameterError> {
    let mut seen: Vec<&str> = Vec::new();
    let mut read = Vec::with_capacity(filters.len());
    for filter in filters {
        let key = filter.key.as_deref().unwrap_or_default();
        if !is_valid(key, of) {
            return Err(ParameterError::FilterKey {
                given: key.to_owned(),
                valid: match of {
                    Of::DescribeParameters => "[Path, Name, Type, KeyId, Tier]",
                    Of::GetParametersByPath => "[Type, KeyId]",
                },
            });
        }
        if seen.contains(&key) {
            return Err(ParameterError::DuplicateFilter { key: key.to_owned() });
        }
        seen.push(key);
        read.push(one(key, filter)?);
    }
    Ok(read)
}

fn is_valid(key: &str, of: Of) -> bool {
    match of {
        Of::DescribeParameters => {
            matches!(key, "Name" | "Path" | "Type" | "KeyId" | "Tier" | "DataType")
                || key.strip_prefix("tag:").is_some_and(|tag| !tag.is_empty())
        }
        Of::GetParametersByPath => matches!(key, "Type" | "KeyId" | "Label"),
    }
}

fn one(key: &str, filter: &ParameterStringFilter) -> Result<Filter, ParameterError> {
    let (option, values) = (filter.option.as_deref(), filter.values.clone());
    if let Some(tag) = key.strip_prefix("tag:") {
        return compare(By::Tag(tag.to_owned()), comparison(option, false)?, values);
    }
    if values.is_empty() {
        return Err(ParameterError::FilterWithoutValues { key: key.to_owned() });
    }
    let key = match key {
        "Path" => {
            let recursive = match option {
                None | Some("OneLevel") => false,
                Some("Recursive") => true,
                Some(other) => return Err(bad_option(other, "[Recursive, OneLevel]")),
            };
            let folders = values.iter().map(|value| below(value)).collect::<Result<_, _>>()?;
            return Ok(Filter::Below { folders, recursive });
        }
        "Label" => {
            return match option {
                None | Some("Equals") => no_nul(values).map(Filter::Label),
                Some(other) => Err(bad_option(other, "[Equals]")),
            };
        }
        "Name" => By::Name,
        "Type" => By::Type,
        "KeyId" => By::KeyId,
        "Tier" => By::Tier,
        _ => By::DataType,
    };
    let comparison = comparison(option, key == By::Name)?;
    compare(key, comparison, values)
}

fn comparison(option: Option<&str>, may_contain: bool) -> Result<Comparison, ParameterError> {
    match option {
        None | Some("Equals") => Ok(Comparison::Equals),
        Some("BeginsWith") => Ok(Comparison::BeginsWith),
        Some("Contains") if may_contain => Ok(Comparison::Contains),
        Some(other) => Err(bad_option(other, "[BeginsWith, Equals]")),
    }
}

fn bad_option(given: &str, valid: &'static str) -> ParameterError {
    ParameterError::FilterOption {
        given: given.to_owned(),
        valid,
    }
}

fn compare(key: By, comparison: Comparison, values: Vec<String>) -> Result<Filter, ParameterError> {
    let words: Option<Vec<&str>> = match key {
        By::Type => Some(ParameterType::WORDS.to_vec()),
        By::Tier => Some(ParameterTier::WORDS.to_vec()),
        _ => None,
    };
    if let Some(words) = words
        && let Some(strange) = values.iter().find(|value| !words.contains(&value.as_str()))
    {
        return Err(ParameterError::FilterValue {
            given: strange.clone(),
            valid: format!("[{}]", words.join(", ")),
        });
    }
    if let By::Tag(tag) = &key {
        no_nul(vec![tag.clone()])?;
    }
    let values = no_nul(values)?;
    let values = match (&key, comparison) {
        // A part of a name is looked for in the path, which has the slash.
        (By::Name, Comparison::Equals | Comparison::BeginsWith) => values
            .iter()
            .map(|value| format!("/{}", value.strip_prefix('/').unwrap_or(value)))
            .collect(),
        _ => values,
    };
    Ok(Filter::Compare {
        key,
        comparison,
        values,
    })
}

fn no_nul(values: Vec<String>) -> Result<Vec<String>, ParameterError> {
    match values.iter().any(|value| value.contains('\0')) {
        true => Err(ParameterError::Nul {
            member: "parameterFilters",
        }),
        false => Ok(values),
    }
}

/// A folder of a filter: those of the public parameters are not among them.
fn below(text: &str) -> Result<String, ParameterError> {
    if let Some(bare) = text.strip_prefix('/')
        && (begins_with(bare, "aws") || begins_with(bare, "ssm"))
    {
        return Err(ParameterError::ReservedPath);
    }
    folder(text)
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::Reason;
    use proptest::prelude::*;

    use super::*;

    fn filter(key: &str, option: Option<&str>, values: &[&str]) -> ParameterStringFilter {
        ParameterStringFilter {
            key: Some(key.to_owned()),
            option: option.map(str::to_owned),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    #[test]
    fn filters_are_read() {
        let check = |key: &str, option, values: &[&str], expected: Filter| {
            assert_eq!(
                parse(&[filter(key, option, values)], Of::DescribeParameters),
                Ok(vec![expected]),
                "{key}"
            );
        };
        let compared = |key, comparison, values: &[&str]| Filter::Compare {
            key,
            comparison,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        check(
            "Name",
            None,
            &["x", "/y"],
            compared(By::Name, Comparison::Equals, &["/x", "/y"]),
        );
        check(
            "Name",
            Some("BeginsWith"),
            &["x"],
            compared(By::Name, Comparison::BeginsWith, &["/x"]),
        );
        check(
            "Name",
            Some("Contains"),
            &["x"],
            compared(By::Name, Comparison::Contains, &["x"]),
        );
        check(
            "Type",
            None,
            &["String"],
            compared(By::Type, Comparison::Equals, &["String"]),
        );
        check(
            "tag:a:b",
            None,
            &[],
            compared(By::Tag("a:b".to_owned()), Comparison::Equals, &[]),
        );
        let folders = vec!["/a".to_owned(), String::new()];
        check(
            "Path",
            Some("Recursive"),
            &["/a/", "/"],
            Filter::Below {
                folders,
                recursive: true,
            },
        );
        let label = parse(&[filter("Label", None, &["prod"])], Of::GetParametersByPath);
        assert_eq!(label, Ok(vec![Filter::Label(vec!["prod".to_owned()])]));
        let mut name = ParametersFilter {
            values: vec!["x".to_owned()],
            ..ParametersFilter::default()
        };
        name.set_key(ParametersFilterKey::Name);
        assert_eq!(
            older(&[name]),
            Ok(vec![compared(By::Name, Comparison::BeginsWith, &["/x"])])
        );
    }

    #[test]
    fn bad_filters_are_refused_in_the_words_of_the_spec() {
        use Of::{DescribeParameters as Describe, GetParametersByPath as ByPath};
        let check = |filters: &[ParameterStringFilter], of, reason, text: &str| {
            let refused = parse(filters, of).unwrap_err();
            assert_eq!((refused.reason(), refused.to_string().as_str()), (reason, text));
        };
        check(
            &[filter("Label", None, &["x"])],
            Describe,
            Reason::InvalidFilterKey,
            "The following filter key is not valid: Label. Valid filter keys include: [Path, Name, Type, KeyId, Tier].",
        );
        check(
            &[filter("Name", None, &["x"])],
            ByPath,
            Reason::InvalidFilterKey,
            "The following filter key is not valid: Name. Valid filter keys include: [Type, KeyId].",
        );
        check(
            &[filter("Name", None, &["x"]), filter("Name", None, &["y"])],
            Describe,
            Reason::InvalidFilterKey,
            "The following filter is duplicated in the request: Name. A request can contain only one occurrence of a specific filter.",
        );
        check(
            &[filter("Name", None, &[])],
            Describe,
            Reason::InvalidFilterValue,
            "The following filter values are missing : null for filter key Name",
        );
        check(
            &[filter("Type", Some("Contains"), &["String"])],
            Describe,
            Reason::InvalidFilterOption,
            "The following filter option is not valid: Contains. Valid options include: [BeginsWith, Equals].",
        );
        check(
            &[filter("Path", Some("Equals"), &["/x"])],
            Describe,
            Reason::InvalidFilterOption,
            "The following filter option is not valid: Equals. Valid options include: [Recursive, OneLevel].",
        );
        check(
            &[filter("Type", None, &["test"])],
            Describe,
            Reason::InvalidFilterValue,
            "The following filter value is not valid: test. Valid values include: [String, StringList, SecureString]",
        );
        for (value, beginning) in [
            (
                "/aws/x",
                "Filters for common parameters can't be prefixed with \"aws\" or \"ssm\"",
            ),
            (
                "/SSMx",
                "Filters for common parameters can't be prefixed with \"aws\" or \"ssm\"",
            ),
            (
                "x",
                "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\".",
            ),
            ("/a//b", "The parameter doesn't meet the parameter name requirements."),
        ] {
            let refused = parse(&[filter("Path", None, &[value])], Describe).unwrap_err();
            assert_eq!(refused.reason(), Reason::ValidationException);
            assert!(refused.to_string().starts_with(beginning), "{refused}");
        }
        assert!(parse(&[filter("Label", Some("BeginsWith"), &["x"])], ByPath).is_err());
        assert!(parse(&[filter("Name", None, &["\0"])], Describe).is_err());
        assert!(parse(&[filter("tag:\0", None, &[])], Describe).is_err());
    }

    proptest! {
        #[test]
        fn any_filter_is_read_without_panic(key in "(tag:)?.*", option in prop::option::of(".*"), value in ".*") {
            let filter = filter(&key, option.as_deref(), &[&value]);
            let _ = parse(std::slice::from_ref(&filter), Of::DescribeParameters);
            let _ = parse(&[filter], Of::GetParametersByPath);
        }
    }
}
