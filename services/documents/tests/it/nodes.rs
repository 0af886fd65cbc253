//! Nodes read documents on their own subjects, each in the role of its activation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_harness::{Anybody, until};
use muster_proto::access::v1::decisions_server::{Decisions, DecisionsServer};
use muster_proto::access::v1::{
    Decision, DecisionRecord, GetPrincipalRequest, GetPrincipalResult, PrincipalPolicy, RecordDecisionsRequest,
    RecordDecisionsResult,
};
use muster_proto::agent::v1::{DocumentRequest, DocumentResult};
use muster_proto::fleet::v1::nodes_server::{Nodes, NodesServer};
use muster_proto::fleet::v1::{GetNodeRoleRequest, GetNodeRoleResult};
use muster_wire::{CallMetrics, Mount, Mounted, NatsStatus};
use prometheus_client::registry::Registry;
use prost::Message as _;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use crate::service::{Service, new, saying};

const PLAIN: &str = "mi-0123456789abcdef0";
const OF_WEB: &str = "mi-0123456789abcdef1";
const OF_NOBODY: &str = "mi-0123456789abcdef2";
const STRANGER: &str = "mi-0123456789abcdef3";

/// Fleet, as far as documents asks it: in which role nodes act.
struct Fleet;

#[tonic::async_trait]
impl Nodes for Fleet {
    async fn get_node_role(&self, request: Request<GetNodeRoleRequest>) -> Result<Response<GetNodeRoleResult>, Status> {
        let node = request.into_inner().node_id;
        let role = match node.as_str() {
            OF_WEB => "Web",
            OF_NOBODY => "Nobody",
            _ => "",
        };
        Ok(Response::new(GetNodeRoleResult {
            is_managed: node != STRANGER,
            iam_role: role.to_owned(),
        }))
    }
}

/// Access, which knows the role Web, and keeps what was decided.
#[derive(Default)]
struct Access(Mutex<Vec<DecisionRecord>>);

#[tonic::async_trait]
impl Decisions for Access {
    async fn get_principal(
        &self,
        request: Request<GetPrincipalRequest>,
    ) -> Result<Response<GetPrincipalResult>, Status> {
        let is_web = request.into_inner().arn().contains(":assumed-role/Web/");
        let policy = PrincipalPolicy {
            policy_name: Some("web".to_owned()),
            policy_document: Some(
                r#"{"Version":"2012-10-17","Statement":[
                {"Effect":"Allow","Action":"ssm:GetDocument","Resource":"arn:aws:ssm:*:*:document/Web-*"}]}"#
                    .to_owned(),
            ),
        };
        Ok(Response::new(GetPrincipalResult {
            known: Some(is_web),
            policies: if is_web { vec![policy] } else { Vec::new() },
            ..GetPrincipalResult::default()
        }))
    }

    async fn record_decisions(
        &self,
        request: Request<RecordDecisionsRequest>,
    ) -> Result<Response<RecordDecisionsResult>, Status> {
        let mut kept = self.0.lock().expect("no panic");
        kept.extend(request.into_inner().decisions);
        Ok(Response::new(RecordDecisionsResult::default()))
    }
}

async fn mount(service: &Service) -> Mount {
    let metrics = CallMetrics::register(&mut Registry::default());
    Mount::new(service.nats.clone(), metrics, Arc::new(Anybody::default()))
}

async fn start(mount: Mount) -> Mounted {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    mount
        .start(listener, axum::Router::new())
        .await
        .expect("the bus takes it")
}

/// A fleet whose nodes have no roles; access is not asked about them.
pub(crate) async fn fleet(service: &Service) -> Mounted {
    start(mount(service).await.add_on_bus(NodesServer::new(Fleet))).await
}

async fn read(service: &Service, node: &str, name: &str) -> Result<String, (String, String)> {
    let question = DocumentRequest {
        name: name.to_owned(),
        ..DocumentRequest::default()
    };
    let subject = format!("muster.v1.rpc.{node}.doc.get");
    let answer = service
        .nats
        .request(subject, question.encode_to_vec().into())
        .await
        .unwrap();
    match answer.headers {
        None => Ok(DocumentResult::decode(answer.payload).unwrap().name),
        Some(headers) => {
            let text = |name: &str| headers.get(name).map(ToString::to_string).unwrap_or_default();
            Err((text(NatsStatus::REASON), text("Nats-Service-Error")))
        }
    }
}

#[tokio::test]
async fn a_node_reads_what_its_role_may_read() {
    let service = Service::start().await;
    for name in ["Web-Setup", "Db-Setup"] {
        service
            .by_nats()
            .create_document(new(name, saying("hello")))
            .await
            .unwrap();
    }
    // Nobody knows yet in which roles nodes act: then they may do nothing, and ask again.
    let (word, _) = read(&service, PLAIN, "Web-Setup").await.unwrap_err();
    assert_ne!(word, "AccessDeniedException");

    let fleet = fleet(&service).await;
    assert_eq!(
        read(&service, PLAIN, "Db-Setup").await.unwrap(),
        "Db-Setup",
        "as every node may"
    );
    let (word, _) = read(&service, STRANGER, "Db-Setup").await.unwrap_err();
    assert_eq!(word, "InvalidInstanceId");
    assert!(read(&service, OF_WEB, "Web-Setup").await.is_err(), "access is away");

    let access = Arc::new(Access::default());
    let decisions = start(
        mount(&service)
            .await
            .add_on_bus(DecisionsServer::from_arc(Arc::clone(&access))),
    )
    .await;
    assert_eq!(read(&service, OF_WEB, "Web-Setup").await.unwrap(), "Web-Setup");
    for name in ["Db-Setup", "AWS-RunShellScript", "Missing"] {
        let (word, text) = read(&service, OF_WEB, name).await.unwrap_err();
        assert_eq!(word, "AccessDeniedException", "{name}");
        let who = format!("User: arn:aws:sts::000000000000:assumed-role/Web/{OF_WEB} is not authorized");
        assert!(text.starts_with(&who) && text.contains("ssm:GetDocument"), "{text}");
    }
    // A role that access does not know is no reason to know less than other nodes.
    assert_eq!(read(&service, OF_NOBODY, "Db-Setup").await.unwrap(), "Db-Setup");
    let records = until("what was decided is written down", async || {
        let kept = access.0.lock().unwrap().clone();
        (kept.len() >= 5).then_some(kept.clone()).ok_or(kept.len())
    })
    .await;
    let denied = records
        .iter()
        .filter(|record| record.decision() == Decision::ImplicitDeny);
    assert_eq!(denied.count(), 3);
    assert!(records.iter().all(|record| record.surface() == "node"));
    decisions.stop(Duration::from_secs(5)).await;
    fleet.stop(Duration::from_secs(5)).await;
    service.stop().await;
}
