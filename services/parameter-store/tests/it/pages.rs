//! Pages over parameters that come and go meanwhile.

use std::collections::BTreeSet;

use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::{
    DeleteParameterRequest, DescribeParametersRequest, GetParameterHistoryRequest, GetParametersByPathRequest,
};

use crate::service::{Service, by_path, overwrite, put, reason};

#[tokio::test]
async fn what_is_there_all_the_time_is_shown_once() {
    let service = Service::start().await;
    let mut parameters = service.by_nats();
    for number in 0..40 {
        parameters
            .put_parameter(put(&format!("/stay/{number:02}"), "x"))
            .await
            .unwrap();
        parameters
            .put_parameter(put(&format!("/stay/{number:02}.go"), "x"))
            .await
            .unwrap();
    }
    let mut request = GetParametersByPathRequest {
        max_results: Some(7),
        ..by_path("/stay", true)
    };
    let (mut seen, mut rounds) = (Vec::new(), 0);
    loop {
        let page = parameters
            .get_parameters_by_path(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(page.parameters.len() <= 7);
        seen.extend(page.parameters.into_iter().filter_map(|parameter| parameter.name));
        // Some go, some come, some change.
        let (gone, come) = (
            format!("/stay/{:02}.go", (rounds * 3) % 40),
            format!("/stay/{:02}.come", rounds * 2 % 40),
        );
        let _ = parameters
            .delete_parameter(DeleteParameterRequest { name: Some(gone) })
            .await;
        parameters.put_parameter(overwrite(&come, "x")).await.unwrap();
        parameters
            .put_parameter(overwrite(&format!("/stay/{:02}", rounds % 40), "y"))
            .await
            .unwrap();
        rounds += 1;
        let Some(token) = page.next_token else { break };
        assert_ne!(Some(&token), request.next_token.as_ref(), "the same token twice");
        request.next_token = Some(token);
    }
    let stayed: Vec<_> = seen
        .iter()
        .filter(|name| !name.ends_with(".go") && !name.ends_with(".come"))
        .collect();
    assert_eq!(stayed.len(), 40);
    let unique: BTreeSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "nothing is shown twice");
    service.stop().await;
}

#[tokio::test]
async fn a_token_belongs_to_its_list() {
    let service = Service::start().await;
    let mut parameters = service.by_nats();
    for number in 0..3 {
        parameters
            .put_parameter(put(&format!("/a/{number}"), "x"))
            .await
            .unwrap();
        parameters.put_parameter(overwrite("/a/0", "y")).await.unwrap();
    }
    let describe = DescribeParametersRequest {
        max_results: Some(1),
        ..DescribeParametersRequest::default()
    };
    let page = parameters
        .describe_parameters(describe.clone())
        .await
        .unwrap()
        .into_inner();
    let token = page.next_token;
    assert!(token.is_some());
    let next = DescribeParametersRequest {
        next_token: token.clone(),
        max_results: Some(50),
        ..describe
    };
    let rest = parameters.describe_parameters(next).await.unwrap().into_inner();
    assert_eq!((rest.parameters.len(), rest.next_token), (2, None));
    let other = GetParametersByPathRequest {
        next_token: token.clone(),
        ..by_path("/a", true)
    };
    assert_eq!(
        reason(parameters.get_parameters_by_path(other).await),
        Reason::InvalidNextToken
    );
    let mut history = GetParameterHistoryRequest {
        name: Some("/a/0".to_owned()),
        max_results: Some(2),
        next_token: token,
        ..GetParameterHistoryRequest::default()
    };
    assert_eq!(
        reason(parameters.get_parameter_history(history.clone()).await),
        Reason::InvalidNextToken
    );
    history.next_token = None;
    let page = parameters
        .get_parameter_history(history.clone())
        .await
        .unwrap()
        .into_inner();
    history.next_token = page.next_token;
    // The size of a page may change on the way.
    history.max_results = Some(50);
    let rest = parameters.get_parameter_history(history).await.unwrap().into_inner();
    let versions: Vec<_> = page
        .parameters
        .iter()
        .chain(&rest.parameters)
        .map(|version| version.version())
        .collect();
    assert_eq!(versions, [1, 2, 3, 4]);
    service.stop().await;
}

#[tokio::test]
async fn a_page_has_its_size_when_nobody_says_one() {
    let service = Service::start().await;
    let mut parameters = service.by_nats();
    for number in 0..51 {
        let each = put(&format!("/many/{number:02}"), "x");
        parameters.put_parameter(each).await.unwrap();
        parameters.put_parameter(overwrite("/old", "x")).await.unwrap();
    }
    let page = parameters
        .get_parameters_by_path(by_path("/many", true))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((page.parameters.len(), page.next_token.is_some()), (10, true));
    let request = DescribeParametersRequest::default();
    let page = parameters.describe_parameters(request).await.unwrap().into_inner();
    assert_eq!((page.parameters.len(), page.next_token.is_some()), (50, true));
    let request = GetParameterHistoryRequest {
        name: Some("/old".to_owned()),
        ..GetParameterHistoryRequest::default()
    };
    let page = parameters.get_parameter_history(request).await.unwrap().into_inner();
    assert_eq!((page.parameters.len(), page.next_token.is_some()), (50, true));
    service.stop().await;
}
