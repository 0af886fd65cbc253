//! Access keys.

use muster_proto::access::v1::{
    AccessKey, AccessKeyStatus, CreateAccessKeyRequest, CreateAccessKeyResult, DeleteAccessKeyRequest,
    DeleteAccessKeyResult, ListAccessKeysRequest, ListAccessKeysResult, UpdateAccessKeyRequest, UpdateAccessKeyResult,
};
use muster_wire::{Failure, Principal};

use super::access::AccessApi;
use super::{pages, view};
use crate::domain::access_key::random_id;
use crate::domain::identity::Who;
use crate::domain::secret::Secret;
use crate::error::{AccessError, from_store, settle};
use crate::store::access_key::{self, NewKey};
use crate::store::identity;

pub(super) async fn create(api: &AccessApi, request: CreateAccessKeyRequest) -> Result<CreateAccessKeyResult, Failure> {
    let user = Who::user(request.user_name.unwrap_or_default());
    let (access_key_id, secret, key) = (random_id(), Secret::random(), api.keys.current());
    let new = NewKey {
        access_key_id: &access_key_id,
        key_id: &key.id,
        secret: &key.seal(&access_key_id, &secret),
        now: api.now(),
    };
    settle(access_key::create(&api.db, &user, &new).await)?;
    let create_date = view::time(new.now);
    api.teller.wake();
    Ok(CreateAccessKeyResult {
        access_key: Some(AccessKey {
            user_name: Some(user.name),
            access_key_id: Some(access_key_id),
            status: Some(AccessKeyStatus::Active.into()),
            secret_access_key: Some(secret.reveal().to_owned()),
            create_date,
        }),
    })
}

pub(super) async fn update(api: &AccessApi, request: UpdateAccessKeyRequest) -> Result<UpdateAccessKeyResult, Failure> {
    let is_active = match request.status() {
        AccessKeyStatus::Active => true,
        AccessKeyStatus::Inactive => false,
        AccessKeyStatus::Unset => return Err(AccessError::Status.into()),
    };
    settle(access_key::set_active(&api.db, request.access_key_id(), is_active).await)?;
    api.teller.wake();
    Ok(UpdateAccessKeyResult {})
}

pub(super) async fn delete(api: &AccessApi, request: DeleteAccessKeyRequest) -> Result<DeleteAccessKeyResult, Failure> {
    settle(access_key::delete(&api.db, request.access_key_id()).await)?;
    api.teller.wake();
    Ok(DeleteAccessKeyResult {})
}

pub(super) async fn list(
    api: &AccessApi,
    request: ListAccessKeysRequest,
    asker: &Principal,
) -> Result<ListAccessKeysResult, Failure> {
    let user = match request.user_name {
        None => None,
        Some(name) => Some(settle(identity::find(&api.db, &Who::user(name)).await)?.id),
    };
    let question = format!("{asker} ListAccessKeys {user:?}");
    let after = api.pages.position(&question, request.next_token.as_deref())?;
    let size = request.max_results;
    let rows = access_key::list(&api.db, user.as_deref(), &after, pages::limit(size)).await;
    let mut rows = rows.map_err(from_store)?;
    let next_token = api
        .pages
        .cut(&question, &mut rows, size, |row| row.access_key_id.clone());
    Ok(ListAccessKeysResult {
        access_keys: rows.into_iter().map(view::access_key).collect(),
        next_token,
    })
}
