//! Parameter Store through AWS JSON, with real processes: what boto3 and the `aws` command line see, that no secret is
//! anywhere it should not be, and that nobody ever reads what was not there.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use muster_proto::parameterstore::v1::parameter_store_client::ParameterStoreClient;
use muster_proto::parameterstore::v1::{
    GetParameterHistoryRequest, GetParameterRequest, ParameterType, PutParameterRequest,
};
use muster_tests::Cluster;
use muster_wire::NatsChannel;
use serde_json::{Value, json};

const SERVICE: &str = "muster-parameter-store";

async fn cluster() -> Cluster {
    let mut cluster = Cluster::start(&[]).await;
    cluster.add_service(SERVICE).await;
    cluster
}

/// Sections of the specification, as their judges are called, and how many conditions each has at least.
const SECTIONS: [(&str, u64); 12] = [
    ("keys", 20),
    ("answers", 15),
    ("names", 60),
    ("puts", 60),
    ("values", 50),
    ("tiers", 20),
    ("policies", 25),
    ("reads", 45),
    ("labels", 15),
    ("filters", 50),
    ("tags", 10),
    ("pages", 5),
];

#[tokio::test]
async fn boto3_sees_what_the_tables_of_the_spec_say() {
    let cluster = cluster().await;
    let python = std::env::var_os("MUSTER_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/parameters");
    let output = tokio::process::Command::new(python)
        .arg(script)
        .arg(cluster.gateway())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (section, least) in SECTIONS {
        assert!(report[section].as_u64().unwrap() >= least, "{section}: {report}");
    }
}

#[tokio::test]
async fn the_aws_command_line_puts_gets_and_lists() {
    let cluster = cluster().await;
    let aws = cluster.aws();
    let put = [
        "put-parameter",
        "--name",
        "/app/host",
        "--value",
        "db.example.com",
        "--type",
        "String",
    ];
    assert_eq!(aws.ok(&put).await, json!({"Version": 1, "Tier": "Standard"}));
    aws.refused("ParameterAlreadyExists", &put).await;
    let got = aws.ok(&["get-parameter", "--name", "/app/host"]).await;
    assert_eq!(got["Parameter"]["Value"], "db.example.com");
    aws.ok(&[
        "put-parameter",
        "--name",
        "/app/key",
        "--value",
        "s3cret",
        "--type",
        "SecureString",
    ])
    .await;
    let open = aws
        .ok(&["get-parameters-by-path", "--path", "/app", "--with-decryption"])
        .await;
    let values: Vec<_> = open["Parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each["Value"].clone())
        .collect();
    assert_eq!(values, ["db.example.com", "s3cret"]);
    let described = aws.ok(&["describe-parameters"]).await;
    assert_eq!(described["Parameters"].as_array().unwrap().len(), 2);
    assert_eq!(described["Parameters"][0]["Policies"], json!([]));
    aws.ok(&["delete-parameter", "--name", "/app/host"]).await;
    let gone = aws.ok(&["delete-parameters", "--names", "/app/host", "/nobody"]).await;
    assert_eq!(gone["InvalidParameters"], serde_json::json!(["/app/host", "/nobody"]));
    aws.refused("ParameterNotFound", &["get-parameter", "--name", "/app/host"])
        .await;
}

#[tokio::test]
async fn a_secret_is_in_no_log_no_event_and_no_file() {
    const CANARY: &str = "canary-e0b9d64a7c21";
    let mut cluster = cluster().await;
    let mut heard = cluster.bus().await.subscribe("muster.v1.event.>").await.unwrap();
    let aws = cluster.aws();
    aws.ok(&[
        "put-parameter",
        "--name",
        "/s",
        "--value",
        CANARY,
        "--type",
        "SecureString",
    ])
    .await;
    let got = aws.ok(&["get-parameter", "--name", "/s", "--with-decryption"]).await;
    assert_eq!(got["Parameter"]["Value"], CANARY);
    aws.ok(&["get-parameter-history", "--name", "/s", "--with-decryption"])
        .await;
    // Refused in many ways, with the value in the request.
    let wrong = |more: &[&'static str]| {
        let mut words = vec![
            "put-parameter",
            "--name",
            "/s2",
            "--value",
            CANARY,
            "--type",
            "SecureString",
        ];
        words.extend(more);
        words
    };
    for (word, more) in [
        ("ParameterPatternMismatchException", ["--allowed-pattern", "[0-9]+"]),
        ("InvalidKeyId", ["--key-id", "alias/nope"]),
        ("ValidationException", ["--data-type", "integer"]),
        ("ValidationException", ["--description", &*"x".repeat(1025).leak()]),
    ] {
        let complaint = aws.refused(word, &wrong(&more)).await;
        assert!(!complaint.contains(CANARY), "{complaint}");
    }
    let event = tokio::time::timeout(Duration::from_secs(20), futures::StreamExt::next(&mut heard)).await;
    let event = event.unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&event.payload).contains(CANARY));
    cluster.stop(SERVICE).await;
    let mut files = 0;
    let mut folders = vec![cluster.folder().path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                files += 1;
                let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
                assert!(!found, "{} holds the secret", path.display());
            }
        }
    }
    assert!(files > 10, "{files} files were looked at");
}

/// What a client did: when it began and ended, and which version with which value it wrote or read.
#[derive(Debug, Clone)]
struct Deed {
    begun: Instant,
    ended: Instant,
    writes: bool,
    version: i64,
    value: String,
}

/// The versions give the order. It must agree with the time: what ended before another began comes before it.
fn judge(key: &str, mut deeds: Vec<Deed>, kept: &BTreeMap<i64, String>) {
    deeds.sort_by_key(|deed| deed.begun);
    for (at, later) in deeds.iter().enumerate() {
        if let Some(value) = kept.get(&later.version) {
            assert_eq!(value, &later.value, "{key}: version {} is another one", later.version);
        }
        for earlier in deeds[..at].iter().filter(|earlier| earlier.ended < later.begun) {
            let in_order = match later.writes {
                true => later.version > earlier.version,
                false => later.version >= earlier.version,
            };
            assert!(in_order, "{key}: {later:?} came after {earlier:?}");
        }
    }
    let mut written: HashMap<i64, &Deed> = HashMap::new();
    for deed in deeds.iter().filter(|deed| deed.writes) {
        let twice = written.insert(deed.version, deed);
        assert!(twice.is_none(), "{key}: version {} was written twice", deed.version);
    }
}

#[test]
fn the_judge_overlooks_nothing() {
    let start = Instant::now();
    let at = |second: u64| start + Duration::from_secs(second);
    let deed = |begun: u64, ended: u64, writes, version: i64| Deed {
        begun: at(begun),
        ended: at(ended),
        writes,
        version,
        value: format!("v{version}"),
    };
    let kept: BTreeMap<i64, String> = (1..4).map(|version| (version, format!("v{version}"))).collect();
    let is_good = |deeds: &[Deed]| std::panic::catch_unwind(|| judge("k", deeds.to_vec(), &kept)).is_ok();
    // Two puts at once, and reads that saw one of them or the other meanwhile.
    let good = [
        deed(0, 5, true, 2),
        deed(0, 4, true, 1),
        deed(1, 2, false, 1),
        deed(3, 4, false, 2),
    ];
    assert!(is_good(&good));
    // A read of what was overwritten; a read that goes back; a put that was given an older number, or one twice.
    assert!(!is_good(&[deed(0, 1, true, 2), deed(2, 3, false, 1)]));
    assert!(!is_good(&[
        deed(0, 9, true, 2),
        deed(1, 2, false, 2),
        deed(3, 4, false, 1)
    ]));
    assert!(!is_good(&[deed(0, 1, true, 2), deed(2, 3, true, 1)]));
    assert!(!is_good(&[deed(0, 9, true, 2), deed(1, 8, true, 2)]));
    let mut other = deed(0, 1, false, 3);
    other.value = "v2".to_owned();
    assert!(!is_good(&[other]));
}

#[tokio::test]
async fn eight_clients_see_one_order_while_the_service_is_killed() {
    const KEYS: usize = 3;
    let mut cluster = cluster().await;
    let bus = cluster.bus().await;
    let done = Arc::new(AtomicBool::new(false));
    let deeds: Arc<Mutex<HashMap<String, Vec<Deed>>>> = Arc::default();
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let parameters = ParameterStoreClient::new(NatsChannel::new(bus.clone()));
            tokio::spawn(work(client, parameters, Arc::clone(&done), Arc::clone(&deeds)))
        })
        .collect();
    for _ in 0..4 {
        let count = || deeds.lock().unwrap().values().map(Vec::len).sum::<usize>();
        let before = count();
        muster_harness::until("the clients get on", async || {
            (count() > before + 60).then_some(()).ok_or(count())
        })
        .await;
        cluster.kill(SERVICE);
        cluster.restart(SERVICE).await;
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let mut parameters = cluster.api().await.parameters;
    for key in 0..KEYS {
        let key = format!("/lin/{key}");
        let mut request = GetParameterHistoryRequest {
            name: Some(key.clone()),
            with_decryption: Some(true),
            max_results: Some(50),
            next_token: None,
        };
        let mut kept = BTreeMap::new();
        loop {
            let page = parameters
                .get_parameter_history(request.clone())
                .await
                .unwrap()
                .into_inner();
            kept.extend(
                page.parameters
                    .iter()
                    .map(|each| (each.version(), each.value().to_owned())),
            );
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                break;
            }
        }
        let versions: Vec<i64> = kept.keys().copied().collect();
        let (first, last) = (versions[0], versions[versions.len() - 1]);
        assert_eq!(versions, (first..=last).collect::<Vec<_>>(), "{key} has a gap");
        let of_key = deeds.lock().unwrap().remove(&key).unwrap();
        let highest = of_key.iter().map(|deed| deed.version).max().unwrap();
        assert!(last >= highest, "{key}: version {highest} was answered and is lost");
        judge(&key, of_key, &kept);
    }

    async fn work(
        client: usize,
        mut parameters: ParameterStoreClient<NatsChannel>,
        done: Arc<AtomicBool>,
        deeds: Arc<Mutex<HashMap<String, Vec<Deed>>>>,
    ) {
        let mut number = client;
        while !done.load(Ordering::Relaxed) {
            number += 1;
            let key = format!("/lin/{}", number % KEYS);
            let writes = (number / KEYS + client).is_multiple_of(2);
            let begun = Instant::now();
            let outcome = match writes {
                true => {
                    let value = format!("{client} {number}");
                    let mut request = PutParameterRequest {
                        name: Some(key.clone()),
                        value: Some(value.clone()),
                        overwrite: Some(true),
                        ..PutParameterRequest::default()
                    };
                    request.set_type([ParameterType::String, ParameterType::SecureString][client % 2]);
                    let answer = parameters.put_parameter(request).await;
                    answer.ok().map(|answer| (answer.into_inner().version(), value))
                }
                false => {
                    let request = GetParameterRequest {
                        name: Some(key.clone()),
                        with_decryption: Some(true),
                    };
                    let answer = parameters.get_parameter(request).await.ok();
                    let parameter = answer.and_then(|answer| answer.into_inner().parameter);
                    parameter.map(|parameter| (parameter.version(), parameter.value().to_owned()))
                }
            };
            // Whether a put that got no answer was done is not known: its version may be seen, or not.
            if let Some((version, value)) = outcome {
                let deed = Deed {
                    begun,
                    ended: Instant::now(),
                    writes,
                    version,
                    value,
                };
                deeds.lock().unwrap().entry(key).or_default().push(deed);
            }
        }
    }
}

#[tokio::test]
async fn a_key_is_changed_while_the_service_is_killed_again_and_again() {
    const SECRETS: usize = 30;
    let slowly = (SERVICE, "MUSTER_SERVICE__REWRAPS_PER_SECOND", "10".to_owned());
    let mut cluster = Cluster::start_with(&[], &[slowly]).await;
    cluster.add_service(SERVICE).await;
    let api = cluster.api().await;
    let name = |number: usize| format!("/secret/{number}");
    for number in 0..SECRETS {
        let mut request = PutParameterRequest {
            name: Some(name(number)),
            value: Some(format!("value of {number}")),
            ..PutParameterRequest::default()
        };
        request.set_type(ParameterType::SecureString);
        api.parameters.clone().put_parameter(request).await.unwrap();
    }
    let all_are_read = async || {
        for number in 0..SECRETS {
            let request = GetParameterRequest {
                name: Some(name(number)),
                with_decryption: Some(true),
            };
            let got = api
                .parameters
                .clone()
                .get_parameter(request)
                .await
                .unwrap()
                .into_inner();
            assert_eq!(got.parameter.unwrap().value(), format!("value of {number}"));
        }
    };
    let file = cluster.folder().join("parameter-store.key");
    let old = std::fs::read_to_string(&file).unwrap();
    let new = "aws/ssm 2 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

    // Killed with the file changed and nothing else, and then four times in the middle of wrapping.
    std::fs::write(&file, format!("{new}{old}")).unwrap();
    for _ in 0..5 {
        cluster.kill(SERVICE);
        cluster.restart(SERVICE).await;
        all_are_read().await;
        all_are_read().await;
    }
    muster_harness::until("all data keys are wrapped anew", async || {
        let log = cluster.log(SERVICE);
        // It is said when none is left.
        if log.contains("data keys were wrapped anew") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    all_are_read().await;
    // Nothing needs the old version any more.
    std::fs::write(&file, new).unwrap();
    cluster.stop(SERVICE).await;
    cluster.restart(SERVICE).await;
    all_are_read().await;
}
