//! `muster parameters` against a running server.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::program::{Said, alone};
use crate::world::World;

const CANARY: &str = "canary-1d0f77aa";

/// Runs a verb that is given something on its standard input.
async fn given(world: &World, words: &[&str], text: &str) -> Said {
    let mut command = world.verb(words);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).await.unwrap();
    drop(stdin);
    Said::of(&child.wait_with_output().await.unwrap())
}

async fn stdout(world: &World, words: &[&str]) -> String {
    let said = world.muster(words).await;
    assert_eq!(said.code, 0, "{words:?}: {}", said.stderr);
    said.stdout
}

#[tokio::test]
async fn parameters_are_put_shown_compared_and_carried_over() {
    let world = World::start(0).await;
    let put = ["parameters", "put", "/app/host", "--type", "String", "--value", "one"];
    let said = world.muster(&put).await;
    assert_eq!((said.code, said.complaint()), (0, "/app/host version 1, Standard"));
    let said = world.muster(&put).await;
    assert_eq!(said.code, 1);
    assert!(said.complaint().contains("ParameterAlreadyExists"), "{}", said.stderr);
    let said = given(
        &world,
        &["parameters", "put", "/app/host", "--overwrite", "--file", "-"],
        "one\ntwo\n",
    )
    .await;
    assert_eq!((said.code, said.stderr.trim()), (0, "/app/host version 2, Standard"));
    assert_eq!(stdout(&world, &["parameters", "get", "/app/host"]).await, "one\ntwo\n");
    let difference = "--- /app/host:1\n+++ /app/host:2\n one\n+two\n";
    assert_eq!(stdout(&world, &["parameters", "diff", "/app/host"]).await, difference);

    let secret = ["parameters", "put", "/app/db/key", "--type", "SecureString"];
    let said = given(&world, &secret, CANARY).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let closed = world.muster(&["parameters", "get", "/app/db/key"]).await;
    assert!(
        closed.stderr.contains("--decrypt") && !closed.stdout.contains(CANARY),
        "{}",
        closed.stdout
    );
    assert_eq!(
        stdout(&world, &["parameters", "get", "/app/db/key", "--decrypt"]).await,
        format!("{CANARY}\n")
    );

    let tree = "/app/\n├── db\n│   └── key  SecureString 1\n└── host  String 2\n";
    assert_eq!(stdout(&world, &["parameters", "tree", "/app"]).await, tree);
    let list = stdout(&world, &["parameters", "ls", "/app"]).await;
    assert!(list.contains("/app/host") && !list.contains("/app/db/key"), "{list}");
    let list = stdout(&world, &["parameters", "ls", "--filter", "Type=SecureString"]).await;
    assert!(list.contains("/app/db/key") && !list.contains("/app/host"), "{list}");
    stdout(&world, &["parameters", "label", "/app/host", "prod", "--version", "1"]).await;
    assert_eq!(stdout(&world, &["parameters", "get", "/app/host:prod"]).await, "one\n");
    let history = stdout(&world, &["parameters", "history", "/app/host"]).await;
    let first: Vec<&str> = history.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        (first[0], first[1], first.last()),
        ("1", "String", Some(&"prod")),
        "{history}"
    );
    stdout(
        &world,
        &["parameters", "label", "/app/host", "prod", "--version", "1", "--remove"],
    )
    .await;
    let gone = world.muster(&["parameters", "get", "/app/host:prod"]).await;
    assert!(gone.complaint().contains("ParameterVersionNotFound"), "{}", gone.stderr);

    let without = world.muster(&["parameters", "export", "/app"]).await;
    assert!(
        without.stderr.contains("1 SecureStrings were left out"),
        "{}",
        without.stderr
    );
    let exported = stdout(&world, &["parameters", "export", "/app", "--decrypt"]).await;
    let read: Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(read["Parameters"].as_array().unwrap().len(), 2);
    assert_eq!(read["Parameters"][0]["Name"], "/app/db/key");
    stdout(&world, &["parameters", "rm", "/app/db/key"]).await;
    let said = world.muster(&["parameters", "rm", "/app/db/key"]).await;
    assert_eq!((said.code, said.complaint()), (1, "there is no parameter /app/db/key"));
    let said = given(&world, &["parameters", "import", "-"], &exported).await;
    assert_eq!(
        (said.code, said.stderr.trim()),
        (0, "1 parameters were put, 1 exist already and were left alone")
    );
    assert_eq!(
        stdout(&world, &["parameters", "get", "/app/db/key", "--decrypt"]).await,
        format!("{CANARY}\n")
    );
    let key_file = world.data().join("parameter-store.key");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(key_file).unwrap()) & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn a_secret_on_the_command_line_is_refused_before_anything_else() {
    for kind in [&["--type", "SecureString"][..], &["--overwrite"]] {
        let words = [&["parameters", "put", "/x", "--value", CANARY], kind].concat();
        let said = alone(&words);
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(
            said.complaint().contains("--file") && !said.stderr.contains(CANARY),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_question_that_is_broken_off_leaves_the_terminal_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let python = std::env::var_os("MUSTER_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let output = std::process::Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/break_off.py"))
        .args(["Value of /x: ", env!("CARGO_BIN_EXE_muster")])
        .args(["parameters", "put", "/x", "--type", "SecureString"])
        .env("HOME", home.path())
        // Whoever tries to store something is told that nobody is there.
        .env("MUSTER_SERVER", "nats://127.0.0.1:1")
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(
        (&said["code"], &said["shows_at_prompt"], &said["shows_in_the_end"]),
        (&Value::from(130), &Value::from(false), &Value::from(true)),
        "{said}"
    );
    assert!(!said["seen"].as_str().unwrap().contains("canary"), "{said}");
}

#[tokio::test]
async fn what_is_exported_comes_back_with_its_tags_and_labels() {
    let world = World::start(0).await;
    let put = ["parameters", "put", "/app/host", "--type", "String", "--value"];
    let with = [
        "one",
        "--tag",
        "env=prod",
        "--tag",
        "team=web",
        "--description",
        "where it is",
    ];
    stdout(&world, &[&put[..], &with].concat()).await;
    stdout(&world, &["parameters", "label", "/app/host", "first"]).await;
    stdout(
        &world,
        &[&put[..], &["two", "--overwrite", "--allowed-pattern", "[a-z]+"]].concat(),
    )
    .await;
    stdout(&world, &["parameters", "label", "/app/host", "live"]).await;
    let said = world.muster(&["parameters", "export", "/app"]).await;
    assert!(said.stderr.contains("1 labels were left out"), "{}", said.stderr);
    let exported = said.stdout;
    let entry: Value = serde_json::from_str::<Value>(&exported).unwrap()["Parameters"][0].clone();
    assert_eq!(entry["Tags"], json!({"env": "prod", "team": "web"}));
    assert_eq!(entry["Labels"], json!(["live"]));

    // Into a store that does not have it.
    stdout(&world, &["parameters", "rm", "/app/host"]).await;
    assert_eq!(given(&world, &["parameters", "import", "-"], &exported).await.code, 0);
    let again = stdout(&world, &["parameters", "export", "/app"]).await;
    assert_eq!(again, exported);

    // Over one that has become another.
    stdout(&world, &["parameters", "untag", "/app/host", "team"]).await;
    stdout(&world, &["parameters", "tag", "/app/host", "env=dev", "more=x"]).await;
    let tags = stdout(&world, &["parameters", "tags", "/app/host"]).await;
    assert_eq!(tags, "KEY   VALUE\nenv   dev\nmore  x\n");
    let changed = [
        "three",
        "--overwrite",
        "--allowed-pattern",
        "",
        "--description",
        "elsewhere",
    ];
    stdout(&world, &[&put[..], &changed].concat()).await;
    assert_eq!(
        given(&world, &["parameters", "import", "-", "--overwrite"], &exported)
            .await
            .code,
        0
    );
    let again = stdout(&world, &["parameters", "export", "/app"]).await;
    assert_eq!(again, exported, "also its label has moved to the version that was made");

    // What the file says is empty gets empty.
    let mut bare: Value = serde_json::from_str(&exported).unwrap();
    for (member, empty) in [
        ("Description", json!("")),
        ("AllowedPattern", json!("")),
        ("Tags", json!({})),
    ] {
        bare["Parameters"][0][member] = empty;
    }
    let said = given(&world, &["parameters", "import", "-", "--overwrite"], &bare.to_string()).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let again: Value = serde_json::from_str(&stdout(&world, &["parameters", "export", "/app"]).await).unwrap();
    assert_eq!(again, bare);
}

#[test]
fn nobody_types_a_secret_for_a_parameter_that_has_no_type() {
    let said = alone(&["parameters", "put", "/x"]);
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.complaint().contains("needs a type"), "{}", said.stderr);
}
