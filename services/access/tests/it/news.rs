//! What changed is told to whoever keeps answers.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use muster_access::bootstrap;
use muster_model::Account;
use muster_proto::access::v1::{AccessKeyStatus, AddUserToGroupRequest, UpdateAccessKeyRequest};
use serde_json::Value;

use crate::service::{Service, attach, saying};

const SUBJECT: &str = "muster.v1.event.access.principal.changed";

async fn next(heard: &mut async_nats::Subscriber) -> Value {
    let waiting = tokio::time::timeout(std::time::Duration::from_secs(5), heard.next());
    let message = waiting.await.expect("a change is told within five seconds").unwrap();
    serde_json::from_slice(&message.payload).unwrap()
}

#[tokio::test]
async fn every_change_that_matters_is_told_with_a_growing_epoch() {
    for service in Service::on_each_database().await {
        let mut heard = service.nats.subscribe(SUBJECT).await.unwrap();
        service.nats.flush().await.unwrap();
        let alice = "arn:aws:iam::000000000000:user/alice";
        service.make_user("alice").await;
        let made = next(&mut heard).await;
        assert_eq!(
            (&made["subject"], &made["data"]["principal"]),
            (&alice.into(), &alice.into())
        );
        assert_eq!(made["type"], "access.principal.changed");
        let key = service.make_key("alice").await;
        let told = next(&mut heard).await;
        assert_eq!(told["data"]["accessKeyId"], key.access_key_id());
        assert!(!told.to_string().contains(key.secret_access_key()));
        let off = UpdateAccessKeyRequest {
            access_key_id: key.access_key_id.clone(),
            status: Some(AccessKeyStatus::Inactive.into()),
        };
        service.access().update_access_key(off).await.unwrap();
        let told = next(&mut heard).await;
        assert_eq!(
            (&told["data"]["principal"], &told["data"]["accessKeyId"]),
            (&alice.into(), &key.access_key_id().into())
        );
        assert!(told["data"]["epoch"].as_i64() > made["data"]["epoch"].as_i64());

        service.put("mine", &saying("Allow", "*")).await;
        service.make_group("people").await;
        service
            .access()
            .attach_policy(attach("mine", "group/people"))
            .await
            .unwrap();
        let told = next(&mut heard).await;
        assert_eq!(
            told["data"].get("principal"),
            None,
            "a group's members are not named: anybody may be concerned"
        );
        service.put("mine", &saying("Deny", "*")).await;
        assert_eq!(next(&mut heard).await["data"].get("principal"), None);
        let member = AddUserToGroupRequest {
            group_name: Some("people".to_owned()),
            user_name: Some("alice".to_owned()),
        };
        service.access().add_user_to_group(member).await.unwrap();
        assert_eq!(next(&mut heard).await["data"]["principal"], alice);
        service.stop().await;
    }
}

#[tokio::test]
async fn what_the_bootstrap_command_changes_is_told_by_the_service_that_runs() {
    let service = Service::start().await;
    let first = bootstrap::root_key(&Account::default(), &service.settings(), &service.database_url(), false)
        .await
        .unwrap();
    let mut heard = service.nats.subscribe(SUBJECT).await.unwrap();
    service.nats.flush().await.unwrap();
    let second = bootstrap::root_key(&Account::default(), &service.settings(), &service.database_url(), true)
        .await
        .unwrap();
    let mut told = BTreeSet::new();
    while !(told.contains(&first.access_key_id) && told.contains(&second.access_key_id)) {
        let event = next(&mut heard).await;
        told.insert(event["data"]["accessKeyId"].as_str().unwrap().to_owned());
    }
    service.stop().await;
}
