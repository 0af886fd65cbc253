//! What `PutParameter` makes of a parameter (parameter-store 3): decided on what is there, in the order of the spec.

use muster_model::Timestamp;
use muster_proto::parameterstore::v1::{ParameterTier, ParameterType};

use crate::domain::data_type::DataType;
use crate::domain::name::Name;
use crate::domain::pattern;
use crate::domain::policy::{self, Policy};
use crate::domain::tag::{self, Tags};
use crate::domain::tier::{self, Room, Wants};
use crate::domain::value::Value;
use crate::error::ParameterError;

/// Versions of a parameter that are kept.
pub(crate) const KEPT: i64 = 100;
/// The key of SecureStrings for which the caller names none.
pub(crate) const DEFAULT_KEY: &str = "alias/aws/ssm";

/// Whether a key that a caller names is the default one, in any spelling.
pub(crate) fn is_default_key(key_id: &str) -> bool {
    key_id == DEFAULT_KEY || key_id.rsplit(':').next() == Some(DEFAULT_KEY)
}

/// What a caller wants to put; what is absent stays as it is.
#[derive(Debug, Clone)]
pub(crate) struct Put {
    pub(crate) name: Name,
    pub(crate) value: Value,
    pub(crate) kind: Option<ParameterType>,
    pub(crate) description: Option<String>,
    pub(crate) key_id: Option<String>,
    pub(crate) overwrite: bool,
    pub(crate) allowed_pattern: Option<String>,
    pub(crate) tags: Tags,
    pub(crate) tier: Option<ParameterTier>,
    pub(crate) policies: Option<String>,
    pub(crate) data_type: Option<String>,
    /// The ARN of who puts it.
    pub(crate) by: String,
}

/// What a version has beside its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) kind: ParameterType,
    pub(crate) data_type: DataType,
    pub(crate) tier: ParameterTier,
    pub(crate) description: Option<String>,
    /// Never empty.
    pub(crate) allowed_pattern: Option<String>,
    /// As the caller named it; of a SecureString only.
    pub(crate) key_id: Option<String>,
    pub(crate) policies: Vec<Policy>,
}

/// A parameter that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: String,
    /// The spelling that it was made with.
    pub(crate) name: String,
    pub(crate) last_version: i64,
    /// The lowest version that has a label.
    pub(crate) first_labelled: Option<i64>,
    pub(crate) latest: Attributes,
}

impl Head {
    /// The version that the next one pushes out, if there are enough.
    pub(crate) fn pushed_out(&self) -> Option<i64> {
        Some(self.last_version - KEPT + 1).filter(|oldest| *oldest >= 1)
    }
}

/// Rules that are not the request's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) default_tier: ParameterTier,
    pub(crate) room: Room,
}

/// A new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) version: i64,
    pub(crate) attributes: Attributes,
    /// The version that goes.
    pub(crate) drops: Option<i64>,
}

/// Decides on a put. `matched` is a pattern that the value was found to match before.
pub(crate) fn decide(
    put: &Put,
    head: Option<&Head>,
    rules: &Rules,
    matched: Option<&str>,
) -> Result<Decided, ParameterError> {
    if put.overwrite && !put.tags.is_empty() {
        return Err(ParameterError::TagsAndOverwrite);
    }
    if head.is_some() && !put.overwrite {
        return Err(ParameterError::AlreadyExists);
    }
    let latest = head.map(|head| &head.latest);
    let kind = put.kind.or(latest.map(|latest| latest.kind));
    let kind = kind.ok_or(ParameterError::TypeRequired)?;
    let data_type = match (&put.data_type, latest) {
        (Some(word), _) => DataType::parse(word)?,
        (None, Some(latest)) => latest.data_type,
        (None, None) => DataType::Text,
    };
    let path = put.name.path();
    put.value.check(kind, data_type, &path)?;
    let policies = match (&put.policies, latest) {
        (Some(text), _) => policy::parse(text)?,
        (None, Some(latest)) => latest.policies.clone(),
        (None, None) => Vec::new(),
    };
    let wants = Wants {
        bytes: put.value.len(),
        policies: !policies.is_empty(),
        data_type: data_type.needs_advanced(),
    };
    let current = latest.map(|latest| latest.tier);
    let tier = tier::resolve(put.tier, current, rules.default_tier, wants, &rules.room)?;
    tag::check_new(&put.tags)?;
    let allowed_pattern = kept(
        &put.allowed_pattern,
        latest.and_then(|latest| latest.allowed_pattern.as_ref()),
    );
    if let Some(pattern) = &allowed_pattern
        && matched != Some(pattern)
    {
        pattern::check(pattern, put.value.reveal())?;
    }
    let key_id = (kind == ParameterType::SecureString).then(|| {
        kept(&put.key_id, latest.and_then(|latest| latest.key_id.as_ref())).unwrap_or_else(|| DEFAULT_KEY.to_owned())
    });
    Ok(Decided {
        version: head.map_or(1, |head| head.last_version + 1),
        attributes: Attributes {
            kind,
            data_type,
            tier,
            description: kept(&put.description, latest.and_then(|latest| latest.description.as_ref())),
            allowed_pattern,
            key_id,
            policies,
        },
        drops: head.and_then(Head::pushed_out),
    })
}

/// Refuses a new version if the one that makes room for it has a label. The last of all checks: the key comes before.
pub(crate) fn check_room(put: &Put, head: Option<&Head>) -> Result<(), ParameterError> {
    let Some(head) = head else { return Ok(()) };
    match head.pushed_out() {
        Some(oldest) if head.first_labelled == Some(oldest) => Err(ParameterError::TooManyVersions {
            name: put.name.spelled().to_owned(),
            oldest,
        }),
        _ => Ok(()),
    }
}

/// What is given, or what was there; an empty text means none.
fn kept(given: &Option<String>, before: Option<&String>) -> Option<String> {
    given.as_ref().or(before).filter(|text| !text.is_empty()).cloned()
}

/// When a version that was made at this time expires, in microseconds.
pub(crate) fn expires_at(attributes: &Attributes) -> Option<i64> {
    policy::expires_at(&attributes.policies).map(Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::Reason;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::name::tests::name;

    const RULES: Rules = Rules {
        default_tier: ParameterTier::Standard,
        room: Room {
            standard: 0,
            advanced: 0,
            max_standard: 0,
            max_advanced: 0,
        },
    };

    fn put(value: &str) -> Put {
        Put {
            name: name("/a/b"),
            value: Value::new(value.to_owned()),
            kind: Some(ParameterType::String),
            description: None,
            key_id: None,
            overwrite: false,
            allowed_pattern: None,
            tags: Tags::new(),
            tier: None,
            policies: None,
            data_type: None,
            by: String::new(),
        }
    }

    fn over(value: &str) -> Put {
        Put {
            overwrite: true,
            kind: None,
            ..put(value)
        }
    }

    fn head_of(decided: &Decided) -> Head {
        Head {
            id: "id".to_owned(),
            name: "/a/b".to_owned(),
            last_version: decided.version,
            first_labelled: None,
            latest: decided.attributes.clone(),
        }
    }

    fn reason(put: &Put, head: Option<&Head>) -> Option<Reason> {
        decide(put, head, &RULES, None).err().map(|error| error.reason())
    }

    #[test]
    fn what_is_absent_stays_as_it_is() {
        let first = Put {
            kind: Some(ParameterType::SecureString),
            description: Some("d".to_owned()),
            key_id: Some("alias/mine".to_owned()),
            allowed_pattern: Some("[a-z0-9]+".to_owned()),
            tier: Some(ParameterTier::Advanced),
            policies: Some(
                r#"[{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"1","Unit":"Days"}}]"#
                    .to_owned(),
            ),
            ..put("x")
        };
        let first = decide(&first, None, &RULES, None).unwrap();
        let head = head_of(&first);
        let second = decide(&over("y"), Some(&head), &RULES, None).unwrap();
        assert_eq!((second.version, &second.attributes), (2, &first.attributes));
        assert_eq!(
            reason(&over("Y!"), Some(&head)),
            Some(Reason::ParameterPatternMismatchException)
        );
        let cleared = Put {
            allowed_pattern: Some(String::new()),
            description: Some(String::new()),
            policies: Some("[{}]".to_owned()),
            kind: Some(ParameterType::String),
            ..over("Y!")
        };
        let cleared = decide(&cleared, Some(&head), &RULES, None).unwrap().attributes;
        assert_eq!(
            (cleared.allowed_pattern, cleared.description, cleared.key_id),
            (None, None, None)
        );
        assert_eq!((cleared.policies, cleared.tier), (Vec::new(), ParameterTier::Advanced));
    }

    #[test]
    fn refusals_come_in_the_order_of_the_spec() {
        let made = decide(&put("x"), None, &RULES, None).unwrap();
        let head = head_of(&made);
        let mut request = Put {
            kind: None,
            overwrite: true,
            tags: Tags::from([("k".to_owned(), "v".to_owned())]),
            data_type: Some("nope".to_owned()),
            policies: Some("x".to_owned()),
            allowed_pattern: Some("[".to_owned()),
            ..put("x")
        };
        let text = |request: &Put, head| decide(request, head, &RULES, None).unwrap_err().to_string();
        assert!(text(&request, None).starts_with("Invalid request: tags and overwrite"));
        request.overwrite = false;
        assert_eq!(reason(&request, Some(&head)), Some(Reason::ParameterAlreadyExists));
        assert_eq!(
            text(&request, None),
            "A parameter type is required when you create a parameter."
        );
        request.kind = Some(ParameterType::String);
        assert!(text(&request, None).starts_with("The following data type is not supported: nope"));
        request.data_type = Some("boolean".to_owned());
        assert!(text(&request, None).contains("boolean"));
        request.data_type = None;
        assert_eq!(reason(&request, None), Some(Reason::InvalidPolicyAttributeException));
        request.policies = None;
        request.tags = tag::given([("aws:k".to_owned(), "v".to_owned())]);
        assert!(text(&request, None).contains("aws:k"));
        request.tags.clear();
        assert_eq!(reason(&request, None), Some(Reason::InvalidAllowedPatternException));
        request.allowed_pattern = Some("y".to_owned());
        assert_eq!(reason(&request, None), Some(Reason::ParameterPatternMismatchException));
        assert_eq!(
            decide(&request, None, &RULES, Some("y")).unwrap().version,
            1,
            "found to match before"
        );
    }

    #[test]
    fn a_type_may_change_and_a_reference_is_refused() {
        let made = decide(&put("x"), None, &RULES, None).unwrap();
        let head = head_of(&made);
        let secure = Put {
            kind: Some(ParameterType::SecureString),
            ..over("x")
        };
        let changed = decide(&secure, Some(&head), &RULES, None).unwrap().attributes;
        assert_eq!(changed.key_id.as_deref(), Some(DEFAULT_KEY));
        for bad in ["{{ssm:x}}", "a\0b"] {
            assert_eq!(reason(&put(bad), None), Some(Reason::ValidationException));
        }
    }

    #[test]
    fn the_hundred_and_first_version_pushes_the_first_out_unless_it_has_a_label() {
        let made = decide(&put("x"), None, &RULES, None).unwrap();
        let mut head = head_of(&made);
        head.last_version = 99;
        assert_eq!(decide(&over("y"), Some(&head), &RULES, None).unwrap().drops, None);
        head.last_version = 100;
        assert_eq!(decide(&over("y"), Some(&head), &RULES, None).unwrap().drops, Some(1));
        assert!(check_room(&over("y"), Some(&head)).is_ok());
        head.first_labelled = Some(2);
        assert!(check_room(&over("y"), Some(&head)).is_ok());
        head.first_labelled = Some(1);
        let refused = check_room(&over("y"), Some(&head)).unwrap_err();
        assert_eq!(refused.reason(), Reason::ParameterMaxVersionLimitExceeded);
        assert!(refused.to_string().contains("of /a/b by calling"), "{refused}");
        assert!(
            refused.to_string().contains("Version 1, the oldest version"),
            "{refused}"
        );
    }

    proptest! {
        #[test]
        fn versions_have_no_gap_and_at_most_a_hundred_are_kept(count in 1_i64..260) {
            let mut head: Option<Head> = None;
            let mut kept = std::collections::BTreeSet::new();
            for expected in 1..=count {
                let decided = decide(&Put { kind: Some(ParameterType::String), ..over("x") }, head.as_ref(), &RULES, None).unwrap();
                prop_assert_eq!(decided.version, expected);
                kept.insert(decided.version);
                if let Some(dropped) = decided.drops {
                    prop_assert!(kept.remove(&dropped));
                }
                head = Some(head_of(&decided));
            }
            prop_assert_eq!(kept.len(), usize::try_from(count.min(KEPT)).unwrap());
            prop_assert_eq!(kept.last().copied(), Some(count));
        }
    }
}
