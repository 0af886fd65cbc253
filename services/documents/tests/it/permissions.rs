//! With whom documents are shared.

use muster_proto::aws::v1::Reason;
use muster_proto::documents::v1::{
    DeleteDocumentRequest, DescribeDocumentPermissionRequest, DocumentPermissionType, ModifyDocumentPermissionRequest,
};

use crate::service::{Service, new, on_each_surface, reason, saying};

fn modify(name: &str, add: &[String], remove: &[String]) -> ModifyDocumentPermissionRequest {
    let mut request = ModifyDocumentPermissionRequest {
        name: Some(name.to_owned()),
        account_ids_to_add: add.to_vec(),
        account_ids_to_remove: remove.to_vec(),
        ..ModifyDocumentPermissionRequest::default()
    };
    request.set_permission_type(DocumentPermissionType::Share);
    request
}

fn shown(name: &str, token: Option<String>) -> DescribeDocumentPermissionRequest {
    let mut request = DescribeDocumentPermissionRequest {
        name: Some(name.to_owned()),
        max_results: Some(200),
        next_token: token,
        ..DescribeDocumentPermissionRequest::default()
    };
    request.set_permission_type(DocumentPermissionType::Share);
    request
}

fn accounts(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|n| format!("{n:012}")).collect()
}

#[tokio::test]
async fn accounts_are_added_shown_in_pages_and_removed() {
    on_each_surface!(service, documents => {
        documents.create_document(new("Mine", saying("x"))).await.unwrap();
        documents.modify_document_permission(modify("Mine", &accounts(0..20), &[])).await.unwrap();
        documents.modify_document_permission(modify("Mine", &accounts(20..30), &accounts(25..30))).await.unwrap();
        let first = documents.describe_document_permission(shown("Mine", None)).await.unwrap().into_inner();
        assert_eq!(first.account_ids, accounts(0..20));
        assert_eq!(first.account_sharing_info_list[0].shared_document_version.as_deref(), Some("$DEFAULT"));
        let second = documents.describe_document_permission(shown("Mine", first.next_token)).await.unwrap().into_inner();
        assert_eq!((second.account_ids, second.next_token), (accounts(20..25), None));

        let delete = DeleteDocumentRequest { name: Some("Mine".to_owned()), ..DeleteDocumentRequest::default() };
        assert_eq!(reason(documents.delete_document(delete.clone()).await), Reason::InvalidDocumentOperation);
        documents.modify_document_permission(modify("Mine", &[], &accounts(0..20))).await.unwrap();
        documents.modify_document_permission(modify("Mine", &[], &accounts(20..25))).await.unwrap();
        documents.delete_document(delete).await.unwrap();
    });
}

#[tokio::test]
async fn sharing_that_cannot_be_has_its_own_word() {
    let service = Service::with(|settings| {
        settings.max_public = 1;
        settings.max_shares = 2;
    })
    .await;
    let mut documents = service.by_nats();
    documents.create_document(new("Mine", saying("x"))).await.unwrap();
    documents.create_document(new("Other", saying("y"))).await.unwrap();
    let all = ["All".to_owned()];
    documents
        .modify_document_permission(modify("Mine", &all, &[]))
        .await
        .unwrap();
    let check = async |request, expected| {
        assert_eq!(
            reason(service.by_nats().modify_document_permission(request).await),
            expected
        );
    };
    check(modify("Other", &all, &[]), Reason::DocumentPermissionLimit).await;
    check(modify("Mine", &accounts(0..3), &[]), Reason::DocumentPermissionLimit).await;
    check(modify("None", &all, &[]), Reason::InvalidDocument).await;
    let version = |version: &str| ModifyDocumentPermissionRequest {
        shared_document_version: Some(version.to_owned()),
        ..modify("Mine", &accounts(0..1), &[])
    };
    check(version("2"), Reason::InvalidDocument).await;
    check(version("$NONE"), Reason::ValidationException).await;
    for word in ["$ALL", "1"] {
        documents.modify_document_permission(version(word)).await.unwrap();
        let answer = documents
            .describe_document_permission(shown("Mine", None))
            .await
            .unwrap();
        let first = answer.into_inner().account_sharing_info_list.remove(0);
        assert_eq!(first.shared_document_version(), word);
    }
    check(modify("AWS-Noop", &all, &[]), Reason::InvalidDocumentOperation).await;
    check(modify("Mine", &["me".to_owned()], &[]), Reason::ValidationException).await;
    let built_in = documents.describe_document_permission(shown("AWS-Noop", None)).await;
    assert_eq!(reason(built_in), Reason::InvalidDocumentOperation);
    service.stop().await;
}
