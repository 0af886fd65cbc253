//! Keys in AWS KMS, played by moto.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use muster_harness::{Python, until};
use muster_parameter_store::{ProviderKind, Settings};
use muster_proto::aws::v1::Reason;
use serde_json::{Value, json};

use crate::providers::{private, value};
use crate::service::{Service, decrypted, get, refusal, secure};

/// What the service asked for, and what moto does not refuse although KMS would.
#[derive(Debug, Default)]
struct Front {
    moto: String,
    /// Operations with the keys that they were asked for.
    asked: Mutex<Vec<(String, String)>>,
    /// The ARN of a key that is disabled: moto decrypts with it all the same.
    disabled: Mutex<String>,
}

async fn ask(moto: &str, operation: &str, body: String) -> (u16, String) {
    let answer = reqwest::Client::new()
        .post(moto)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", operation)
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=00",
        )
        .body(body)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn pass_on(State(front): State<Arc<Front>>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.rsplit('.').next().unwrap().to_owned();
    let key = serde_json::from_str::<Value>(&body).unwrap()["KeyId"]
        .as_str()
        .unwrap()
        .to_owned();
    front.asked.lock().unwrap().push((operation.clone(), key.clone()));
    if operation == "Decrypt" && *front.disabled.lock().unwrap() == key {
        let refused = json!({"__type": "DisabledException", "message": format!("{key} is disabled.")});
        return (StatusCode::BAD_REQUEST, refused.to_string());
    }
    let (status, answer) = ask(&front.moto, target, body).await;
    (StatusCode::from_u16(status).unwrap(), answer)
}

/// moto's KMS, with the keys that a test makes; the service asks it through somebody who counts.
struct Kms {
    moto: Python,
    front: Arc<Front>,
    url: String,
}

impl Kms {
    async fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/key_service.py");
        let moto = Python::start(&script, None);
        let front = Arc::new(Front {
            moto: moto.url("/"),
            ..Front::default()
        });
        let router = Router::new().fallback(pass_on).with_state(Arc::clone(&front));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { moto, front, url }
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    async fn call(&self, operation: &str, body: Value) -> Value {
        let (_, answer) = ask(&self.front.moto, &format!("TrentService.{operation}"), body.to_string()).await;
        serde_json::from_str(&answer).unwrap_or_default()
    }

    /// The id of a new key.
    async fn key(&self, body: Value) -> String {
        let made = self.call("CreateKey", body).await;
        made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    /// Makes an alias, or points it at another key.
    async fn alias(&self, what: &str, alias: &str, key: &str) {
        let body = json!({"AliasName": alias, "TargetKeyId": key});
        assert_eq!(self.call(&format!("{what}Alias"), body).await, Value::Null);
    }

    /// The keys that an operation was asked for since this was asked last, in their order.
    fn asked(&self, operation: &str) -> Vec<String> {
        let mut asked = self.front.asked.lock().unwrap();
        let own = asked.extract_if(.., |(asked, _)| asked == operation);
        let mut keys: Vec<String> = own.map(|(_, key)| key).collect();
        keys.sort_unstable();
        keys
    }
}

#[tokio::test]
async fn keys_in_kms_wrap_and_unwrap() {
    let kms = Kms::start().await;
    let (_folder, credentials) =
        private("[default]\naws_access_key_id = AKID\naws_secret_access_key = canary-secret\n");
    let key = kms.key(json!({})).await;
    kms.alias("Create", "alias/mine", &key).await;
    let with = |settings: &mut Settings| {
        settings.provider = ProviderKind::AwsKms;
        settings.aws_kms.url = kms.url();
        settings.aws_kms.credentials_file.clone_from(&credentials);
    };
    let service = Service::with(with).await;
    let mut parameters = service.by_nats();
    let mut mine = secure("/mine", "one");
    mine.key_id = Some("alias/mine".to_owned());
    parameters.put_parameter(mine.clone()).await.unwrap();
    parameters.put_parameter(secure("/default", "two")).await.unwrap();
    assert_eq!(
        (value(&service, "/mine").await, value(&service, "/default").await),
        ("one".to_owned(), "two".to_owned())
    );
    // The default key, named or not. Moto lets everybody use that of AWS; AWS itself does not (`default_key`).
    let mut named = secure("/named", "three");
    named.key_id = Some("alias/aws/ssm".to_owned());
    parameters.put_parameter(named).await.unwrap();
    assert_eq!(value(&service, "/named").await, "three");
    let default = kms.call("DescribeKey", json!({"KeyId": "alias/aws/ssm"})).await["KeyMetadata"]["KeyId"].clone();
    let default = default.as_str().unwrap();
    let tables = String::from_utf8_lossy(&service.tables()).into_owned();
    assert!(default != key && tables.matches(default).count() >= 2, "{default}");
    assert!(!service.key_file().exists(), "nobody needs it");
    mine.key_id = Some("alias/nope".to_owned());
    assert_eq!(
        refusal(parameters.put_parameter(mine.clone()).await).0,
        Reason::InvalidKeyId
    );
    let tables = String::from_utf8_lossy(&service.tables()).into_owned();
    assert!(tables.contains(&key), "the key and not only its alias is kept");
    // Where the default key of AWS is not to be had, another one is.
    let own = Service::with(|settings: &mut Settings| {
        with(settings);
        "alias/mine".clone_into(&mut settings.aws_kms.default_key);
    });
    let own = own.await;
    own.by_nats().put_parameter(secure("/default", "four")).await.unwrap();
    assert_eq!(value(&own, "/default").await, "four");
    assert!(String::from_utf8_lossy(&own.tables()).contains(&key));
    // It forgets all keys.
    let reset = reqwest::Client::new()
        .post(kms.moto.url("/moto-api/reset"))
        .send()
        .await
        .unwrap();
    assert!(reset.status().is_success());
    let (word, text) = refusal(parameters.get_parameter(decrypted("/mine")).await);
    assert_eq!(word, Reason::InvalidKeyId, "{text}");
    assert!(
        parameters.get_parameter(get("/mine")).await.is_ok(),
        "encrypted it can be shown"
    );
    service.stop().await;
}

fn arn(key: &str) -> String {
    format!("arn:aws:kms:us-east-1:123456789012:key/{key}")
}

/// Waits until a round is over that has left so many data keys to each of these keys. It shows its counts at its end.
async fn wrapped(service: &Service, counts: &[(&str, usize)]) {
    until("the data keys are wrapped with other keys", async || {
        let metrics = service.metrics().await;
        let count = |(key, count): &(&str, usize)| {
            let arn = arn(key);
            format!(r#"muster_parameter_store_data_keys{{provider="aws-kms",key="{arn}",version="-"}} {count}"#)
        };
        let has_all = counts
            .iter()
            .map(count)
            .all(|line| metrics.lines().any(|shown| shown == line));
        has_all.then_some(()).ok_or(metrics)
    })
    .await;
}

#[tokio::test]
async fn what_was_wrapped_for_an_alias_follows_it_to_another_key() {
    let kms = Kms::start().await;
    let (_folder, credentials) = private("[default]\naws_access_key_id = AKID\naws_secret_access_key = s\n");
    let with = |settings: &mut Settings| {
        settings.provider = ProviderKind::AwsKms;
        settings.aws_kms.url = kms.url();
        settings.aws_kms.credentials_file.clone_from(&credentials);
        "alias/default".clone_into(&mut settings.aws_kms.default_key);
    };
    let (first, second, third) = (
        kms.key(json!({})).await,
        kms.key(json!({})).await,
        kms.key(json!({})).await,
    );
    let closed = json!({"Statement": [{"Effect": "Deny", "Action": ["kms:DescribeKey"], "Resource": "*"}]});
    let closed = kms.key(json!({"Policy": closed.to_string()})).await;
    for alias in ["alias/mine", "alias/default", "alias/lost", "alias/closed"] {
        kms.alias("Create", alias, &first).await;
    }
    let service = Service::with(with).await;
    let mine = "arn:aws:kms:us-east-1:123456789012:alias/mine";
    let named = [
        ("/mine", "alias/mine"),
        ("/mine", "alias/mine"),
        ("/mine/too", "alias/mine"),
        ("/arn", mine),
        ("/default", "alias/aws/ssm"),
        ("/id", &first),
        ("/lost", "alias/lost"),
        ("/closed", "alias/closed"),
    ];
    for (number, (name, key)) in named.into_iter().enumerate() {
        let mut put = secure(name, &number.to_string());
        put.key_id = Some(key.to_owned());
        service.by_nats().put_parameter(put).await.unwrap();
    }
    kms.alias("Update", "alias/mine", &second).await;
    kms.alias("Update", "alias/default", &second).await;
    kms.alias("Update", "alias/closed", &closed).await;
    kms.call("DeleteAlias", json!({"AliasName": "alias/lost"})).await;
    kms.asked("Encrypt");
    kms.asked("DescribeKey");
    // They follow after the next start, or within a minute.
    let service = service.restart_with(with).await;
    wrapped(&service, &[(&first, 3), (&second, 5)]).await;
    assert_eq!(kms.asked("Encrypt").len(), 5);
    assert_eq!(
        kms.asked("DescribeKey"),
        ["alias/closed", "alias/default", "alias/lost", "alias/mine", mine],
        "each name once, and a key that cannot become another one not at all"
    );
    // The old key can go.
    kms.call("ScheduleKeyDeletion", json!({"KeyId": first})).await;
    *kms.front.disabled.lock().unwrap() = arn(&first);
    for (name, expected) in [
        ("/mine:1", "0"),
        ("/mine", "1"),
        ("/mine/too", "2"),
        ("/arn", "3"),
        ("/default", "4"),
    ] {
        assert_eq!(value(&service, name).await, expected, "{name}");
    }
    for name in ["/id", "/lost", "/closed"] {
        let refused = refusal(service.by_nats().get_parameter(decrypted(name)).await);
        assert_eq!(refused.0, Reason::InvalidKeyId, "{name}: {}", refused.1);
    }
    // Only what is pointed at another key again is wrapped again.
    kms.alias("Update", "alias/default", &third).await;
    let service = service.restart_with(with).await;
    wrapped(&service, &[(&first, 3), (&second, 4), (&third, 1)]).await;
    assert_eq!(kms.asked("Encrypt"), ["alias/default"]);
    // The setting may name another key, too, and by its id.
    let service = service
        .restart_with(|settings| {
            with(settings);
            settings.aws_kms.default_key.clone_from(&second);
        })
        .await;
    wrapped(&service, &[(&first, 3), (&second, 5)]).await;
    assert_eq!(kms.asked("Encrypt"), [second.as_str()]);
    assert_eq!(value(&service, "/default").await, "4");
    service.stop().await;
}
