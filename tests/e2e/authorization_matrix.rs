//! Every operation that is served, for everybody with a built-in policy and for somebody without one, by the real gateway,
//! by NATS, and by gRPC with a bearer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_nats::HeaderMap;
use bytes::{Buf as _, BufMut as _, Bytes};
use muster_credential::layout::SERVICES;
use muster_harness::{Signed, until};
use muster_policy::{Action, Arn, Context, Decision, PolicySet, Principal, builtin};
use muster_proto::access::v1::audit_client::AuditClient;
use muster_proto::access::v1::{AuditRecord, Decision as Word, ListAuditRecordsRequest};
use muster_proto::facts;
use muster_tests::{Cluster, People};
use muster_wire::{Failure, NatsChannel, NatsStatus, Reason, aws_json, limits, subject};
use prost::Message as _;
use prost_reflect::MethodDescriptor;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::authorization::signed_gateway;

const NODE: &str = "mi-00000000000000000";
const KEY: &str = "MKIA0000000000000000";

/// A request of each operation that breaks no limit and names nothing that is there. An operation that is not here takes
/// an empty request.
pub(crate) fn body(operation: &str) -> String {
    let (name, hash) = (r#""Name": "Nothing-here""#, "0".repeat(64));
    let user = r#""UserName": "stranger""#;
    let group = r#""GroupName": "strangers""#;
    let policy = r#""PolicyName": "strange""#;
    let parameter = r#""Name": "/nothing-here""#;
    let command = r#""CommandId": "00000000-0000-4000-8000-000000000000""#;
    let members = match operation {
        "SendCommand" => format!(r#""DocumentName": "Nothing-here", "InstanceIds": ["{NODE}"]"#),
        "GetCommandInvocation" => format!(r#"{command}, "InstanceId": "{NODE}""#),
        "CancelCommand" | "ListCommandInvocations" | "ListLogStreams" => command.to_owned(),
        "OfferOutput" => format!(r#""Listener": "listener", "Follow": {{{command}}}"#),
        "Validate" => r#""Content": "{}""#.to_owned(),
        "ReadLogStream" => format!(r#"{command}, "LogStream": "nothing""#),
        "CreateDocument" => format!(r#"{name}, "Content": "nothing""#),
        "UpdateDocument" => format!(r#"{name}, "Content": "nothing""#),
        "UpdateDocumentDefaultVersion" => format!(r#"{name}, "DocumentVersion": "1""#),
        "DescribeDocumentPermission" => format!(r#"{name}, "PermissionType": "Share""#),
        "ModifyDocumentPermission" => format!(r#"{name}, "PermissionType": "Share", "AccountIdsToAdd": ["all"]"#),
        "UpdateDocumentMetadata" => format!(r#"{name}, "DocumentReviews": {{"Action": "Approve"}}"#),
        "ListDocumentMetadataHistory" => format!(r#"{name}, "Metadata": "DocumentReviews""#),
        "GetDocument" | "DescribeDocument" | "DeleteDocument" | "ListDocumentVersions" => name.to_owned(),
        "CreateActivation" => r#""IamRole": "Nobody""#.to_owned(),
        "DeleteActivation" => r#""ActivationId": "00000000-0000-4000-8000-000000000000""#.to_owned(),
        "DeregisterManagedInstance" => format!(r#""InstanceId": "{NODE}""#),
        "UpdateManagedInstanceRole" => format!(r#""InstanceId": "{NODE}", "IamRole": "Nobody""#),
        "GetConnectionStatus" => format!(r#""Target": "{NODE}""#),
        "ApproveNode" | "RotateKey" => format!(r#""nodeId": "{NODE}""#),
        "ListNodesSummary" => {
            let aggregator = r#"{"AggregatorType": "Count", "TypeName": "Instance", "AttributeName": "PlatformType"}"#;
            format!(r#""Aggregators": [{aggregator}]"#)
        }
        "PutParameter" => format!(r#"{parameter}, "Value": "no type, and so no parameter""#),
        "GetParameter" | "GetParameterHistory" | "DeleteParameter" => parameter.to_owned(),
        "GetParameters" | "DeleteParameters" => r#""Names": ["/nothing-here"]"#.to_owned(),
        "GetParametersByPath" => r#""Path": "/nothing-here""#.to_owned(),
        "LabelParameterVersion" | "UnlabelParameterVersion" => {
            format!(r#"{parameter}, "ParameterVersion": 1, "Labels": ["label"]"#)
        }
        "GetServiceSetting" | "ResetServiceSetting" => r#""SettingId": "/ssm/nothing-here""#.to_owned(),
        "UpdateServiceSetting" => r#""SettingId": "/ssm/nothing-here", "SettingValue": "x""#.to_owned(),
        "AddTagsToResource" => {
            format!(
                r#""ResourceType": "ManagedInstance", "ResourceId": "{NODE}", "Tags": [{{"Key": "a", "Value": "b"}}]"#
            )
        }
        "RemoveTagsFromResource" => {
            format!(r#""ResourceType": "ManagedInstance", "ResourceId": "{NODE}", "TagKeys": ["a"]"#)
        }
        "ListTagsForResource" => format!(r#""ResourceType": "ManagedInstance", "ResourceId": "{NODE}""#),
        "CreateUser" | "DeleteUser" | "CreateAccessKey" => user.to_owned(),
        "CreateGroup" | "DeleteGroup" | "GetGroup" => group.to_owned(),
        "AddUserToGroup" | "RemoveUserFromGroup" => format!("{group}, {user}"),
        "CreateRole" | "DeleteRole" => r#""RoleName": "Strange""#.to_owned(),
        "PutPolicy" => format!(r#"{policy}, "PolicyDocument": "{{}}""#),
        "GetPolicy" | "DeletePolicy" => policy.to_owned(),
        "AttachPolicy" | "DetachPolicy" => format!("{policy}, {user}"),
        "ListAttachedPolicies" => user.to_owned(),
        "UpdateAccessKey" => format!(r#""AccessKeyId": "{KEY}", "Status": "Inactive""#),
        "DeleteAccessKey" => format!(r#""AccessKeyId": "{KEY}""#),
        "TestPolicy" => r#""Principal": "user/stranger", "Action": "ssm:ListCommands""#.to_owned(),
        "TruncateAudit" => format!(r#""Sequence": 1, "Hash": "{hash}""#),
        _ => String::new(),
    };
    format!("{{{members}}}")
}

/// Somebody, and the built-in policy that they have.
struct Person {
    name: &'static str,
    policy: Option<&'static str>,
    nats: async_nats::Client,
    http: Signed,
    bearer: String,
}

/// Messages as they are on the wire: which ones there are is known only from the contract.
#[derive(Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// The ports of the services, by the process that answers.
struct Ports(BTreeMap<&'static str, Channel>);

impl Ports {
    async fn of(cluster: &Cluster) -> Self {
        let mut ports = BTreeMap::new();
        for service in SERVICES.iter().filter(|service| !service.answers.is_empty()) {
            let address = format!("http://{}", cluster.address(service.name));
            let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
            ports.insert(service.name, channel);
        }
        Self(ports)
    }

    fn that_answers(&self, service: &str) -> Channel {
        let answers = |process: &&muster_credential::layout::Service| process.answers.contains(&service);
        let process = SERVICES.iter().find(answers).unwrap();
        self.0[process.name].clone()
    }
}

/// Word and text of a refusal, or empty ones.
fn refusal(status: Option<&Status>) -> (String, String) {
    match status.map(Failure::from_status) {
        Some(Failure::Refused(refusal)) => (muster_proto::Word::word(refusal.reason).to_owned(), refusal.message),
        Some(other) => (format!("{other:?}"), String::new()),
        None => (String::new(), String::new()),
    }
}

const PEOPLE: [(&str, Option<&str>); 4] = [
    ("ada", Some("admin")),
    ("olga", Some("operator")),
    ("rita", Some("read-only")),
    ("nina", None),
];

impl Person {
    /// What the policy says, which names operations only and no resources.
    fn may(&self, action: &str) -> bool {
        let policies = self.policy.map(|name| (name, builtin::policy(name).unwrap()));
        let policies: PolicySet = PolicySet::new(policies.map(|(name, policy)| (name, Arc::clone(&policy)))).unwrap();
        let who = Principal::new(self.arn().parse().unwrap());
        let action: Action = action.parse().unwrap();
        let decision = policies.decide(&who, &action, &Arn::any(), &Context::default());
        matches!(decision, Decision::Allow(_))
    }

    fn arn(&self) -> String {
        format!("arn:aws:iam::000000000000:user/{}", self.name)
    }

    async fn by_grpc(&self, ports: &Ports, method: &MethodDescriptor) -> (String, String) {
        let service = method.parent_service();
        let message = aws_json::decode(body(method.name()).as_bytes(), method.input())
            .unwrap()
            .message;
        let mut request = Request::new(Bytes::from(message.encode_to_vec()));
        request
            .metadata_mut()
            .insert("authorization", self.bearer.parse().unwrap());
        let mut client = tonic::client::Grpc::new(ports.that_answers(service.name()));
        client.ready().await.unwrap();
        let path = format!("/{}/{}", service.full_name(), method.name());
        let answer = client.unary(request, path.parse().unwrap(), Raw).await;
        refusal(answer.as_ref().err())
    }

    async fn by_nats(&self, method: &MethodDescriptor) -> (String, String) {
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/x-amz-json-1.1");
        let subject = subject::api(method.parent_service().name(), method.name());
        let body = body(method.name()).into();
        let answer = self.nats.request_with_headers(subject, headers, body).await.unwrap();
        refusal(answer.headers.as_ref().and_then(NatsStatus::of).as_ref())
    }

    async fn by_http(&self, operation: &str) -> (String, String) {
        let reply = self.http.call(operation, &body(operation)).await;
        (reply.word().to_owned(), reply.text().to_owned())
    }

    /// Holds an answer against the policy.
    fn check(&self, action: &str, surface: &str, (word, text): &(String, String)) {
        let what = format!("{} {action} by {surface}: {word} {text}", self.name);
        let is_denied = word == muster_proto::Word::word(Reason::AccessDeniedException);
        assert_eq!(is_denied, !self.may(action), "{what}");
        // Whoever may do it is answered by the service itself, be it that there is no such thing.
        assert!(!word.contains("Unavailable") && !word.contains("Internal"), "{what}");
        // A limit that the request breaks would hide whether it is allowed.
        assert!(!text.contains("failed to satisfy constraint"), "{what}");
        if is_denied {
            let (arn, because) = (
                self.arn(),
                format!(" because no identity-based policy allows the {action} action"),
            );
            let begin = format!("User: {arn} is not authorized to perform: {action} on resource: ");
            assert!(text.starts_with(&begin) && text.ends_with(&because), "{what}");
        }
    }
}

/// Operations for people that are answered at once.
pub(crate) fn operations() -> Vec<(MethodDescriptor, bool)> {
    let mut all = Vec::new();
    for service in muster_proto::pool().services() {
        let facts = facts::service(&service);
        let is_public = !facts.target_prefix.is_empty();
        for method in service.methods() {
            let is_served = facts::is_for_people(&method) && !facts.planned;
            if is_served && !method.is_server_streaming() && !method.is_client_streaming() {
                all.push((method, is_public));
            }
        }
    }
    all
}

#[test]
fn the_requests_break_no_limit() {
    for (method, _) in operations() {
        let decoded = aws_json::decode(body(method.name()).as_bytes(), method.input());
        let decoded = decoded.unwrap_or_else(|error| panic!("{}: {error:?}", method.name()));
        let mut violations = decoded.violations;
        violations.extend(limits::check(&decoded.message));
        assert!(
            violations.is_empty(),
            "give {} a request: {}",
            method.name(),
            limits::refuse(&violations)
        );
    }
}

#[tokio::test]
async fn everybody_may_do_what_their_policies_say_by_every_surface_and_nothing_else() {
    let mut settings = signed_gateway().to_vec();
    for service in SERVICES.iter().filter(|service| !service.answers.is_empty()) {
        settings.push((service.name, "MUSTER_SERVER__AUTHENTICATION", "bearer".to_owned()));
    }
    let mut cluster = Cluster::start_with(&[], &settings).await;
    cluster.add_service("muster-parameter-store").await;
    let ports = Ports::of(&cluster).await;
    let mut giving = People::new(cluster.bus().await);
    let mut people = Vec::new();
    for (name, policy) in PEOPLE {
        let key = giving.user(name, policy.as_slice()).await;
        people.push(Person {
            name,
            policy,
            nats: cluster.bus_as(name).await,
            http: Signed::new(&cluster.gateway(), key.access_key_id(), key.secret_access_key()),
            bearer: format!("Bearer {}:{}", key.access_key_id(), key.secret_access_key()),
        });
    }
    let operations = operations();
    assert!(operations.len() >= 55, "{} operations", operations.len());
    let mut expected = BTreeMap::new();
    for (method, is_public) in &operations {
        let (operation, action) = (method.name(), facts::action(method));
        for person in &people {
            person.check(&action, "nats", &person.by_nats(method).await);
            person.check(&action, "grpc", &person.by_grpc(&ports, method).await);
            if *is_public {
                person.check(&action, "aws-json", &person.by_http(operation).await);
            }
            let by_http = is_public.then_some("aws-json");
            for surface in ["grpc", "nats"].into_iter().chain(by_http) {
                let key = (person.arn(), action.clone(), surface.to_owned());
                expected.insert(key, person.may(&action));
            }
        }
    }
    // Each of them is in the audit log; what only reads comes there a moment later.
    let mut audit = AuditClient::new(NatsChannel::new(cluster.bus().await));
    until("each decision is in the audit log", async || {
        let mut seen: BTreeMap<_, bool> = BTreeMap::new();
        for record in all_records(&mut audit).await {
            let key = (
                record.principal().to_owned(),
                record.action().to_owned(),
                record.surface().to_owned(),
            );
            // Of several resources one that is denied is enough.
            *seen.entry(key).or_insert(true) &= record.decision() == Word::Allow;
        }
        let missing: BTreeSet<_> = expected
            .iter()
            .filter(|(key, may)| seen.get(*key) != Some(may))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{missing:?}"))
        }
    })
    .await;
}

async fn all_records(audit: &mut AuditClient<NatsChannel>) -> Vec<AuditRecord> {
    let (mut all, mut from): (Vec<AuditRecord>, i64) = (Vec::new(), 1);
    loop {
        let request = ListAuditRecordsRequest {
            from_sequence: Some(from),
            max_results: Some(1000),
            ..ListAuditRecordsRequest::default()
        };
        let page = audit.list_audit_records(request).await.unwrap().into_inner().records;
        let Some(last) = page.last() else { return all };
        from = last.sequence() + 1;
        all.extend(page);
    }
}
