//! The store on SQLite, and on PostgreSQL where `MUSTER_TEST_POSTGRES` names a server.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code, and a panic is how a test fails"
)]

use muster_store::{Column, Db, Pager, StoreError, json, read, sqlx, transact};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("tests/it/migrations");

/// Databases of all kinds that this machine can offer, each empty.
async fn databases(name: &str) -> Vec<(Db, tempfile::TempDir)> {
    let mut all = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("it.db").display());
    all.push((Db::open(&url, name, &MIGRATIONS).await.unwrap(), folder));
    if let Ok(url) = std::env::var("MUSTER_TEST_POSTGRES") {
        let schema = format!("store_{name}_{}", std::process::id());
        let db = Db::open(&url, &schema, &MIGRATIONS).await.unwrap();
        all.push((db, tempfile::tempdir().unwrap()));
    }
    all
}

const COLUMNS: [Column; 4] = [
    Column::Text("id"),
    Column::BigInt("size"),
    Column::Boolean("ready"),
    Column::Text("note"),
];

async fn insert(db: &Db, rows: &[(&str, i64, bool, Option<&str>)]) -> Result<u64, StoreError> {
    let sql = "insert into thing (id, size, ready, note) select r.id, r.size, r.ready, r.note from {rows} as r";
    transact!(db, tx => {
        let done = sqlx::query(db.with_rows(sql, &COLUMNS)).bind(json(rows)).execute(&mut *tx).await?;
        Ok(done.rows_affected())
    })
}

async fn all(db: &Db) -> Vec<(String, i64, bool, Option<String>)> {
    read!(db, pool => {
        sqlx::query_as("select id, size, ready, note from thing order by id").fetch_all(pool).await
    })
    .unwrap()
}

#[tokio::test]
async fn many_rows_are_written_and_changed_by_one_statement() {
    for (db, _folder) in databases("rows").await {
        let written = insert(&db, &[("a", 1, true, None), ("b", i64::MAX, false, Some("it's \"b\""))]).await;
        assert_eq!(written.unwrap(), 2);
        let sql = "update thing set size = r.size from {rows} as r where thing.id = r.id";
        transact!(&db, tx => {
            let columns = [Column::Text("id"), Column::BigInt("size")];
            sqlx::query(db.with_rows(sql, &columns)).bind(json(&[("a", 7), ("zz", 1)])).execute(&mut *tx).await?;
            Ok(())
        })
        .unwrap();
        let expected = vec![
            ("a".to_owned(), 7, true, None),
            ("b".to_owned(), i64::MAX, false, Some("it's \"b\"".to_owned())),
        ];
        assert_eq!(all(&db).await, expected);
    }
}

#[tokio::test]
async fn a_failed_block_leaves_nothing_behind() {
    for (db, _folder) in databases("rollback").await {
        insert(&db, &[("a", 1, true, None)]).await.unwrap();
        let outcome = insert(&db, &[("b", 1, true, None), ("a", 2, true, None)]).await;
        assert!(matches!(outcome, Err(StoreError::Conflict { .. })), "{outcome:?}");
        let outcome: Result<(), StoreError> = transact!(&db, tx => {
            sqlx::query("delete from thing").execute(&mut *tx).await?;
            Err(StoreError::Missing)
        });
        assert!(matches!(outcome, Err(StoreError::Missing)));
        assert_eq!(all(&db).await.len(), 1);
    }
}

#[tokio::test]
async fn replicas_on_one_database_read_each_others_tokens() {
    for (db, _folder) in databases("pager").await {
        let now = muster_model::Timestamp::UNIX_EPOCH;
        let token = Pager::of(&db).await.unwrap().token("q", "p", now);
        assert_eq!(
            Pager::of(&db).await.unwrap().position("q", &token, now).as_deref(),
            Ok("p")
        );
    }
}

#[tokio::test]
async fn an_address_of_another_kind_is_named_without_its_password() {
    let error = Db::open("mysql://root:secret@host/db", "x", &MIGRATIONS)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("host/db") && !text.contains("secret"), "{text}");
}
