//! What the other services ask.

use hmac::{Hmac, Mac as _};
use muster_proto::access::v1::decisions_client::DecisionsClient;
use muster_proto::access::v1::{
    AccessKeyStatus, AddUserToGroupRequest, CheckBearerRequest, Decision, DecisionRecord, GetPrincipalRequest,
    GetPrincipalResult, GetSigningKeyRequest, GetSigningKeyResult, IssueSessionRequest, KeyState,
    ListAccessKeysRequest, NoteUseRequest, RecordDecisionsRequest, UpdateAccessKeyRequest,
};
use muster_proto::aws::v1::{Reason, Tag};
use sha2::Sha256;

use crate::service::{Service, attach, reason, saying, user};

async fn signing_key(service: &Service, id: &str) -> GetSigningKeyResult {
    let request = GetSigningKeyRequest {
        access_key_id: Some(id.to_owned()),
        day: Some("20260131".to_owned()),
        region: Some("us-east-1".to_owned()),
        service: Some("ssm".to_owned()),
        session_token: None,
    };
    service.decisions().get_signing_key(request).await.unwrap().into_inner()
}

async fn principal(service: &Service, arn: &str) -> GetPrincipalResult {
    let request = GetPrincipalRequest {
        arn: Some(arn.to_owned()),
        ..GetPrincipalRequest::default()
    };
    service.decisions().get_principal(request).await.unwrap().into_inner()
}

/// What a client signs with.
fn derived(secret: &str) -> Vec<u8> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in ["20260131", "us-east-1", "ssm", "aws4_request"] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    key
}

#[tokio::test]
async fn a_signing_key_is_the_one_that_the_client_derives() {
    for service in Service::on_each_database().await {
        service.make_user("alice").await;
        let key = service.make_key("alice").await;
        let id = key.access_key_id();
        let answer = signing_key(&service, id).await;
        assert_eq!(
            (answer.state(), answer.principal()),
            (KeyState::Active, "arn:aws:iam::000000000000:user/alice")
        );
        assert_eq!(answer.signing_key(), derived(key.secret_access_key()));
        assert!(
            !format!("{answer:?}").contains("signing_key: Some"),
            "a log of the answer would show it"
        );

        let status = |status: AccessKeyStatus| UpdateAccessKeyRequest {
            access_key_id: Some(id.to_owned()),
            status: Some(status.into()),
        };
        service
            .access()
            .update_access_key(status(AccessKeyStatus::Inactive))
            .await
            .unwrap();
        let off = signing_key(&service, id).await;
        assert_eq!(
            (off.state(), off.signing_key, off.principal),
            (KeyState::Inactive, None, None)
        );
        assert!(off.epoch > answer.epoch);
        service
            .access()
            .update_access_key(status(AccessKeyStatus::Active))
            .await
            .unwrap();
        assert_eq!(signing_key(&service, id).await.state(), KeyState::Active);
        for unknown in ["MKIAAAAAAAAAAAAAAAAA", "", "'; drop table access_key"] {
            let answer = signing_key(&service, unknown).await;
            assert_eq!(
                (answer.state(), answer.signing_key),
                (KeyState::Unknown, None),
                "{unknown}"
            );
        }
        service.stop().await;
    }
}

#[tokio::test]
async fn a_bearer_is_known_by_the_whole_secret_only() {
    let service = Service::start().await;
    service.make_user("alice").await;
    let key = service.make_key("alice").await;
    let check = async |id: &str, secret: &str| {
        let request = CheckBearerRequest {
            access_key_id: Some(id.to_owned()),
            secret_access_key: Some(secret.to_owned()),
            ..CheckBearerRequest::default()
        };
        let answer = service.decisions().check_bearer(request).await.unwrap().into_inner();
        (answer.state(), answer.principal)
    };
    let (id, secret) = (key.access_key_id(), key.secret_access_key());
    let alice = Some("arn:aws:iam::000000000000:user/alice".to_owned());
    assert_eq!(check(id, secret).await, (KeyState::Active, alice));
    for wrong in ["", &secret[..39], &format!("{secret}x"), &secret.to_lowercase()] {
        assert_eq!(check(id, wrong).await, (KeyState::Unknown, None));
    }
    let off = UpdateAccessKeyRequest {
        access_key_id: Some(id.to_owned()),
        status: Some(AccessKeyStatus::Inactive.into()),
    };
    service.access().update_access_key(off).await.unwrap();
    assert_eq!(check(id, secret).await, (KeyState::Inactive, None));
    assert_eq!(
        check(id, "guess").await,
        (KeyState::Unknown, None),
        "only who has the secret learns that it is off"
    );
    service.stop().await;
}

#[tokio::test]
async fn a_principal_is_its_policies_those_of_its_groups_and_its_tags() {
    for service in Service::on_each_database().await {
        let mut access = service.access();
        let mut alice = user("alice");
        alice.tags = vec![Tag {
            key: Some("Team".to_owned()),
            value: Some("blue".to_owned()),
        }];
        access.create_user(alice).await.unwrap();
        service.make_group("people").await;
        let text = saying("Allow", "ssm:Get*");
        service.put("mine", &text).await;
        for (policy, to) in [
            ("mine", "user/alice"),
            ("mine", "group/people"),
            ("read-only", "group/people"),
        ] {
            access.attach_policy(attach(policy, to)).await.unwrap();
        }
        let member = AddUserToGroupRequest {
            group_name: Some("people".to_owned()),
            user_name: Some("alice".to_owned()),
        };
        access.add_user_to_group(member).await.unwrap();
        let arn = "arn:aws:iam::000000000000:user/alice";
        let answer = principal(&service, arn).await;
        let policies: Vec<_> = answer
            .policies
            .iter()
            .map(|each| (each.policy_name(), each.policy_document.as_deref()))
            .collect();
        assert_eq!(policies, [("mine", Some(text.as_str())), ("read-only", None)]);
        assert_eq!((answer.known(), answer.tags[0].value()), (true, "blue"));

        let changed = saying("Deny", "ssm:Get*");
        service.put("mine", &changed).await;
        let later = principal(&service, arn).await;
        assert_eq!(later.policies[0].policy_document(), changed);
        assert!(later.epoch > answer.epoch);
        for unknown in [
            "arn:aws:iam::000000000000:user/bob",
            "arn:aws:iam::000000000000:user/Alice",
            "arn:aws:iam::000000000001:user/alice",
            "arn:aws:iam::000000000000:group/people",
            "alice",
        ] {
            let answer = principal(&service, unknown).await;
            assert_eq!((answer.known(), answer.policies.len()), (false, 0), "{unknown}");
        }
        service.make_role("web").await;
        access.attach_policy(attach("node-core", "role/web")).await.unwrap();
        let node = principal(&service, "arn:aws:sts::000000000000:assumed-role/web/mi-1").await;
        assert_eq!((node.known(), node.policies[0].policy_name()), (true, "node-core"));
        service.stop().await;
    }
}

#[tokio::test]
async fn decisions_are_answered_on_the_bus_only() {
    let service = Service::start().await;
    let mut by_grpc = DecisionsClient::connect(service.address()).await.unwrap();
    let request = GetPrincipalRequest {
        arn: Some("arn:aws:iam::000000000000:user/alice".to_owned()),
        ..GetPrincipalRequest::default()
    };
    let refused = by_grpc.get_principal(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
    service.stop().await;
}

#[tokio::test]
async fn recorded_decisions_say_when_an_access_key_was_last_used() {
    let service = Service::with(|settings| settings.last_used_seconds = 1).await;
    service.make_user("alice").await;
    let key = service.make_key("alice").await;
    let mut record = DecisionRecord {
        principal: Some("arn:aws:iam::000000000000:user/alice".to_owned()),
        access_key_id: key.access_key_id.clone(),
        action: Some("ssm:SendCommand".to_owned()),
        ..DecisionRecord::default()
    };
    let send = async |record: &DecisionRecord| {
        let request = RecordDecisionsRequest {
            decisions: vec![record.clone()],
        };
        service.decisions().record_decisions(request).await
    };
    assert_eq!(
        reason(send(&record).await),
        Reason::ValidationException,
        "without a decision"
    );
    record.set_decision(Decision::ExplicitDeny);
    assert_eq!(send(&record).await.unwrap().into_inner().sequence(), 1);
    let last_used = muster_harness::until("the use is written down", async || {
        let listed = service
            .access()
            .list_access_keys(ListAccessKeysRequest::default())
            .await
            .unwrap();
        let keys = listed.into_inner().access_keys;
        keys[0].last_used_date.ok_or(format!("{keys:?}"))
    })
    .await;
    assert!(last_used.seconds >= key.create_date.unwrap().seconds);
    service.stop().await;
}

#[tokio::test]
async fn who_shows_a_temporary_key_is_told_of_with_what_it_does_not_outlive() {
    let service = Service::start().await;
    service.make_user("alice").await;
    let key = service.make_key("alice").await;
    let mut decisions = service.decisions();
    let issue = IssueSessionRequest {
        access_key_id: key.access_key_id.clone(),
        ..IssueSessionRequest::default()
    };
    let made = decisions.issue_session(issue).await.unwrap().into_inner();
    let check = CheckBearerRequest {
        access_key_id: made.access_key_id.clone(),
        secret_access_key: made.secret_access_key.clone(),
        session_token: made.session_token.clone(),
    };
    let answer = decisions.check_bearer(check).await.unwrap().into_inner();
    let alice = "arn:aws:iam::000000000000:user/alice";
    assert_eq!((answer.state(), answer.principal()), (KeyState::Active, alice));
    let bounds = answer.session.unwrap();
    assert_eq!((bounds.until, bounds.owner()), (made.until, alice));
    assert_eq!(bounds.access_key_id, key.access_key_id);
    // By its id alone it is nothing.
    let mut known = async |id: &Option<String>| {
        let question = GetPrincipalRequest {
            arn: Some(alice.to_owned()),
            access_key_id: id.clone(),
        };
        decisions.get_principal(question).await.unwrap().into_inner().known()
    };
    assert!(known(&key.access_key_id).await && !known(&made.access_key_id).await);
    service.stop().await;
}

#[tokio::test]
async fn what_is_done_with_a_session_is_a_use_of_the_key_behind_it() {
    let service = Service::with(|settings| settings.last_used_seconds = 1).await;
    let mut keys = Vec::new();
    for name in ["maker", "opener", "asker", "idle"] {
        service.make_user(name).await;
        keys.push(service.make_key(name).await.access_key_id);
    }
    let mut decisions = service.decisions();
    let uses = async |id: &Option<String>| {
        let listed = service
            .access()
            .list_access_keys(ListAccessKeysRequest::default())
            .await;
        let keys = listed.unwrap().into_inner().access_keys;
        let found = keys.iter().find(|key| key.access_key_id == *id).unwrap();
        found.last_used_date.map(|date| (date.seconds, date.nanos))
    };
    let noted = async |id: &Option<String>, before: Option<(i64, i32)>| {
        muster_harness::until("the use is written down", async || {
            let used = uses(id).await;
            (used > before).then_some(used).ok_or(used)
        })
        .await
    };
    let issue = |id: &Option<String>| IssueSessionRequest {
        access_key_id: id.clone(),
        ..IssueSessionRequest::default()
    };
    decisions.issue_session(issue(&keys[0])).await.unwrap();
    let made = decisions.issue_session(issue(&keys[1])).await.unwrap().into_inner();
    noted(&keys[0], None).await;
    let before = noted(&keys[1], None).await;
    let request = GetSigningKeyRequest {
        access_key_id: made.access_key_id,
        day: Some("20260131".to_owned()),
        region: Some("us-east-1".to_owned()),
        service: Some("ssm".to_owned()),
        session_token: made.session_token,
    };
    decisions.get_signing_key(request).await.unwrap();
    noted(&keys[1], before).await;
    // To ask for a key is no use of it: whoever knows its id can do that.
    signing_key(&service, keys[3].as_deref().unwrap()).await;
    let note = NoteUseRequest {
        access_key_id: keys[2].clone(),
    };
    decisions.note_use(note).await.unwrap();
    noted(&keys[2], None).await;
    assert_eq!(uses(&keys[3]).await, None);
    service.stop().await;
}
