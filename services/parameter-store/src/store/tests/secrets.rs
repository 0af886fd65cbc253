//! Encrypted values: in the tables nothing is in clear, nothing can be moved, and keys can be changed.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::domain::asked::Asked;
use crate::secret::{Binding, KeyError, Sealed};
use crate::store::key;
use crate::store::read::Found;
use crate::store::row::Stored;
use crate::work::rewrapper::round;

async fn sealed(db: &Db, text: &str) -> (String, i64, Sealed) {
    let asked = Asked::parse(text, &scope()).unwrap();
    let Found::Version(row) = find(db, &asked, 0).await else {
        panic!("{text} is missing")
    };
    let (path, version) = (row.path.clone(), row.version);
    match row.stored().unwrap() {
        Stored::Sealed { sealed, .. } => (path, version, sealed),
        Stored::Plain(_) => panic!("{text} is in clear"),
    }
}

async fn open(db: &Db, keys: &Keys, text: &str) -> Result<String, KeyError> {
    let (path, version, sealed) = sealed(db, text).await;
    let binding = Binding {
        scope: &scope(),
        path: &path,
        version,
        kind: ParameterType::SecureString,
    };
    Ok(keys.open(&sealed, &binding).await?.reveal().to_owned())
}

async fn secure(db: &Db, keys: &Keys, parameter: &str, value: &str) {
    let done = put_one(db, keys, put(parameter, value, ParameterType::SecureString)).await;
    assert!(matches!(done, Done::Version { .. }), "{done:?}");
}

#[tokio::test]
async fn a_value_opens_in_its_own_row_only() {
    for (db, ..) in databases().await {
        let keys = keys(OLD);
        for (parameter, value) in [("x", "one"), ("x", "two"), ("/y", "three")] {
            secure(&db, &keys, parameter, value).await;
        }
        assert_eq!(open(&db, &keys, "x:1").await.unwrap(), "one");
        assert_eq!(open(&db, &keys, "x").await.unwrap(), "two");
        let columns = "value, ciphertext, key_provider, key_name, key_version, wrapped_key";
        let others = columns.replace("value, ", "");
        let parts: Vec<String> = others.split(", ").map(|column| format!("{column} = (select s.{column} from parameter_version as s join parameter as q on q.id = s.parameter_id where q.path = '/y')")).collect();
        let swap = format!(
            "update parameter_version set {} where version = 1 and parameter_id = (select id from parameter where path = '/x')",
            parts.join(", ")
        );
        let swap = sqlx::AssertSqlSafe(swap);
        muster_store::transact!(&db, tx => {
            sqlx::query(swap).execute(&mut *tx).await?;
            Ok(())
        })
        .unwrap();
        assert!(matches!(open(&db, &keys, "x:1").await, Err(KeyError::Open(_))));
        assert_eq!(open(&db, &keys, "/y").await.unwrap(), "three");
    }
}

#[tokio::test]
async fn a_new_version_of_a_key_takes_over_while_others_write() {
    for (db, ..) in databases().await {
        let (old, both) = (keys(OLD), keys(BOTH));
        for number in 0..25 {
            secure(&db, &old, &format!("/p/{}", number % 5), &number.to_string()).await;
        }
        let before = sealed(&db, "/p/0:1").await.2;
        let scope = scope();
        let log = Arc::new(Log::default());
        let witness = log.witness();
        // In the first pause somebody writes who has not heard of the new version, and somebody who has.
        let paused = AtomicBool::new(false);
        let count = round(&db, &scope, &both, 4, &witness, || {
            let (db, old, both, first) = (&db, &old, &both, !paused.swap(true, Ordering::Relaxed));
            async move {
                if first {
                    secure(db, old, "/p/late", "late").await;
                    secure(db, both, "/p/new", "new").await;
                }
            }
        });
        let again = round(&db, &scope, &both, 4, &witness, || std::future::ready(()));
        let count = count.await.unwrap() + again.await.unwrap();
        assert_eq!(count, 26);
        let told = log.details();
        assert_eq!(told[0], "state=begins key=file:aws/ssm key-version=1 data-keys=25");
        assert!(
            told[1].starts_with("state=ends key=file:aws/ssm key-version=1 data-keys="),
            "{}",
            told[1]
        );
        assert!(told.last().unwrap().ends_with(" file:aws/ssm version 2=27"), "{told:?}");
        let in_use = key::in_use(&db).await.unwrap();
        let versions: Vec<_> = in_use
            .iter()
            .map(|(key, count)| (key.version.as_str(), *count))
            .collect();
        assert_eq!(versions, [("2", 27)], "the old one can go");
        for number in 20..25 {
            assert_eq!(
                open(&db, &both, &format!("/p/{}", number % 5)).await.unwrap(),
                number.to_string()
            );
        }
        let after = sealed(&db, "/p/0:1").await.2;
        assert_eq!(
            before.ciphertext, after.ciphertext,
            "only the key of the key is another one"
        );
        assert_ne!(before.wrapped, after.wrapped);
        assert!(matches!(open(&db, &old, "/p/0").await, Err(KeyError::Unusable(_))));
    }
}

#[tokio::test]
async fn a_round_that_was_broken_off_is_taken_up_by_the_next() {
    for (db, ..) in databases().await {
        let (old, both) = (keys(OLD), keys(BOTH));
        for number in 0..10 {
            secure(&db, &old, "/x", &number.to_string()).await;
        }
        let (scope, witness) = (scope(), Arc::new(Log::default()).witness());
        for left in [7, 4, 1] {
            // It dies in the pause after its first transaction.
            let dying = round(&db, &scope, &both, 3, &witness, std::future::pending::<()>);
            let died = tokio::time::timeout(std::time::Duration::from_millis(500), dying).await;
            assert!(died.is_err());
            let in_use = key::in_use(&db).await.unwrap();
            let counts: Vec<_> = in_use
                .iter()
                .map(|(key, count)| (key.version.as_str(), *count))
                .collect();
            assert_eq!(counts, [("1", left), ("2", 10 - left)]);
            for number in 0..10 {
                let value = open(&db, &both, &format!("/x:{}", number + 1)).await.unwrap();
                assert_eq!(value, number.to_string());
            }
        }
        assert_eq!(
            round(&db, &scope, &both, 3, &witness, || std::future::ready(()))
                .await
                .unwrap(),
            1
        );
    }
}

#[tokio::test]
async fn a_rewrap_that_was_overtaken_changes_nothing() {
    for (db, ..) in databases().await {
        let (old, both) = (keys(OLD), keys(BOTH));
        secure(&db, &old, "/x", "one").await;
        let named = key::named(&db).await.unwrap().remove(0);
        let rows = key::wrapped_with(&db, &named, &(String::new(), 0), 10).await.unwrap();
        let binding = Binding {
            scope: &scope(),
            path: "/x",
            version: 1,
            kind: ParameterType::SecureString,
        };
        let wrapped = rows[0].wrapped(&named.key).unwrap();
        let anew = both.rewrap(&wrapped, "alias/aws/ssm", &binding).await.unwrap();
        let late = both.rewrap(&wrapped, "alias/aws/ssm", &binding).await.unwrap();
        key::rewrap(&db, &[(rows[0].clone(), anew.clone())]).await.unwrap();
        key::rewrap(&db, &[(rows[0].clone(), late)]).await.unwrap();
        assert_eq!(sealed(&db, "/x").await.2.wrapped, anew);
        assert_eq!(open(&db, &both, "/x").await.unwrap(), "one");
    }
}

#[tokio::test]
async fn data_keys_that_cannot_be_wrapped_anew_are_told_of_once() {
    for (db, ..) in databases().await {
        secure(&db, &keys(OLD), "/x", "one").await;
        // Version 1 is another key than it was.
        let other = keys(&BOTH.replace("AAAAAAAA=", "AAAAAAAE="));
        let log = Arc::new(Log::default());
        let (scope, witness) = (scope(), log.witness());
        for _ in 0..3 {
            let count = round(&db, &scope, &other, 4, &witness, || std::future::ready(())).await;
            assert_eq!(count.unwrap(), 0);
        }
        let told = log.details();
        let of_old = "key=file:aws/ssm key-version=1";
        assert_eq!(
            told,
            [
                format!("state=begins {of_old} data-keys=1"),
                format!("state=ends {of_old} data-keys=0 file:aws/ssm version 1=1")
            ]
        );
    }
}
