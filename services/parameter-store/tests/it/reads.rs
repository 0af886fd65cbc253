//! Reading by name, by path and by filters.

use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::{
    DeleteParameterRequest, DeleteParametersRequest, DescribeParametersRequest, GetParameterHistoryRequest,
    GetParametersByPathRequest, LabelParameterVersionRequest, ParameterStringFilter, ParameterTier, ParametersFilter,
    ParametersFilterKey,
};

use crate::service::{Service, brief, by_path, get, get_many, on_each_surface, overwrite, put, reason, refusal};

#[tokio::test]
async fn both_spellings_of_a_root_name_are_one_parameter() {
    on_each_surface!(parameters => {
        parameters.put_parameter(put("x", "one")).await.unwrap();
        for name in ["x", "/x", " x ", "arn:aws:ssm:us-east-1:000000000000:parameter/x"] {
            let found = parameters.get_parameter(get(name)).await.unwrap().into_inner().parameter.unwrap();
            let spelled = if name == "/x" { "/x" } else { "x" };
            assert_eq!(brief(&found), (spelled, 1, "one"), "{name}");
        }
        let described = parameters.describe_parameters(DescribeParametersRequest::default()).await.unwrap();
        assert_eq!(described.into_inner().parameters[0].name(), "x", "as it was made");
        let delete = DeleteParameterRequest { name: Some("/x".to_owned()) };
        parameters.delete_parameter(delete.clone()).await.unwrap();
        assert_eq!(reason(parameters.get_parameter(get("x")).await), Reason::ParameterNotFound);
        assert_eq!(reason(parameters.delete_parameter(delete).await), Reason::ParameterNotFound);
        let again = parameters.put_parameter(put("/x", "two")).await.unwrap().into_inner();
        assert_eq!(again.version(), 1);
    });
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    on_each_surface!(parameters => {
        parameters.put_parameter(put("x", "one")).await.unwrap();
        let mut refused = async |name: &str| refusal(parameters.get_parameter(get(name)).await);
        assert_eq!(refused("nope").await, (Reason::ParameterNotFound, "Parameter nope not found.".to_owned()));
        let text = "Systems Manager could not find version 9 of x. Verify the version and try again.";
        assert_eq!(refused("x:9").await, (Reason::ParameterVersionNotFound, text.to_owned()));
        assert_eq!(refused("x:prod").await.0, Reason::ParameterVersionNotFound);
        for name in ["x:1:2", "x:", "nope:1", "/aws/service/x", "aws-x"] {
            assert_eq!(refused(name).await.0, Reason::ParameterNotFound, "{name}");
        }
        for name in ["ssm-x", "a//b", "/x/", "arn:aws:sns:us-east-1:000000000000:parameter/x", "x y"] {
            assert_eq!(refused(name).await.0, Reason::ValidationException, "{name}");
        }
        let foreign = "arn:aws:ssm:us-east-1:111111111111:parameter/x";
        assert_eq!(refused(foreign).await.0, Reason::AccessDeniedException);
        let (word, text) = refused("/aws/reference/secretsmanager/x").await;
        assert_eq!((word, text.as_str()), (Reason::ValidationException, "WithDecryption flag must be True for retrieving a Secret Manager secret."));
    });
}

#[tokio::test]
async fn many_are_shown_in_order_and_what_is_not_there_is_listed() {
    on_each_surface!(parameters => {
        for name in ["b", "/a/x", "c"] {
            parameters.put_parameter(put(name, "1")).await.unwrap();
        }
        parameters.put_parameter(overwrite("b", "2")).await.unwrap();
        let asked = get_many(&["c", "b:1", "b", "/b", "nope", "b:9", "c:prod", "/a/x", "c", "/aws/x"]);
        let answer = parameters.get_parameters(asked).await.unwrap().into_inner();
        let found: Vec<_> = answer.parameters.iter().map(brief).collect();
        assert_eq!(found, [("/a/x", 1, "1"), ("b", 1, "1"), ("b", 2, "2"), ("c", 1, "1")]);
        assert_eq!(answer.invalid_parameters, ["nope", "b:9", "c:prod", "/aws/x"]);
        assert_eq!(reason(parameters.get_parameters(get_many(&["b", "ssm"])).await), Reason::ValidationException);
        let eleven: Vec<String> = (0..11).map(|n| format!("n{n}")).collect();
        let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
        let (word, text) = refusal(parameters.get_parameters(get_many(&eleven)).await);
        assert_eq!(word, Reason::ValidationException);
        assert!(text.contains("at 'names' failed to satisfy constraint: Member must have length less than or equal to 10"), "{text}");
        let request = DeleteParametersRequest { names: vec!["/c".to_owned(), "nope".to_owned(), "b".to_owned(), "c".to_owned()] };
        let deleted = parameters.delete_parameters(request).await.unwrap().into_inner();
        assert_eq!(deleted.deleted_parameters, ["/c", "b"]);
        assert_eq!(deleted.invalid_parameters, ["nope"]);
    });
}

#[tokio::test]
async fn folders_show_what_is_below_them() {
    on_each_surface!(parameters => {
        for name in ["/a/b", "/a/bc", "/a/b/c", "/a/b/c/d", "root"] {
            parameters.put_parameter(put(name, "1")).await.unwrap();
        }
        let mut names = async |request| {
            let answer = parameters.get_parameters_by_path(request).await.unwrap().into_inner();
            let names: Vec<_> = answer.parameters.iter().map(|parameter| parameter.name().to_owned()).collect();
            names
        };
        assert_eq!(names(by_path("/a/b", false)).await, ["/a/b/c"]);
        assert_eq!(names(by_path("/a/b/", true)).await, ["/a/b/c", "/a/b/c/d"]);
        assert_eq!(names(by_path("/", false)).await, ["root"]);
        assert_eq!(names(by_path("/nowhere", true)).await, [""; 0]);
        assert_eq!(names(by_path("/aws/service", true)).await, [""; 0]);
        assert_eq!(reason(parameters.get_parameters_by_path(by_path("a", false)).await), Reason::ValidationException);
        let label = LabelParameterVersionRequest {
            name: Some("/a/b/c".to_owned()),
            labels: vec!["prod".to_owned()],
            parameter_version: None,
        };
        parameters.label_parameter_version(label).await.unwrap();
        parameters.put_parameter(overwrite("/a/b/c", "2")).await.unwrap();
        let request = GetParametersByPathRequest {
            parameter_filters: vec![filter("Label", &["prod"])],
            ..by_path("/a", true)
        };
        let answer = parameters.get_parameters_by_path(request).await.unwrap().into_inner();
        let found: Vec<_> = answer.parameters.iter().map(brief).collect();
        assert_eq!(found, [("/a/b/c", 1, "1")], "the version that has the label");
        let request = GetParametersByPathRequest {
            parameter_filters: vec![filter("Name", &["x"])],
            ..by_path("/a", true)
        };
        assert_eq!(reason(parameters.get_parameters_by_path(request).await), Reason::InvalidFilterKey);
    });
}

fn filter(key: &str, values: &[&str]) -> ParameterStringFilter {
    ParameterStringFilter {
        key: Some(key.to_owned()),
        option: None,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

#[tokio::test]
async fn descriptions_have_no_values_and_two_forms_of_filters() {
    let service = Service::start().await;
    let mut parameters = service.by_nats();
    for name in ["param", "/params/a"] {
        parameters.put_parameter(put(name, "CANARY")).await.unwrap();
    }
    let newer = DescribeParametersRequest {
        parameter_filters: vec![filter("Name", &["/param"])],
        ..DescribeParametersRequest::default()
    };
    let found = parameters
        .describe_parameters(newer.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.parameters.len(), 1);
    assert!(!format!("{found:?}").contains("CANARY"));
    let described = &found.parameters[0];
    assert_eq!(described.last_modified_user(), "arn:muster:nats:::account/MUSTER");
    assert_eq!(
        (described.key_id.as_deref(), described.description.as_deref()),
        (None, None)
    );
    let mut name = ParametersFilter {
        values: vec!["param".to_owned()],
        ..ParametersFilter::default()
    };
    name.set_key(ParametersFilterKey::Name);
    let older = DescribeParametersRequest {
        filters: vec![name],
        ..DescribeParametersRequest::default()
    };
    let found = parameters
        .describe_parameters(older.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.parameters.len(), 2, "the older form looks at the beginning");
    let both = DescribeParametersRequest {
        filters: older.filters,
        ..newer.clone()
    };
    let (word, text) = refusal(parameters.describe_parameters(both).await);
    assert_eq!(
        (word, text.as_str()),
        (
            Reason::ValidationException,
            "You can use either Filters or ParameterFilters in a single request."
        )
    );
    let shared = DescribeParametersRequest {
        shared: Some(true),
        ..DescribeParametersRequest::default()
    };
    assert!(
        parameters
            .describe_parameters(shared)
            .await
            .unwrap()
            .into_inner()
            .parameters
            .is_empty()
    );
    let request = GetParameterHistoryRequest {
        name: Some("nope".to_owned()),
        ..GetParameterHistoryRequest::default()
    };
    assert_eq!(
        reason(parameters.get_parameter_history(request).await),
        Reason::ParameterNotFound
    );
    service.stop().await;
}

#[tokio::test]
async fn what_has_expired_is_in_no_list_and_in_no_history() {
    on_each_surface!(parameters => {
        let mut gone = put("/app/gone", "x");
        gone.set_tier(ParameterTier::Advanced);
        gone.policies = Some(
            r#"[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2020-01-01T00:00:00.000Z"}}]"#.to_owned(),
        );
        parameters.put_parameter(gone).await.unwrap();
        parameters.put_parameter(put("/app/here", "x")).await.unwrap();
        let many = parameters.get_parameters(get_many(&["/app/gone", "/app/here"])).await.unwrap().into_inner();
        assert_eq!(many.invalid_parameters, ["/app/gone"]);
        let shown: Vec<_> = many.parameters.iter().map(|parameter| parameter.name()).collect();
        assert_eq!(shown, ["/app/here"]);
        let below = parameters.get_parameters_by_path(by_path("/app", false)).await.unwrap().into_inner();
        let shown: Vec<_> = below.parameters.iter().map(|parameter| parameter.name()).collect();
        assert_eq!(shown, ["/app/here"]);
        let described = parameters.describe_parameters(DescribeParametersRequest::default()).await.unwrap().into_inner();
        let shown: Vec<_> = described.parameters.iter().map(|parameter| parameter.name()).collect();
        assert_eq!(shown, ["/app/here"]);
        let history = GetParameterHistoryRequest {
            name: Some("/app/gone".to_owned()),
            ..GetParameterHistoryRequest::default()
        };
        assert_eq!(reason(parameters.get_parameter_history(history).await), Reason::ParameterNotFound);
    });
}
