//! Users with access keys and policies.

use muster_proto::access::v1::access_client::AccessClient;
use muster_proto::access::v1::{
    AccessKey, AttachPolicyRequest, CreateAccessKeyRequest, CreateRoleRequest, CreateUserRequest,
    DeleteAccessKeyRequest, DetachPolicyRequest, ListAccessKeysRequest, PutPolicyRequest,
};
use muster_wire::NatsChannel;

/// Gives rights, as somebody who may.
#[derive(Debug, Clone)]
pub struct People(pub AccessClient<NatsChannel>);

impl People {
    /// By this connection.
    #[must_use]
    pub fn new(nats: async_nats::Client) -> Self {
        Self(AccessClient::new(NatsChannel::new(nats)))
    }

    /// Makes a user with policies and an access key.
    pub async fn user(&mut self, name: &str, policies: &[&str]) -> AccessKey {
        let user_name = Some(name.to_owned());
        let user = CreateUserRequest {
            user_name: user_name.clone(),
            ..CreateUserRequest::default()
        };
        self.0.create_user(user).await.expect("a user is made");
        for policy in policies {
            self.attach(name, policy).await;
        }
        let made = self.0.create_access_key(CreateAccessKeyRequest { user_name }).await;
        let made = made.expect("an access key is made").into_inner();
        made.access_key.expect("an answer holds its access key")
    }

    /// Makes a role with policies.
    pub async fn role(&mut self, name: &str, policies: &[&str]) {
        let role_name = Some(name.to_owned());
        let role = CreateRoleRequest {
            role_name: role_name.clone(),
            ..CreateRoleRequest::default()
        };
        self.0.create_role(role).await.expect("a role is made");
        for policy in policies {
            let attach = AttachPolicyRequest {
                policy_name: Some((*policy).to_owned()),
                role_name: role_name.clone(),
                ..AttachPolicyRequest::default()
            };
            self.0.attach_policy(attach).await.expect("a policy is attached");
        }
    }

    /// Stores a policy.
    pub async fn put(&mut self, name: &str, document: &str) {
        let policy = PutPolicyRequest {
            policy_name: Some(name.to_owned()),
            policy_document: Some(document.to_owned()),
            ..PutPolicyRequest::default()
        };
        self.0.put_policy(policy).await.expect("a policy is stored");
    }

    /// Deletes the access keys of a user.
    pub async fn rid_of_keys(&mut self, user: &str) {
        let list = ListAccessKeysRequest {
            user_name: Some(user.to_owned()),
            ..ListAccessKeysRequest::default()
        };
        let keys = self.0.list_access_keys(list).await.expect("access keys are listed");
        for key in keys.into_inner().access_keys {
            let delete = DeleteAccessKeyRequest {
                access_key_id: key.access_key_id,
            };
            self.0
                .delete_access_key(delete)
                .await
                .expect("an access key is deleted");
        }
    }

    /// Gives a policy to a user.
    pub async fn attach(&mut self, user: &str, policy: &str) {
        let attach = AttachPolicyRequest {
            policy_name: Some(policy.to_owned()),
            user_name: Some(user.to_owned()),
            ..AttachPolicyRequest::default()
        };
        self.0.attach_policy(attach).await.expect("a policy is attached");
    }

    /// Takes a policy from a user.
    pub async fn detach(&mut self, user: &str, policy: &str) {
        let detach = DetachPolicyRequest {
            policy_name: Some(policy.to_owned()),
            user_name: Some(user.to_owned()),
            ..DetachPolicyRequest::default()
        };
        self.0.detach_policy(detach).await.expect("a policy is detached");
    }
}
