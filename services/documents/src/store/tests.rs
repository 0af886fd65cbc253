//! The queries on SQLite, and on PostgreSQL where `MUSTER_TEST_POSTGRES` names a server.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::join_all;
use muster_document::{DocumentType, Format};
use muster_harness::{Folder, Postgres};
use muster_store::Db;

use super::list::{self, Question};
use super::row::VersionRow;
use super::write::{self, NewVersion, Quotas};
use super::{read, tag};
use crate::domain::draft::{Draft, Requirement};
use crate::domain::filter::{Filter, Owner};
use crate::domain::history::Removal;
use crate::domain::share::Change;
use crate::domain::tag::Tags;
use crate::domain::version::{Selector, Which};
use crate::error::DocumentError;

pub(super) const QUOTAS: Quotas = Quotas {
    documents: 2,
    versions: 30,
    shares: 3,
    public: 1,
};

/// Databases of all kinds that this machine can offer, with what keeps them alive.
pub(super) async fn databases() -> Vec<(Db, Option<Folder>, Option<Postgres>)> {
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

pub(super) fn version(text: &str) -> NewVersion {
    let content = format!(
        r#"{{"schemaVersion":"2.2","description":"Does {text}","mainSteps":[
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

pub(super) async fn create(db: &Db, name: &str) -> Result<VersionRow, DocumentError> {
    write::create(db, name, DocumentType::Command, &version("one"), &Tags::new(), QUOTAS)
        .await
        .unwrap()
}

pub(super) async fn update(db: &Db, name: &str, new: &NewVersion) -> Result<VersionRow, DocumentError> {
    let latest = read::find(db, name, &number(Which::Latest)).await.unwrap()?;
    write::update(db, name, &latest.document_id, Which::Latest, new, QUOTAS)
        .await
        .unwrap()
}

async fn find(db: &Db, name: &str, selector: &Selector) -> Result<i64, DocumentError> {
    Ok(read::find(db, name, selector).await.unwrap()?.version)
}

fn number(which: Which) -> Selector {
    Selector {
        which: Some(which),
        name: None,
    }
}

const WHOLE: Selector = Selector {
    which: None,
    name: None,
};

#[tokio::test]
async fn updates_at_once_get_numbers_without_gaps_and_repeats() {
    for (db, _folder, _postgres) in databases().await {
        create(&db, "Mine").await.unwrap();
        let db = Arc::new(db);
        let updates = (0..20).map(|text| {
            let db = Arc::clone(&db);
            async move { update(&db, "Mine", &version(&text.to_string())).await.unwrap().version }
        });
        let mut numbers = join_all(updates).await;
        numbers.sort_unstable();
        assert_eq!(numbers, (2..=21).collect::<Vec<_>>());
        assert_eq!(find(&db, "Mine", &number(Which::Latest)).await, Ok(21));
        assert_eq!(find(&db, "Mine", &number(Which::Default)).await, Ok(1));
    }
}

#[tokio::test]
async fn of_two_that_expect_the_same_latest_version_one_is_told() {
    for (db, _folder, _postgres) in databases().await {
        let document = create(&db, "Mine").await.unwrap().document_id;
        let (two, three) = (version("two"), version("three"));
        let expecting_1 = |new| write::update(&db, "Mine", &document, Which::Number(1), new, QUOTAS);
        let (one, other) = tokio::join!(expecting_1(&two), expecting_1(&three));
        let mut outcomes = [
            one.unwrap().map(|row| row.version),
            other.unwrap().map(|row| row.version),
        ];
        outcomes.sort_by_key(Result::is_err);
        let given = "1".to_owned();
        assert_eq!(outcomes, [Ok(2), Err(DocumentError::NotLatest { given, latest: 2 })]);
    }
}

#[tokio::test]
async fn creations_at_once_stay_below_the_limit() {
    for (db, _folder, _postgres) in databases().await {
        let names: Vec<_> = (0..8).map(|n| format!("Doc{n}")).collect();
        let outcomes = join_all(names.iter().map(|name| create(&db, name))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2);
        let same = join_all((0..4).map(|_| write::delete(&db, "Doc0", &WHOLE, false))).await;
        let deleted = same.into_iter().filter(|outcome| matches!(outcome, Ok(Ok(_)))).count();
        assert_eq!(deleted, usize::from(outcomes[0].is_ok()));
    }
}

#[tokio::test]
async fn the_same_content_is_refused_and_names_the_version_that_has_it() {
    for (db, _folder, _postgres) in databases().await {
        create(&db, "Mine").await.unwrap();
        let again = update(&db, "Mine", &version("one")).await;
        assert_eq!(again.unwrap_err(), DocumentError::DuplicateContent { version: 1 });
        let mut other_lines = version("one");
        other_lines.draft = Draft::read(
            other_lines.draft.content.replace('\n', "\r\n"),
            Format::Json,
            DocumentType::Command,
        )
        .unwrap();
        let again = update(&db, "Mine", &other_lines).await;
        assert_eq!(again.unwrap_err(), DocumentError::DuplicateContent { version: 1 });
        let missing = update(&db, "Other", &version("one")).await;
        assert!(matches!(missing, Err(DocumentError::Missing { .. })));
    }
}

#[tokio::test]
async fn a_version_is_found_by_number_by_word_and_by_name() {
    for (db, _folder, _postgres) in databases().await {
        create(&db, "Mine").await.unwrap();
        let named = NewVersion {
            version_name: Some("blue".to_owned()),
            ..version("two")
        };
        update(&db, "Mine", &named).await.unwrap();
        let check = async |version: Option<&str>, name: Option<&str>, expected: Option<i64>| {
            let selector = Selector::new(version, name.map(str::to_owned));
            assert_eq!(find(&db, "Mine", &selector).await.ok(), expected, "{selector}");
        };
        check(None, None, Some(1)).await;
        check(Some("$LATEST"), None, Some(2)).await;
        check(Some("$DEFAULT"), None, Some(1)).await;
        check(Some("2"), None, Some(2)).await;
        check(Some("3"), None, None).await;
        check(Some("99999999999999999999"), None, None).await;
        check(None, Some("blue"), Some(2)).await;
        check(None, Some("Blue"), None).await;
        check(Some("2"), Some("blue"), Some(2)).await;
        check(Some("1"), Some("blue"), None).await;
        let twin = NewVersion {
            version_name: Some("blue".to_owned()),
            ..version("three")
        };
        let duplicate = update(&db, "Mine", &twin).await;
        let (name, version) = ("blue".to_owned(), 2);
        assert_eq!(
            duplicate.unwrap_err(),
            DocumentError::DuplicateVersionName { name, version }
        );
    }
}

#[tokio::test]
async fn a_new_version_takes_over_what_it_does_not_say() {
    for (db, _folder, _postgres) in databases().await {
        let mut first = version("one");
        first.display_name = Some("Shown".to_owned());
        first.target_type = Some("/".to_owned());
        first.draft.facts.requires = vec![Requirement {
            name: Some("Other".to_owned()),
            version: None,
            require_type: None,
            version_name: None,
        }];
        let tags = Tags::new();
        let created = write::create(&db, "Mine", DocumentType::Command, &first, &tags, QUOTAS).await;
        let requires = created.unwrap().unwrap().facts().unwrap().requires;
        let second = NewVersion {
            target_type: Some("/AWS::EC2::Instance".to_owned()),
            ..version("two")
        };
        let row = update(&db, "Mine", &second).await.unwrap();
        assert_eq!(row.display_name.as_deref(), Some("Shown"));
        assert_eq!(row.target_type.as_deref(), Some("/AWS::EC2::Instance"));
        assert_eq!((row.facts().unwrap().requires, row.latest_version), (requires, 2));
    }
}

#[tokio::test]
async fn a_deleted_document_is_gone_with_all_it_had() {
    for (db, _folder, _postgres) in databases().await {
        let first = create(&db, "Mine").await.unwrap();
        assert!(matches!(
            create(&db, "Mine").await,
            Err(DocumentError::AlreadyExists { .. })
        ));
        create(&db, "Second").await.unwrap();
        let third = create(&db, "Third").await.unwrap_err();
        assert_eq!(third, DocumentError::TooManyDocuments { limit: 2 });
        update(&db, "Mine", &version("two")).await.unwrap();
        let default = write::delete(&db, "Mine", &number(Which::Number(1)), false)
            .await
            .unwrap();
        assert_eq!(default, Err(DocumentError::DefaultVersion { version: 1 }));
        assert_eq!(
            write::move_default(&db, "Mine", Which::Number(2)).await.unwrap(),
            Ok((2, None))
        );
        let removal = write::delete(&db, "Mine", &number(Which::Number(1)), false).await;
        assert_eq!(removal.unwrap(), Ok(Removal::Version { version: 1, latest: 2 }));
        assert_eq!(read::versions(&db, "Mine", i64::MAX, 10).await.unwrap().len(), 1);
        let tags = [("a".to_owned(), "1".to_owned())].into_iter().collect();
        tag::add(&db, "Mine", &tags).await.unwrap().unwrap();
        assert_eq!(
            write::delete(&db, "Mine", &WHOLE, false).await.unwrap(),
            Ok(Removal::Document)
        );
        assert!(matches!(
            find(&db, "Mine", &WHOLE).await,
            Err(DocumentError::Missing { .. })
        ));
        let again = create(&db, "Mine").await.unwrap();
        assert_ne!(
            again.document_id, first.document_id,
            "what was kept of the old one is not taken for it"
        );
        assert!(read::tags(&db, &again.document_id).await.unwrap().is_empty());
        let late = version("late");
        let late = write::update(&db, "Mine", &first.document_id, Which::Latest, &late, QUOTAS).await;
        assert!(matches!(late.unwrap(), Err(DocumentError::Missing { .. })));
    }
}

#[tokio::test]
async fn a_shared_document_is_taken_back_before_it_is_deleted() {
    for (db, _folder, _postgres) in databases().await {
        create(&db, "Mine").await.unwrap();
        create(&db, "Other").await.unwrap();
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let add = Change::new(ids(&["111111111111", "All"]), vec![]);
        let share =
            async |name: &str, change: &Change| write::share(&db, name, change, "$LATEST", QUOTAS).await.unwrap();
        share("Mine", &add).await.unwrap();
        assert_eq!(
            share("Other", &add).await,
            Err(DocumentError::TooManyPublic { limit: 1 })
        );
        assert_eq!(
            write::delete(&db, "Mine", &WHOLE, false).await.unwrap(),
            Err(DocumentError::StillShared)
        );
        assert_eq!(names(&db, vec![Filter::Owner(Owner::Public)]).await, ["Mine"]);
        share("Mine", &Change::new(vec![], ids(&["111111111111", "all"])))
            .await
            .unwrap();
        write::delete(&db, "Mine", &WHOLE, false).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn tags_belong_to_a_document_that_is_there() {
    for (db, _folder, _postgres) in databases().await {
        create(&db, "Mine").await.unwrap();
        let tags: Tags = [("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]
            .into_iter()
            .collect();
        tag::add(&db, "Mine", &tags).await.unwrap().unwrap();
        tag::remove(&db, "Mine", &["b".to_owned(), "x".to_owned()])
            .await
            .unwrap()
            .unwrap();
        let row = read::find(&db, "Mine", &WHOLE).await.unwrap().unwrap();
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
        let versions = async || read::versions(&db, "AWS-Thing", i64::MAX, 10).await.unwrap().len();
        assert!(seed("one").await);
        assert!(seed("one").await);
        assert_eq!(versions().await, 1);
        assert!(seed("two").await);
        assert_eq!(find(&db, "AWS-Thing", &WHOLE).await, Ok(2));
        assert!(seed("one").await, "the release before is started again");
        assert_eq!((find(&db, "AWS-Thing", &WHOLE).await, versions().await), (Ok(1), 2));
        let refused = update(&db, "AWS-Thing", &version("three")).await;
        assert!(matches!(refused, Err(DocumentError::BuiltIn { .. })));
        create(&db, "Mine").await.unwrap();
        assert!(
            !write::seed(&db, "Mine", DocumentType::Command, &version("x"))
                .await
                .unwrap()
        );
    }
}

#[tokio::test]
async fn replicas_that_start_together_seed_once() {
    for (db, _folder, _postgres) in databases().await {
        let new = version("one");
        let starts = (0..6).map(|_| write::seed(&db, "AWS-Thing", DocumentType::Command, &new));
        assert!(join_all(starts).await.into_iter().all(|seeded| seeded.unwrap()));
        assert_eq!(read::versions(&db, "AWS-Thing", i64::MAX, 10).await.unwrap().len(), 1);
    }
}

async fn names(db: &Db, filters: Vec<Filter>) -> Vec<String> {
    let question = Question {
        filters,
        after: None,
        limit: 50,
    };
    let rows = list::documents(db, &question).await.unwrap();
    rows.into_iter().map(|row| row.name).collect()
}

#[tokio::test]
async fn documents_are_found_by_each_filter() {
    for (db, _folder, _postgres) in databases().await {
        let quotas = Quotas { documents: 9, ..QUOTAS };
        let make = async |name: &str, document_type, new: NewVersion, tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            write::create(&db, name, document_type, &new, &tags, quotas)
                .await
                .unwrap()
                .unwrap();
        };
        let targeted = NewVersion {
            target_type: Some("/AWS::EC2::Instance".to_owned()),
            ..version("50%_off!")
        };
        make("alpha-x", DocumentType::Command, targeted, &[("Env", "prod")]).await;
        let calendar = NewVersion {
            draft: Draft::read(
                "BEGIN:VCALENDAR\nEND:VCALENDAR".to_owned(),
                Format::Text,
                DocumentType::ChangeCalendar,
            )
            .unwrap(),
            ..version("unused")
        };
        make(
            "alpha-y",
            DocumentType::ChangeCalendar,
            calendar,
            &[("Env", "test"), ("Own", "")],
        )
        .await;
        make("beta", DocumentType::Command, version("fifty"), &[]).await;
        write::seed(&db, "gamma", DocumentType::Command, &version("g"))
            .await
            .unwrap();

        let check = async |filters: &[Filter], expected: &[&str]| {
            assert_eq!(names(&db, filters.to_vec()).await, expected, "{filters:?}");
        };
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let tag = |key: &str, values: &[&str]| Filter::Tag {
            key: key.to_owned(),
            values: texts(values),
        };
        check(&[], &["alpha-x", "alpha-y", "beta", "gamma"]).await;
        check(&[Filter::Owner(Owner::Amazon)], &["gamma"]).await;
        check(&[Filter::Owner(Owner::Own)], &["alpha-x", "alpha-y", "beta"]).await;
        check(&[Filter::Owner(Owner::Public)], &["gamma"]).await;
        check(&[Filter::Owner(Owner::Others)], &[]).await;
        check(
            &[Filter::Name(texts(&["alpha", "bet"]))],
            &["alpha-x", "alpha-y", "beta"],
        )
        .await;
        check(&[Filter::Name(texts(&["Alpha", "%"]))], &[]).await;
        check(
            &[Filter::Type(vec![DocumentType::ChangeCalendar, DocumentType::Policy])],
            &["alpha-y"],
        )
        .await;
        check(
            &[Filter::Platform(vec![muster_document::Platform::Windows])],
            &["alpha-y"],
        )
        .await;
        check(&[Filter::TargetType(texts(&["/AWS::EC2::Instance"]))], &["alpha-x"]).await;
        check(&[tag("Env", &[])], &["alpha-x", "alpha-y"]).await;
        check(&[tag("Env", &["prod", "live"])], &["alpha-x"]).await;
        check(&[tag("Own", &[""])], &["alpha-y"]).await;
        check(&[tag("env", &["prod"])], &[]).await;
        check(&[Filter::Keyword(texts(&["50%_off!"]))], &["alpha-x"]).await;
        check(&[Filter::Keyword(texts(&["5_%"]))], &[]).await;
        check(&[Filter::Keyword(texts(&["does f", "a-y"]))], &["alpha-y", "beta"]).await;
        let all = [Filter::Name(texts(&["alpha"])), tag("Env", &["test"])];
        check(&all, &["alpha-y"]).await;
    }
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip() {
    for (db, _folder, _postgres) in databases().await {
        let quotas = Quotas { documents: 9, ..QUOTAS };
        for name in ["a", "B", "c-1", "c.2", "c_3", "D", "e"] {
            write::create(&db, name, DocumentType::Command, &version("x"), &Tags::new(), quotas)
                .await
                .unwrap()
                .unwrap();
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let question = Question {
                filters: vec![Filter::Owner(Owner::Own)],
                after: after.clone(),
                limit: 2,
            };
            let page = list::documents(&db, &question).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            seen.extend(page.into_iter().map(|row| row.name));
        }
        let distinct: HashSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (7, 7), "{seen:?}");
    }
}
