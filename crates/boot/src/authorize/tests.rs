//! Decisions on requests, with an `access` that the tests make up.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_model::{SystemClock, Timestamp};
use muster_proto::access::v1::{
    CheckBearerRequest, CheckBearerResult, Decision as Word, DecisionRecord, GetPrincipalRequest, GetPrincipalResult,
    PrincipalPolicy,
};
use muster_proto::facts::Target;
use muster_wire::{Caller, CallerKind, Principal, Reason, Refusal, Surface, aws_json};

use super::*;

mod told;

#[derive(Debug, Default)]
struct Access {
    is_away: AtomicBool,
    /// Texts of policies, by principal; those that begin with a letter are names of built-in ones.
    policies: Mutex<HashMap<String, Vec<String>>>,
    log: Mutex<Vec<DecisionRecord>>,
}

impl Access {
    fn answer(&self) -> Result<(), Failure> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(Failure::Unavailable {
                what: "Access".to_owned(),
            }),
            false => Ok(()),
        }
    }
}

impl Authority for Access {
    fn principal(&self, asked: GetPrincipalRequest) -> BoxFuture<'_, Result<GetPrincipalResult, Failure>> {
        Box::pin(async move {
            self.answer()?;
            let all = self.policies.lock().unwrap();
            let texts = all.get(asked.arn()).cloned();
            let known = texts.is_some();
            let policies = texts.unwrap_or_default().into_iter().enumerate();
            let policies = policies.map(|(number, text)| match text.starts_with('{') {
                true => PrincipalPolicy {
                    policy_name: Some(format!("own{number}")),
                    policy_document: Some(text),
                },
                false => PrincipalPolicy {
                    policy_name: Some(text),
                    policy_document: None,
                },
            });
            Ok(GetPrincipalResult {
                known: Some(known),
                policies: policies.collect(),
                ..GetPrincipalResult::default()
            })
        })
    }

    fn bearer(&self, _: CheckBearerRequest) -> BoxFuture<'_, Result<CheckBearerResult, Failure>> {
        unreachable!("no call comes by gRPC")
    }

    fn record(&self, decisions: Vec<DecisionRecord>) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            self.answer()?;
            self.log.lock().unwrap().extend(decisions);
            Ok(())
        })
    }
}

#[derive(Debug)]
struct Tagged;

impl ResourceTags for Tagged {
    fn tags<'a>(&'a self, kind: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<TagMap>, Failure>> {
        let env = match (kind, name) {
            ("managed-instance", "mi-0123456789abcdef0") => Some("dev"),
            ("managed-instance", _) => Some("prod"),
            _ => None,
        };
        let tags = env.map(|env| TagMap::from([("Env".to_owned(), env.to_owned())]));
        Box::pin(async { Ok(tags) })
    }
}

struct World {
    access: Arc<Access>,
    gate: Gate,
    ledger: Ledger,
    _tasks: Tasks,
}

const ALICE: &str = "arn:aws:iam::000000000000:user/alice";

impl World {
    fn new(policies: &[&str]) -> Self {
        let access = Arc::new(Access::default());
        let texts = policies.iter().map(|text| (*text).to_owned()).collect();
        access.policies.lock().unwrap().insert(ALICE.to_owned(), texts);
        let (tasks, _failures) = Tasks::new();
        let authority = Arc::clone(&access) as Arc<dyn Authority>;
        let ledger = Ledger::start(Arc::clone(&authority), &tasks);
        let gate = Gate::new(
            Account::default(),
            Arc::new(SystemClock),
            authority,
            ledger.clone(),
            Some(Arc::new(Tagged)),
        );
        Self {
            access,
            gate,
            ledger,
            _tasks: tasks,
        }
    }

    async fn ask_as(&self, caller: &Caller, operation: &str, json: &str) -> Result<Rights, Failure> {
        let target = facts::target(&format!("AmazonSSM.{operation}")).expect(operation);
        let (Target::Served(method) | Target::Planned(method)) = target else {
            panic!("{operation} is not described")
        };
        let decoded = aws_json::decode(json.as_bytes(), method.input()).expect("JSON");
        let asked = Asked {
            caller,
            surface: Surface::AwsJson,
            method,
            request: Some(&decoded.message),
        };
        self.gate.decide(asked).await
    }

    async fn ask(&self, operation: &str, json: &str) -> Result<Rights, Failure> {
        self.ask_as(&user(ALICE), operation, json).await
    }

    async fn may(&self, operation: &str, json: &str) -> bool {
        match self.ask(operation, json).await {
            Ok(_) => true,
            Err(Failure::Refused(refusal)) => {
                assert_eq!(refusal.reason, Reason::AccessDeniedException);
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn log(&self) -> Vec<DecisionRecord> {
        self.ledger.settle().await;
        self.access.log.lock().unwrap().clone()
    }
}

fn user(arn: &str) -> Caller {
    Caller {
        principal: Principal::new(arn).unwrap(),
        kind: CallerKind::User,
        access_key: Some("MKIAABCDEFGHIJKLMNOP".to_owned()),
        ..Caller::development()
    }
}

fn saying(effect: &str, action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Sid": "One", "Effect": "{effect}", "Action": "{action}", "Resource": "{resource}"}}}}"#
    )
}

fn refused(outcome: Result<Rights, Failure>) -> Refusal {
    match outcome {
        Err(Failure::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

const DOCUMENTS: &str = "arn:aws:ssm:*:*:document/";

#[tokio::test]
async fn what_nothing_allows_is_refused_in_aws_s_words() {
    let world = World::new(&[]);
    let refusal = refused(world.ask("GetDocument", r#"{"Name": "Mine"}"#).await);
    assert_eq!(refusal.reason, Reason::AccessDeniedException);
    assert_eq!(
        refusal.message,
        "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: ssm:GetDocument on resource: \
         arn:aws:ssm:us-east-1:000000000000:document/Mine because no identity-based policy allows the ssm:GetDocument \
         action"
    );
    let bob = user("arn:aws:iam::000000000000:user/bob");
    let unknown = refused(world.ask_as(&bob, "ListCommands", "{}").await);
    assert!(
        unknown
            .message
            .ends_with("no identity-based policy allows the ssm:ListCommands action")
    );
    assert!(unknown.message.contains("user/bob is not authorized"));
}

#[tokio::test]
async fn a_denial_outweighs_and_no_spelling_walks_around_it() {
    let deny = saying("Deny", "ssm:*", &format!("{DOCUMENTS}Secret*"));
    let world = World::new(&["admin", &deny]);
    assert!(world.may("GetDocument", r#"{"Name": "Mine"}"#).await);
    for name in [
        "Secret1",
        "arn:aws:ssm:us-east-1:000000000000:document/Secret1",
        "arn:aws:ssm:eu-west-9:000000000000:document/Secret1",
    ] {
        let refusal = refused(world.ask("GetDocument", &format!(r#"{{"Name": "{name}"}}"#)).await);
        assert!(
            refusal
                .message
                .ends_with("with an explicit deny in an identity-based policy"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn each_resource_of_a_request_must_be_allowed() {
    let world = World::new(&[&saying("Allow", "ssm:GetParameters", "arn:aws:ssm:*:*:parameter/app/*")]);
    assert!(world.may("GetParameters", r#"{"Names": ["/app/a", "/app/b"]}"#).await);
    assert!(!world.may("GetParameters", r#"{"Names": ["/app/a", "/other"]}"#).await);
}

#[tokio::test]
async fn a_name_that_is_none_is_decided_on_everything() {
    let world = World::new(&[&saying("Allow", "ssm:GetParameter", "arn:aws:ssm:*:*:parameter/app/*")]);
    assert!(world.may("GetParameter", r#"{"Name": "/app/a"}"#).await);
    let refusal = refused(world.ask("GetParameter", r#"{"Name": "/app/bad name!"}"#).await);
    assert_eq!(refusal.reason, Reason::AccessDeniedException);
    let on = "on resource: arn:aws:ssm:us-east-1:000000000000:* because";
    assert!(refusal.message.contains(on), "{}", refusal.message);
}

#[tokio::test]
async fn passing_a_role_is_an_action_of_its_own() {
    let activate = saying("Allow", "ssm:CreateActivation", "*");
    let body = r#"{"IamRole": "service-role/Node"}"#;
    assert!(!World::new(&[&activate]).may("CreateActivation", body).await);
    let pass = saying("Allow", "iam:PassRole", "arn:aws:iam::*:role/Node");
    assert!(World::new(&[&activate, &pass]).may("CreateActivation", body).await);
}

#[tokio::test]
async fn tags_of_resources_are_there_for_conditions() {
    let dev = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/Env": "dev"}}}}"#;
    let world = World::new(&[dev]);
    let body = |id: &str| format!(r#"{{"InstanceId": "{id}"}}"#);
    assert!(
        world
            .may("DeregisterManagedInstance", &body("mi-0123456789abcdef0"))
            .await
    );
    assert!(
        !world
            .may("DeregisterManagedInstance", &body("mi-0123456789abcdef1"))
            .await
    );
}

#[tokio::test]
async fn a_denial_by_a_tag_that_nobody_knows_denies() {
    let policy = |effect: &str, operator: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "{effect}", "Action": "*", "Resource": "*",
            "Condition": {{"{operator}": {{"aws:ResourceTag/Env": "prod"}}}}}}}}"#
        )
    };
    let (node, document) = (r#"{"InstanceId": "mi-0123456789abcdef0"}"#, r#"{"Name": "Mine"}"#);
    for operator in ["StringEquals", "StringNotEquals", "StringEqualsIfExists"] {
        let world = World::new(&["admin", &policy("Deny", operator)]);
        assert!(!world.may("GetDocument", document).await, "{operator}");
        // Of nodes the tags are known, and this one is `dev`.
        let is_prod = operator != "StringNotEquals";
        assert_eq!(
            world.may("DeregisterManagedInstance", node).await,
            is_prod,
            "{operator}"
        );
        let world = World::new(&[&policy("Allow", operator)]);
        assert!(!world.may("GetDocument", document).await, "{operator}");
    }
}

#[tokio::test]
async fn something_else_needs_leave_of_its_own() {
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"},
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:*:*:key/mine"},
        {"Effect": "Deny", "Action": "kms:*", "Resource": "arn:aws:kms:*:*:key/never"}]}"#;
    let world = World::new(&[policy]);
    let rights = world.ask("GetParameter", r#"{"Name": "/x"}"#).await.unwrap();
    let may = async |action: &str, key: &str, leave| {
        let on = format!("arn:aws:kms:us-east-1:000000000000:key/{key}");
        match rights.require(action, &on, leave).await {
            Ok(()) => true,
            Err(Failure::Refused(refusal)) => {
                assert_eq!(refusal.reason, Reason::AccessDeniedException);
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    };
    assert!(may("kms:Decrypt", "mine", Leave::Needed).await);
    assert!(!may("kms:Encrypt", "mine", Leave::Needed).await);
    assert!(!may("kms:Decrypt", "other", Leave::Needed).await);
    assert!(may("kms:Decrypt", "other", Leave::Given).await);
    assert!(!may("kms:Decrypt", "never", Leave::Given).await);
    let log = world.log().await;
    let seen: Vec<_> = log.iter().map(|each| (each.action(), each.decision())).collect();
    assert_eq!(
        seen,
        [
            ("kms:Decrypt", Word::Allow),
            ("kms:Encrypt", Word::ImplicitDeny),
            ("kms:Decrypt", Word::ImplicitDeny),
            ("kms:Decrypt", Word::ExplicitDeny),
        ]
    );
}

#[tokio::test]
async fn rights_judge_what_only_the_service_knows() {
    let dev = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ssm:SendCommand", "Resource": "arn:aws:ssm:*:*:document/*"},
        {"Sid": "Dev", "Effect": "Allow", "Action": "ssm:SendCommand", "Resource": "arn:aws:ssm:*:*:managed-instance/*",
            "Condition": {"StringEquals": {"ssm:resourceTag/Env": "dev"}}}]}"#;
    let world = World::new(&[dev]);
    let rights = world
        .ask("SendCommand", r#"{"DocumentName": "AWS-RunShellScript"}"#)
        .await
        .unwrap();
    assert!(rights.ask_for_tags() && !rights.are_unlimited());
    let tagged = |env: &str| TagMap::from([("Env".to_owned(), env.to_owned())]);
    let nodes = [
        ("mi-1", tagged("dev")),
        ("mi-2", tagged("prod")),
        ("mi-3", TagMap::new()),
    ];
    let nodes = nodes.map(|(id, tags)| (id.to_owned(), tags));
    let judged = rights.judge("managed-instance", nodes).await.unwrap();
    assert_eq!(
        judged.iter().map(Option::is_none).collect::<Vec<_>>(),
        [true, false, false]
    );
    let log = world.log().await;
    let seen: Vec<_> = log.iter().map(|each| (each.resource(), each.decision())).collect();
    assert_eq!(
        seen,
        [
            ("arn:aws:ssm:us-east-1::document/AWS-RunShellScript", Word::Allow),
            ("arn:aws:ssm:us-east-1:000000000000:managed-instance/mi-1", Word::Allow),
            (
                "arn:aws:ssm:us-east-1:000000000000:managed-instance/mi-2",
                Word::ImplicitDeny
            ),
            (
                "arn:aws:ssm:us-east-1:000000000000:managed-instance/mi-3",
                Word::ImplicitDeny
            ),
        ]
    );
    assert_eq!(log[1].statements, ["own0/Dev"]);
    assert_eq!(
        (log[1].surface(), log[1].access_key_id()),
        ("aws-json", "MKIAABCDEFGHIJKLMNOP")
    );
}

#[tokio::test]
async fn services_and_development_are_not_decided_and_not_written_down() {
    let world = World::new(&[]);
    for caller in [Caller::service(), Caller::development()] {
        let rights = world
            .ask_as(&caller, "DeleteDocument", r#"{"Name": "Mine"}"#)
            .await
            .unwrap();
        assert!(rights.are_unlimited());
    }
    assert!(world.log().await.is_empty());
}

#[tokio::test]
async fn what_services_ask_each_other_is_nobody_else_s_not_even_an_admin_s() {
    let world = World::new(&["admin"]);
    let service = muster_proto::pool()
        .get_service_by_name("muster.fanout.v1.FanOut")
        .unwrap();
    let method = service
        .methods()
        .find(|method| method.name() == "StartRollout")
        .unwrap();
    let asked = Asked {
        caller: &user(ALICE),
        surface: Surface::Grpc,
        method: &method,
        request: None,
    };
    let refusal = refused(world.gate.decide(asked).await);
    assert_eq!(
        (refusal.reason, refusal.message.as_str()),
        (
            Reason::AccessDeniedException,
            "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: ssm:StartRollout: only services of \
             Muster ask this, and no policy gives it to anybody else"
        )
    );
    let log = world.log().await;
    assert_eq!((log.len(), log[0].decision()), (1, Word::ImplicitDeny));
}

#[tokio::test]
async fn access_away_is_no_and_what_is_known_is_believed() {
    let world = World::new(&["read-only"]);
    assert!(world.may("ListCommands", "{}").await);
    world.access.is_away.store(true, Ordering::SeqCst);
    // The answer of a moment ago.
    assert!(world.may("ListCommands", "{}").await);
    world.gate.0.holdings.forget_all();
    let outcome = world.ask("ListCommands", "{}").await;
    assert!(matches!(outcome, Err(Failure::Unavailable { .. })));
}

#[tokio::test]
async fn a_change_that_cannot_be_written_down_is_not_allowed() {
    let world = World::new(&["admin"]);
    assert!(world.may("ListCommands", "{}").await);
    world.access.is_away.store(true, Ordering::SeqCst);
    let outcome = world.ask("DeleteDocument", r#"{"Name": "Mine"}"#).await;
    assert!(matches!(outcome, Err(Failure::Unavailable { .. })));
}

#[tokio::test]
async fn a_policy_that_was_taken_away_ends_when_it_is_told() {
    let world = World::new(&["admin"]);
    assert!(world.may("ListCommands", "{}").await);
    world.access.policies.lock().unwrap().clear();
    world.gate.0.holdings.forget_all();
    assert!(!world.may("ListCommands", "{}").await);
}

#[tokio::test]
async fn time_is_the_services_own() {
    let now = Timestamp::now();
    let past = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}}}"#;
    assert!(now.as_second() > 1_577_836_800, "this machine's clock is far behind");
    assert!(!World::new(&[past]).may("ListCommands", "{}").await);
}
