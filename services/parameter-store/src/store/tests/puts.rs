//! Versions have no gap, whoever writes them and however many at once.

use futures::future::join_all;
use muster_model::SignedDuration;
use muster_proto::aws::v1::Reason;

use super::*;
use crate::domain::asked::Asked;
use crate::store::read::{self, Found};
use crate::store::row::Stored;
use crate::store::timer::{self, Stuck};
use crate::store::{delete, label, news};

async fn events(db: &Db) -> Vec<String> {
    news::oldest(db, 1000)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.what)
        .collect()
}

async fn value(db: &Db, text: &str) -> Option<(i64, String)> {
    let asked = Asked::parse(text, &scope()).unwrap();
    match find(db, &asked, NOW.as_microsecond()).await {
        Found::Version(row) => {
            let version = row.version;
            match row.stored().unwrap() {
                Stored::Plain(value) => Some((version, value.reveal().to_owned())),
                Stored::Sealed { .. } => Some((version, "sealed".to_owned())),
            }
        }
        Found::NoVersion | Found::Nothing => None,
    }
}

#[tokio::test]
async fn a_group_of_puts_is_one_turn_and_each_finds_what_those_before_it_wrote() {
    for (db, ..) in databases().await {
        let keys = keys(OLD);
        let mut jobs = Vec::new();
        for (parameter, value) in [("x", "1"), ("/y", "2"), ("/x", "3"), ("x", "4")] {
            jobs.push(job(&db, &keys, put(parameter, value, ParameterType::String)).await);
        }
        let mut refused = job(&db, &keys, put("x", "5", ParameterType::String)).await;
        refused.put.overwrite = false;
        jobs.push(refused);
        let done = put_all(&db, &ground(), &jobs, NOW).await.unwrap();
        assert_eq!(done[..4], [version(1), version(1), version(2), version(3)]);
        assert!(matches!(&done[4], Done::Refused(refused) if refused.reason() == Reason::ParameterAlreadyExists));
        assert_eq!(value(&db, "x").await, Some((3, "4".to_owned())));
        assert_eq!(value(&db, "/x:1").await, Some((1, "1".to_owned())));
        assert_eq!(value(&db, "x:9").await, None);
        assert_eq!(events(&db).await, ["created", "created", "updated", "updated"]);
        let (turns, standard): (i64, i64) = muster_store::read!(&db, pool => {
            sqlx::query_as("select writes, standard from catalogue").fetch_one(pool).await
        })
        .unwrap();
        // Twice for the indexes.
        assert_eq!((turns, standard), (3, 2));
    }
}

#[tokio::test]
async fn writers_that_know_nothing_of_each_other_leave_no_gap() {
    for (db, ..) in databases().await {
        let keys = keys(OLD);
        let puts = (0..50).map(|number| {
            let (db, keys) = (db.clone(), keys.clone());
            async move {
                let put = put("/x", &number.to_string(), ParameterType::SecureString);
                match put_one(&db, &keys, put).await {
                    Done::Version { version, .. } => version,
                    other => panic!("{other:?}"),
                }
            }
        });
        let mut versions = join_all(puts).await;
        versions.sort_unstable();
        assert_eq!(versions, (1..=50).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_hundred_and_first_version_pushes_the_first_out_and_a_label_holds_it() {
    for (db, ..) in databases().await {
        let keys = keys(OLD);
        put_string(&db, "/x", "0").await;
        // All in one group, which pushes out versions that it made itself.
        let mut jobs = Vec::new();
        for number in 1..=120 {
            jobs.push(job(&db, &keys, put("/x", &number.to_string(), ParameterType::String)).await);
        }
        let done = put_all(&db, &ground(), &jobs, NOW).await.unwrap();
        assert_eq!(done.last(), Some(&version(121)));
        let id = read::id(&db, "/x", 0).await.unwrap().unwrap();
        let history = read::history(&db, &id, 0, 200).await.unwrap();
        let versions: Vec<i64> = history.iter().map(|row| row.facts.version).collect();
        assert_eq!(versions, (22..=121).collect::<Vec<_>>());
        let labels = ["keep".to_owned()];
        label::put(&db, &name("/x"), Some(23), &labels, &scope(), NOW)
            .await
            .unwrap()
            .unwrap();
        let mut jobs = Vec::new();
        for _ in 0..3 {
            jobs.push(job(&db, &keys, put("/x", "y", ParameterType::String)).await);
        }
        let done = put_all(&db, &ground(), &jobs, NOW).await.unwrap();
        assert_eq!(done[0], version(122));
        for refused in &done[1..] {
            let Done::Refused(refused) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(refused.reason(), Reason::ParameterMaxVersionLimitExceeded);
            assert!(refused.to_string().contains("Version 23, the oldest version"));
        }
        label::remove(&db, &name("/x"), 23, &labels, NOW)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(put_string(&db, "/x", "z").await, version(123));
    }
}

#[tokio::test]
async fn a_parameter_that_is_made_again_begins_at_one_and_may_be_spelled_otherwise() {
    for (db, ..) in databases().await {
        put_string(&db, "x", "1").await;
        put_string(&db, "x", "2").await;
        let there = delete::delete(&db, &["/x".to_owned()], &scope(), NOW).await.unwrap();
        assert_eq!(there.len(), 1);
        assert_eq!(value(&db, "x").await, None);
        assert_eq!(put_string(&db, "/x", "3").await, version(1));
        assert_eq!(value(&db, "x").await, Some((1, "3".to_owned())));
        assert_eq!(value(&db, "x:2").await, None);
        assert_eq!(events(&db).await, ["created", "updated", "deleted", "created"]);
        let waiting = news::oldest(&db, 10).await.unwrap();
        news::published(&db, &waiting[..3]).await.unwrap();
        assert_eq!(events(&db).await, ["created"]);
    }
}

#[tokio::test]
async fn limits_count_what_is_there() {
    for (db, ..) in databases().await {
        let keys = keys(OLD);
        let ground = Ground {
            max_standard: 2,
            max_advanced: 1,
            ..ground()
        };
        let mut jobs = Vec::new();
        for parameter in ["a", "b", "c", "a"] {
            jobs.push(job(&db, &keys, put(parameter, "x", ParameterType::String)).await);
        }
        let done = put_all(&db, &ground, &jobs, NOW).await.unwrap();
        let full =
            |done: &Done| matches!(done, Done::Refused(refused) if refused.reason() == Reason::ParameterLimitExceeded);
        assert!(full(&done[2]) && done[3] == version(2), "{done:?}");
        // One goes up and makes room; the other may not follow.
        let mut jobs = Vec::new();
        for (parameter, tier) in [
            ("a", ParameterTier::Advanced),
            ("b", ParameterTier::Advanced),
            ("c", ParameterTier::Standard),
        ] {
            let put = Put {
                tier: Some(tier),
                ..put(parameter, "x", ParameterType::String)
            };
            jobs.push(job(&db, &keys, put).await);
        }
        let done = put_all(&db, &ground, &jobs, NOW).await.unwrap();
        assert!(full(&done[1]) && done[2] == version(1), "{done:?}");
        delete::delete(&db, &["/a".to_owned()], &scope(), NOW).await.unwrap();
        let put = Put {
            tier: Some(ParameterTier::Advanced),
            ..put("d", "x", ParameterType::String)
        };
        let job = job(&db, &keys, put).await;
        let done = put_all(&db, &ground, &[job], NOW).await.unwrap();
        assert!(matches!(done[0], Done::Version { version: 1, .. }), "{done:?}");
    }
}

/// Expires in an hour; somebody is told an hour before, and when nobody changed it for two hours.
fn short_lived(parameter: &str) -> Put {
    let end = NOW + SignedDuration::from_hours(1);
    Put {
        tier: Some(ParameterTier::Advanced),
        policies: Some(format!(
            r#"[{{"Type":"Expiration","Version":"1.0","Attributes":{{"Timestamp":"{end}"}}}},
            {{"Type":"ExpirationNotification","Version":"1.0","Attributes":{{"Before":"1","Unit":"Hours"}}}},
            {{"Type":"NoChangeNotification","Version":"1.0","Attributes":{{"After":"2","Unit":"Hours"}}}}]"#
        )),
        ..put(parameter, "x", ParameterType::String)
    }
}

#[tokio::test]
async fn what_expired_is_not_there_before_anybody_removed_it_and_policies_act_once() {
    for (db, ..) in databases().await {
        let keys = keys(OLD);
        put_one(&db, &keys, short_lived("/x")).await;
        put_one(&db, &keys, short_lived("/y")).await;
        let at = |hours| NOW + SignedDuration::from_hours(hours);
        let mut stuck = Stuck::default();
        assert_eq!(
            timer::act(&db, &scope(), NOW, 100, &mut stuck).await.unwrap(),
            2,
            "an hour before"
        );
        assert_eq!(
            timer::act(&db, &scope(), NOW, 100, &mut stuck).await.unwrap(),
            0,
            "once"
        );
        assert_eq!(events(&db).await[2..], ["policy-action", "policy-action"]);
        let id = read::id(&db, "/x", NOW.as_microsecond()).await.unwrap().unwrap();
        assert_eq!(timer::done(&db, &[&id]).await.unwrap(), [(id, 1)]);
        let later = at(1).as_microsecond();
        assert_eq!(read::id(&db, "/x", later).await.unwrap(), None, "nobody removed it yet");
        let there = delete::delete(&db, &["/x".to_owned()], &scope(), at(1)).await.unwrap();
        assert!(there.is_empty());
        // Whoever puts it makes a new one.
        let mut again = put("/x", "again", ParameterType::String);
        again.overwrite = false;
        let (_, rules) = before_put(&db, &again).await;
        let expected = decide(&again, None, &rules, None).unwrap().attributes;
        let job = Job {
            put: again,
            expected,
            prepared: None,
        };
        assert_eq!(put_all(&db, &ground(), &[job], at(1)).await.unwrap(), [version(1)]);
        assert_eq!(events(&db).await[4..], ["policy-action", "deleted", "created"]);
        assert_eq!(
            timer::act(&db, &scope(), at(3), 100, &mut stuck).await.unwrap(),
            2,
            "the other one's"
        );
        assert_eq!(events(&db).await[7..], ["policy-action", "policy-action", "deleted"]);
        assert_eq!(timer::act(&db, &scope(), at(3), 100, &mut stuck).await.unwrap(), 0);
        let (standard, advanced): (i64, i64) = muster_store::read!(&db, pool => {
            sqlx::query_as("select standard, advanced from catalogue").fetch_one(pool).await
        })
        .unwrap();
        assert_eq!((standard, advanced), (1, 0));
    }
}

/// What happened to a parameter, and the types of the policies that had their say.
async fn told(db: &Db) -> Vec<String> {
    let told = news::oldest(db, 1000).await.unwrap();
    let word = |payload: &str| {
        let event: serde_json::Value = serde_json::from_str(payload).unwrap();
        event
            .pointer("/data/detail/policy-type")
            .map(|word| word.as_str().unwrap().to_owned())
    };
    told.into_iter()
        .map(|event| word(&event.payload).unwrap_or(event.what))
        .collect()
}

#[tokio::test]
async fn whoever_puts_an_expired_parameter_first_tells_what_nobody_was_told_of() {
    for (db, ..) in databases().await {
        let keys = keys(OLD);
        let mut stuck = Stuck::default();
        let at = |hours| NOW + SignedDuration::from_hours(hours);
        let put_at = async |time| {
            let put = short_lived("/x");
            let rules = before_put(&db, &put).await.1;
            let expected = decide(&put, None, &rules, None).unwrap().attributes;
            let jobs = [Job {
                put,
                expected,
                prepared: None,
            }];
            assert!(matches!(
                put_all(&db, &ground(), &jobs, time).await.unwrap()[..],
                [Done::Version { version: 1, .. }]
            ));
            let told = told(&db).await;
            let waiting = news::oldest(&db, 1000).await.unwrap();
            news::published(&db, &waiting).await.unwrap();
            told
        };
        put_one(&db, &keys, put("/other", "x", ParameterType::String)).await;
        assert_eq!(put_at(NOW).await, ["created", "created"]);
        let all = [
            "ExpirationNotification",
            "NoChangeNotification",
            "Expiration",
            "deleted",
            "created",
        ];
        // No timer ran: two hours without a change are not over yet, and then they are.
        assert_eq!(put_at(at(1)).await, [&all[..1], &all[2..]].concat());
        assert_eq!(put_at(at(3)).await, all);
        // It expired before it was made, so that the timers have it at once.
        assert_eq!(timer::act(&db, &scope(), at(3), 1, &mut stuck).await.unwrap(), 1);
        assert_eq!(told(&db).await, ["ExpirationNotification", "Expiration", "deleted"]);
        put_at(NOW).await;
        assert_eq!(timer::act(&db, &scope(), NOW, 100, &mut stuck).await.unwrap(), 1);
        assert_eq!(put_at(at(3)).await, all, "what was told is not told again");
    }
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_holds_up_no_other_one_s_policies() {
    for (db, ..) in databases().await {
        let keys = keys(OLD);
        for parameter in ["/bad", "/worse", "/good"] {
            put_one(&db, &keys, short_lived(parameter)).await;
        }
        muster_store::transact!(&db, tx => {
            for sql in [
                "update parameter_version set policies = 'no policies'
                 where parameter_id = (select id from parameter where path = '/bad')",
                "update parameter_version set policies = '[]'
                 where parameter_id = (select id from parameter where path = '/worse')",
            ] {
                sqlx::query(sql).execute(&mut *tx).await?;
            }
            Ok(())
        })
        .unwrap();
        let at = |hours| NOW + SignedDuration::from_hours(hours);
        let mut stuck = Stuck::default();
        // One at a time, so that each bad one comes before the good one or not.
        for time in [NOW, at(3)] {
            let mut rounds = 0;
            while timer::act(&db, &scope(), time, 1, &mut stuck).await.unwrap() > 0 {
                rounds += 1;
                assert!(rounds < 20, "nobody asks for ever");
            }
        }
        let told = news::oldest(&db, 1000).await.unwrap();
        let of = |path: &str| {
            let own = told.iter().filter(|event| event.payload.contains(path));
            own.map(|event| event.what.as_str()).collect::<Vec<_>>()
        };
        let acted = ["created", "policy-action", "policy-action", "policy-action", "deleted"];
        assert_eq!(of("/good"), acted, "also what is due behind the one that ends it");
        assert_eq!(of("/bad"), ["created"]);
        // Another process finds them again, and is not held up either.
        put_one(&db, &keys, short_lived("/later")).await;
        let mut stuck = Stuck::default();
        while timer::act(&db, &scope(), at(3), 2, &mut stuck).await.unwrap() > 0 {}
        assert_eq!(
            read::id(&db, "/later", 0).await.unwrap(),
            None,
            "it has expired and is removed"
        );
    }
}
