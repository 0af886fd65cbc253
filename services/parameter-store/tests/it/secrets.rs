//! SecureStrings: readable for whoever asks for it, and nowhere else.

use std::time::Duration;

use muster_harness::until;
use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::{
    GetParameterHistoryRequest, GetParametersByPathRequest, GetParametersRequest, ParameterType,
};

use crate::service::{
    Service, by_grpc, by_path, decrypted, get, get_many, on_each_surface, overwrite, refusal, secure,
};

const CANARY: &str = "canary-7f3b9c51d2e8";

#[tokio::test]
async fn a_value_is_shown_in_clear_only_to_whoever_asks_for_it() {
    on_each_surface!(parameters => {
        parameters.put_parameter(secure("/s/x", CANARY)).await.unwrap();
        let closed = parameters.get_parameter(get("/s/x")).await.unwrap().into_inner().parameter.unwrap();
        assert_eq!(closed.r#type(), ParameterType::SecureString);
        assert!(!closed.value().contains(CANARY) && !closed.value().is_empty());
        let again = parameters.get_parameter(get("/s/x")).await.unwrap().into_inner().parameter.unwrap();
        assert_eq!(again.value(), closed.value(), "it is the same each time");
        let open = parameters.get_parameter(decrypted("/s/x")).await.unwrap().into_inner().parameter.unwrap();
        assert_eq!(open.value(), CANARY);
        let listed = parameters.get_parameters_by_path(by_path("/s", true)).await.unwrap().into_inner();
        assert_eq!(listed.parameters[0].value(), closed.value());
        let request = GetParameterHistoryRequest { name: Some("/s/x".to_owned()), ..GetParameterHistoryRequest::default() };
        let history = parameters.get_parameter_history(request).await.unwrap().into_inner();
        assert_eq!(history.parameters[0].value(), closed.value());
        parameters.put_parameter(overwrite("/plain", "x")).await.unwrap();
        let plain = parameters.get_parameter(decrypted("/plain")).await.unwrap().into_inner().parameter.unwrap();
        assert_eq!(plain.value(), "x", "nothing to decrypt");
    });
}

#[tokio::test]
async fn neither_the_tables_nor_the_answers_of_debug_hold_a_value() {
    let service = Service::start().await;
    let mut parameters = service.by_nats();
    let request = secure("/s/x", CANARY);
    assert!(!format!("{request:?}").contains(CANARY));
    parameters.put_parameter(request).await.unwrap();
    let found = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let tables = service.tables();
    assert!(found(&tables, "/s/x"), "these are the tables");
    assert!(!found(&tables, CANARY));
    service.stop().await;
}

/// A key on top of a key file.
fn with_new_version(lines: &str) -> String {
    format!("aws/ssm new AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n{lines}")
}

#[tokio::test]
async fn a_key_is_changed_under_running_readers_and_the_old_one_can_go() {
    let service = Service::start().await;
    let mut parameters = service.by_nats();
    for number in 0..12 {
        parameters
            .put_parameter(secure(&format!("/s/{number}"), &number.to_string()))
            .await
            .unwrap();
    }
    let lines = std::fs::read_to_string(service.key_file()).unwrap();
    std::fs::write(service.key_file(), with_new_version(&lines)).unwrap();
    let service = service.restart().await;
    let mut parameters = service.by_nats();
    let uses = |tables: Vec<u8>, version: &str| {
        // The wrapped keys are text, beside the version of their key.
        String::from_utf8_lossy(&tables)
            .matches(&format!("aws/ssm{version}"))
            .count()
    };
    let old = lines.split_whitespace().nth(1).unwrap().to_owned();
    until("all data keys are wrapped anew", async || {
        let uses = uses(service.tables(), "new");
        (uses >= 12).then_some(()).ok_or(uses)
    })
    .await;
    for number in 0..12 {
        let read = parameters
            .get_parameter(decrypted(&format!("/s/{number}")))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(read.parameter.unwrap().value(), number.to_string());
    }
    // Without the old line.
    std::fs::write(service.key_file(), with_new_version("")).unwrap();
    let service = service.restart().await;
    let read = service
        .by_nats()
        .get_parameter(decrypted("/s/3"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(read.parameter.unwrap().value(), "3");
    let count = r#"muster_parameter_store_data_keys{provider="file",key="aws/ssm",version="new"} 12"#;
    until("nothing needs the old one", async || {
        let metrics = service.metrics().await;
        (metrics.contains(count) && !metrics.contains(&old))
            .then_some(())
            .ok_or(metrics)
    })
    .await;
    // And without the new one.
    std::fs::write(service.key_file(), lines).unwrap();
    let refused = service.restart_refused().await;
    assert!(
        refused.contains("version new of the key aws/ssm, which 12 SecureStrings need"),
        "{refused} {old}"
    );
}

#[tokio::test]
async fn a_replica_that_was_not_started_again_reads_what_a_new_key_wrapped() {
    let service = Service::start().await;
    service.by_nats().put_parameter(secure("/s/x", "one")).await.unwrap();
    let replica = service.replica().await;
    let mut by_replica = by_grpc(&replica).await;
    let lines = std::fs::read_to_string(service.key_file()).unwrap();
    std::fs::write(service.key_file(), with_new_version(&lines)).unwrap();
    let service = service.restart().await;
    let mut by_service = service.by_grpc().await;
    by_service.put_parameter(secure("/s/x", "two")).await.unwrap();
    let mut value = async |name: &str| {
        let read = by_replica.get_parameter(decrypted(name)).await.unwrap().into_inner();
        read.parameter.unwrap().value.unwrap()
    };
    assert_eq!(value("/s/x").await, "two");
    assert_eq!(value("/s/x:1").await, "one");
    replica.stop(Duration::from_secs(5)).await;
    service.stop().await;
}

#[tokio::test]
async fn a_start_without_the_key_file_is_refused() {
    let service = Service::start().await;
    service.by_nats().put_parameter(secure("/s/x", CANARY)).await.unwrap();
    std::fs::remove_file(service.key_file()).unwrap();
    let key_file = service.key_file();
    let refused = service.restart_refused().await;
    assert!(
        refused.contains("is missing, and the tables hold SecureStrings"),
        "{refused}"
    );
    assert!(!key_file.exists());
}

#[tokio::test]
async fn a_value_whose_key_is_another_one_is_refused_as_such() {
    let service = Service::start().await;
    service.by_nats().put_parameter(secure("/s/x", CANARY)).await.unwrap();
    let lines = std::fs::read_to_string(service.key_file()).unwrap();
    let version = lines.split_whitespace().nth(1).unwrap();
    // As from a wrong backup: the version is there, and is not the key that it was.
    let other = format!("aws/ssm {version} AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n");
    std::fs::write(service.key_file(), other).unwrap();
    let service = service.restart().await;
    let mut parameters = service.by_nats();
    let many = GetParametersRequest {
        with_decryption: Some(true),
        ..get_many(&["/s/x"])
    };
    let below = GetParametersByPathRequest {
        with_decryption: Some(true),
        ..by_path("/s", true)
    };
    let history = GetParameterHistoryRequest {
        name: Some("/s/x".to_owned()),
        with_decryption: Some(true),
        ..GetParameterHistoryRequest::default()
    };
    for (word, text) in [
        refusal(parameters.get_parameter(decrypted("/s/x")).await),
        refusal(parameters.get_parameters(many).await),
        refusal(parameters.get_parameters_by_path(below).await),
        refusal(parameters.get_parameter_history(history).await),
    ] {
        assert_eq!(word, Reason::InvalidKeyId, "{text}");
        assert!(text.contains("cannot be decrypted"), "{text}");
    }
    assert!(
        parameters.get_parameter(get("/s/x")).await.is_ok(),
        "encrypted it can be shown"
    );
    service.stop().await;
}
