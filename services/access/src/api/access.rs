//! `Access`: users, groups, roles, policies and access keys, for people.

use std::sync::Arc;

use muster_boot::Parts;
use muster_model::Clock;
use muster_proto::access::v1::access_server::Access;
use muster_proto::access::v1::{
    AddUserToGroupRequest, AddUserToGroupResult, AttachPolicyRequest, AttachPolicyResult, CreateAccessKeyRequest,
    CreateAccessKeyResult, CreateGroupRequest, CreateGroupResult, CreateRoleRequest, CreateRoleResult,
    CreateUserRequest, CreateUserResult, DeleteAccessKeyRequest, DeleteAccessKeyResult, DeleteGroupRequest,
    DeleteGroupResult, DeletePolicyRequest, DeletePolicyResult, DeleteRoleRequest, DeleteRoleResult, DeleteUserRequest,
    DeleteUserResult, DetachPolicyRequest, DetachPolicyResult, GetGroupRequest, GetGroupResult, GetPolicyRequest,
    GetPolicyResult, ListAccessKeysRequest, ListAccessKeysResult, ListAttachedPoliciesRequest,
    ListAttachedPoliciesResult, ListGroupsRequest, ListGroupsResult, ListPoliciesRequest, ListPoliciesResult,
    ListRolesRequest, ListRolesResult, ListUsersRequest, ListUsersResult, PutPolicyRequest, PutPolicyResult,
    RemoveUserFromGroupRequest, RemoveUserFromGroupResult, TestPolicyRequest, TestPolicyResult, UpdateAccessKeyRequest,
    UpdateAccessKeyResult,
};
use muster_store::Db;
use muster_wire::Caller;
use tonic::{Request, Response, Status};

use super::{Pages, access_keys, attachments, groups, policies, roles, test_policy, users};
use crate::Settings;
use crate::domain::identity::Account;
use crate::key_file::KeyRing;
use crate::work::Teller;

/// What people ask.
#[derive(Debug)]
pub(crate) struct AccessApi {
    pub(super) settings: Settings,
    pub(super) account: Account,
    pub(super) db: Db,
    pub(super) pages: Pages,
    pub(super) keys: Arc<KeyRing>,
    pub(super) teller: Teller,
    clock: Arc<dyn Clock>,
}

impl AccessApi {
    pub(crate) fn new(
        settings: Settings,
        parts: &Parts,
        db: Db,
        pages: Pages,
        keys: Arc<KeyRing>,
        teller: Teller,
    ) -> Self {
        Self {
            account: (&parts.account).into(),
            settings,
            db,
            pages,
            keys,
            teller,
            clock: Arc::clone(&parts.clock),
        }
    }

    /// Microseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}

#[tonic::async_trait]
impl Access for AccessApi {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<CreateUserResult>, Status> {
        Ok(Response::new(users::create(self, request.into_inner()).await?))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<DeleteUserResult>, Status> {
        Ok(Response::new(users::delete(self, request.into_inner()).await?))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<ListUsersResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(users::list(self, request.into_inner(), &asker).await?))
    }

    async fn create_group(&self, request: Request<CreateGroupRequest>) -> Result<Response<CreateGroupResult>, Status> {
        Ok(Response::new(groups::create(self, request.into_inner()).await?))
    }

    async fn delete_group(&self, request: Request<DeleteGroupRequest>) -> Result<Response<DeleteGroupResult>, Status> {
        Ok(Response::new(groups::delete(self, request.into_inner()).await?))
    }

    async fn list_groups(&self, request: Request<ListGroupsRequest>) -> Result<Response<ListGroupsResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(groups::list(self, request.into_inner(), &asker).await?))
    }

    async fn get_group(&self, request: Request<GetGroupRequest>) -> Result<Response<GetGroupResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(groups::get(self, request.into_inner(), &asker).await?))
    }

    async fn add_user_to_group(
        &self,
        request: Request<AddUserToGroupRequest>,
    ) -> Result<Response<AddUserToGroupResult>, Status> {
        Ok(Response::new(groups::add(self, request.into_inner()).await?))
    }

    async fn remove_user_from_group(
        &self,
        request: Request<RemoveUserFromGroupRequest>,
    ) -> Result<Response<RemoveUserFromGroupResult>, Status> {
        Ok(Response::new(groups::remove(self, request.into_inner()).await?))
    }

    async fn create_role(&self, request: Request<CreateRoleRequest>) -> Result<Response<CreateRoleResult>, Status> {
        Ok(Response::new(roles::create(self, request.into_inner()).await?))
    }

    async fn delete_role(&self, request: Request<DeleteRoleRequest>) -> Result<Response<DeleteRoleResult>, Status> {
        Ok(Response::new(roles::delete(self, request.into_inner()).await?))
    }

    async fn list_roles(&self, request: Request<ListRolesRequest>) -> Result<Response<ListRolesResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(roles::list(self, request.into_inner(), &asker).await?))
    }

    async fn put_policy(&self, request: Request<PutPolicyRequest>) -> Result<Response<PutPolicyResult>, Status> {
        Ok(Response::new(policies::put(self, request.into_inner()).await?))
    }

    async fn get_policy(&self, request: Request<GetPolicyRequest>) -> Result<Response<GetPolicyResult>, Status> {
        Ok(Response::new(policies::get(self, request.into_inner()).await?))
    }

    async fn list_policies(
        &self,
        request: Request<ListPoliciesRequest>,
    ) -> Result<Response<ListPoliciesResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(policies::list(self, request.into_inner(), &asker).await?))
    }

    async fn delete_policy(
        &self,
        request: Request<DeletePolicyRequest>,
    ) -> Result<Response<DeletePolicyResult>, Status> {
        Ok(Response::new(policies::delete(self, request.into_inner()).await?))
    }

    async fn attach_policy(
        &self,
        request: Request<AttachPolicyRequest>,
    ) -> Result<Response<AttachPolicyResult>, Status> {
        Ok(Response::new(attachments::attach(self, request.into_inner()).await?))
    }

    async fn detach_policy(
        &self,
        request: Request<DetachPolicyRequest>,
    ) -> Result<Response<DetachPolicyResult>, Status> {
        Ok(Response::new(attachments::detach(self, request.into_inner()).await?))
    }

    async fn list_attached_policies(
        &self,
        request: Request<ListAttachedPoliciesRequest>,
    ) -> Result<Response<ListAttachedPoliciesResult>, Status> {
        Ok(Response::new(attachments::list(self, request.into_inner()).await?))
    }

    async fn create_access_key(
        &self,
        request: Request<CreateAccessKeyRequest>,
    ) -> Result<Response<CreateAccessKeyResult>, Status> {
        Ok(Response::new(access_keys::create(self, request.into_inner()).await?))
    }

    async fn update_access_key(
        &self,
        request: Request<UpdateAccessKeyRequest>,
    ) -> Result<Response<UpdateAccessKeyResult>, Status> {
        Ok(Response::new(access_keys::update(self, request.into_inner()).await?))
    }

    async fn delete_access_key(
        &self,
        request: Request<DeleteAccessKeyRequest>,
    ) -> Result<Response<DeleteAccessKeyResult>, Status> {
        Ok(Response::new(access_keys::delete(self, request.into_inner()).await?))
    }

    async fn list_access_keys(
        &self,
        request: Request<ListAccessKeysRequest>,
    ) -> Result<Response<ListAccessKeysResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(
            access_keys::list(self, request.into_inner(), &asker).await?,
        ))
    }

    async fn test_policy(&self, request: Request<TestPolicyRequest>) -> Result<Response<TestPolicyResult>, Status> {
        Ok(Response::new(test_policy::test(self, request.into_inner()).await?))
    }
}
