//! Lists and their pages.

use muster_proto::aws::v1::{Reason, Tag};
use muster_proto::documents::v1::{
    DocumentFilter, DocumentFilterKey, DocumentKeyValuesFilter, ListDocumentVersionsRequest, ListDocumentsRequest,
};

use crate::service::{Service, new, on_each_surface, reason, saying, update};

fn filter(key: &str, values: &[&str]) -> DocumentKeyValuesFilter {
    DocumentKeyValuesFilter {
        key: Some(key.to_owned()),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn page(filters: &[DocumentKeyValuesFilter], size: i32, token: Option<String>) -> ListDocumentsRequest {
    ListDocumentsRequest {
        filters: filters.to_vec(),
        max_results: Some(size),
        next_token: token,
        ..ListDocumentsRequest::default()
    }
}

#[tokio::test]
async fn documents_come_in_pages_by_name() {
    on_each_surface!(service, documents => {
        for name in ["doc-c", "doc-a", "doc-e", "doc-b", "doc-d"] {
            let mut request = new(name, saying(name));
            request.tags = vec![Tag { key: Some("n".to_owned()), value: Some(name.to_owned()) }];
            documents.create_document(request).await.unwrap();
        }
        let own = [filter("Owner", &["Self"])];
        let (mut names, mut sizes, mut token) = (Vec::new(), Vec::new(), None);
        loop {
            let answer = documents.list_documents(page(&own, 2, token)).await.unwrap().into_inner();
            sizes.push(answer.document_identifiers.len());
            for document in answer.document_identifiers {
                assert_eq!(document.tags[0].value, document.name);
                names.push(document.name.unwrap());
            }
            token = answer.next_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(names, ["doc-a", "doc-b", "doc-c", "doc-d", "doc-e"]);
        assert_eq!(sizes, [2, 2, 1]);
    });
}

#[tokio::test]
async fn a_token_opens_only_the_list_that_gave_it() {
    let service = Service::start().await;
    let mut documents = service.by_nats();
    let amazon = [filter("Owner", &["Amazon"])];
    let first = documents.list_documents(page(&amazon, 1, None)).await.unwrap();
    let token = first.into_inner().next_token;
    documents
        .list_documents(page(&amazon, 3, token.clone()))
        .await
        .expect("the size may change between pages");
    for (filters, token) in [
        (&[][..], token.clone()),
        (&amazon[..], Some(format!("{}x", token.unwrap()))),
        (&amazon[..], Some("nonsense".to_owned())),
    ] {
        let outcome = documents.list_documents(page(filters, 1, token)).await;
        assert_eq!(reason(outcome), Reason::InvalidNextToken);
    }
    service.stop().await;
}

#[tokio::test]
async fn both_forms_of_filters_find_the_same() {
    let service = Service::start().await;
    let mut documents = service.by_nats();
    let mut older = ListDocumentsRequest::default();
    let mut name = DocumentFilter {
        value: Some("AWS-RunSh".to_owned()),
        ..DocumentFilter::default()
    };
    name.set_key(DocumentFilterKey::Name);
    older.document_filter_list = vec![name];
    let newer = page(&[filter("Name", &["AWS-RunSh"])], 50, None);
    let older = documents.list_documents(older).await.unwrap().into_inner();
    let newer = documents.list_documents(newer).await.unwrap().into_inner();
    assert_eq!(older.document_identifiers, newer.document_identifiers);
    assert_eq!(older.document_identifiers.len(), 1);
    let unknown = documents
        .list_documents(page(&[filter("Colour", &["x"])], 5, None))
        .await;
    assert_eq!(reason(unknown), Reason::InvalidFilterKey);
    let nul = documents
        .list_documents(page(&[filter("Name", &["a\0"])], 5, None))
        .await;
    assert_eq!(reason(nul), Reason::ValidationException);
    service.stop().await;
}

#[tokio::test]
async fn versions_come_in_pages_newest_first() {
    let service = Service::start().await;
    let mut documents = service.by_nats();
    documents.create_document(new("Mine", saying("1"))).await.unwrap();
    for number in 2..=5 {
        documents
            .update_document(update("Mine", saying(&number.to_string())))
            .await
            .unwrap();
    }
    let request = |token| ListDocumentVersionsRequest {
        name: Some("Mine".to_owned()),
        max_results: Some(2),
        next_token: token,
    };
    let (mut seen, mut token) = (Vec::new(), None);
    loop {
        let answer = documents
            .list_document_versions(request(token))
            .await
            .unwrap()
            .into_inner();
        for version in answer.document_versions {
            seen.push((version.document_version.unwrap(), version.is_default_version.unwrap()));
        }
        token = answer.next_token;
        if token.is_none() {
            break;
        }
    }
    let expected = [("5", false), ("4", false), ("3", false), ("2", false), ("1", true)];
    assert_eq!(seen, expected.map(|(version, default)| (version.to_owned(), default)));
    let bad = documents.list_document_versions(request(Some("x".to_owned()))).await;
    assert_eq!(reason(bad), Reason::InvalidNextToken);
    let missing = ListDocumentVersionsRequest {
        name: Some("Other".to_owned()),
        ..ListDocumentVersionsRequest::default()
    };
    assert_eq!(
        reason(documents.list_document_versions(missing).await),
        Reason::InvalidDocument
    );
    service.stop().await;
}
