//! The documents that come with Muster, as users see them (documents.md 10).

use muster_document::{Document, DocumentType, Format};
use muster_proto::documents::v1::{
    DocumentDescription, DocumentIdentifier, DocumentKeyValuesFilter, ListDocumentVersionsRequest, ListDocumentsRequest,
};

use crate::service::{Service, describe, get};

async fn amazon(service: &Service) -> Vec<DocumentIdentifier> {
    let request = ListDocumentsRequest {
        filters: vec![DocumentKeyValuesFilter {
            key: Some("Owner".to_owned()),
            values: vec!["Amazon".to_owned()],
        }],
        ..ListDocumentsRequest::default()
    };
    let answer = service.by_nats().list_documents(request).await.unwrap();
    answer.into_inner().document_identifiers
}

#[tokio::test]
async fn built_in_documents_are_there_once_in_version_1_however_often_the_service_starts() {
    let mut service = Service::start().await;
    for _ in 0..2 {
        let documents = amazon(&service).await;
        assert_eq!(documents.len(), 10);
        for document in documents {
            let name = document.name.unwrap();
            assert_eq!(
                (document.owner.as_deref(), document.document_version.as_deref()),
                (Some("Amazon"), Some("1"))
            );
            let versions = ListDocumentVersionsRequest {
                name: Some(name.clone()),
                ..ListDocumentVersionsRequest::default()
            };
            let versions = service.by_nats().list_document_versions(versions).await.unwrap();
            assert_eq!(versions.into_inner().document_versions.len(), 1, "{name}");
        }
        service = service.restart().await;
    }
    service.stop().await;
}

#[tokio::test]
async fn no_built_in_document_has_anything_odd_about_it() {
    let service = Service::start().await;
    for document in amazon(&service).await {
        let name = document.name.unwrap();
        let stored = service
            .by_nats()
            .get_document(get(&name, ""))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(stored.status_information, None, "{name}");
        let content = Document::parse(&stored.content.unwrap(), Format::Json, DocumentType::Command).unwrap();
        assert!(content.description().is_some_and(|text| text.ends_with('.')), "{name}");
        for parameter in content.parameters() {
            assert!(parameter.description().is_some(), "{name}: {}", parameter.name());
        }
    }
    service.stop().await;
}

/// Name, type and default of each parameter, in order.
fn parameters(document: &DocumentDescription) -> Vec<(&str, &'static str, Option<&str>)> {
    use muster_proto::Word;
    let shown = document.parameters.iter().map(|p| {
        (
            p.name.as_deref().unwrap_or_default(),
            p.r#type().word(),
            p.default_value.as_deref(),
        )
    });
    shown.collect()
}

#[tokio::test]
async fn names_schemas_and_parameters_are_those_that_callers_know() {
    let service = Service::start().await;
    let described = async |name: &str| {
        let answer = service.by_nats().describe_document(describe(name, "")).await.unwrap();
        answer.into_inner().document.unwrap()
    };
    let run = [
        ("commands", "StringList", None),
        ("workingDirectory", "String", Some("")),
        ("executionTimeout", "String", Some("3600")),
    ];
    let check = async |name: &str, schema: &str, expected: &[(&str, &str, Option<&str>)]| {
        let document = described(name).await;
        assert_eq!(document.schema_version.as_deref(), Some(schema), "{name}");
        assert_eq!(parameters(&document), expected, "{name}");
    };
    check("AWS-RunShellScript", "1.2", &run).await;
    check("AWS-RunPowerShellScript", "1.2", &run).await;
    check(
        "AWS-RunAnsiblePlaybook",
        "2.0",
        &[
            ("playbook", "String", Some("")),
            ("playbookurl", "String", Some("")),
            ("extravars", "String", Some("SSM=True")),
            ("check", "String", Some("False")),
        ],
    )
    .await;
    check(
        "AWS-RunSaltState",
        "2.0",
        &[
            ("state", "String", Some("")),
            ("stateurl", "String", Some("")),
            ("pillars", "String", Some(r#"{"SSM":"True"}"#)),
            ("test", "String", Some("False")),
        ],
    )
    .await;
    check("AWS-Noop", "2.2", &[]).await;
    service.stop().await;
}

#[tokio::test]
async fn a_built_in_document_is_found_by_its_arn() {
    let service = Service::start().await;
    let arn = "arn:aws:ssm:eu-central-1::document/AWS-RunShellScript";
    let found = service.by_nats().get_document(get(arn, "")).await.unwrap().into_inner();
    assert_eq!(found.name.as_deref(), Some("AWS-RunShellScript"));
    service.stop().await;
}

#[test]
fn the_execution_timeout_is_a_number_from_1_to_172800() {
    use std::collections::BTreeMap;

    for name in ["AWS-RunShellScript", "AWS-RunPowerShellScript"] {
        let file = format!("{}/builtin/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let content = std::fs::read_to_string(file).unwrap();
        let document = Document::parse(&content, Format::Json, DocumentType::Command).unwrap();
        let accepts = |timeout: &str| {
            let given = BTreeMap::from([
                ("commands".to_owned(), vec!["id".to_owned()]),
                ("executionTimeout".to_owned(), vec![timeout.to_owned()]),
            ]);
            muster_document::check_parameters(&document, &given).is_ok()
        };
        for number in (1..=172_800)
            .step_by(97)
            .chain([1, 9, 10, 99_999, 100_000, 169_999, 171_999, 172_799, 172_800])
        {
            assert!(accepts(&number.to_string()), "{number}");
        }
        for bad in [
            "0", "01", "172801", "172900", "180000", "999999", "1000000", "-1", "1.5", "", " 60", "60s",
        ] {
            assert!(!accepts(bad), "{bad}");
        }
    }
}
