//! Labels move, and the bad ones are set apart.

use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::{
    GetParameterHistoryRequest, LabelParameterVersionRequest, UnlabelParameterVersionRequest,
};

use crate::service::{Service, brief, get, on_each_surface, overwrite, put, reason, refusal};

fn label(name: &str, version: Option<i64>, labels: &[&str]) -> LabelParameterVersionRequest {
    LabelParameterVersionRequest {
        name: Some(name.to_owned()),
        parameter_version: version,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    }
}

fn unlabel(name: &str, version: i64, labels: &[&str]) -> UnlabelParameterVersionRequest {
    UnlabelParameterVersionRequest {
        name: Some(name.to_owned()),
        parameter_version: Some(version),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    }
}

#[tokio::test]
async fn a_label_is_on_one_version_at_a_time() {
    on_each_surface!(parameters => {
        parameters.put_parameter(put("x", "1")).await.unwrap();
        parameters.put_parameter(overwrite("x", "2")).await.unwrap();
        let answer = parameters.label_parameter_version(label("/x", Some(1), &["prod", "1st", "aws-x"])).await.unwrap();
        let answer = answer.into_inner();
        assert_eq!((answer.parameter_version(), answer.invalid_labels), (1, vec!["1st".to_owned(), "aws-x".to_owned()]));
        let found = parameters.get_parameter(get("x:prod")).await.unwrap().into_inner().parameter.unwrap();
        assert_eq!((brief(&found), found.selector()), (("x", 1, "1"), ":prod"));
        let moved = parameters.label_parameter_version(label("x", None, &["prod"])).await.unwrap().into_inner();
        assert_eq!((moved.parameter_version(), moved.invalid_labels.len()), (2, 0));
        let request = GetParameterHistoryRequest { name: Some("x".to_owned()), ..GetParameterHistoryRequest::default() };
        let history = parameters.get_parameter_history(request).await.unwrap().into_inner().parameters;
        let labels: Vec<_> = history.iter().map(|version| version.labels.clone()).collect();
        assert_eq!(labels, [vec![], vec!["prod".to_owned()]]);
        let removed = parameters.unlabel_parameter_version(unlabel("x", 2, &["prod", "test"])).await.unwrap().into_inner();
        assert_eq!((removed.removed_labels, removed.invalid_labels), (vec!["prod".to_owned()], vec!["test".to_owned()]));
        assert_eq!(reason(parameters.get_parameter(get("x:prod")).await), Reason::ParameterVersionNotFound);
    });
}

#[tokio::test]
async fn what_cannot_be_labelled_is_told_apart() {
    let service = Service::start().await;
    let mut parameters = service.by_nats();
    parameters.put_parameter(put("x", "1")).await.unwrap();
    let ten: Vec<String> = (0..10).map(|number| format!("l{number}")).collect();
    let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
    parameters
        .label_parameter_version(label("x", None, &ten))
        .await
        .unwrap();
    parameters
        .label_parameter_version(label("x", None, &["l1"]))
        .await
        .unwrap();
    for (request, word) in [
        (
            label("x", None, &["one-more"]),
            Reason::ParameterVersionLabelLimitExceeded,
        ),
        (label("x", Some(2), &["l"]), Reason::ParameterVersionNotFound),
        (label("nope", None, &["l"]), Reason::ParameterNotFound),
        (label("x:1", None, &["l"]), Reason::ValidationException),
        (label("x", None, &[&"l".repeat(101)]), Reason::ValidationException),
        (label("x", None, &[]), Reason::ValidationException),
    ] {
        let what = format!("{request:?}");
        assert_eq!(
            reason(parameters.label_parameter_version(request).await),
            word,
            "{what}"
        );
    }
    for (request, word) in [
        (unlabel("x", 2, &["l1"]), Reason::ParameterVersionNotFound),
        (unlabel("nope", 1, &["l1"]), Reason::ParameterNotFound),
    ] {
        assert_eq!(reason(parameters.unlabel_parameter_version(request).await), word);
    }
    let absent = UnlabelParameterVersionRequest {
        parameter_version: None,
        ..unlabel("x", 1, &["l1"])
    };
    let (word, text) = refusal(parameters.unlabel_parameter_version(absent).await);
    assert_eq!(word, Reason::ValidationException);
    assert!(text.contains("parameterVersion"), "{text}");
    service.stop().await;
}
