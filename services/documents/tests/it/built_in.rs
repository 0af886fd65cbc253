//! The documents that come with Muster, as users see them (documents.md 10).

use std::collections::BTreeMap;

use muster_document::{Document, DocumentType, Format, Platform, Verdict};
use muster_proto::Word;
use muster_proto::documents::v1::{
    DocumentDescription, DocumentIdentifier, DocumentKeyValuesFilter, DocumentStatus, ListDocumentVersionsRequest,
    ListDocumentsRequest, ValidateDocumentRequest,
};

use crate::service::{Service, describe, get};

/// All built-in documents, page by page.
async fn amazon(service: &Service) -> Vec<DocumentIdentifier> {
    let mut request = ListDocumentsRequest {
        filters: vec![DocumentKeyValuesFilter {
            key: Some("Owner".to_owned()),
            values: vec!["Amazon".to_owned()],
        }],
        max_results: Some(20),
        ..ListDocumentsRequest::default()
    };
    let mut all = Vec::new();
    loop {
        let answer = service
            .by_nats()
            .list_documents(request.clone())
            .await
            .unwrap()
            .into_inner();
        all.extend(answer.document_identifiers);
        request.next_token = answer.next_token;
        if request.next_token.is_none() {
            return all;
        }
    }
}

/// What callers know of a document that AWS has, too (documents.md 10).
#[derive(Debug, serde::Deserialize)]
struct Facts {
    name: String,
    #[serde(rename = "type")]
    document_type: String,
    schema: String,
    platforms: Vec<String>,
    target: Option<String>,
    /// Name, type, default.
    parameters: Vec<(String, String, Option<String>)>,
}

fn facts() -> Vec<Facts> {
    serde_json::from_str(include_str!("../built_in_facts.json")).unwrap()
}

#[tokio::test]
async fn built_in_documents_are_there_once_in_version_1_however_often_the_service_starts() {
    let mut service = Service::start().await;
    for _ in 0..2 {
        let documents = amazon(&service).await;
        let names: Vec<_> = documents.iter().map(DocumentIdentifier::name).collect();
        let own = names.iter().filter(|name| name.starts_with("Muster-")).count();
        let known: Vec<_> = facts().into_iter().map(|facts| facts.name).collect();
        let others: Vec<_> = names.iter().filter(|name| !name.starts_with("Muster-")).collect();
        assert_eq!(others, known.iter().collect::<Vec<_>>());
        assert_eq!((own, documents.len()), (5, known.len() + 5));
        for document in &documents {
            let name = document.name().to_owned();
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
    let mut validation = service.validation();
    for document in amazon(&service).await {
        let name = document.name().to_owned();
        let document_type: DocumentType = document.document_type().word().parse().unwrap();
        let stored = service
            .by_nats()
            .get_document(get(&name, ""))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(stored.status_information, None, "{name}");
        let request = ValidateDocumentRequest {
            content: stored.content.clone(),
            document_type: document.document_type,
            document_format: stored.document_format,
        };
        let verdict = validation.validate(request).await.unwrap().into_inner();
        assert_eq!(
            (verdict.acceptable(), verdict.findings.as_slice()),
            (true, &[][..]),
            "{name}"
        );
        let content = Document::parse(stored.content(), Format::Json, document_type).unwrap();
        assert!(content.description().is_some_and(|text| text.ends_with('.')), "{name}");
        for parameter in content.parameters() {
            assert!(parameter.description().is_some(), "{name}: {}", parameter.name());
        }
    }
    service.stop().await;
}

/// Name, type and default of each parameter, in order.
fn parameters(document: &DocumentDescription) -> Vec<(String, String, Option<String>)> {
    let shown = document.parameters.iter().map(|p| {
        (
            p.name().to_owned(),
            p.r#type().word().to_owned(),
            p.default_value.clone(),
        )
    });
    shown.collect()
}

#[tokio::test]
async fn names_types_schemas_parameters_and_platforms_are_those_that_callers_know() {
    let service = Service::start().await;
    for facts in facts() {
        let answer = service
            .by_nats()
            .describe_document(describe(&facts.name, ""))
            .await
            .unwrap();
        let document = answer.into_inner().document.unwrap();
        let name = &facts.name;
        assert_eq!(document.document_type().word(), facts.document_type, "{name}");
        assert_eq!(document.schema_version(), facts.schema, "{name}");
        assert_eq!(parameters(&document), facts.parameters, "{name}");
        let platforms: Vec<_> = document
            .platform_types()
            .map(|platform| platform.word().to_owned())
            .collect();
        assert_eq!(platforms, facts.platforms, "{name}");
        assert_eq!(document.target_type, facts.target, "{name}");
        assert_eq!(document.status(), DocumentStatus::Active, "{name}");
    }
    service.stop().await;
}

/// A built-in document as it is in the tree.
fn built_in(name: &str, document_type: DocumentType) -> Document {
    let file = format!("{}/builtin/{name}.json", env!("CARGO_MANIFEST_DIR"));
    Document::parse(&std::fs::read_to_string(file).unwrap(), Format::Json, document_type).unwrap()
}

#[test]
fn the_longer_automations_have_the_steps_that_are_known_of_them() {
    let steps = |name| {
        let document = built_in(name, DocumentType::Automation);
        let steps = document
            .runbook()
            .unwrap()
            .steps()
            .iter()
            .map(|step| step.name().to_owned());
        steps.collect::<Vec<_>>()
    };
    assert_eq!(
        steps("AWS-UpdateLinuxAmi"),
        [
            "launchInstance",
            "verifySsmInstall",
            "updateOSSoftware",
            "stopInstance",
            "createImage",
            "terminateInstance"
        ]
    );
    assert_eq!(steps("AWS-UpdateWindowsAmi").len(), 14);
    assert_eq!(steps("AWS-PatchInstanceWithRollback").len(), 11);
    assert_eq!(steps("AWS-StopEC2Instance").len(), 2);
    assert_eq!(steps("AWS-StartEC2InstanceWithApproval")[0], "approve");
}

#[test]
fn each_command_has_a_plan_on_each_of_its_platforms() {
    for facts in facts() {
        let Ok(document_type @ (DocumentType::Command | DocumentType::Policy)) = facts.document_type.parse() else {
            continue;
        };
        let document = built_in(&facts.name, document_type);
        let given: BTreeMap<String, Vec<String>> = REQUIRED
            .iter()
            .filter(|(document, _, _)| *document == facts.name)
            .map(|(_, name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
            .collect();
        let values = muster_document::check_parameters(&document, &given)
            .unwrap_or_else(|error| panic!("{}: {error}", facts.name));
        for platform in Platform::ALL {
            let plan = muster_document::plan(&document, &values, platform).unwrap();
            let runs = plan
                .steps()
                .iter()
                .any(|step| matches!(step.verdict(), Verdict::Run(_)));
            let expected = facts.platforms.iter().any(|word| word == platform.as_str());
            assert_eq!(runs, expected, "{} on {platform}", facts.name);
        }
    }
}

/// What the parameters without a default may be.
const REQUIRED: &[(&str, &str, &str)] = &[
    (
        "AWS-ApplyDSCMofs",
        "MofsToApply",
        "C:\\site.mof,https://example.com/web.mof",
    ),
    ("AWS-ApplyPatchBaseline", "Operation", "Scan"),
    ("AWS-ConfigureAWSPackage", "action", "Install"),
    (
        "AWS-ConfigureAWSPackage",
        "name",
        "arn:aws:ssm:eu-west-1:123456789012:package/Tool",
    ),
    ("AWS-ConfigureDocker", "action", "Install"),
    ("AWS-ConfigureWindowsUpdate", "updateLevel", "NeverCheckForUpdates"),
    ("AWS-InstallApplication", "source", "C:\\packages\\tool.msi"),
    (
        "AWS-InstallPowerShellModule",
        "source",
        "https://example.com/module.zip",
    ),
    (
        "AWS-InstallSpecificWindowsUpdates",
        "KbArticleIds",
        "KB5005565, 5005566",
    ),
    ("AWS-JoinDirectoryServiceDomain", "directoryId", "d-1234567890"),
    ("AWS-JoinDirectoryServiceDomain", "directoryName", "corp.example.com"),
    ("AWS-RunDockerAction", "action", "Ps"),
    ("AWS-RunDocument", "sourceType", "SSMDocument"),
    ("AWS-RunInspecChecks", "sourceType", "S3"),
    ("AWS-RunPatchBaseline", "Operation", "Install"),
    ("AWS-RunPatchBaselineAssociation", "Operation", "Scan"),
    ("AWS-RunPatchBaselineWithHooks", "Operation", "Install"),
    ("AWS-RunPowerShellScript", "commands", "Get-Date"),
    ("AWS-RunRemoteScript", "sourceType", "GitHub"),
    ("AWS-RunShellScript", "commands", "date"),
];

#[test]
fn bad_values_are_refused_before_they_reach_a_script() {
    for (name, parameter, value) in [
        ("AWS-InstallApplication", "source", "https://example.com/tool.exe"),
        (
            "AWS-InstallApplication",
            "source",
            "https://example.com/'; Stop-Computer; '.msi",
        ),
        ("AWS-InstallSpecificWindowsUpdates", "KbArticleIds", ""),
        ("AWS-InstallSpecificWindowsUpdates", "KbArticleIds", "KB1'; exit"),
        ("AWS-FindWindowsUpdates", "UpdateLevel", "Some"),
        ("AWS-InstallWindowsUpdates", "PublishedDateAfter", "2026-01-31"),
        ("AWS-InstallWindowsUpdates", "PublishedDateAfter", "13/01/2026"),
        ("AWS-InstallWindowsUpdates", "SeverityLevels", "Critical,Grave"),
        ("AWS-ConfigureWindowsUpdate", "scheduledInstallTime", "24:00"),
        ("AWS-JoinDirectoryServiceDomain", "dnsIpAddresses", "10.0.0.256"),
        ("AWS-RunDockerAction", "cmd", "ls; rm -r /"),
        ("AWS-RunDockerAction", "memory", "1GB"),
        ("AWS-RunPatchBaseline", "SnapshotId", "latest"),
        ("AWS-RunPatchBaseline", "InstallOverrideList", "http://example.com/list"),
        ("AWS-RunRemoteScript", "sourceType", "HTTP"),
        ("AWS-RunRemoteScript", "executionTimeout", "28801"),
        ("AWS-ConfigureAWSPackage", "name", "two words"),
        ("AWS-UpdateSSMAgent", "version", "newest"),
    ] {
        let document = built_in(name, DocumentType::Command);
        let mut given: BTreeMap<String, Vec<String>> = REQUIRED
            .iter()
            .filter(|(document, _, _)| *document == name)
            .map(|(_, name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
            .collect();
        given.insert(parameter.to_owned(), vec![value.to_owned()]);
        let error = muster_document::check_parameters(&document, &given).unwrap_err();
        assert_eq!(error.name, parameter, "{name}: {error}");
    }
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
