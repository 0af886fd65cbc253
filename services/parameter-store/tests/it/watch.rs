//! Changes below a path, as a stream.

use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::{DeleteParameterRequest, ParameterType, WatchParametersRequest};

use crate::service::{Service, overwrite, put, reason, secure};

fn below(path: &str, recursive: bool) -> WatchParametersRequest {
    WatchParametersRequest {
        path: Some(path.to_owned()),
        recursive: Some(recursive),
    }
}

#[tokio::test]
async fn who_watches_a_path_hears_what_happens_below_it_and_nothing_else() {
    let service = Service::start().await;
    let mut all = service
        .watch()
        .await
        .watch_parameters(below("/app", true))
        .await
        .unwrap()
        .into_inner();
    let mut near = service
        .watch()
        .await
        .watch_parameters(below("/app/", false))
        .await
        .unwrap()
        .into_inner();
    let mut root = service
        .watch()
        .await
        .watch_parameters(below("/", false))
        .await
        .unwrap()
        .into_inner();
    let mut parameters = service.by_nats();
    for request in [
        put("/application/x", "1"),
        put("/app", "1"),
        put("/app/db/host", "1"),
        overwrite("/app/db/host", "2"),
        secure("/app/key", "hunter2"),
        put("plain", "1"),
    ] {
        parameters.put_parameter(request).await.unwrap();
    }
    let delete = DeleteParameterRequest {
        name: Some("/app/key".to_owned()),
    };
    parameters.delete_parameter(delete).await.unwrap();
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(all.message().await.unwrap().unwrap());
    }
    let seen: Vec<_> = heard.iter().map(|change| (change.what(), change.name())).collect();
    assert_eq!(
        seen,
        [
            ("created", "/app/db/host"),
            ("updated", "/app/db/host"),
            ("created", "/app/key"),
            ("deleted", "/app/key")
        ]
    );
    assert_eq!(heard[2].r#type(), ParameterType::SecureString);
    assert!(heard[0].time.is_some() && !format!("{heard:?}").contains("hunter2"));
    assert_eq!(near.message().await.unwrap().unwrap().name(), "/app/key");
    assert_eq!(root.message().await.unwrap().unwrap().name(), "/app");
    assert_eq!(root.message().await.unwrap().unwrap().name(), "plain");
    service.stop().await;
}

#[tokio::test]
async fn a_path_that_is_none_is_refused() {
    let service = Service::start().await;
    for path in ["app", "//", "/a b"] {
        let outcome = service.watch().await.watch_parameters(below(path, true)).await;
        assert_eq!(reason(outcome), Reason::ValidationException, "{path}");
    }
    service.stop().await;
}
