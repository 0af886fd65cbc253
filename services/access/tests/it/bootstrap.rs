//! The first access key.

use muster_access::bootstrap::{BootstrapError, root_key};
use muster_model::Account;
use muster_proto::access::v1::{
    AccessKeyStatus, CheckBearerRequest, CreateAccessKeyRequest, Decision, DeleteUserRequest, DetachPolicyRequest,
    KeyState, ListAuditRecordsRequest, TestPolicyRequest, UpdateAccessKeyRequest,
};
use muster_proto::aws::v1::Reason;

use crate::service::{Service, attach, reason, saying};

#[tokio::test]
async fn root_is_made_once_may_do_everything_and_cannot_be_changed() {
    for service in Service::on_each_database().await {
        let (settings, url) = (service.settings(), service.database_url());
        let made = root_key(&Account::default(), &settings, &url, false).await.unwrap();
        assert_eq!(made.arn, "arn:aws:iam::000000000000:user/root");
        let again = root_key(&Account::default(), &settings, &url, false).await.unwrap_err();
        assert!(matches!(again, BootstrapError::Done), "{again}");
        assert!(again.to_string().contains("--replace"));

        let check = async |id: &str, secret: &str| {
            let request = CheckBearerRequest {
                access_key_id: Some(id.to_owned()),
                secret_access_key: Some(secret.to_owned()),
                ..CheckBearerRequest::default()
            };
            service
                .decisions()
                .check_bearer(request)
                .await
                .unwrap()
                .into_inner()
                .state()
        };
        assert_eq!(check(&made.access_key_id, made.secret.reveal()).await, KeyState::Active);
        let request = TestPolicyRequest {
            principal: Some("user/root".to_owned()),
            action: Some("muster:CreateUser".to_owned()),
            ..TestPolicyRequest::default()
        };
        let mut access = service.access();
        let tested = access.test_policy(request).await.unwrap().into_inner();
        assert_eq!(tested.decision(), Decision::Allow);

        let root = Some("root".to_owned());
        service.put("nothing", &saying("Deny", "*")).await;
        let refused = [
            reason(
                access
                    .delete_user(DeleteUserRequest {
                        user_name: root.clone(),
                    })
                    .await,
            ),
            reason(
                access
                    .create_access_key(CreateAccessKeyRequest {
                        user_name: root.clone(),
                    })
                    .await,
            ),
            reason(access.attach_policy(attach("nothing", "user/root")).await),
            reason(
                access
                    .detach_policy(DetachPolicyRequest {
                        policy_name: Some("admin".to_owned()),
                        user_name: root,
                        ..DetachPolicyRequest::default()
                    })
                    .await,
            ),
        ];
        assert_eq!(refused, [Reason::UnmodifiableEntity; 4]);
        // A key that leaked can be switched off; the command makes another one.
        let off = UpdateAccessKeyRequest {
            access_key_id: Some(made.access_key_id.clone()),
            status: Some(AccessKeyStatus::Inactive.into()),
        };
        access.update_access_key(off).await.unwrap();
        assert_eq!(
            check(&made.access_key_id, made.secret.reveal()).await,
            KeyState::Inactive
        );
        let new = root_key(&Account::default(), &settings, &url, true).await.unwrap();
        assert_eq!(
            check(&made.access_key_id, made.secret.reveal()).await,
            KeyState::Unknown
        );
        assert_eq!(check(&new.access_key_id, new.secret.reveal()).await, KeyState::Active);

        let records = service
            .audit()
            .list_audit_records(ListAuditRecordsRequest::default())
            .await
            .unwrap();
        let records = records.into_inner().records;
        let told: Vec<_> = records
            .iter()
            .map(|record| (record.action(), record.access_key_id()))
            .collect();
        assert_eq!(
            told,
            [
                ("muster:Bootstrap", new.access_key_id.as_str()),
                ("muster:Bootstrap", made.access_key_id.as_str()),
            ]
        );
        service.stop().await;
    }
}

#[tokio::test]
async fn what_is_printed_is_a_credentials_file_and_the_secret_has_no_other_form() {
    let service = Service::start().await;
    let made = root_key(&Account::default(), &service.settings(), &service.database_url(), false)
        .await
        .unwrap();
    let (id, secret) = (&made.access_key_id, made.secret.reveal());
    assert_eq!(
        made.to_string(),
        format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}")
    );
    assert!(!format!("{made:?}").contains(secret));
    service.stop().await;
}

#[tokio::test]
async fn the_first_user_is_made_once_and_is_a_user_like_others() {
    let with_first = |settings: &mut muster_access::Settings| "operator".clone_into(&mut settings.first_admin);
    let service = Service::with(with_first).await;
    let tested = |action: &str| TestPolicyRequest {
        principal: Some("user/operator".to_owned()),
        action: Some(action.to_owned()),
        ..TestPolicyRequest::default()
    };
    let mut access = service.access();
    let may = access
        .test_policy(tested("ssm:SendCommand"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(may.decision(), Decision::Allow);
    let log = service
        .audit()
        .list_audit_records(ListAuditRecordsRequest::default())
        .await;
    let log = log.unwrap().into_inner().records;
    assert_eq!(
        log.iter()
            .map(|each| (each.action(), each.resource()))
            .collect::<Vec<_>>(),
        [("muster:FirstAdmin", "arn:aws:iam::000000000000:user/operator")]
    );

    // Its rights are taken away as anybody's, and it is not made again.
    let detach = DetachPolicyRequest {
        policy_name: Some("admin".to_owned()),
        user_name: Some("operator".to_owned()),
        ..DetachPolicyRequest::default()
    };
    access.detach_policy(detach).await.unwrap();
    let delete = DeleteUserRequest {
        user_name: Some("operator".to_owned()),
    };
    access.delete_user(delete).await.unwrap();
    let service = Box::pin(service.restart_with(with_first)).await;
    let gone = service.access().test_policy(tested("ssm:SendCommand")).await;
    assert_eq!(reason(gone), Reason::NoSuchEntity);
    service.stop().await;
}
