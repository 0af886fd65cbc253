//! Tags of parameters (parameter-store 9).

use std::collections::BTreeMap;

use crate::error::ParameterError;

/// Most tags of a parameter.
pub(crate) const MAX_TAGS: usize = 50;

/// Tags by key.
pub(crate) type Tags = BTreeMap<String, String>;

/// Tags as a caller gives them; of two with the same key the later one counts.
pub(crate) fn given(tags: impl IntoIterator<Item = (String, String)>) -> Tags {
    tags.into_iter().collect()
}

/// Refuses keys that callers may not give.
pub(crate) fn check_keys(tags: &Tags) -> Result<(), ParameterError> {
    let reserved = |key: &&String| key.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("aws:"));
    match tags.keys().find(reserved) {
        Some(key) => Err(ParameterError::ReservedTagKey { key: key.clone() }),
        None => Ok(()),
    }
}

/// Whether a new parameter can have these tags.
pub(crate) fn check_new(tags: &Tags) -> Result<(), ParameterError> {
    check_keys(tags)?;
    match tags.len() > MAX_TAGS {
        true => Err(ParameterError::TooManyTagsAtCreation { limit: MAX_TAGS }),
        false => Ok(()),
    }
}

/// Whether a parameter that has tags with these keys can take more.
pub(crate) fn check_room<'a>(present: impl Iterator<Item = &'a str>, more: &Tags) -> Result<(), ParameterError> {
    let staying = present.filter(|key| !more.contains_key(*key)).count();
    match staying + more.len() > MAX_TAGS {
        true => Err(ParameterError::TooManyTags { limit: MAX_TAGS }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(range: std::ops::Range<usize>) -> Tags {
        range.map(|n| (format!("k{n}"), String::new())).collect()
    }

    #[test]
    fn the_fifty_first_key_is_too_many_and_an_old_key_is_none_more() {
        let present = numbered(0..40);
        let keys = || present.keys().map(String::as_str);
        assert_eq!(check_room(keys(), &numbered(40..50)), Ok(()));
        assert_eq!(check_room(keys(), &numbered(0..50)), Ok(()));
        assert!(check_room(keys(), &numbered(39..51)).is_err());
        assert_eq!(check_new(&numbered(0..50)), Ok(()));
        assert!(check_new(&numbered(0..51)).is_err());
    }

    #[test]
    fn keys_of_aws_are_reserved() {
        let check = |key: &str| check_new(&given([(key.to_owned(), "v".to_owned())]));
        assert!(check("AWS:x").is_err());
        assert!(check("aws").is_ok());
    }
}
