//! Who may do what with parameters: whatever way a name is written, with the keys of secrets, and below paths.

use muster_harness::until;
use muster_tests::{Aws, Cluster, People, binary};
use serde_json::{Value, json};

use crate::authorization::signed_gateway;

const STORE: &str = "muster-parameter-store";

async fn cluster(settings: &[(&'static str, &'static str, String)]) -> (Cluster, People, Aws) {
    let settings = [&signed_gateway()[..], settings].concat();
    let mut cluster = Cluster::start_with(&[], &settings).await;
    cluster.add_service(STORE).await;
    let mut people = People::new(cluster.bus().await);
    let key = people.user("ada", &["admin"]).await;
    let ada = cluster.aws().with_key(key.access_key_id(), key.secret_access_key());
    (cluster, people, ada)
}

/// A user with one policy of these statements; what it asks with.
async fn somebody(cluster: &Cluster, people: &mut People, name: &str, statements: &Value) -> Aws {
    let policy = json!({"Version": "2012-10-17", "Statement": statements});
    people.put(name, &policy.to_string()).await;
    let key = people.user(name, &[name]).await;
    cluster.aws().with_key(key.access_key_id(), key.secret_access_key())
}

async fn put(ada: &Aws, name: &str, kind: &str, value: &str) {
    ada.ok(&["put-parameter", "--name", name, "--type", kind, "--value", value])
        .await;
}

fn values(page: &Value) -> Vec<&str> {
    let all = page["Parameters"].as_array().unwrap();
    all.iter().map(|each| each["Name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_denial_holds_however_a_name_is_written() {
    let (cluster, mut people, ada) = cluster(&[]).await;
    put(&ada, "root", "String", "1").await;
    put(&ada, "/app/x", "String", "1").await;
    put(&ada, "/app/y", "String", "1").await;
    let statements = json!([
        {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ssm:*Parameter*", "Resource": [
            "arn:aws:ssm:*:*:parameter/root", "arn:aws:ssm:*:*:parameter/app/x"
        ]},
    ]);
    let bob = somebody(&cluster, &mut people, "bob", &statements).await;
    bob.ok(&["get-parameter", "--name", "/app/y"]).await;
    let arn = |name: &str| format!("arn:aws:ssm:us-east-1:000000000000:parameter/{name}");
    for name in [
        "root".to_owned(),
        "/root".to_owned(),
        "root:1".to_owned(),
        " root ".to_owned(),
        arn("root"),
        "/app/x".to_owned(),
        "/app/x:1".to_owned(),
        arn("app/x"),
        format!("{}:1", arn("app/x")),
    ] {
        let said = bob
            .refused("AccessDeniedException", &["get-parameter", "--name", &name])
            .await;
        assert!(said.contains("explicit deny"), "{name}: {said}");
        bob.refused("AccessDeniedException", &["get-parameters", "--names", "/app/y", &name])
            .await;
    }
    for words in [
        ["delete-parameter", "--name", "/root"].as_slice(),
        &["put-parameter", "--name", "/root", "--value", "2", "--overwrite"],
        &["label-parameter-version", "--name", "root", "--labels", "mine"],
        &["get-parameter-history", "--name", "/root"],
    ] {
        bob.refused("AccessDeniedException", words).await;
    }
    assert_eq!(
        ada.ok(&["get-parameter", "--name", "root"]).await["Parameter"]["Version"],
        1
    );
}

#[tokio::test]
async fn a_secret_needs_its_key_too() {
    let (cluster, mut people, ada) = cluster(&[]).await;
    let line = "payments 1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    let mut cluster = cluster;
    let file = cluster.folder().join("parameter-store.key");
    let keys = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{keys}{line}")).unwrap();
    cluster.stop(STORE).await;
    cluster.restart(STORE).await;
    put(&ada, "/app/plain", "SecureString", "canary").await;
    let own = [
        "put-parameter",
        "--name",
        "/app/own",
        "--type",
        "SecureString",
        "--key-id",
        "alias/payments",
        "--value",
        "x",
    ];
    ada.ok(&own).await;

    let parameters = json!({"Effect": "Allow", "Action": ["ssm:GetParameter*", "ssm:PutParameter"], "Resource": "*"});
    let bob = somebody(&cluster, &mut people, "bob", &json!([parameters])).await;
    let read = |name: &'static str| ["get-parameter", "--name", name, "--with-decryption"];
    // The default key is everybody's; another one needs leave, and so does the ciphertext of none.
    assert_eq!(bob.ok(&read("/app/plain")).await["Parameter"]["Value"], "canary");
    let said = bob.refused("AccessDeniedException", &read("/app/own")).await;
    assert!(
        said.contains("kms:Decrypt on resource: arn:aws:kms:us-east-1:000000000000:key/payments"),
        "{said}"
    );
    bob.ok(&["get-parameter", "--name", "/app/own"]).await;
    let mut again = own.to_vec();
    again.push("--overwrite");
    let said = bob.refused("AccessDeniedException", &again).await;
    assert!(said.contains("kms:Encrypt"), "{said}");

    let use_it = json!({"Effect": "Allow", "Action": "kms:*", "Resource": "arn:aws:kms:*:*:key/payments"});
    let carol = somebody(&cluster, &mut people, "carol", &json!([parameters, use_it])).await;
    assert_eq!(carol.ok(&read("/app/own")).await["Parameter"]["Value"], "x");
    carol.ok(&again).await;
    let deny = json!({"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:*:*:key/aws/ssm"});
    let dan = somebody(&cluster, &mut people, "dan", &json!([parameters, deny])).await;
    dan.refused("AccessDeniedException", &read("/app/plain")).await;
    dan.ok(&["get-parameter", "--name", "/app/plain"]).await;
}

#[tokio::test]
async fn a_list_below_a_path_shows_all_or_what_the_caller_may_read_by_itself() {
    for checks_each in [false, true] {
        let setting = (
            STORE,
            "MUSTER_SERVICE__BYPATH_PER_PARAMETER_CHECK",
            checks_each.to_string(),
        );
        let (cluster, mut people, ada) = cluster(&[setting]).await;
        for name in ["/app/a", "/app/secret/b", "/app/c"] {
            put(&ada, name, "String", "1").await;
        }
        let statements = json!([
            {"Effect": "Allow", "Action": "ssm:GetParametersByPath", "Resource": [
                "arn:aws:ssm:*:*:parameter/app", "arn:aws:ssm:*:*:parameter/app/*"
            ]},
            {"Effect": "Deny", "Action": "ssm:GetParametersByPath", "Resource": "arn:aws:ssm:*:*:parameter/app/secret/*"},
        ]);
        let bob = somebody(&cluster, &mut people, "bob", &statements).await;
        let page = bob
            .ok(&["get-parameters-by-path", "--path", "/app", "--recursive"])
            .await;
        let expected: &[&str] = if checks_each {
            &["/app/a", "/app/c"]
        } else {
            &["/app/a", "/app/c", "/app/secret/b"]
        };
        assert_eq!(values(&page), expected);
        bob.refused("AccessDeniedException", &["get-parameters-by-path", "--path", "/other"])
            .await;
    }
}

#[tokio::test]
async fn who_touched_a_parameter_is_in_the_audit_log_and_changes_can_be_watched() {
    let (cluster, _, ada) = cluster(&[]).await;
    let (server, creds) = (cluster.nats.url(), cluster.creds());
    let muster = |words: &[&str]| {
        let mut command = tokio::process::Command::new(binary("muster"));
        command
            .args(words)
            .env("MUSTER_SERVER", &server)
            .env("MUSTER_CREDS", &creds);
        command.kill_on_drop(true);
        command
    };
    let printed = cluster.folder().join("watched");
    let file = std::fs::File::create(&printed).unwrap();
    let mut watching = muster(&["parameters", "watch", "/app"]);
    let mut watching = watching
        .stdout(file)
        .stderr(std::fs::File::create(cluster.folder().join("watching")).unwrap())
        .spawn()
        .unwrap();
    until("it watches", async || {
        let said = std::fs::read_to_string(cluster.folder().join("watching")).unwrap();
        if said.contains("watching /app/") {
            Ok(())
        } else {
            Err(said)
        }
    })
    .await;
    put(&ada, "/other", "String", "1").await;
    put(&ada, "/app/password", "SecureString", "canary-of-a-watch").await;
    ada.ok(&["get-parameter", "--name", "/app/password", "--with-decryption"])
        .await;
    ada.ok(&["get-parameters", "--names", "/app/password:1", "/other"])
        .await;
    let lines = until("the change was printed", async || {
        let lines = std::fs::read_to_string(&printed).unwrap();
        if lines.ends_with('\n') { Ok(lines) } else { Err(lines) }
    })
    .await;
    assert!(
        lines.contains("created") && lines.contains("/app/password  SecureString"),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 1, "{lines}");
    watching.kill().await.unwrap();

    until("each read is in the audit log", async || {
        let output = muster(&["audit", "parameters", "--name", "/app/password", "--json"])
            .output()
            .await
            .unwrap();
        let shown: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let records = shown["Records"].as_array().unwrap();
        let mut actions: Vec<&str> = records
            .iter()
            .map(|record| record["Action"].as_str().unwrap())
            .collect();
        actions.sort_unstable();
        // That a secret was shown is there beside the decision.
        actions.dedup();
        let about = |record: &Value| {
            record["Resource"]
                .as_str()
                .unwrap()
                .ends_with(":parameter/app/password")
        };
        assert!(records.iter().all(about), "{shown}");
        match actions == ["ssm:GetParameter", "ssm:GetParameters", "ssm:PutParameter"] {
            true => Ok(()),
            false => Err(shown.to_string()),
        }
    })
    .await;
}
