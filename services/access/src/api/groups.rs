//! Groups and who is in them.

use muster_proto::access::v1::{
    AddUserToGroupRequest, AddUserToGroupResult, CreateGroupRequest, CreateGroupResult, DeleteGroupRequest,
    DeleteGroupResult, GetGroupRequest, GetGroupResult, ListGroupsRequest, ListGroupsResult,
    RemoveUserFromGroupRequest, RemoveUserFromGroupResult,
};
use muster_wire::{Failure, Principal};

use super::access::AccessApi;
use super::{pages, view};
use crate::domain::identity::{Kind, Tags, Who};
use crate::error::{from_store, settle};
use crate::store::{group, identity};

pub(super) async fn create(api: &AccessApi, request: CreateGroupRequest) -> Result<CreateGroupResult, Failure> {
    let who = Who::group(request.group_name.unwrap_or_default());
    let limit = api.settings.max_groups;
    let row = settle(identity::create(&api.db, &who, &Tags::new(), limit, api.now()).await)?;
    Ok(CreateGroupResult {
        group: Some(view::group(&api.account, row)),
    })
}

pub(super) async fn delete(api: &AccessApi, request: DeleteGroupRequest) -> Result<DeleteGroupResult, Failure> {
    let who = Who::group(request.group_name.unwrap_or_default());
    settle(identity::delete(&api.db, &who).await)?;
    Ok(DeleteGroupResult {})
}

pub(super) async fn list(
    api: &AccessApi,
    request: ListGroupsRequest,
    asker: &Principal,
) -> Result<ListGroupsResult, Failure> {
    let user = match request.user_name {
        None => None,
        Some(name) => Some(settle(identity::find(&api.db, &Who::user(name)).await)?),
    };
    let question = format!("{asker} ListGroups {:?}", user.as_ref().map(|user| &user.id));
    let after = api.pages.position(&question, request.next_token.as_deref())?;
    let size = request.max_results;
    let limit = pages::limit(size);
    let rows = match &user {
        None => identity::list(&api.db, Kind::Group, &after, limit).await,
        Some(user) => group::of_user(&api.db, &user.id, &after, limit).await,
    };
    let mut rows = rows.map_err(from_store)?;
    let next_token = api.pages.cut(&question, &mut rows, size, |row| row.name.to_lowercase());
    let shown = rows.into_iter().map(|row| view::group(&api.account, row));
    Ok(ListGroupsResult {
        groups: shown.collect(),
        next_token,
    })
}

pub(super) async fn get(
    api: &AccessApi,
    request: GetGroupRequest,
    asker: &Principal,
) -> Result<GetGroupResult, Failure> {
    let who = Who::group(request.group_name.unwrap_or_default());
    let found = settle(identity::find(&api.db, &who).await)?;
    let question = format!("{asker} GetGroup {}", found.id);
    let after = api.pages.position(&question, request.next_token.as_deref())?;
    let size = request.max_results;
    let members = group::members(&api.db, &found.id, &after, pages::limit(size)).await;
    let mut rows = members.map_err(from_store)?;
    let next_token = api.pages.cut(&question, &mut rows, size, |row| row.name.to_lowercase());
    let mut tags = identity::tags(&api.db, &rows).await.map_err(from_store)?;
    let users = rows.into_iter().map(|row| {
        let tags = tags.remove(&row.id).unwrap_or_default();
        view::user(&api.account, row, tags)
    });
    Ok(GetGroupResult {
        users: users.collect(),
        group: Some(view::group(&api.account, found)),
        next_token,
    })
}

pub(super) async fn add(api: &AccessApi, request: AddUserToGroupRequest) -> Result<AddUserToGroupResult, Failure> {
    let in_group = Who::group(request.group_name.unwrap_or_default());
    let user = Who::user(request.user_name.unwrap_or_default());
    settle(group::add(&api.db, &in_group, &user).await)?;
    api.teller.wake();
    Ok(AddUserToGroupResult {})
}

pub(super) async fn remove(
    api: &AccessApi,
    request: RemoveUserFromGroupRequest,
) -> Result<RemoveUserFromGroupResult, Failure> {
    let in_group = Who::group(request.group_name.unwrap_or_default());
    let user = Who::user(request.user_name.unwrap_or_default());
    settle(group::remove(&api.db, &in_group, &user).await)?;
    api.teller.wake();
    Ok(RemoveUserFromGroupResult {})
}
