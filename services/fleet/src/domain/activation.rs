//! Activations: what a caller may ask for (fleet 2). Whether one lets a machine in is decided in `admission`.

use std::collections::BTreeMap;

use muster_model::{SignedDuration, Timestamp};
use muster_proto::aws::v1::Reason;
use muster_proto::fleet::v1::{
    CreateActivationRequest, DescribeActivationsFilter, DescribeActivationsFilterKeys as Key,
};
use muster_wire::Refusal;

use super::role;
use super::tag;

/// How long an activation lasts unless the caller says otherwise, and at most.
const LIFE: SignedDuration = SignedDuration::from_hours(24);
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// An activation that a caller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) description: String,
    /// Empty: none.
    pub(crate) default_instance_name: String,
    pub(crate) iam_role: String,
    pub(crate) registration_limit: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Draft {
    /// Reads a request whose members are within the contract's limits; nodes get the role `iam_role`, which exists.
    ///
    /// # Errors
    /// If the date or the tags cannot be.
    pub(crate) fn parse(request: CreateActivationRequest, iam_role: String, now: Timestamp) -> Result<Self, Refusal> {
        let expires_at = match &request.expiration_date {
            Some(wanted) => expiration(wanted, now)?,
            None => later(now, LIFE),
        };
        Ok(Self {
            iam_role,
            expires_at,
            registration_limit: i64::from(request.registration_limit.unwrap_or(1)),
            created_at: now,
            description: request.description.unwrap_or_default(),
            default_instance_name: request.default_instance_name.unwrap_or_default(),
            tags: tag::wanted(request.tags).map_err(as_parameters)?,
        })
    }
}

/// The operation's own word for too many tags.
fn as_parameters(refusal: Refusal) -> Refusal {
    match refusal.reason {
        Reason::TooManyTagsError => Refusal::new(Reason::InvalidParameters, refusal.message),
        _ => refusal,
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn expiration(wanted: &prost_types::Timestamp, now: Timestamp) -> Result<Timestamp, Refusal> {
    let date = Timestamp::new(wanted.seconds, wanted.nanos)
        .map_err(|_| Refusal::validation("ExpirationDate is not a date between the years -9999 and 9999"))?;
    if date <= now {
        let message = format!("ExpirationDate {date} is past: it must be in the future");
        return Err(Refusal::validation(message));
    }
    if date > later(now, LONGEST_LIFE) {
        let message = format!("ExpirationDate {date} is more than 30 days ahead, which is the most");
        return Err(Refusal::validation(message));
    }
    Ok(date)
}

/// What a list of activations is narrowed to: of each key any of the values; `None` is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) roles: Option<Vec<String>>,
}

impl Filter {
    /// Reads the filters of a request; all must hold.
    ///
    /// # Errors
    /// If one has no key or no values.
    pub(crate) fn parse(filters: &[DescribeActivationsFilter]) -> Result<Self, Refusal> {
        let mut all = Self::default();
        for filter in filters {
            let bad = |what: &str| {
                let message = format!(
                    "a filter of activations has {what}: FilterKey is ActivationIds, DefaultInstanceName or IamRole, \
                     FilterValues has at least one value"
                );
                Err(Refusal::new(Reason::InvalidFilter, message))
            };
            let values = &filter.filter_values;
            if values.is_empty() {
                return bad("no values");
            }
            if values.iter().any(|value| value.contains('\0')) {
                return bad("a NUL character in a value");
            }
            let (known, values) = match filter.filter_key() {
                Key::ActivationIds => (&mut all.ids, values.clone()),
                Key::DefaultInstanceName => (&mut all.names, values.clone()),
                Key::IamRole => {
                    let names = values.iter().map(|value| role::without_path(value).to_owned());
                    (&mut all.roles, names.collect())
                }
                Key::Unset => return bad("no key"),
            };
            match known {
                // Both must hold.
                Some(known) => known.retain(|value| values.contains(value)),
                None => *known = Some(values),
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::Tag;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
    const DAY: i64 = 24 * 60 * 60;

    fn draft(change: impl FnOnce(&mut CreateActivationRequest)) -> Result<Draft, Refusal> {
        let mut request = CreateActivationRequest::default();
        change(&mut request);
        Draft::parse(request, "SSMServiceRole".to_owned(), NOW)
    }

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    #[test]
    fn an_activation_lasts_a_day_and_lets_one_machine_in_unless_the_caller_says_otherwise() {
        let made = draft(|_| {}).unwrap();
        assert_eq!(made.expires_at.as_second(), NOW.as_second() + DAY);
        assert_eq!((made.registration_limit, made.iam_role.as_str()), (1, "SSMServiceRole"));
        let named = draft(|request| request.default_instance_name = Some(String::new())).unwrap();
        assert_eq!(named.default_instance_name, "");
    }

    #[test]
    fn it_ends_in_the_future_and_within_thirty_days() {
        let check = |seconds: i64, is_good: bool| {
            let made = draft(|request| request.expiration_date = at(seconds));
            assert_eq!(made.is_ok(), is_good, "{seconds}");
            if let Err(refusal) = made {
                assert_eq!(refusal.reason, Reason::ValidationException);
            }
        };
        check(NOW.as_second() + 1, true);
        check(NOW.as_second() + 30 * DAY, true);
        for bad in [NOW.as_second(), 0, NOW.as_second() + 30 * DAY + 1, i64::MAX] {
            check(bad, false);
        }
    }

    #[test]
    fn too_many_tags_are_refused_with_the_operations_own_word() {
        let many = (0..51).map(|number| Tag {
            key: Some(format!("k{number}")),
            value: Some(String::new()),
        });
        let refusal = draft(|request| request.tags = many.collect()).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidParameters);
    }

    fn filter(key: Key, values: &[&str]) -> DescribeActivationsFilter {
        DescribeActivationsFilter {
            filter_key: Some(key.into()),
            filter_values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    #[test]
    fn of_several_filters_all_must_hold() {
        let read = Filter::parse(&[
            filter(Key::ActivationIds, &["a", "b"]),
            filter(Key::ActivationIds, &["b", "c"]),
            filter(Key::IamRole, &["service-role/R"]),
        ]);
        let expected = Filter {
            ids: Some(vec!["b".to_owned()]),
            names: None,
            roles: Some(vec!["R".to_owned()]),
        };
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn a_filter_has_a_key_and_values() {
        for bad in [
            filter(Key::IamRole, &[]),
            filter(Key::IamRole, &["a\0"]),
            filter(Key::Unset, &["a"]),
            DescribeActivationsFilter::default(),
        ] {
            assert_eq!(Filter::parse(&[bad]).unwrap_err().reason, Reason::InvalidFilter);
        }
    }
}
