//! Which policies users, groups and roles have.

use muster_proto::access::v1::{
    AttachPolicyRequest, AttachPolicyResult, DetachPolicyRequest, DetachPolicyResult, ListAttachedPoliciesRequest,
    ListAttachedPoliciesResult,
};
use muster_wire::Failure;

use super::access::AccessApi;
use crate::domain::identity::Who;
use crate::error::{from_store, settle};
use crate::store::{attachment, identity};

pub(super) async fn attach(api: &AccessApi, request: AttachPolicyRequest) -> Result<AttachPolicyResult, Failure> {
    let who = Who::one_of(request.user_name, request.group_name, request.role_name)?;
    let policy = request.policy_name.unwrap_or_default();
    settle(attachment::attach(&api.db, &who, &policy).await)?;
    api.teller.wake();
    Ok(AttachPolicyResult {})
}

pub(super) async fn detach(api: &AccessApi, request: DetachPolicyRequest) -> Result<DetachPolicyResult, Failure> {
    let who = Who::one_of(request.user_name, request.group_name, request.role_name)?;
    let policy = request.policy_name.unwrap_or_default();
    settle(attachment::detach(&api.db, &who, &policy).await)?;
    api.teller.wake();
    Ok(DetachPolicyResult {})
}

pub(super) async fn list(
    api: &AccessApi,
    request: ListAttachedPoliciesRequest,
) -> Result<ListAttachedPoliciesResult, Failure> {
    let who = Who::one_of(request.user_name, request.group_name, request.role_name)?;
    let row = settle(identity::find(&api.db, &who).await)?;
    Ok(ListAttachedPoliciesResult {
        policy_names: attachment::of(&api.db, &row.id).await.map_err(from_store)?,
    })
}
