//! Data keys follow an alias to another key, and only those that were wrapped for it.

use std::collections::HashMap;

use super::*;
use crate::secret::{Binding, DataKey, KeyError, KeyName, Provider, Wrapped, Wrapping};
use crate::store::key;
use crate::work::rewrapper::round;

/// Keys elsewhere.
#[derive(Debug, Default)]
struct Elsewhere {
    /// What is wrapped for an alias is wrapped with this key.
    wraps: Mutex<HashMap<String, String>>,
    /// And this is what it means to whoever asks.
    means: Mutex<HashMap<String, String>>,
    asked: Mutex<Vec<String>>,
}

impl Elsewhere {
    fn point(&self, alias: &str, key: &str) {
        for aliases in [&self.wraps, &self.means] {
            aliases.lock().unwrap().insert(alias.to_owned(), key.to_owned());
        }
    }
}

#[tonic::async_trait]
impl Provider for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }

    async fn wrap(&self, key_id: &str, _arn: &str, data_key: &DataKey) -> Result<Wrapping, KeyError> {
        let key = self.wraps.lock().unwrap().get(key_id).cloned();
        Ok(Wrapping::Done(Wrapped {
            key: KeyName {
                provider: self.name().to_owned(),
                id: key.unwrap_or_else(|| key_id.to_owned()),
                version: "-".to_owned(),
            },
            bytes: data_key.bytes().to_vec(),
        }))
    }

    async fn unwrap(&self, wrapped: &Wrapped, _binding: &Binding<'_>) -> Result<DataKey, KeyError> {
        Ok(DataKey::from_bytes(&wrapped.bytes).unwrap())
    }

    async fn meaning(&self, key_id: &str) -> Result<Option<String>, KeyError> {
        self.asked.lock().unwrap().push(key_id.to_owned());
        match key_id.starts_with("alias/") {
            true => {
                let key = self.means.lock().unwrap().get(key_id).cloned();
                key.map(Some)
                    .ok_or_else(|| KeyError::Unusable("no such alias".to_owned()))
            }
            false => Ok(None),
        }
    }

    async fn is_current(&self, _key: &KeyName) -> Result<bool, KeyError> {
        Ok(true)
    }
}

async fn wrapped_for(db: &Db, keys: &Keys, key_id: &str, count: usize) {
    for number in 0..count {
        let put = Put {
            key_id: Some(key_id.to_owned()),
            ..put("/x", &number.to_string(), ParameterType::SecureString)
        };
        put_one(db, keys, put).await;
    }
}

async fn in_use(db: &Db) -> Vec<(String, i64)> {
    let in_use = key::in_use(db).await.unwrap().into_iter();
    in_use.map(|(key, count)| (key.id, count)).collect()
}

#[tokio::test]
async fn what_was_wrapped_for_an_alias_follows_it_and_nothing_else_does() {
    for (db, ..) in databases().await {
        let elsewhere = Arc::new(Elsewhere::default());
        let keys = Keys::of(Arc::clone(&elsewhere) as Arc<dyn Provider>);
        for alias in ["alias/mine", "alias/lost", "alias/other"] {
            elsewhere.point(alias, "one");
        }
        for (key_id, count) in [("alias/mine", 5), ("one", 2), ("alias/lost", 1), ("alias/other", 1)] {
            wrapped_for(&db, &keys, key_id, count).await;
        }
        elsewhere.point("alias/mine", "two");
        wrapped_for(&db, &keys, "alias/mine", 1).await;
        elsewhere.means.lock().unwrap().remove("alias/lost");
        let log = Arc::new(Log::default());
        let (scope, witness) = (scope(), log.witness());
        let again = async || {
            elsewhere.asked.lock().unwrap().clear();
            let count = round(&db, &scope, &keys, 2, &witness, || std::future::ready(())).await;
            elsewhere.asked.lock().unwrap().sort_unstable();
            count.unwrap()
        };
        assert_eq!(again().await, 5);
        assert_eq!(in_use(&db).await, [("one".to_owned(), 4), ("two".to_owned(), 6)]);
        let names = ["alias/lost", "alias/mine", "alias/other", "one"];
        assert_eq!(*elsewhere.asked.lock().unwrap(), names, "each once, of whatever keys");
        let of_one = "key=elsewhere:one key-version=-";
        let told = [
            format!("state=begins {of_one} data-keys=5"),
            format!("state=ends {of_one} data-keys=5 elsewhere:one version -=4 elsewhere:two version -=6"),
        ];
        assert_eq!(log.details(), told);
        assert_eq!(again().await, 0);
        assert_eq!(log.details(), told);
        // Whoever wraps has not heard of it yet: nothing is written, and nobody is told of it each minute.
        elsewhere
            .means
            .lock()
            .unwrap()
            .insert("alias/other".to_owned(), "two".to_owned());
        for _ in 0..3 {
            assert_eq!(again().await, 0);
        }
        assert_eq!(
            log.details()[2..],
            [
                format!("state=begins {of_one} data-keys=1"),
                format!("state=ends {of_one} data-keys=0 elsewhere:one version -=4 elsewhere:two version -=6"),
            ]
        );
        elsewhere.point("alias/other", "two");
        assert_eq!(again().await, 1);
        assert_eq!(in_use(&db).await, [("one".to_owned(), 3), ("two".to_owned(), 7)]);
    }
}
