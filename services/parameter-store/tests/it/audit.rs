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
use muster_proto::parameterstore::v1::{
    GetParameterHistoryRequest, GetParametersByPathRequest, GetParametersByPathResult, GetParametersRequest,
};
use muster_wire::{CallMetrics, Caller, CallerKind, Mount, Mounted, NatsChannel, Principal, subject};
use prometheus_client::registry::Registry;
use prost::Message;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use crate::service::{Service, by_path, decrypted, get, get_many, overwrite, secure};

const ALICE: &str = "arn:aws:iam::000000000000:user/alice";
const CANARY: &str = "canary-5be0c3a1";

/// Access, where everybody is an admin.
#[derive(Debug, Clone, Default)]
struct Access(Arc<Mutex<Vec<DecisionRecord>>>);

#[tonic::async_trait]
impl Decisions for Access {
    async fn get_principal(&self, _: Request<GetPrincipalRequest>) -> Result<Response<GetPrincipalResult>, Status> {
        let admin = PrincipalPolicy {
            policy_name: Some("admin".to_owned()),
            policy_document: None,
        };
        Ok(Response::new(GetPrincipalResult {
            known: Some(true),
            policies: vec![admin],
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
        .await
        .unwrap();
    A::decode(answer).unwrap()
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
