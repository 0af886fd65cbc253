//! `PutParameter`: what is kept, what is refused, and in which words.

use muster_proto::aws::v1::{Reason, Tag};
use muster_proto::parameterstore::v1::{
    DescribeParametersRequest, GetParameterHistoryRequest, ParameterTier, ParameterType, PutParameterRequest,
};

use crate::service::{Service, brief, get, on_each_surface, overwrite, put, reason, refusal, secure};

#[tokio::test]
async fn versions_count_up_and_old_ones_stay_readable() {
    on_each_surface!(parameters => {
        let made = parameters.put_parameter(put("/a/b", "one")).await.unwrap().into_inner();
        assert_eq!((made.version(), made.tier()), (1, ParameterTier::Standard));
        let again = parameters.put_parameter(overwrite("/a/b", "two")).await.unwrap().into_inner();
        assert_eq!(again.version(), 2);
        let latest = parameters.get_parameter(get("/a/b")).await.unwrap().into_inner().parameter.unwrap();
        assert_eq!(brief(&latest), ("/a/b", 2, "two"));
        assert_eq!(latest.arn(), "arn:aws:ssm:us-east-1:000000000000:parameter/a/b");
        assert_eq!((latest.data_type(), latest.r#type()), ("text", ParameterType::String));
        assert_eq!(latest.selector, None);
        let first = parameters.get_parameter(get("/a/b:1")).await.unwrap().into_inner().parameter.unwrap();
        assert_eq!((brief(&first), first.selector()), (("/a/b", 1, "one"), ":1"));
    });
}

#[tokio::test]
async fn refusals_have_the_words_that_programs_match_on() {
    let service = Service::start().await;
    let mut parameters = service.by_nats();
    parameters.put_parameter(put("taken", "x")).await.unwrap();
    let with = |change: fn(&mut PutParameterRequest)| {
        let mut request = put("new", "x");
        change(&mut request);
        request
    };
    let name = "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_";
    let standard = "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html";
    let cases: Vec<(PutParameterRequest, Reason, &str)> = vec![
        (
            put("taken", "y"),
            Reason::ParameterAlreadyExists,
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        ),
        (
            put("/taken", "y"),
            Reason::ParameterAlreadyExists,
            "The parameter already exists.",
        ),
        (put("ssm-x", "y"), Reason::ValidationException, name),
        (put("/a//b", "y"), Reason::ValidationException, name),
        (
            put("a/b", "y"),
            Reason::ValidationException,
            "Parameter name must be a fully qualified name.",
        ),
        (
            put("aws-x", "y"),
            Reason::AccessDeniedException,
            "No access to reserved parameter name: aws-x.",
        ),
        (
            put("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", "y"),
            Reason::HierarchyLevelLimitExceededException,
            "",
        ),
        (
            put("new", ""),
            Reason::ValidationException,
            "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            put("new", &"x".repeat(32_769)),
            Reason::ValidationException,
            "1 validation error detected: Value at 'value'",
        ),
        (put("new", &"x".repeat(4097)), Reason::ValidationException, standard),
        (put("new", "{{ssm:x}}"), Reason::ValidationException, ""),
        (put("new", "a\0b"), Reason::ValidationException, ""),
        (
            with(|r| {
                r.overwrite = Some(true);
                r.tags = vec![tag("k", "v")];
            }),
            Reason::ValidationException,
            "Invalid request: tags and overwrite can't be used together.",
        ),
        (
            with(|r| r.r#type = None),
            Reason::ValidationException,
            "A parameter type is required when you create a parameter.",
        ),
        (
            with(|r| r.data_type = Some("Text".to_owned())),
            Reason::ValidationException,
            "The following data type is not supported: Text (Data type names are all lowercase.)",
        ),
        (
            with(|r| r.data_type = Some("aws:ec2:image".to_owned())),
            Reason::ValidationException,
            "",
        ),
        (
            with(|r| r.policies = Some("[{}]x".to_owned())),
            Reason::InvalidPolicyAttributeException,
            "",
        ),
        (
            with(|r| r.policies = Some(r#"[{"Type":"X","Version":"1.0","Attributes":{}}]"#.to_owned())),
            Reason::InvalidPolicyTypeException,
            "",
        ),
        (
            with(|r| {
                r.policies = Some(
                    r#"[{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"1","Unit":"Days"}}]"#
                        .to_owned(),
                )
            }),
            Reason::ValidationException,
            "",
        ),
        (
            with(|r| r.allowed_pattern = Some("[".to_owned())),
            Reason::InvalidAllowedPatternException,
            "",
        ),
        (
            with(|r| r.allowed_pattern = Some("y".to_owned())),
            Reason::ParameterPatternMismatchException,
            "Parameter value, cannot be validated against allowedPattern: y",
        ),
        (
            with(|r| {
                r.set_type(ParameterType::SecureString);
                r.key_id = Some("alias/nope".to_owned());
            }),
            Reason::InvalidKeyId,
            "Alias arn:aws:kms:us-east-1:000000000000:alias/nope is not found.",
        ),
        (
            with(|r| {
                r.set_type(ParameterType::SecureString);
                r.key_id = Some("nope".to_owned());
            }),
            Reason::InvalidKeyId,
            "Key 'arn:aws:kms:us-east-1:000000000000:key/nope' does not exist",
        ),
        (
            with(|r| r.description = Some("x".repeat(1025))),
            Reason::ValidationException,
            "1 validation error detected",
        ),
        (
            with(|r| r.tags = vec![tag("aws:k", "v")]),
            Reason::ValidationException,
            "",
        ),
        (
            with(|r| r.tags = (0..51).map(|n| tag(&format!("k{n}"), "v")).collect()),
            Reason::ValidationException,
            "",
        ),
    ];
    for (request, word, text) in cases {
        let what = format!("{request:?}");
        let (reason, said) = refusal(parameters.put_parameter(request).await);
        assert_eq!(reason, word, "{what}: {said}");
        assert!(said.starts_with(text), "{what}: {said}");
    }
    let described = parameters
        .describe_parameters(DescribeParametersRequest::default())
        .await
        .unwrap();
    assert_eq!(described.into_inner().parameters.len(), 1, "nothing was made");
    service.stop().await;
}

fn tag(key: &str, value: &str) -> Tag {
    Tag {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    }
}

/// Something that is wrong with a put.
struct Wrong {
    /// The parts of the request that it is about. Two about the same cannot be wrong at once.
    about: &'static [&'static str],
    apply: fn(&mut PutParameterRequest),
    word: Reason,
    text: &'static str,
}

fn wrong(
    about: &'static [&'static str],
    word: Reason,
    text: &'static str,
    apply: fn(&mut PutParameterRequest),
) -> Wrong {
    Wrong {
        about,
        apply,
        word,
        text,
    }
}

/// All that can be wrong with a put, in the order of the spec.
fn all_wrong() -> Vec<Wrong> {
    use Reason::ValidationException as Validation;
    vec![
        wrong(&["description"], Validation, "1 validation error detected", |put| {
            put.description = Some("x".repeat(1025));
        }),
        wrong(&["name"], Validation, "Parameter name: can't be prefixed", |put| {
            put.name = Some("ssm-x".to_owned());
        }),
        // What is wrong with tags themselves comes later, and these are more of them.
        wrong(
            &["overwrite"],
            Validation,
            "Invalid request: tags and overwrite",
            |put| {
                put.overwrite = Some(true);
                put.tags.push(tag("k", "v"));
            },
        ),
        wrong(
            &["name", "overwrite"],
            Reason::ParameterAlreadyExists,
            "The parameter already exists.",
            |put| {
                put.name = Some("taken".to_owned());
            },
        ),
        wrong(&["type"], Validation, "A parameter type is required", |put| {
            put.r#type = None
        }),
        wrong(
            &["data type"],
            Validation,
            "The following data type is not supported",
            |put| {
                put.data_type = Some("Text".to_owned());
            },
        ),
        wrong(
            &["data type"],
            Validation,
            "Parameter value doesn't fit the data type",
            |put| {
                put.data_type = Some("boolean".to_owned());
            },
        ),
        wrong(&["policies"], Reason::InvalidPolicyAttributeException, "", |put| {
            put.policies = Some("x".to_owned());
        }),
        wrong(&["value"], Validation, "Standard tier parameters support", |put| {
            put.value = Some("x".repeat(4097));
        }),
        wrong(&[], Validation, "the tag key aws:k is reserved", |put| {
            put.tags.push(tag("aws:k", "v"))
        }),
        wrong(&[], Validation, "a parameter can have 50 tags", |put| {
            put.tags.extend((0..51).map(|number| tag(&format!("k{number}"), "v")));
        }),
        wrong(&["pattern"], Reason::InvalidAllowedPatternException, "", |put| {
            put.allowed_pattern = Some("[".to_owned());
        }),
        wrong(&["pattern"], Reason::ParameterPatternMismatchException, "", |put| {
            put.allowed_pattern = Some("y".to_owned());
        }),
        wrong(&["type"], Reason::InvalidKeyId, "", |put| {
            put.set_type(ParameterType::SecureString);
            put.key_id = Some("alias/nope".to_owned());
        }),
    ]
}

#[tokio::test]
async fn of_two_things_that_are_wrong_the_earlier_one_is_told() {
    let service = Service::start().await;
    let mut parameters = service.by_nats();
    parameters.put_parameter(put("taken", "x")).await.unwrap();
    let all = all_wrong();
    let mut pairs = 0;
    for (number, earlier) in all.iter().enumerate() {
        for later in &all[number..] {
            let is_same = std::ptr::eq(earlier, later);
            if !is_same && earlier.about.iter().any(|part| later.about.contains(part)) {
                continue;
            }
            let mut request = put("new", "x");
            (later.apply)(&mut request);
            if !is_same {
                (earlier.apply)(&mut request);
                pairs += 1;
            }
            let (word, text) = refusal(parameters.put_parameter(request).await);
            let said = format!("{} and {}: {text}", earlier.text, later.text);
            assert!(
                word == earlier.word && text.starts_with(earlier.text),
                "{word:?} {said}"
            );
        }
    }
    assert_eq!(pairs, 14 * 13 / 2 - 5, "all but those that cannot be");
    service.stop().await;
}

#[tokio::test]
async fn tiers_go_up_only_and_are_told_as_they_are() {
    let service = Service::start().await;
    let mut parameters = service.by_nats();
    let mut request = put("/x", &"x".repeat(5000));
    request.set_tier(ParameterTier::IntelligentTiering);
    let made = parameters.put_parameter(request).await.unwrap().into_inner();
    assert_eq!(made.tier(), ParameterTier::Advanced);
    let mut down = overwrite("/x", "x");
    down.set_tier(ParameterTier::Standard);
    let (word, text) = refusal(parameters.put_parameter(down).await);
    assert_eq!(word, Reason::ValidationException);
    assert!(
        text.starts_with("This parameter uses the advanced-parameter tier. You can't downgrade"),
        "{text}"
    );
    let kept = parameters
        .put_parameter(overwrite("/x", "small"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((kept.version(), kept.tier()), (2, ParameterTier::Advanced));
    service.stop().await;
}

#[tokio::test]
async fn a_full_store_takes_no_more_and_says_how_many_there_may_be() {
    let service = Service::with(|settings| settings.max_standard = 2).await;
    let mut parameters = service.by_nats();
    for name in ["a", "b"] {
        parameters.put_parameter(put(name, "x")).await.unwrap();
    }
    let (word, text) = refusal(parameters.put_parameter(put("c", "x")).await);
    assert_eq!(word, Reason::ParameterLimitExceeded);
    assert!(
        text.starts_with(
            "You have reached the maximum number of standard parameters for this AWS account and Region (2)."
        ),
        "{text}"
    );
    parameters.put_parameter(overwrite("a", "y")).await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn what_is_absent_stays_and_the_history_shows_each_version_as_it_was() {
    on_each_surface!(parameters => {
        let mut first = secure("/x", "one");
        first.description = Some("why".to_owned());
        first.allowed_pattern = Some("[a-z]+".to_owned());
        first.set_tier(ParameterTier::Advanced);
        first.policies = Some(r#"[{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"1","Unit":"Days"}}]"#.to_owned());
        parameters.put_parameter(first).await.unwrap();
        let mut second = overwrite("/x", "two");
        second.r#type = None;
        parameters.put_parameter(second).await.unwrap();
        let mut third = overwrite("/x", "3");
        third.allowed_pattern = Some(String::new());
        third.policies = Some("[{}]".to_owned());
        parameters.put_parameter(third).await.unwrap();
        let request = GetParameterHistoryRequest {
            name: Some("x".to_owned()),
            with_decryption: Some(true),
            ..GetParameterHistoryRequest::default()
        };
        let history = parameters.get_parameter_history(request).await.unwrap().into_inner().parameters;
        let [one, two, three] = history.as_slice() else { panic!("{}", history.len()) };
        assert_eq!((one.value(), two.value(), three.value()), ("one", "two", "3"));
        for version in [one, two] {
            assert_eq!((version.r#type(), version.key_id()), (ParameterType::SecureString, "alias/aws/ssm"));
            assert_eq!((version.allowed_pattern(), version.policies.len()), ("[a-z]+", 1));
        }
        assert_eq!((three.r#type(), three.key_id.as_deref()), (ParameterType::String, None));
        assert_eq!((three.allowed_pattern.as_deref(), three.policies.len()), (None, 0));
        assert_eq!((three.description(), three.tier()), ("why", ParameterTier::Advanced));
        let policy = &one.policies[0];
        assert_eq!((policy.policy_type(), policy.policy_status()), ("NoChangeNotification", "Finished"));
        let bad = overwrite("/x", "{{ ssm-secure:y}}");
        assert_eq!(reason(parameters.put_parameter(bad).await), Reason::ValidationException);
    });
}
