//! `CreateUser`, `DeleteUser` and `ListUsers`.

use muster_proto::access::v1::{
    CreateUserRequest, CreateUserResult, DeleteUserRequest, DeleteUserResult, ListUsersRequest, ListUsersResult,
};
use muster_wire::{Failure, Principal};

use super::access::AccessApi;
use super::{pages, view};
use crate::domain::identity::{Kind, Tags, Who};
use crate::error::AccessError;
use crate::error::{from_store, settle};
use crate::store::identity;

pub(super) async fn create(api: &AccessApi, request: CreateUserRequest) -> Result<CreateUserResult, Failure> {
    let who = Who::user(request.user_name.unwrap_or_default());
    if who.is_root() {
        return Err(AccessError::RootName.into());
    }
    let tags = view::tags_given(request.tags)?;
    let limit = api.settings.max_users;
    let row = settle(identity::create(&api.db, &who, &tags, limit, api.now()).await)?;
    api.teller.wake();
    Ok(CreateUserResult {
        user: Some(view::user(&api.account, row, tags)),
    })
}

pub(super) async fn delete(api: &AccessApi, request: DeleteUserRequest) -> Result<DeleteUserResult, Failure> {
    let who = Who::new(Kind::User, request.user_name.unwrap_or_default());
    settle(identity::delete(&api.db, &who).await)?;
    api.teller.wake();
    Ok(DeleteUserResult {})
}

pub(super) async fn list(
    api: &AccessApi,
    request: ListUsersRequest,
    asker: &Principal,
) -> Result<ListUsersResult, Failure> {
    let question = format!("{asker} ListUsers");
    let after = api.pages.position(&question, request.next_token.as_deref())?;
    let size = request.max_results;
    let mut rows = identity::list(&api.db, Kind::User, &after, pages::limit(size))
        .await
        .map_err(from_store)?;
    let next_token = api.pages.cut(&question, &mut rows, size, |row| row.name.to_lowercase());
    let mut tags = identity::tags(&api.db, &rows).await.map_err(from_store)?;
    let shown = rows.into_iter().map(|row| {
        let tags: Tags = tags.remove(&row.id).unwrap_or_default();
        view::user(&api.account, row, tags)
    });
    Ok(ListUsersResult {
        users: shown.collect(),
        next_token,
    })
}
