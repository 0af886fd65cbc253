//! Reviews of versions.

use muster_proto::Word;
use muster_proto::aws::v1::Reason;
use muster_proto::documents::v1::{
    DeleteDocumentRequest, DocumentKeyValuesFilter, DocumentMetadataEnum, DocumentReviewAction,
    DocumentReviewCommentSource, DocumentReviews, ListDocumentMetadataHistoryRequest, ListDocumentVersionsRequest,
    ListDocumentsRequest, UpdateDocumentMetadataRequest,
};

use crate::service::{Service, describe, get, new, on_each_surface, reason, saying, update};

fn step(name: &str, version: &str, action: DocumentReviewAction, comment: &str) -> UpdateDocumentMetadataRequest {
    let mut reviews = DocumentReviews {
        comment: vec![DocumentReviewCommentSource {
            content: Some(comment.to_owned()),
            ..DocumentReviewCommentSource::default()
        }],
        ..DocumentReviews::default()
    };
    reviews.set_action(action);
    UpdateDocumentMetadataRequest {
        name: Some(name.to_owned()),
        document_version: Some(version.to_owned()),
        document_reviews: Some(reviews),
    }
}

fn history(version: &str, token: Option<String>) -> ListDocumentMetadataHistoryRequest {
    let mut request = ListDocumentMetadataHistoryRequest {
        name: Some("Mine".to_owned()),
        document_version: Some(version.to_owned()),
        max_results: Some(2),
        next_token: token,
        ..ListDocumentMetadataHistoryRequest::default()
    };
    request.set_metadata(DocumentMetadataEnum::DocumentReviews);
    request
}

#[tokio::test]
async fn a_review_is_asked_for_given_and_remembered() {
    use DocumentReviewAction::{Approve, Reject, SendForReview, UpdateReview};
    on_each_surface!(service, documents => {
        documents.create_document(new("Mine", saying("one"))).await.unwrap();
        documents.update_document(update("Mine", saying("two"))).await.unwrap();
        let early = documents.update_document_metadata(step("Mine", "1", Approve, "fine")).await;
        assert_eq!(reason(early), Reason::InvalidDocumentOperation);
        for (version, action, comment) in [
            ("1", SendForReview, "please"),
            ("1", Reject, "no"),
            ("$DEFAULT", SendForReview, "now?"),
            ("1", UpdateReview, "now, please?"),
            ("1", Approve, "yes"),
            ("$LATEST", SendForReview, "and this"),
        ] {
            let request = step("Mine", version, action, comment);
            documents.update_document_metadata(request).await.unwrap();
        }
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let page = documents.list_document_metadata_history(history("1", token)).await.unwrap().into_inner();
            assert_eq!(page.document_version(), "1");
            for response in page.metadata.unwrap().reviewer_response {
                seen.push((response.review_status().word(), response.comment[0].content().to_owned()));
            }
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        let expected = [("APPROVED", "yes"), ("PENDING", "now, please?"), ("REJECTED", "no"), ("PENDING", "please")];
        assert_eq!(seen, expected.map(|(status, comment)| (status, comment.to_owned())));

        let answer = documents.describe_document(describe("Mine", "1")).await.unwrap().into_inner();
        let document = answer.document.unwrap();
        assert_eq!(document.review_status().word(), "APPROVED");
        assert_eq!((document.approved_version(), document.pending_review_version()), ("1", "2"));
        assert_eq!(document.review_information[0].reviewer(), "000000000000");
        let answer = documents.describe_document(describe("Mine", "2")).await.unwrap().into_inner();
        assert_eq!(answer.document.unwrap().review_status().word(), "PENDING");
        let versions = ListDocumentVersionsRequest {
            name: Some("Mine".to_owned()),
            ..ListDocumentVersionsRequest::default()
        };
        let versions = documents.list_document_versions(versions).await.unwrap().into_inner().document_versions;
        let shown: Vec<_> = versions.iter().map(|version| version.review_status().word()).collect();
        assert_eq!(shown, ["PENDING", "APPROVED"]);
        // A content that was read before still shows where its review stands now.
        for (version, status) in [("1", "APPROVED"), ("2", "PENDING")] {
            let got = documents.get_document(get("Mine", version)).await.unwrap().into_inner();
            assert_eq!(got.review_status().word(), status);
        }
        documents.update_document_metadata(step("Mine", "2", Reject, "no")).await.unwrap();
        let got = documents.get_document(get("Mine", "2")).await.unwrap().into_inner();
        assert_eq!(got.review_status().word(), "REJECTED");
        let own = ListDocumentsRequest {
            filters: vec![DocumentKeyValuesFilter { key: Some("Name".to_owned()), values: vec!["Mine".to_owned()] }],
            ..ListDocumentsRequest::default()
        };
        let listed = documents.list_documents(own).await.unwrap().into_inner();
        assert_eq!(listed.document_identifiers[0].review_status().word(), "APPROVED");
    });
}

#[tokio::test]
async fn reviews_of_what_cannot_be_reviewed_have_their_words() {
    let service = Service::start().await;
    let mut documents = service.by_nats();
    let ask = |name: &str, version: &str| step(name, version, DocumentReviewAction::SendForReview, "please");
    let built_in = documents.update_document_metadata(ask("AWS-Noop", "1")).await;
    assert_eq!(reason(built_in), Reason::InvalidDocumentOperation);
    let missing = documents.update_document_metadata(ask("Nothing", "1")).await;
    assert_eq!(reason(missing), Reason::InvalidDocument);
    documents.create_document(new("Mine", saying("x"))).await.unwrap();
    let version = documents.update_document_metadata(ask("Mine", "7")).await;
    assert_eq!(reason(version), Reason::InvalidDocumentVersion);
    documents.update_document_metadata(ask("Mine", "1")).await.unwrap();
    let twice = documents.update_document_metadata(ask("Mine", "1")).await;
    assert_eq!(reason(twice), Reason::InvalidDocumentOperation);

    // A document of the same name is another document.
    let delete = DeleteDocumentRequest {
        name: Some("Mine".to_owned()),
        ..DeleteDocumentRequest::default()
    };
    documents.delete_document(delete).await.unwrap();
    documents.create_document(new("Mine", saying("x"))).await.unwrap();
    let page = documents
        .list_document_metadata_history(history("1", None))
        .await
        .unwrap();
    assert!(page.into_inner().metadata.unwrap().reviewer_response.is_empty());
    service.stop().await;
}
