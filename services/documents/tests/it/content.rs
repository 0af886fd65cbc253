//! What a content may be, and how it is shown.

use muster_proto::aws::v1::{PlatformType, Reason, Tag};
use muster_proto::documents::v1::{CreateDocumentRequest, DocumentFormat, DocumentParameterType, DocumentType};

use crate::service::{Service, describe, get, get_as, new, on_each_surface, reason, refusal, saying};

const YAML: &str = "# how to greet
schemaVersion: '2.2'
description: Greets
parameters:
  word: {type: String, default: 'yes', description: what to say}
  often: {type: Integer, default: 3}
  list: {type: StringList, default: [a, b]}
  must: {type: StringMap}
mainSteps:
  - name: greet
    action: aws:runShellScript
    inputs:
      timeoutSeconds: '60'
      runCommand:
        - |
          echo {{ word }}
          exit 0
";

fn typed(name: &str, content: &str, document_type: DocumentType, format: DocumentFormat) -> CreateDocumentRequest {
    let mut request = new(name, content);
    request.set_document_type(document_type);
    request.set_document_format(format);
    request
}

#[tokio::test]
async fn a_document_is_shown_in_both_languages_and_its_bytes_come_back() {
    on_each_surface!(service, documents => {
        documents.create_document(typed("Greet", YAML, DocumentType::Command, DocumentFormat::Yaml)).await.unwrap();
        let stored = documents.get_document(get("Greet", "")).await.unwrap().into_inner();
        assert_eq!((stored.content.as_deref(), stored.document_format()), (Some(YAML), DocumentFormat::Yaml));
        let json = documents.get_document(get_as("Greet", DocumentFormat::Json)).await.unwrap().into_inner();
        assert_eq!(json.document_format(), DocumentFormat::Json);
        let value: serde_json::Value = serde_json::from_str(json.content.as_deref().unwrap()).unwrap();
        let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["schemaVersion", "description", "parameters", "mainSteps"]);
        assert_eq!(value["parameters"]["word"]["default"], "yes");
        assert_eq!(value["parameters"]["often"]["default"], 3);
        assert_eq!(value["mainSteps"][0]["inputs"]["timeoutSeconds"], "60");
        assert_eq!(value["mainSteps"][0]["inputs"]["runCommand"][0], "echo {{ word }}\nexit 0\n");
        let text = documents.get_document(get_as("Greet", DocumentFormat::Text)).await;
        assert_eq!(reason(text), Reason::ValidationException);
    });
}

#[tokio::test]
async fn what_a_content_declares_is_described() {
    let service = Service::start().await;
    let mut documents = service.by_nats();
    let mut request = typed("Greet", YAML, DocumentType::Command, DocumentFormat::Yaml);
    request.tags = vec![Tag {
        key: Some("Team".to_owned()),
        value: Some("Ops".to_owned()),
    }];
    documents.create_document(request).await.unwrap();
    let described = documents.describe_document(describe("Greet", "")).await.unwrap();
    let described = described.into_inner().document.unwrap();
    let shown: Vec<_> = described
        .parameters
        .iter()
        .map(|p| (p.name.as_deref().unwrap(), p.r#type(), p.default_value.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("word", DocumentParameterType::String, Some("yes")),
            ("often", DocumentParameterType::Integer, Some("3")),
            ("list", DocumentParameterType::StringList, Some(r#"["a","b"]"#)),
            ("must", DocumentParameterType::StringMap, None),
        ]
    );
    let platforms: Vec<_> = described.platform_types().collect();
    assert_eq!(platforms, [PlatformType::Linux, PlatformType::MacOs]);
    assert_eq!(described.tags[0].value.as_deref(), Some("Ops"));
    service.stop().await;
}

#[tokio::test]
async fn a_document_that_is_only_stored_may_be_any_text() {
    let service = Service::start().await;
    let mut documents = service.by_nats();
    let calendar = "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n";
    let request = typed("Cal", calendar, DocumentType::ChangeCalendar, DocumentFormat::Text);
    documents.create_document(request).await.unwrap();
    let stored = documents.get_document(get("Cal", "")).await.unwrap().into_inner();
    assert_eq!(stored.content.as_deref(), Some(calendar));
    let json = documents.get_document(get_as("Cal", DocumentFormat::Json)).await;
    assert_eq!(reason(json), Reason::ValidationException);
    service.stop().await;
}

#[tokio::test]
async fn a_creation_that_cannot_be_has_its_own_word() {
    let service = Service::with(|settings| settings.max_documents = 1).await;
    let mut documents = service.by_nats();
    let check = async |request: CreateDocumentRequest, expected| {
        let outcome = refusal(service.by_nats().create_document(request).await);
        assert_eq!(outcome.0, expected, "{}", outcome.1);
    };
    let json = |content: &str| typed("Mine", content, DocumentType::Command, DocumentFormat::Json);
    check(new("AWS-Mine", saying("x")), Reason::ValidationException).await;
    check(new("Muster-Mine", saying("x")), Reason::ValidationException).await;
    check(new("ab", saying("x")), Reason::ValidationException).await;
    check(new("Mine", ""), Reason::ValidationException).await;
    check(json(YAML), Reason::InvalidDocumentContent).await;
    check(json("[]"), Reason::InvalidDocumentContent).await;
    check(json(r#"{"schemaVersion":2.2}"#), Reason::InvalidDocumentContent).await;
    check(json(r#"{"schemaVersion":"0.3"}"#), Reason::InvalidDocumentSchemaVersion).await;
    check(
        typed("Mine", &saying("x"), DocumentType::Command, DocumentFormat::Text),
        Reason::InvalidDocumentContent,
    )
    .await;
    check(json(&" ".repeat(65_537)), Reason::MaxDocumentSizeExceeded).await;
    let mut tagged = new("Mine", saying("x"));
    tagged.tags = vec![Tag {
        key: Some("aws:x".to_owned()),
        value: Some(String::new()),
    }];
    check(tagged, Reason::ValidationException).await;
    documents.create_document(new("Mine", saying("x"))).await.unwrap();
    check(new("Mine", "{"), Reason::DocumentAlreadyExists).await;
    check(new("More", saying("x")), Reason::DocumentLimitExceeded).await;
    service.stop().await;
}

#[tokio::test]
async fn all_mistakes_are_named_in_one_answer_and_grpc_carries_as_much_as_it_can() {
    let steps: Vec<_> = (0..300)
        .map(|n| {
            format!(
                r#"{{"action":"aws:nope","name":"{}{n}","inputs":{{}}}}"#,
                "long".repeat(25)
            )
        })
        .collect();
    let wrong = format!(
        r#"{{"schemaVersion":"2.2","surprise":1,"mainSteps":[{}]}}"#,
        steps.join(",")
    );
    let endless = format!(r#"{{"schemaVersion":"2.2","{}":1}}"#, "k".repeat(60_000));
    let service = Service::start().await;

    let mut documents = service.by_nats();
    let (reason, message) = refusal(documents.create_document(new("Mine", wrong.clone())).await);
    assert_eq!(reason, Reason::InvalidDocumentContent);
    assert!(message.starts_with("/surprise: "), "{message}");
    // A hundred are listed, the others counted.
    for step in 0..99 {
        assert!(
            message.contains(&format!("/mainSteps/{step}/action: ")),
            "{step}: {message}"
        );
    }
    assert!(message.ends_with("; and 201 more"), "{message}");
    let (_, message) = refusal(documents.create_document(new("Mine", endless.clone())).await);
    assert!(message.len() > 60_000, "{}", message.len());

    // Clients of gRPC take narrow headers only.
    let mut documents = service.by_grpc().await;
    for content in [wrong, endless] {
        let (reason, message) = refusal(documents.create_document(new("Mine", content)).await);
        assert_eq!(reason, Reason::InvalidDocumentContent);
        assert!(
            message.starts_with('/') && message.contains(" bytes in all"),
            "{message}"
        );
        assert!(message.len() < 3_200, "{}", message.len());
    }
    service.stop().await;
}
