//! Complete outputs in an object store (run-command 8.3 and acceptance 11): a folder, and moto's S3.

use std::time::{Duration, Instant};

use muster_harness::until_within;
use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{ObjectStore, RunStatus, WorkItem};

use crate::python::{fetch, get, object_store};
use crate::{Scene, work};

/// 30 000 characters on standard output.
const LONG: &str = "i=0; while [ $i -lt 3000 ]; do printf 'line %05d' $i; i=$((i+1)); done";

fn stored(lines: &[&str], key_prefix: &str) -> WorkItem {
    WorkItem {
        output_store: Some(ObjectStore {
            bucket: "logs".into(),
            key_prefix: key_prefix.into(),
            region: String::new(),
        }),
        ..work::script(lines)
    }
}

fn key(scene: &Scene, item: &WorkItem, stream: &str) -> String {
    format!(
        "{}/{}/awsrunShellScript/only/{stream}",
        item.command_id, scene.coordinator.node
    )
}

fn s3(port: u16) -> String {
    format!("[objects]\nurl = \"http://127.0.0.1:{port}\"\n")
}

#[tokio::test]
async fn long_output_is_cut_in_the_reply_and_whole_in_the_object_store() {
    let store = object_store(None).await;
    let credentials = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        credentials.path(),
        "[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = canary-secret-key\n",
    )
    .unwrap();
    let settings = format!("{}credentials_file = {:?}\n", s3(store.port), credentials.path());
    let scene = Scene::with_settings(&settings).await;
    let item = stored(&[LONG, "echo oops >&2"], "team/a");
    let ended = scene.coordinator.end(scene.coordinator.send(&item).await).await;
    let step = ended.step();
    assert_eq!(ended.status(), RunStatus::Success, "{ended:?}");
    assert_eq!(ended.result.trace, "");
    assert_eq!((step.stdout.chars().count(), step.stdout_bytes), (24_000, 30_000));
    assert!(step.stdout.contains("--output truncated--"));

    let whole = get(&store, &format!("team/a/{}", key(&scene, &item, "stdout")))
        .await
        .unwrap();
    let expected: String = (0..3000).map(|number| format!("line {number:05}")).collect();
    assert_eq!(whole, expected);
    let errors = get(&store, &format!("team/a/{}", key(&scene, &item, "stderr"))).await;
    assert_eq!(errors.as_deref(), Some("oops\n"));
    let told = format!("{:?} {}", ended.records, scene.agent.log());
    assert!(!told.contains("canary-secret-key"));
}

#[tokio::test]
async fn an_output_is_compressed_where_the_owner_wants_it_and_says_so() {
    let store = object_store(None).await;
    let scene = Scene::with_settings(&format!("gzip_outputs = true\n{}", s3(store.port))).await;
    let item = stored(&[LONG], "");
    let ended = scene.coordinator.end(scene.coordinator.send(&item).await).await;
    assert_eq!((ended.status(), ended.result.trace.as_str()), (RunStatus::Success, ""));
    let object = fetch(&store, &key(&scene, &item, "stdout")).await.unwrap();
    assert_eq!(object.headers()["content-encoding"], "gzip");
    let compressed = object.bytes().await.unwrap();
    assert!(compressed.len() < 15_000, "{}", compressed.len());
    let mut whole = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*compressed), &mut whole).unwrap();
    assert_eq!(whole.len(), 30_000);
    assert!(whole.starts_with("line 00000line 00001"), "{}", &whole[..40]);
}

#[tokio::test]
async fn an_empty_stream_has_no_object_and_a_missing_bucket_is_said() {
    let store = object_store(None).await;
    let scene = Scene::with_settings(&s3(store.port)).await;
    let item = stored(&["echo hello"], "");
    let ended = scene.coordinator.end(scene.coordinator.send(&item).await).await;
    assert_eq!(ended.status(), RunStatus::Success);
    assert_eq!(
        get(&store, &key(&scene, &item, "stdout")).await.as_deref(),
        Some("hello\n")
    );
    assert_eq!(get(&store, &key(&scene, &item, "stderr")).await, None);

    let mut item = stored(&["echo hello", "exit 3"], "");
    item.output_store.as_mut().unwrap().bucket = "no-such-bucket".into();
    let ended = scene.coordinator.end(scene.coordinator.send(&item).await).await;
    assert_eq!((ended.status(), ended.step().code), (RunStatus::Failed, 3));
    let trace = &ended.result.trace;
    assert!(
        trace.contains("only: stdout is not in bucket no-such-bucket yet") && trace.contains("24 hours"),
        "{trace}"
    );
}

#[tokio::test]
async fn a_store_that_is_away_does_not_hold_up_the_run_and_gets_the_output_later() {
    // A port that was free a moment ago and is most likely still.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let scene = Scene::with_settings(&s3(port)).await;
    let item = stored(&["echo late"], "");
    let begun = Instant::now();
    let run = scene.coordinator.send(&item).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Success);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(
        ended.result.trace.contains("only: stdout is not in bucket logs yet"),
        "{}",
        ended.result.trace
    );

    let notes = scene.agent.state().root().join("uploads");
    let modes: Vec<u32> = std::fs::read_dir(&notes)
        .unwrap()
        .map(|note| std::os::unix::fs::PermissionsExt::mode(&note.unwrap().metadata().unwrap().permissions()) & 0o777)
        .collect();
    assert_eq!(modes, [0o600], "it is nobody's business where outputs go");

    let store = object_store(Some(port)).await;
    until_within(Duration::from_secs(60), "the output is told to be stored", async || {
        let records = scene.coordinator.records(run);
        match records.last().and_then(|record| record.fact.clone()) {
            Some(News::OutputStored(output)) => {
                assert_eq!(
                    (output.name.as_str(), output.stream.as_str(), output.trouble.as_str()),
                    ("only", "stdout", "")
                );
                Ok(())
            }
            other => Err(other),
        }
    })
    .await;
    assert_eq!(
        get(&store, &key(&scene, &item, "stdout")).await.as_deref(),
        Some("late\n")
    );
}

#[tokio::test]
async fn without_configuration_outputs_go_to_a_folder_of_the_agent() {
    let scene = Scene::start().await;
    let item = stored(&["echo hello"], "p");
    let ended = scene.coordinator.end(scene.coordinator.send(&item).await).await;
    assert_eq!((ended.status(), ended.result.trace.as_str()), (RunStatus::Success, ""));
    let file = scene
        .agent
        .state()
        .root()
        .join("objects/logs/p")
        .join(key(&scene, &item, "stdout"));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "hello\n");
    assert!(
        !scene
            .agent
            .state()
            .root()
            .join("uploads")
            .read_dir()
            .unwrap()
            .any(|_| true)
    );
}
