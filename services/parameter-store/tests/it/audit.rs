//! Whoever is shown a secret in clear is in the audit log with its name and its version, whatever the way to it was.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::HeaderMap;
use muster_harness::Anybody;
use muster_proto::access::v1::decisions_server::{Decisions, DecisionsServer};
use muster_proto::access::v1::{
    DecisionRecord, GetPrincipalRequest, GetPrincipalResult, PrincipalPolicy, RecordDecisionsRequest,
    RecordDecisionsResult,
};
use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::{
    GetParameterHistoryRequest, GetParametersByPathRequest, GetParametersByPathResult, GetParametersRequest,
    ParameterTier, PutParameterResult,
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

    /// What was read since the last time: resource, action and details.
    fn reads(&self) -> Vec<(String, String, String)> {
        let log = std::mem::take(&mut *self.0.lock().unwrap());
        let text = format!("{log:?}");
        assert!(!text.contains(CANARY), "{text}");
        let reads = log.into_iter().filter(|record| !record.details.is_empty());
        reads
            .map(|record| {
                assert_eq!(record.principal(), ALICE);
                let name = record.resource().rsplit(":parameter").next().unwrap().to_owned();
                // Without the version of the key, which is random.
                let details = record.details[..3].join(" ");
                (name, record.action().to_owned(), details)
            })
            .collect()
    }
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

fn read(name: &str, operation: &str, version: i64) -> (String, String, String) {
    let details = format!("version={version} decrypted=true key=file:aws/ssm");
    (name.to_owned(), format!("ssm:{operation}"), details)
}

#[tokio::test]
async fn each_secret_that_is_shown_is_in_the_audit_log() {
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
    let below = GetParametersByPathRequest {
        with_decryption: Some(true),
        ..by_path("/app", true)
    };
    let shown: GetParametersByPathResult = ask(&service, "GetParametersByPath", &below).await;
    assert_eq!(shown.parameters.len(), 3);
    let by_path_of = |name, version| read(name, "GetParametersByPath", version);
    assert_eq!(access.reads(), [by_path_of("/app/a", 2), by_path_of("/app/b", 1)]);

    let _: () = ask(&service, "GetParameter", &decrypted("/app/a:1")).await;
    assert_eq!(access.reads(), [read("/app/a", "GetParameter", 1)]);
    let many = GetParametersRequest {
        with_decryption: Some(true),
        ..get_many(&["/app/b", "/app/c"])
    };
    let _: () = ask(&service, "GetParameters", &many).await;
    assert_eq!(access.reads(), [read("/app/b", "GetParameters", 1)]);
    let history = GetParameterHistoryRequest {
        name: Some("/app/a".to_owned()),
        with_decryption: Some(true),
        ..GetParameterHistoryRequest::default()
    };
    let _: () = ask(&service, "GetParameterHistory", &history).await;
    let of_history = |version| read("/app/a", "GetParameterHistory", version);
    assert_eq!(access.reads(), [of_history(1), of_history(2)]);

    // Encrypted they are no secrets.
    let _: () = ask(&service, "GetParametersByPath", &by_path("/app", true)).await;
    let _: () = ask(&service, "GetParameter", &get("/app/a")).await;
    assert_eq!(access.reads(), []);
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
