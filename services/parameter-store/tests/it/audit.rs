//! Whoever is shown a secret in clear is in the audit log with its name and its version, whatever the way to it was; and so
//! is what became of every other call.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::HeaderMap;
use muster_harness::{Anybody, until};
use muster_proto::access::v1::decisions_server::{Decisions, DecisionsServer};
use muster_proto::access::v1::{
    DecisionRecord, GetPrincipalRequest, GetPrincipalResult, PrincipalPolicy, RecordDecisionsRequest,
    RecordDecisionsResult,
};
use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::{
    DeleteParametersRequest, DescribeParametersRequest, GetParameterHistoryRequest, GetParametersByPathRequest,
    GetParametersByPathResult, GetParametersRequest, LabelParameterVersionRequest, ParameterTier, PutParameterRequest,
    PutParameterResult,
};
use muster_wire::{CallMetrics, Caller, CallerKind, Mount, Mounted, NatsChannel, Principal, subject};
use prometheus_client::registry::Registry;
use prost::Message;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use crate::service::{Service, by_path, decrypted, get, get_many, overwrite, refusal, secure};

const ALICE: &str = "arn:aws:iam::000000000000:user/alice";
const CANARY: &str = "canary-5be0c3a1";

/// Access, where everybody is an admin, but for what a policy denies.
#[derive(Debug, Clone, Default)]
struct Access(Arc<Mutex<Vec<DecisionRecord>>>, Option<String>);

#[tonic::async_trait]
impl Decisions for Access {
    async fn get_principal(&self, _: Request<GetPrincipalRequest>) -> Result<Response<GetPrincipalResult>, Status> {
        let admin = PrincipalPolicy {
            policy_name: Some("admin".to_owned()),
            policy_document: None,
        };
        let denying = self.1.clone().map(|text| PrincipalPolicy {
            policy_name: Some("denying".to_owned()),
            policy_document: Some(text),
        });
        Ok(Response::new(GetPrincipalResult {
            known: Some(true),
            policies: [admin].into_iter().chain(denying).collect(),
            ..GetPrincipalResult::default()
        }))
    }

    async fn record_decisions(
        &self,
        request: Request<RecordDecisionsRequest>,
    ) -> Result<Response<RecordDecisionsResult>, Status> {
        self.0.lock().unwrap().extend(request.into_inner().decisions);
        Ok(Response::new(RecordDecisionsResult { sequence: Some(1) }))
    }
}

impl Access {
    async fn start(&self, service: &Service) -> Mounted {
        let metrics = CallMetrics::register(&mut Registry::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Mount::new(service.nats.clone(), metrics, Arc::new(Anybody::default()))
            .add_on_bus(DecisionsServer::new(self.clone()))
            .start(listener, axum::Router::new())
            .await
            .unwrap()
    }

    /// What came of the calls since the last time, in so many records: resource, action and details.
    async fn told(&self, count: usize) -> Vec<(String, String, String)> {
        // What nobody waits for comes a moment later.
        until("the log has all of them", async || {
            let told = self.records();
            match told.len() >= count {
                true => Ok(()),
                false => Err(told),
            }
        })
        .await;
        let log = std::mem::take(&mut *self.0.lock().unwrap());
        let text = format!("{log:?}");
        assert!(!text.contains(CANARY), "{text}");
        told_by(&log)
    }

    fn records(&self) -> Vec<(String, String, String)> {
        told_by(&self.0.lock().unwrap())
    }
}

fn told_by(log: &[DecisionRecord]) -> Vec<(String, String, String)> {
    let told = log.iter().filter(|record| !record.details.is_empty());
    told.map(|record| {
        assert_eq!(record.principal(), ALICE);
        let name = record.resource().rsplit(":parameter").next().unwrap().to_owned();
        // The version of the key is random.
        let details = record
            .details
            .iter()
            .filter(|detail| !detail.starts_with("key-version="));
        let details: Vec<&str> = details.map(String::as_str).collect();
        (name, record.action().to_owned(), details.join(" "))
    })
    .collect()
}

/// Alice asks.
async fn ask<Q: Message, A: Message + Default>(service: &Service, operation: &str, question: &Q) -> A {
    try_to_ask(service, operation, question).await.unwrap()
}

/// Alice asks, and may be refused.
async fn try_to_ask<Q: Message, A: Message + Default>(
    service: &Service,
    operation: &str,
    question: &Q,
) -> Result<A, Status> {
    let alice = Caller {
        principal: Principal::new(ALICE).unwrap(),
        kind: CallerKind::User,
        ..Caller::service()
    };
    let mut headers = HeaderMap::new();
    headers.insert(Caller::HEADER, alice.to_header());
    let subject = subject::api("ParameterStore", operation);
    let channel = NatsChannel::new(service.nats.clone());
    let answer = channel
        .request(subject, headers, question.encode_to_vec().into())
        .await?;
    Ok(A::decode(answer).unwrap())
}

fn line(name: &str, operation: &str, details: &str) -> (String, String, String) {
    (name.to_owned(), format!("ssm:{operation}"), details.to_owned())
}

/// A version that was shown in clear.
fn read(name: &str, operation: &str, version: i64) -> (String, String, String) {
    let details = format!("version={version} decrypted=true key=file:aws/ssm outcome=OK");
    line(name, operation, &details)
}

async fn with_parameters() -> (Service, Access, Mounted) {
    let service = Service::start().await;
    let access = Access::default();
    let mounted = access.start(&service).await;
    let mut parameters = service.by_nats();
    for request in [
        secure("/app/a", CANARY),
        secure("/app/a", CANARY),
        secure("/app/b", CANARY),
        overwrite("/app/c", CANARY),
    ] {
        parameters.put_parameter(request).await.unwrap();
    }
    (service, access, mounted)
}

#[tokio::test]
async fn each_secret_that_is_shown_is_in_the_audit_log() {
    let (service, access, mounted) = with_parameters().await;
    let below = GetParametersByPathRequest {
        with_decryption: Some(true),
        ..by_path("/app", true)
    };
    let shown: GetParametersByPathResult = ask(&service, "GetParametersByPath", &below).await;
    assert_eq!(shown.parameters.len(), 3);
    let found = |name, version| read(name, "GetParametersByPath", version);
    // Secrets are there before they are shown, so nobody has to wait for this.
    assert_eq!(access.records().len(), 4, "the path, and each parameter");
    access.0.lock().unwrap().clear();
    let _: () = ask(&service, "GetParametersByPath", &below).await;
    assert_eq!(
        access.told(4).await,
        [
            line("/app", "GetParametersByPath", "outcome=OK"),
            found("/app/a", 2),
            found("/app/b", 1),
            line("/app/c", "GetParametersByPath", "version=1 outcome=OK"),
        ]
    );

    let _: () = ask(&service, "GetParameter", &decrypted("/app/a:1")).await;
    let of_selected = "version=1 selector=:1 decrypted=true key=file:aws/ssm outcome=OK";
    assert_eq!(access.told(1).await, [line("/app/a", "GetParameter", of_selected)]);
    let many = GetParametersRequest {
        with_decryption: Some(true),
        ..get_many(&["/app/b", "/app/c", "/app/d"])
    };
    let _: () = ask(&service, "GetParameters", &many).await;
    assert_eq!(
        access.told(3).await,
        [
            read("/app/b", "GetParameters", 1),
            line("/app/c", "GetParameters", "version=1 outcome=OK"),
            line("/app/d", "GetParameters", "outcome=ParameterNotFound"),
        ]
    );
    let history = GetParameterHistoryRequest {
        name: Some("/app/a".to_owned()),
        with_decryption: Some(true),
        ..GetParameterHistoryRequest::default()
    };
    let _: () = ask(&service, "GetParameterHistory", &history).await;
    let of_history = |version| read("/app/a", "GetParameterHistory", version);
    assert_eq!(access.told(2).await, [of_history(1), of_history(2)]);
    mounted.stop(Duration::from_secs(5)).await;
    service.stop().await;
}

#[tokio::test]
async fn what_became_of_each_call_is_in_the_audit_log() {
    let (service, access, mounted) = with_parameters().await;
    let sealed = "version=2 decrypted=false key=file:aws/ssm outcome=OK";
    let _: () = ask(&service, "GetParameter", &get("/app/a")).await;
    assert_eq!(access.told(1).await, [line("/app/a", "GetParameter", sealed)]);

    for (asked, details) in [
        ("/app/none", "outcome=ParameterNotFound"),
        ("/app/a:9", "selector=:9 outcome=ParameterVersionNotFound"),
    ] {
        let name = asked.split(':').next().unwrap();
        let refused = try_to_ask::<_, ()>(&service, "GetParameter", &get(asked)).await;
        assert!(refused.is_err());
        assert_eq!(access.told(1).await, [line(name, "GetParameter", details)]);
    }
    let _: () = ask(&service, "PutParameter", &overwrite("/app/c", "two")).await;
    assert_eq!(
        access.told(1).await,
        [line("/app/c", "PutParameter", "version=2 outcome=OK")]
    );
    let again = PutParameterRequest {
        overwrite: None,
        ..overwrite("/app/c", "three")
    };
    let refused = try_to_ask::<_, PutParameterResult>(&service, "PutParameter", &again).await;
    assert_eq!(refusal(refused).0, Reason::ParameterAlreadyExists);
    assert_eq!(
        access.told(1).await,
        [line("/app/c", "PutParameter", "outcome=ParameterAlreadyExists")]
    );
    let label = LabelParameterVersionRequest {
        name: Some("/app/c".to_owned()),
        labels: vec!["live".to_owned()],
        ..LabelParameterVersionRequest::default()
    };
    let _: () = ask(&service, "LabelParameterVersion", &label).await;
    assert_eq!(
        access.told(1).await,
        [line("/app/c", "LabelParameterVersion", "version=2 outcome=OK")]
    );
    let _: () = ask(&service, "DescribeParameters", &DescribeParametersRequest::default()).await;
    assert_eq!(access.told(1).await, [line("*", "DescribeParameters", "outcome=OK")]);
    let names = ["/app/c", "/app/d"].map(str::to_owned).to_vec();
    let _: () = ask(&service, "DeleteParameters", &DeleteParametersRequest { names }).await;
    assert_eq!(
        access.told(2).await,
        [
            line("/app/c", "DeleteParameters", "outcome=OK"),
            line("/app/d", "DeleteParameters", "outcome=ParameterNotFound"),
        ]
    );
    mounted.stop(Duration::from_secs(5)).await;
    service.stop().await;
}

#[tokio::test]
async fn the_tier_decides_which_right_to_a_key_a_put_needs() {
    for (denied, other, tier) in [
        ("GenerateDataKey", ParameterTier::Standard, ParameterTier::Advanced),
        ("Encrypt", ParameterTier::Advanced, ParameterTier::Standard),
    ] {
        let service = Service::start().await;
        let text = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Deny", "Action": "kms:{denied}", "Resource": "*"}}}}"#
        );
        let access = Access(Arc::default(), Some(text));
        let mounted = access.start(&service).await;
        let mut request = secure("/x", CANARY);
        request.set_tier(tier);
        let refused = try_to_ask::<_, PutParameterResult>(&service, "PutParameter", &request).await;
        let (word, message) = refusal(refused);
        assert_eq!(word, Reason::AccessDeniedException);
        assert!(message.contains(&format!("perform: kms:{denied} on")), "{message}");
        request.set_tier(other);
        let put: PutParameterResult = ask(&service, "PutParameter", &request).await;
        assert_eq!(put.version(), 1, "the refused one made none");
        service.stop().await;
        drop(mounted);
    }
}
