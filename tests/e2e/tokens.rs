//! The tokens of Run Command's lists: each opens the list that gave it, for who was given it, and nothing else.

use muster_tests::{AgentSpec, Cluster, People};

use crate::authorization::signed_gateway;

#[tokio::test]
async fn a_token_opens_only_the_list_that_gave_it() {
    let cluster = Cluster::start_with(&[AgentSpec::tagged(&[])], &signed_gateway()).await;
    let mut people = People::new(cluster.bus().await);
    let mut callers = Vec::new();
    for name in ["ann", "bob"] {
        let key = people.user(name, &["operator"]).await;
        callers.push(cluster.aws().with_key(key.access_key_id(), key.secret_access_key()));
    }
    let [ann, bob] = <[_; 2]>::try_from(callers).ok().unwrap();
    let node = cluster.nodes().await.remove(0);
    let send = [
        "send-command",
        "--document-name",
        "AWS-RunShellScript",
        "--instance-ids",
        &node,
        "--parameters",
        "commands=true",
    ];
    for _ in 0..4 {
        ann.ok(&send).await;
    }
    for (list, rows, other) in [
        ("list-commands", "Commands", "list-command-invocations"),
        ("list-command-invocations", "CommandInvocations", "list-commands"),
    ] {
        let first = ann.ok(&[list, "--no-paginate", "--max-results", "1"]).await;
        let token = first["NextToken"].as_str().unwrap();
        // Pages may have other sizes; the last one has no token.
        let page = [list, "--no-paginate", "--max-results", "2", "--next-token", token];
        let second = ann.ok(&page).await;
        let next = second["NextToken"].as_str().unwrap();
        assert_ne!(token, next);
        let third = ann
            .ok(&[list, "--no-paginate", "--max-results", "3", "--next-token", next])
            .await;
        assert_eq!(third["NextToken"], serde_json::Value::Null);
        let mut seen: Vec<String> = [&first, &second, &third]
            .iter()
            .flat_map(|page| page[rows].as_array().unwrap())
            .map(|row| row["CommandId"].as_str().unwrap().to_owned())
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 4, "each command once");

        let with = |list, token: &str| [list, "--no-paginate", "--next-token", token].map(str::to_owned);
        let refused = async |aws: &muster_tests::Aws, words: &[String]| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            aws.refused("InvalidNextToken", &words).await;
        };
        refused(&ann, &with(other, token)).await;
        refused(&bob, &with(list, token)).await;
        let filtered = [
            with(list, token).as_slice(),
            &["--filters".to_owned(), "key=Status,value=Success".to_owned()],
        ]
        .concat();
        refused(&ann, &filtered).await;
        let end = if token.ends_with('A') { "B" } else { "A" };
        refused(&ann, &with(list, &format!("{}{end}", &token[..token.len() - 1]))).await;
    }
}
