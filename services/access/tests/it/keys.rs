//! Access keys, and what keeps their secrets.

use muster_proto::access::v1::{
    AccessKeyStatus, CheckBearerRequest, CreateAccessKeyRequest, DeleteAccessKeyRequest, KeyState,
    ListAccessKeysRequest, UpdateAccessKeyRequest,
};
use muster_proto::aws::v1::Reason;

use crate::service::{Service, on_each_surface, reason, refusal, user};

fn create(user: &str) -> CreateAccessKeyRequest {
    CreateAccessKeyRequest {
        user_name: Some(user.to_owned()),
    }
}

fn of(user: &str) -> ListAccessKeysRequest {
    ListAccessKeysRequest {
        user_name: Some(user.to_owned()),
        ..ListAccessKeysRequest::default()
    }
}

fn update(id: &str, status: AccessKeyStatus) -> UpdateAccessKeyRequest {
    UpdateAccessKeyRequest {
        access_key_id: Some(id.to_owned()),
        status: Some(status.into()),
    }
}

#[tokio::test]
async fn a_secret_is_shown_once_and_two_keys_are_enough() {
    on_each_surface!(service, access => {
        access.create_user(user("alice")).await.unwrap();
        let key = access.create_access_key(create("alice")).await.unwrap().into_inner().access_key.unwrap();
        assert!(key.access_key_id().starts_with("MKIA") && key.access_key_id().len() == 20);
        assert_eq!((key.secret_access_key().len(), key.status()), (40, AccessKeyStatus::Active));
        assert!(!format!("{key:?}").contains(key.secret_access_key()), "a log of the answer would show it");
        access.create_access_key(create("alice")).await.unwrap();
        let (word, text) = refusal(access.create_access_key(create("alice")).await);
        assert_eq!(word, Reason::LimitExceeded);
        assert_eq!(text, "the user alice has 2 access keys already, which is the limit: delete one");
        assert_eq!(reason(access.create_access_key(create("bob")).await), Reason::NoSuchEntity);
        let listed = access.list_access_keys(of("alice")).await.unwrap();
        let listed = format!("{listed:?}");
        assert!(listed.contains(key.access_key_id()) && !listed.contains(key.secret_access_key()));

        access.update_access_key(update(key.access_key_id(), AccessKeyStatus::Inactive)).await.unwrap();
        let all = access.list_access_keys(ListAccessKeysRequest::default()).await.unwrap().into_inner().access_keys;
        let shown = all.iter().find(|each| each.access_key_id == key.access_key_id).unwrap();
        assert_eq!((shown.status(), shown.user_name(), &shown.last_used_date), (AccessKeyStatus::Inactive, "alice", &None));
        assert_eq!(all.len(), 2);
        let unset = access.update_access_key(update(key.access_key_id(), AccessKeyStatus::Unset)).await;
        assert_eq!(reason(unset), Reason::ValidationException);
        let delete = DeleteAccessKeyRequest { access_key_id: key.access_key_id.clone() };
        access.delete_access_key(delete.clone()).await.unwrap();
        assert_eq!(reason(access.delete_access_key(delete).await), Reason::NoSuchEntity);
        let gone = access.update_access_key(update(key.access_key_id(), AccessKeyStatus::Active)).await;
        assert_eq!(reason(gone), Reason::NoSuchEntity);
    });
}

#[tokio::test]
async fn no_secret_is_on_the_disk_in_clear_and_it_survives_a_restart() {
    let service = Service::start().await;
    service.make_user("alice").await;
    let key = service.make_key("alice").await;
    let secret = key.secret_access_key().to_owned();
    let wanted = secret.clone();
    let service = service
        .restart_after(async |folder| {
            let mut looked_at = 0;
            for entry in std::fs::read_dir(folder.path()).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let bytes = std::fs::read(&path).unwrap();
                    let found = bytes.windows(wanted.len()).any(|part| part == wanted.as_bytes());
                    assert!(!found, "{}", path.display());
                    looked_at += 1;
                }
            }
            assert!(looked_at >= 2, "the tables and the key file are there");
        })
        .await
        .unwrap();
    let request = CheckBearerRequest {
        access_key_id: key.access_key_id,
        secret_access_key: Some(secret),
        ..CheckBearerRequest::default()
    };
    let answer = service.decisions().check_bearer(request).await.unwrap().into_inner();
    assert_eq!(answer.state(), KeyState::Active);
    service.stop().await;
}

#[tokio::test]
async fn without_its_key_file_the_service_does_not_start() {
    let service = Service::start().await;
    service.make_user("alice").await;
    service.make_key("alice").await;
    let refused = service
        .restart_after(async |folder| std::fs::remove_file(folder.join("access.key")).unwrap())
        .await;
    let text = refused.err().unwrap().to_string();
    assert!(
        text.contains("access.key is missing") && text.contains("put it back"),
        "{text}"
    );
}
