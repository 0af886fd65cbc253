//! Policies, who has them, and what they would decide.

use muster_proto::access::v1::{
    AddUserToGroupRequest, ContextEntry, Decision, DeletePolicyRequest, DetachPolicyRequest, GetPolicyRequest,
    ListAttachedPoliciesRequest, ListPoliciesRequest, TestPolicyRequest, TestPolicyResult,
};
use muster_proto::aws::v1::Reason;

use crate::service::{Service, attach, on_each_surface, policy, reason, refusal, saying};

fn question(principal: &str, action: &str, resource: &str) -> TestPolicyRequest {
    TestPolicyRequest {
        principal: Some(principal.to_owned()),
        action: Some(action.to_owned()),
        resource: (!resource.is_empty()).then(|| resource.to_owned()),
        ..TestPolicyRequest::default()
    }
}

async fn test(service: &Service, principal: &str, action: &str) -> TestPolicyResult {
    let asked = service.access().test_policy(question(principal, action, "")).await;
    asked.unwrap().into_inner()
}

#[tokio::test]
async fn a_policy_is_kept_as_it_was_written_replaced_and_deleted() {
    on_each_surface!(service, access => {
        let text = saying("Allow", "ssm:Get*");
        let put = access.put_policy(policy("mine", &text)).await.unwrap().into_inner();
        assert_eq!((put.policy.unwrap().policy_document(), put.warnings.len()), (text.as_str(), 0));
        let other = saying("Deny", "ssm:SendComand");
        let put = access.put_policy(policy("mine", &other)).await.unwrap().into_inner();
        assert_eq!(put.warnings, ["Muster has no action ssm:SendComand"]);
        let get = |name: &str| GetPolicyRequest { policy_name: Some(name.to_owned()) };
        let got = access.get_policy(get("mine")).await.unwrap().into_inner().policy.unwrap();
        assert_eq!((got.policy_document(), got.built_in()), (other.as_str(), false));
        let got = access.get_policy(get("admin")).await.unwrap().into_inner().policy.unwrap();
        assert!(got.built_in() && got.policy_document().contains("2012-10-17"));
        assert_eq!(reason(access.get_policy(get("MINE")).await), Reason::NoSuchEntity);
        assert_eq!(reason(access.put_policy(policy("Mine", &text)).await), Reason::EntityAlreadyExists);
        let delete = DeletePolicyRequest { policy_name: Some("mine".to_owned()) };
        access.delete_policy(delete.clone()).await.unwrap();
        assert_eq!(reason(access.delete_policy(delete).await), Reason::NoSuchEntity);
    });
}

#[tokio::test]
async fn a_text_that_is_not_understood_as_a_whole_is_refused_with_the_place() {
    let service = Service::with(|settings| settings.max_policies = 1).await;
    let mut access = service.access();
    let text = saying("Allow", "ssm:Get*").replace("\"Sid\"", "\"Principal\"");
    let (word, text) = refusal(access.put_policy(policy("mine", &text)).await);
    assert_eq!(word, Reason::MalformedPolicyDocument);
    assert!(text.starts_with("/Statement/Principal: unknown element"), "{text}");
    let (word, _) = refusal(access.put_policy(policy("mine", "{")).await);
    assert_eq!(word, Reason::MalformedPolicyDocument);
    let (word, text) = refusal(access.put_policy(policy("Admin", &saying("Allow", "*"))).await);
    assert_eq!(
        (word, text.as_str()),
        (
            Reason::UnmodifiableEntity,
            "the policy Admin is built in, and cannot be changed or deleted"
        )
    );
    let delete = DeletePolicyRequest {
        policy_name: Some("operator".to_owned()),
    };
    assert_eq!(reason(access.delete_policy(delete).await), Reason::UnmodifiableEntity);
    service.put("one", &saying("Allow", "*")).await;
    service.put("one", &saying("Deny", "*")).await;
    assert_eq!(
        reason(access.put_policy(policy("two", &saying("Allow", "*"))).await),
        Reason::LimitExceeded
    );
    service.stop().await;
}

#[tokio::test]
async fn lists_of_policies_begin_with_the_built_in_ones() {
    let service = Service::start().await;
    let mut access = service.access();
    for name in ["zeta", "Alpha", "mid"] {
        service.put(name, &saying("Allow", "*")).await;
    }
    let mut names = Vec::new();
    let mut request = ListPoliciesRequest {
        max_results: Some(2),
        next_token: None,
    };
    loop {
        let page = access.list_policies(request.clone()).await.unwrap().into_inner();
        assert!(page.policies.len() <= 2);
        assert!(page.policies.iter().all(|policy| policy.policy_document.is_none()));
        names.extend(page.policies.into_iter().map(|policy| policy.policy_name.unwrap()));
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    assert_eq!(
        names,
        ["admin", "operator", "read-only", "node-core", "Alpha", "mid", "zeta"]
    );
    service.stop().await;
}

#[tokio::test]
async fn policies_come_with_the_user_and_its_groups_and_a_denial_outweighs_all() {
    for service in Service::on_each_database().await {
        let mut access = service.access();
        service.make_user("alice").await;
        service.make_group("people").await;
        service.put("no-cancel", &saying("Deny", "ssm:CancelCommand")).await;
        assert_eq!(
            test(&service, "user/alice", "ssm:SendCommand").await.decision(),
            Decision::ImplicitDeny
        );
        access.attach_policy(attach("operator", "group/people")).await.unwrap();
        access.attach_policy(attach("no-cancel", "user/alice")).await.unwrap();
        access.attach_policy(attach("no-cancel", "user/alice")).await.unwrap();
        let member = AddUserToGroupRequest {
            group_name: Some("people".to_owned()),
            user_name: Some("alice".to_owned()),
        };
        access.add_user_to_group(member).await.unwrap();
        let allowed = test(&service, "arn:aws:iam::000000000000:user/alice", "ssm:SendCommand").await;
        assert_eq!(
            (allowed.decision(), allowed.message.as_deref()),
            (Decision::Allow, None)
        );
        assert_eq!(allowed.statements, ["operator/RunCommands"]);
        assert_eq!(allowed.policy_names, ["no-cancel", "operator"]);
        let denied = test(&service, "user/alice", "ssm:CancelCommand").await;
        assert_eq!(
            (denied.decision(), denied.statements.as_slice()),
            (Decision::ExplicitDeny, ["no-cancel/One".to_owned()].as_slice())
        );
        assert_eq!(
            denied.message(),
            "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: ssm:CancelCommand on resource: * \
             with an explicit deny in an identity-based policy"
        );
        let of = ListAttachedPoliciesRequest {
            user_name: Some("alice".to_owned()),
            ..ListAttachedPoliciesRequest::default()
        };
        let own = access
            .list_attached_policies(of)
            .await
            .unwrap()
            .into_inner()
            .policy_names;
        assert_eq!(own, ["no-cancel"], "those of groups are the groups'");

        let delete = DeletePolicyRequest {
            policy_name: Some("no-cancel".to_owned()),
        };
        assert_eq!(
            reason(access.delete_policy(delete.clone()).await),
            Reason::DeleteConflict
        );
        let detach = DetachPolicyRequest {
            policy_name: Some("no-cancel".to_owned()),
            user_name: Some("alice".to_owned()),
            ..DetachPolicyRequest::default()
        };
        access.detach_policy(detach.clone()).await.unwrap();
        assert_eq!(reason(access.detach_policy(detach).await), Reason::NoSuchEntity);
        access.delete_policy(delete).await.unwrap();
        assert_eq!(
            test(&service, "user/alice", "ssm:CancelCommand").await.decision(),
            Decision::Allow
        );
        service.stop().await;
    }
}

#[tokio::test]
async fn attachments_that_cannot_be_are_refused() {
    let service = Service::start().await;
    let mut access = service.access();
    service.make_user("alice").await;
    assert_eq!(
        reason(access.attach_policy(attach("nope", "user/alice")).await),
        Reason::NoSuchEntity
    );
    assert_eq!(
        reason(access.attach_policy(attach("admin", "user/bob")).await),
        Reason::NoSuchEntity
    );
    assert_eq!(
        reason(access.attach_policy(attach("admin", "role/alice")).await),
        Reason::NoSuchEntity
    );
    let mut two = attach("admin", "user/alice");
    two.group_name = Some("people".to_owned());
    assert_eq!(reason(access.attach_policy(two).await), Reason::ValidationException);
    service.stop().await;
}

#[tokio::test]
async fn nobody_gets_more_than_fifty_policies_by_whatever_way() {
    for service in Service::on_each_database().await {
        let mut access = service.access();
        service.make_user("alice").await;
        for group in ["one", "two"] {
            service.make_group(group).await;
        }
        for number in 0..51 {
            service
                .put(&format!("p{number:02}"), &saying("Allow", "ssm:Get*"))
                .await;
        }
        for number in 0..30 {
            access
                .attach_policy(attach(&format!("p{number:02}"), "user/alice"))
                .await
                .unwrap();
        }
        for number in 30..50 {
            access
                .attach_policy(attach(&format!("p{number:02}"), "group/one"))
                .await
                .unwrap();
        }
        let member = |group: &str| AddUserToGroupRequest {
            group_name: Some(group.to_owned()),
            user_name: Some("alice".to_owned()),
        };
        access.add_user_to_group(member("one")).await.unwrap();
        let full = [
            refusal(access.attach_policy(attach("p50", "user/alice")).await),
            refusal(access.attach_policy(attach("p50", "group/one")).await),
        ];
        for (word, text) in full {
            assert_eq!(word, Reason::LimitExceeded);
            assert!(text.starts_with("the user alice would have 51 policies"), "{text}");
        }
        // What it has by another way already does not count twice.
        access.attach_policy(attach("p49", "user/alice")).await.unwrap();
        access.attach_policy(attach("p50", "group/two")).await.unwrap();
        assert_eq!(
            reason(access.add_user_to_group(member("two")).await),
            Reason::LimitExceeded
        );
        assert_eq!(
            test(&service, "user/alice", "ssm:GetDocument").await.policy_names.len(),
            50
        );
        service.stop().await;
    }
}

#[tokio::test]
async fn a_node_without_policies_has_those_of_all_nodes_and_the_test_says_so() {
    let service = Service::start().await;
    service.make_role("empty").await;
    for role in ["empty", "unknown", "node-core"] {
        let node = format!("arn:aws:sts::000000000000:assumed-role/{role}/mi-1");
        let document = "arn:aws:ssm:us-east-1:000000000000:document/Mine";
        let read = question(&node, "ssm:GetDocument", document);
        let answer = service.access().test_policy(read).await.unwrap().into_inner();
        assert_eq!(
            (answer.decision(), answer.policy_names),
            (Decision::Allow, vec!["node-core".to_owned()]),
            "{role}"
        );
        let parameter = question(
            &node,
            "ssm:GetParameters",
            "arn:aws:ssm:us-east-1:000000000000:parameter/x",
        );
        let answer = service.access().test_policy(parameter).await.unwrap().into_inner();
        assert_eq!(answer.decision(), Decision::ImplicitDeny, "{role}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_text_is_tried_before_it_is_a_policy_and_conditions_see_their_context() {
    let service = Service::start().await;
    let mut access = service.access();
    service.make_role("web").await;
    let text = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "Own", "Effect": "Allow", "Action": "ssm:PutInventory",
        "Resource": "arn:aws:ssm:*:*:managed-instance/${ssm:nodeId}",
        "Condition": {"StringEquals": {"ssm:resourceTag/Env": "dev"}}}]}"#;
    let resource = "arn:aws:ssm:us-east-1:000000000000:managed-instance/mi-1";
    let mut request = question(
        "arn:aws:sts::000000000000:assumed-role/web/mi-1",
        "ssm:PutInventory",
        resource,
    );
    request.policy_document = Some(text.to_owned());
    let without = access.test_policy(request.clone()).await.unwrap().into_inner();
    assert_eq!(without.decision(), Decision::ImplicitDeny);
    let entry = |key: &str, value: &str| ContextEntry {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    };
    request.context = vec![entry("ssm:resourceTag/Env", "dev")];
    let with = access.test_policy(request.clone()).await.unwrap().into_inner();
    assert_eq!(
        (with.decision(), with.statements),
        (Decision::Allow, vec!["given/Own".to_owned()])
    );
    request.principal = Some("arn:aws:sts::000000000000:assumed-role/web/mi-2".to_owned());
    let other = access.test_policy(request.clone()).await.unwrap().into_inner();
    assert_eq!(other.decision(), Decision::ImplicitDeny);

    request.context = vec![entry("ssm:nodeId", "mi-1")];
    assert_eq!(
        reason(access.test_policy(request.clone()).await),
        Reason::ValidationException
    );
    request.context.clear();
    request.policy_document = Some("{}".to_owned());
    assert_eq!(
        reason(access.test_policy(request).await),
        Reason::MalformedPolicyDocument
    );
    for (principal, action, resource, expected) in [
        ("user/nobody", "ssm:SendCommand", "", Reason::NoSuchEntity),
        ("group/people", "ssm:SendCommand", "", Reason::ValidationException),
        (
            "arn:aws:iam::111111111111:user/x",
            "ssm:SendCommand",
            "",
            Reason::ValidationException,
        ),
        ("role/web", "SendCommand", "", Reason::ValidationException),
        ("role/web", "ssm:SendCommand", "web-1", Reason::ValidationException),
    ] {
        let asked = access.test_policy(question(principal, action, resource)).await;
        assert_eq!(reason(asked), expected, "{principal} {action} {resource}");
    }
    service.stop().await;
}
