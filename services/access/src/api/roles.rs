//! `CreateRole`, `DeleteRole` and `ListRoles`.

use muster_proto::access::v1::{
    CreateRoleRequest, CreateRoleResult, DeleteRoleRequest, DeleteRoleResult, ListRolesRequest, ListRolesResult,
};
use muster_wire::{Failure, Principal};

use super::access::AccessApi;
use super::{pages, view};
use crate::domain::identity::{Kind, NODE_CORE, Tags, Who};
use crate::error::{AccessError, from_store, settle};
use crate::store::identity;

pub(super) async fn create(api: &AccessApi, request: CreateRoleRequest) -> Result<CreateRoleResult, Failure> {
    let name = request.role_name.unwrap_or_default();
    if name.eq_ignore_ascii_case(NODE_CORE) {
        return Err(AccessError::NodeRole.into());
    }
    let who = Who::new(Kind::Role, name);
    let tags = view::tags_given(request.tags)?;
    let limit = api.settings.max_roles;
    let row = settle(identity::create(&api.db, &who, &tags, limit, api.now()).await)?;
    api.teller.wake();
    Ok(CreateRoleResult {
        role: Some(view::role(&api.account, row, tags)),
    })
}

pub(super) async fn delete(api: &AccessApi, request: DeleteRoleRequest) -> Result<DeleteRoleResult, Failure> {
    let who = Who::new(Kind::Role, request.role_name.unwrap_or_default());
    settle(identity::delete(&api.db, &who).await)?;
    api.teller.wake();
    Ok(DeleteRoleResult {})
}

pub(super) async fn list(
    api: &AccessApi,
    request: ListRolesRequest,
    asker: &Principal,
) -> Result<ListRolesResult, Failure> {
    let question = format!("{asker} ListRoles");
    let after = api.pages.position(&question, request.next_token.as_deref())?;
    let size = request.max_results;
    let mut rows = identity::list(&api.db, Kind::Role, &after, pages::limit(size))
        .await
        .map_err(from_store)?;
    let next_token = api.pages.cut(&question, &mut rows, size, |row| row.name.to_lowercase());
    let mut tags = identity::tags(&api.db, &rows).await.map_err(from_store)?;
    let shown = rows.into_iter().map(|row| {
        let tags: Tags = tags.remove(&row.id).unwrap_or_default();
        view::role(&api.account, row, tags)
    });
    Ok(ListRolesResult {
        roles: shown.collect(),
        next_token,
    })
}
