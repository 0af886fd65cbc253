//! Judging a document without storing it.

use muster_proto::Word;
use muster_proto::aws::v1::Reason;
use muster_proto::documents::v1::document_validation_client::DocumentValidationClient;
use muster_proto::documents::v1::{DocumentFormat, DocumentType, ValidateDocumentRequest, ValidateDocumentResult};
use serde_json::json;

use crate::service::{Service, get, new, reason, refusal};

fn judged(content: &str) -> ValidateDocumentRequest {
    ValidateDocumentRequest {
        content: Some(content.to_owned()),
        ..ValidateDocumentRequest::default()
    }
}

/// `error /path: message`, a line each.
fn lines(verdict: &ValidateDocumentResult) -> Vec<String> {
    let lines = verdict.findings.iter().map(|finding| {
        let severity = finding.severity().word().to_lowercase();
        format!("{severity} {}: {}", finding.path(), finding.message())
    });
    lines.collect()
}

#[tokio::test]
async fn all_findings_come_with_their_severities_and_nothing_is_stored() {
    let service = Service::start().await;
    let steps: Vec<_> = (0..30)
        .map(|n| json!({"action": "aws:nope", "name": format!("{}{n}", "long".repeat(25)), "inputs": {}}))
        .collect();
    let content = json!({"schemaVersion": "2.2", "surprise": 1, "mainSteps": steps}).to_string();
    let mut validation = service.validation();
    let verdict = validation.validate(judged(&content)).await.unwrap().into_inner();
    assert_eq!(
        (verdict.acceptable(), verdict.error()),
        (false, "InvalidDocumentContent")
    );
    let found = lines(&verdict);
    assert_eq!(found.len(), 31, "{found:#?}");
    assert!(found[0].starts_with("error /surprise: "), "{}", found[0]);
    assert!(found[30].starts_with("error /mainSteps/29/action: "), "{}", found[30]);

    // What CreateDocument says in one text is the same.
    let (created, message) = refusal(service.by_nats().create_document(new("Mine", content)).await);
    assert_eq!(created.word(), verdict.error());
    assert!(message.starts_with("/surprise: "), "{message}");
    assert_eq!(
        reason(service.by_nats().get_document(get("Mine", "")).await),
        Reason::InvalidDocument
    );
    service.stop().await;
}

#[tokio::test]
async fn an_env_var_on_a_steps_inputs_is_told_to_its_author_on_both_ways() {
    let service = Service::start().await;
    let content = json!({"schemaVersion": "2.2", "parameters": {"word": {"type": "String", "default": "x"}},
        "mainSteps": [{"action": "aws:runShellScript", "name": "s",
            "inputs": {"interpolationType": "ENV_VAR", "runCommand": ["echo {{ word }}"]}}]})
    .to_string();
    let verdict = service
        .validation()
        .validate(judged(&content))
        .await
        .unwrap()
        .into_inner();
    assert!(verdict.acceptable() && verdict.error.is_none());
    assert_eq!(
        lines(&verdict),
        ["warning /mainSteps/0/inputs/interpolationType: has no effect on inputs; it belongs to the parameter"]
    );
    assert_eq!(verdict.schema_version(), "2.2");
    let platforms: Vec<_> = verdict.platform_types().map(|platform| platform.word()).collect();
    assert_eq!(platforms, ["Linux", "MacOS"]);
    assert_eq!(verdict.parameters[0].default_value(), "x");
    service.by_nats().create_document(new("Mine", content)).await.unwrap();
    let stored = service
        .by_nats()
        .get_document(get("Mine", ""))
        .await
        .unwrap()
        .into_inner();
    assert!(
        stored.status_information().contains("interpolationType"),
        "{}",
        stored.status_information()
    );
    service.stop().await;
}

#[tokio::test]
async fn each_type_and_format_is_judged_as_creation_would() {
    let service = Service::start().await;
    let mut validation = DocumentValidationClient::connect(service.address()).await.unwrap();
    let mut check = async |content: &str, document_type: DocumentType, format: DocumentFormat, error: &str| {
        let mut request = judged(content);
        request.set_document_type(document_type);
        request.set_document_format(format);
        let verdict = validation.validate(request).await.unwrap().into_inner();
        assert_eq!(verdict.error(), error, "{:?}", lines(&verdict));
        assert_eq!(verdict.acceptable(), error.is_empty());
    };
    let runbook = "schemaVersion: '0.3'\nmainSteps:\n- name: s\n  action: aws:sleep\n  inputs: {Duration: PT1S}\n";
    check(runbook, DocumentType::Automation, DocumentFormat::Yaml, "").await;
    check(
        runbook,
        DocumentType::Automation,
        DocumentFormat::Json,
        "InvalidDocumentContent",
    )
    .await;
    check(
        runbook,
        DocumentType::Command,
        DocumentFormat::Yaml,
        "InvalidDocumentSchemaVersion",
    )
    .await;
    check(
        "BEGIN:VCALENDAR",
        DocumentType::ChangeCalendar,
        DocumentFormat::Text,
        "",
    )
    .await;
    check(
        "a\0",
        DocumentType::ChangeCalendar,
        DocumentFormat::Text,
        "InvalidDocumentContent",
    )
    .await;
    let long = "x".repeat(65_537);
    check(
        &long,
        DocumentType::ChangeCalendar,
        DocumentFormat::Text,
        "MaxDocumentSizeExceeded",
    )
    .await;
    assert_eq!(
        reason(service.validation().validate(judged("")).await),
        Reason::ValidationException
    );
    service.stop().await;
}
