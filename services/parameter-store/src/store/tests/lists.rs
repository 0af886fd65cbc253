//! Paths are compared part by part and byte by byte.

use super::*;
use crate::domain::filter::{self, Filter, Of};
use crate::store::list::{self, Question};
use crate::store::{label, tag};
use muster_proto::parameterstore::v1::ParameterStringFilter;

async fn listed(db: &Db, filters: Vec<Filter>) -> Vec<String> {
    let mut question = Question {
        filters,
        after: None,
        limit: 2,
        now: NOW.as_microsecond(),
    };
    let mut names = Vec::new();
    // In pages of two.
    loop {
        let rows = list::values(db, &question).await.unwrap();
        let facts = list::facts(db, &question).await.unwrap();
        assert_eq!(rows.len(), facts.len());
        let Some(last) = rows.last() else { return names };
        question.after = Some((last.path.clone(), last.version));
        names.extend(rows.into_iter().map(|row| match row.version {
            1 => row.name,
            version => format!("{}:{version}", row.name),
        }));
    }
}

async fn below(db: &Db, folder: &str, recursive: bool) -> Vec<String> {
    let folders = vec![crate::domain::name::folder(folder).unwrap()];
    listed(db, vec![Filter::Below { folders, recursive }]).await
}

async fn filtered(db: &Db, filters: &[(&str, Option<&str>, &[&str])]) -> Vec<String> {
    let filters = filters.iter().map(|(key, option, values)| ParameterStringFilter {
        key: Some((*key).to_owned()),
        option: option.map(str::to_owned),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    });
    let filters: Vec<_> = filters.collect();
    listed(db, filter::parse(&filters, Of::DescribeParameters).unwrap()).await
}

#[tokio::test]
async fn a_folder_holds_what_is_below_it_and_nothing_beside_it() {
    for (db, ..) in databases().await {
        for parameter in [
            "/a/b", "/a/bc", "/a/b/c", "/a/b/c/d", "/a/b-x", "/a/b.x", "/a/B/c", "/A", "root", "/a/b_c", "/a",
        ] {
            put_string(&db, parameter, "v").await;
        }
        assert_eq!(below(&db, "/a/b", false).await, ["/a/b/c"]);
        assert_eq!(below(&db, "/a/b", true).await, ["/a/b/c", "/a/b/c/d"]);
        assert_eq!(
            below(&db, "/a/", false).await,
            ["/a/b", "/a/b-x", "/a/b.x", "/a/b_c", "/a/bc"]
        );
        assert_eq!(below(&db, "/", false).await, ["/A", "/a", "root"]);
        assert_eq!(below(&db, "/nowhere", true).await, [""; 0]);
        let all = below(&db, "/", true).await;
        let mut sorted = all.clone();
        sorted.sort_by_key(|name| format!("/{}", name.trim_start_matches('/')));
        assert_eq!((all.len(), &all), (11, &sorted), "byte by byte");
    }
}

#[tokio::test]
async fn filters_narrow_and_hold_together() {
    for (db, ..) in databases().await {
        let keys = keys(OLD);
        for parameter in ["param", "/params/a", "/x_y", "/xzy", "/X_y"] {
            put_string(&db, parameter, "v").await;
        }
        put_one(&db, &keys, put("/secret", "v", ParameterType::SecureString)).await;
        let tags = Tags::from([("env".to_owned(), "prod".to_owned())]);
        tag::add(&db, &name("/param"), &tags, NOW.as_microsecond())
            .await
            .unwrap()
            .unwrap();
        let check = async |filters: &[(&str, Option<&str>, &[&str])], expected: &[&str]| {
            assert_eq!(filtered(&db, filters).await, expected, "{filters:?}");
        };
        check(&[("Name", None, &["/param", "xzy"])], &["param", "/xzy"]).await;
        check(&[("Name", Some("BeginsWith"), &["param"])], &["param", "/params/a"]).await;
        check(&[("Name", Some("BeginsWith"), &["/x_"])], &["/x_y"]).await;
        check(&[("Name", Some("BeginsWith"), &["/x{"])], &[]).await;
        check(&[("Name", Some("Contains"), &["s/a", "X"])], &["/X_y", "/params/a"]).await;
        check(&[("Type", None, &["SecureString"])], &["/secret"]).await;
        check(
            &[("Type", Some("BeginsWith"), &["String"]), ("Path", None, &["/params"])],
            &["/params/a"],
        )
        .await;
        check(&[("KeyId", None, &["alias/aws/ssm"])], &["/secret"]).await;
        check(&[("KeyId", Some("BeginsWith"), &["alias/"])], &["/secret"]).await;
        check(&[("Tier", None, &["Advanced"])], &[]).await;
        check(&[("DataType", None, &["text"]), ("Name", None, &["param"])], &["param"]).await;
        check(&[("tag:env", None, &["prod", "test"])], &["param"]).await;
        check(&[("tag:env", None, &[])], &["param"]).await;
        check(&[("tag:env", Some("BeginsWith"), &["pr"])], &["param"]).await;
        check(&[("tag:env", None, &["test"])], &[]).await;
        check(&[("Path", None, &["/", "/params"]), ("tag:env", None, &[])], &["param"]).await;
        assert_eq!(tag::of(&db, &name("param"), 0).await.unwrap().unwrap(), tags);
        tag::remove(&db, &name("param"), &["env".to_owned()], 0)
            .await
            .unwrap()
            .unwrap();
        assert!(tag::of(&db, &name("param"), 0).await.unwrap().unwrap().is_empty());
        assert!(tag::of(&db, &name("nobody"), 0).await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_label_lists_the_version_that_it_is_on() {
    for (db, ..) in databases().await {
        for value in ["1", "2", "3"] {
            put_string(&db, "/a/x", value).await;
        }
        put_string(&db, "/a/y", "1").await;
        let put = async |parameter: &str, version, labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            label::put(&db, &name(parameter), version, &labels, &scope(), NOW)
                .await
                .unwrap()
                .unwrap()
        };
        assert_eq!(put("/a/x", Some(2), &["prod", "test"]).await, 2);
        assert_eq!(put("/a/y", None, &["prod"]).await, 1);
        let labels = |labels: &[&str]| Filter::Label(labels.iter().map(|label| (*label).to_owned()).collect());
        assert_eq!(listed(&db, vec![labels(&["prod"])]).await, ["/a/x:2", "/a/y"]);
        put("/a/x", None, &["prod"]).await;
        assert_eq!(
            listed(&db, vec![labels(&["prod", "test"])]).await,
            ["/a/x:2", "/a/x:3", "/a/y"]
        );
    }
}
