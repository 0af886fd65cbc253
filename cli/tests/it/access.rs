//! Users, access keys, policies and the audit log of a `muster up`.

use muster_harness::until;
use serde_json::Value;

use crate::program::{Said, alone};
use crate::world::World;

async fn done(world: &World, words: &[&str]) -> Said {
    let said = world.muster(words).await;
    assert_eq!(said.code, 0, "{words:?}: {said:?}");
    said
}

/// `aws_access_key_id = …` and the secret behind it.
fn credentials(said: &Said) -> (String, String) {
    let value = |name: &str| {
        let line = said.stdout.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_start_matches(" = ").to_owned()
    };
    (value("aws_access_key_id"), value("aws_secret_access_key"))
}

#[tokio::test]
async fn the_first_key_is_made_once_by_whoever_holds_the_data_and_is_nowhere_else() {
    let world = World::start(0).await;
    let data = world.data();
    let data = data.to_str().unwrap();
    let said = done(&world, &["access", "bootstrap", "--data-dir", data]).await;
    let (id, secret) = credentials(&said);
    assert!(id.starts_with("MKIA") && secret.len() == 40, "{}", said.stdout);
    assert!(!said.stderr.contains(&secret));
    let again = world.muster(&["access", "bootstrap", "--data-dir", data]).await;
    assert_eq!((again.code, again.stdout.as_str()), (1, ""));
    assert!(again.complaint().contains("--replace"), "{}", again.stderr);
    let said = done(&world, &["access", "keys", "--json"]).await;
    let keys: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (
            &keys["AccessKeys"][0]["AccessKeyId"],
            &keys["AccessKeys"][0]["UserName"]
        ),
        (&id.as_str().into(), &"root".into())
    );
    let replaced = done(&world, &["access", "bootstrap", "--data-dir", data, "--replace"]).await;
    let (new, _) = credentials(&replaced);
    let said = done(&world, &["access", "keys"]).await;
    assert!(
        said.stdout.contains(&new) && !said.stdout.contains(&id),
        "{}",
        said.stdout
    );
    let may = [
        "policy",
        "test",
        "--principal",
        "user/root",
        "--action",
        "muster:CreateUser",
    ];
    assert_eq!(done(&world, &may).await.stdout, "Allow\n  admin/Everything\n");
    let log = std::fs::read_to_string(world.data().join("logs/muster.log")).unwrap();
    assert!(!log.contains(&secret));
}

#[tokio::test]
async fn a_user_gets_a_key_and_policies_and_what_it_may_do_is_told_with_the_reason() {
    let world = World::start(0).await;
    done(&world, &["access", "users", "create", "alice", "--tag", "Team=blue"]).await;
    done(&world, &["access", "groups", "create", "people"]).await;
    done(&world, &["access", "groups", "add", "people", "alice"]).await;
    let file = world.data().join("no-cancel.json");
    let file = file.to_str().unwrap();
    let text = r#"{"Version": "2012-10-17", "Statement": {"Sid": "NoCancel", "Effect": "Deny", "Action": "ssm:CancelCommand",
        "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/Team": "blue"}}}}"#;
    std::fs::write(file, text).unwrap();
    assert!(
        alone(&["policy", "check", file])
            .stderr
            .ends_with("is a policy of 1 statement\n")
    );
    done(&world, &["access", "policies", "put", "no-cancel", "--file", file]).await;
    done(
        &world,
        &["access", "policies", "attach", "no-cancel", "--user", "alice"],
    )
    .await;
    done(
        &world,
        &["access", "policies", "attach", "operator", "--group", "people"],
    )
    .await;
    let said = done(&world, &["access", "policies", "of", "--user", "alice"]).await;
    assert_eq!(said.stdout, "no-cancel\n");

    let test = |action| ["policy", "test", "--principal", "user/alice", "--action", action];
    let said = done(&world, &test("ssm:SendCommand")).await;
    assert_eq!(said.stdout, "Allow\n  operator/RunCommands\n");
    let said = world.muster(&test("ssm:CancelCommand")).await;
    assert_eq!(said.code, 3);
    assert!(
        said.stdout
            .starts_with("ExplicitDeny\n  no-cancel/NoCancel\nUser: arn:aws:iam::000000000000:user/alice "),
        "{said:?}"
    );
    let said = world.muster(&test("ssm:PutParameter")).await;
    assert_eq!(said.code, 3);
    assert!(
        said.stdout
            .starts_with("ImplicitDeny\n  no statement of no-cancel, operator allows it\n"),
        "{said:?}"
    );
    let said = world
        .muster(&[
            "policy",
            "test",
            "--principal",
            "user/bob",
            "--action",
            "ssm:SendCommand",
        ])
        .await;
    assert_eq!(
        (said.code, said.complaint().starts_with("muster: NoSuchEntity: ")),
        (1, true)
    );

    let (id, _) = credentials(&done(&world, &["access", "keys", "create", "alice"]).await);
    done(&world, &["access", "keys", "deactivate", &id]).await;
    let said = done(&world, &["access", "keys", "--user", "alice"]).await;
    assert!(said.stdout.contains("Inactive"), "{}", said.stdout);
    let said = world.muster(&["access", "users", "delete", "alice"]).await;
    assert!(
        said.complaint().starts_with("muster: DeleteConflict: "),
        "{}",
        said.stderr
    );
}

#[test]
fn a_text_that_is_no_policy_is_told_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    std::fs::write(
        &path,
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Perhaps", "Action": "*", "Resource": "*"}}"#,
    )
    .unwrap();
    let said = alone(&["policy", "check", path.to_str().unwrap()]);
    assert_eq!(said.code, 1);
    assert!(
        said.complaint().contains("/Statement/Effect: bad effect"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn the_log_is_verified_exported_shortened_and_verified_again() {
    let mut world = World::start(0).await;
    let data = world.data();
    let data = data.to_str().unwrap();
    for replace in [&[][..], &["--replace"]] {
        let words = [&["access", "bootstrap", "--data-dir", data], replace].concat();
        done(&world, &words).await;
    }
    let said = done(&world, &["audit", "list"]).await;
    assert_eq!(said.stdout.matches("muster:Bootstrap").count(), 2, "{}", said.stdout);
    let said = done(&world, &["audit", "verify"]).await;
    // The first user, the two keys, and what was decided on the calls until now.
    let is_whole = |said: &Said, first: u32| {
        let line = said.stdout.lines().next().unwrap_or_default();
        line.starts_with("intact: ") && line.contains(&format!(" records, {first} to "))
    };
    assert!(is_whole(&said, 1), "{}", said.stdout);
    let last = said.stdout.lines().nth(1).unwrap().to_owned();
    done(&world, &["audit", "verify", "--known", &last]).await;
    let file = world.data().join("export.jsonl");
    let file = file.to_str().unwrap();
    done(&world, &["audit", "export", "--to", file, "--until", "1"]).await;
    let said = done(&world, &["audit", "verify", file]).await;
    assert!(
        said.stdout.starts_with("intact: 1 record, number 1\n1:"),
        "{}",
        said.stdout
    );
    done(&world, &["audit", "truncate", file]).await;
    let said = done(&world, &["audit", "verify", "--data-dir", data]).await;
    assert!(is_whole(&said, 2), "{}", said.stdout);
    let (_, hash) = last.split_once(':').unwrap();
    let said = world
        .muster(&["audit", "verify", "--known", &format!("99999:{hash}")])
        .await;
    assert_eq!(said.code, 1);
    assert!(
        said.complaint()
            .contains("record 99999, whose hash is known, is not there"),
        "{}",
        said.stderr
    );

    assert_eq!(world.end(rustix::process::Signal::INT).await, Some(0));
    let said = until("the log is verified without a server", async || {
        let said = world.muster(&["audit", "verify", "--data-dir", data]).await;
        if said.code == 0 { Ok(said) } else { Err(said.stderr) }
    })
    .await;
    assert!(is_whole(&said, 2), "{}", said.stdout);
}

#[tokio::test]
async fn the_operator_may_do_everything_from_the_first_start_and_is_a_user_like_others() {
    let world = World::start(0).await;
    let said = done(&world, &["access", "policies", "of", "--user", "operator"]).await;
    assert_eq!(said.stdout, "admin\n");
    let said = done(&world, &["audit", "list", "--action", "muster:FirstAdmin"]).await;
    assert!(said.stdout.contains("user/operator"), "{}", said.stdout);
    done(
        &world,
        &["access", "policies", "attach", "read-only", "--user", "operator"],
    )
    .await;
    done(&world, &["access", "policies", "detach", "admin", "--user", "operator"]).await;
    let said = until("the policy counts no more", async || {
        let said = world.muster(&["access", "groups", "create", "more"]).await;
        if said.code == 1 { Ok(said) } else { Err(said.stdout) }
    })
    .await;
    assert!(
        said.complaint()
            .contains("user/operator is not authorized to perform: muster:CreateGroup"),
        "{}",
        said.stderr
    );
    done(&world, &["commands"]).await;
}
