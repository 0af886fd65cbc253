//! The queries on SQLite, and on PostgreSQL where `MUSTER_TEST_POSTGRES` names a server.

use std::sync::Arc;

use futures::future::join_all;
use muster_document::{DocumentType, Format};
use muster_harness::{Folder, Postgres};
use muster_store::Db;

use super::write::{self, NewVersion, Quotas};
use super::{read, tag};
use crate::domain::draft::Draft;
use crate::domain::share::Change;
use crate::domain::version::{Selector, Which};
use crate::error::DocumentError;

const QUOTAS: Quotas = Quotas {
    documents: 2,
    versions: 30,
    shares: 3,
    public: 1,
};

/// Databases of all kinds that this machine can offer, with what keeps them alive.
async fn databases() -> Vec<(Db, Option<Folder>, Option<Postgres>)> {
    let folder = Folder::new("documents");
    let url = format!("sqlite:{}", folder.join("it.db").display());
    let mut all = vec![(
        Db::open(&url, "documents", &crate::MIGRATIONS).await.unwrap(),
        Some(folder),
        None,
    )];
    if let Some(postgres) = Postgres::start().await {
        let db = Db::open(&postgres.url(), "documents", &crate::MIGRATIONS)
            .await
            .unwrap();
        all.push((db, None, Some(postgres)));
    }
    all
}

fn version(text: &str) -> NewVersion {
    let content = format!(
        r#"{{"schemaVersion":"2.2","mainSteps":[
            {{"action":"aws:runShellScript","name":"s","inputs":{{"runCommand":["{text}"]}}}}]}}"#
    );
    NewVersion {
        draft: Draft::read(content, Format::Json, DocumentType::Command).unwrap(),
        version_name: None,
        display_name: None,
        target_type: None,
        created_at: 1,
    }
}

async fn create(db: &Db, name: &str) -> Result<(), DocumentError> {
    write::create(
        db,
        name,
        DocumentType::Command,
        &version("one"),
        &crate::domain::tag::Tags::new(),
        QUOTAS,
    )
    .await
    .unwrap()
}

fn number(which: Which) -> Selector {
    Selector {
        which: Some(which),
        name: None,
    }
}

#[tokio::test]
async fn updates_at_once_get_numbers_without_gaps_and_repeats() {
    for (db, _folder, _postgres) in databases().await {
        create(&db, "Mine").await.unwrap();
        let db = Arc::new(db);
        let updates = (0..20).map(|text| {
            let db = Arc::clone(&db);
            async move {
                let new = version(&text.to_string());
                write::update(&db, "Mine", Which::Latest, &new, QUOTAS)
                    .await
                    .unwrap()
                    .unwrap()
            }
        });
        let mut numbers = join_all(updates).await;
        numbers.sort_unstable();
        assert_eq!(numbers, (2..=21).collect::<Vec<_>>());
        let latest = read::version(&db, "Mine", &number(Which::Latest))
            .await
            .unwrap()
            .unwrap();
        let default = read::version(&db, "Mine", &number(Which::Default))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((latest.version, default.version), (21, 1));
    }
}

#[tokio::test]
async fn the_same_content_is_refused_and_names_the_version_that_has_it() {
    for (db, _folder, _postgres) in databases().await {
        create(&db, "Mine").await.unwrap();
        let again = write::update(&db, "Mine", Which::Latest, &version("one"), QUOTAS)
            .await
            .unwrap();
        assert_eq!(again, Err(DocumentError::DuplicateContent { version: 1 }));
        let missing = write::update(&db, "Other", Which::Latest, &version("one"), QUOTAS)
            .await
            .unwrap();
        assert!(matches!(missing, Err(DocumentError::Missing { .. })));
    }
}

#[tokio::test]
async fn a_deleted_document_is_gone_with_all_it_had() {
    for (db, _folder, _postgres) in databases().await {
        create(&db, "Mine").await.unwrap();
        assert!(matches!(
            create(&db, "Mine").await,
            Err(DocumentError::AlreadyExists { .. })
        ));
        create(&db, "Second").await.unwrap();
        assert_eq!(
            create(&db, "Third").await,
            Err(DocumentError::TooManyDocuments { limit: 2 })
        );
        write::update(&db, "Mine", Which::Latest, &version("two"), QUOTAS)
            .await
            .unwrap()
            .unwrap();
        let default = write::delete(&db, "Mine", &number(Which::Number(1)), false)
            .await
            .unwrap();
        assert_eq!(default, Err(DocumentError::DefaultVersion { version: 1 }));
        assert_eq!(
            write::move_default(&db, "Mine", Which::Number(2)).await.unwrap(),
            Ok((2, None))
        );
        write::delete(&db, "Mine", &number(Which::Number(1)), false)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(read::versions(&db, "Mine", i64::MAX, 10).await.unwrap().len(), 1);
        let whole = Selector {
            which: None,
            name: None,
        };
        write::delete(&db, "Mine", &whole, false).await.unwrap().unwrap();
        assert!(!read::exists(&db, "Mine").await.unwrap());
        create(&db, "Mine").await.unwrap();
    }
}

#[tokio::test]
async fn a_shared_document_is_taken_back_before_it_is_deleted() {
    for (db, _folder, _postgres) in databases().await {
        create(&db, "Mine").await.unwrap();
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let add = Change::new(ids(&["111111111111", "All"]), vec![]);
        write::share(&db, "Mine", &add, "$DEFAULT", QUOTAS)
            .await
            .unwrap()
            .unwrap();
        let whole = Selector {
            which: None,
            name: None,
        };
        assert_eq!(
            write::delete(&db, "Mine", &whole, false).await.unwrap(),
            Err(DocumentError::StillShared)
        );
        assert_eq!(read::public(&db).await.unwrap().len(), 1);
        let remove = Change::new(vec![], ids(&["111111111111", "all"]));
        write::share(&db, "Mine", &remove, "$DEFAULT", QUOTAS)
            .await
            .unwrap()
            .unwrap();
        write::delete(&db, "Mine", &whole, false).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn tags_belong_to_a_document_that_is_there() {
    for (db, _folder, _postgres) in databases().await {
        create(&db, "Mine").await.unwrap();
        let tags = [("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]
            .into_iter()
            .collect();
        tag::add(&db, "Mine", &tags).await.unwrap().unwrap();
        tag::remove(&db, "Mine", &["b".to_owned(), "x".to_owned()])
            .await
            .unwrap()
            .unwrap();
        let row = read::version(&db, "Mine", &number(Which::Default))
            .await
            .unwrap()
            .unwrap();
        let left = read::tags(&db, &row.document_id).await.unwrap();
        assert_eq!(left.into_iter().collect::<Vec<_>>(), [("a".to_owned(), "2".to_owned())]);
        let missing = tag::add(&db, "Other", &tags).await.unwrap();
        assert!(matches!(missing, Err(DocumentError::MissingResource { .. })));
    }
}

#[tokio::test]
async fn a_new_release_adds_a_version_of_a_built_in_document_and_nobody_else_does() {
    for (db, _folder, _postgres) in databases().await {
        let seed = async |text: &str| {
            write::seed(&db, "AWS-Thing", DocumentType::Command, &version(text))
                .await
                .unwrap()
        };
        assert!(seed("one").await);
        assert!(seed("one").await);
        assert_eq!(read::versions(&db, "AWS-Thing", i64::MAX, 10).await.unwrap().len(), 1);
        assert!(seed("two").await);
        let default = read::version(&db, "AWS-Thing", &number(Which::Default))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(default.version, 2);
        let refused = write::update(&db, "AWS-Thing", Which::Latest, &version("three"), QUOTAS)
            .await
            .unwrap();
        assert!(matches!(refused, Err(DocumentError::BuiltIn { .. })));
        create(&db, "Mine").await.unwrap();
        assert!(
            !write::seed(&db, "Mine", DocumentType::Command, &version("x"))
                .await
                .unwrap()
        );
    }
}
