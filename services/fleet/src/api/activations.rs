//! `CreateActivation`, `DescribeActivations`, `DeleteActivation` and `UpdateManagedInstanceRole` (fleet 2, 5).

use std::collections::BTreeMap;

use muster_model::NodeId;
use muster_proto::aws::v1::{Reason, Tag};
use muster_proto::fleet::v1::{
    Activation, CreateActivationRequest, CreateActivationResult, DeleteActivationRequest, DeleteActivationResult,
    DescribeActivationsRequest, DescribeActivationsResult, UpdateManagedInstanceRoleRequest,
    UpdateManagedInstanceRoleResult,
};
use muster_store::StoreError;
use muster_wire::{ClientToken, Failure, Principal, Refusal};
use uuid::Uuid;

use super::FleetApi;
use super::view::{known, time};
use crate::domain::activation::{Draft, Filter};
use crate::domain::code::Code;
use crate::error::from_store;
use crate::store::activation::{self, ActivationRow, Place};
use crate::store::node;

/// Activations on a page when the caller does not say.
const DEFAULT_PAGE: i32 = 50;

impl FleetApi {
    /// Makes an activation. With a token of its caller it is made at most once, and a repeat is told the same code: of a
    /// code only a hash is kept, so it is made of the token and of a secret that is ours.
    pub(super) async fn create(
        &self,
        request: CreateActivationRequest,
        token: Option<(ClientToken, Principal)>,
    ) -> Result<CreateActivationResult, Failure> {
        let iam_role = self.roles.find(request.iam_role()).await?;
        let draft = Draft::parse(request, iam_role, self.now())?;
        let (id, code) = match token {
            None => (Uuid::new_v4(), Code::random()),
            Some((token, caller)) => {
                let make = |what: &str| {
                    let texts = [what, caller.as_str(), token.as_str()];
                    self.secret.derive(&texts.map(str::as_bytes))
                };
                let mut id = [0; 16];
                id.copy_from_slice(&make("activation id")[..16]);
                // Version 8: made by a rule of our own.
                let id = uuid::Builder::from_custom_bytes(id).into_uuid();
                (id, Code::of(&make("activation code")))
            }
        };
        let activation_id = id.hyphenated().to_string();
        let made = activation::insert(&self.db, &activation_id, code.hash(), &draft).await;
        if !made.map_err(from_store)? {
            let known = activation::code(&self.db, &activation_id).await.map_err(from_store)?;
            if !code.hash().is(known.as_deref()) {
                let message =
                    format!("the activation {activation_id} was made by this request before, and deleted since");
                return Err(Refusal::new(Reason::InvalidParameters, message).into());
            }
            return Ok(CreateActivationResult {
                activation_id: Some(activation_id),
                activation_code: Some(code.tell()),
            });
        }
        tracing::info!(
            activation_id,
            iam_role = draft.iam_role,
            limit = draft.registration_limit,
            "an activation was made"
        );
        Ok(CreateActivationResult {
            activation_id: Some(activation_id),
            activation_code: Some(code.tell()),
        })
    }

    pub(super) async fn list_activations(
        &self,
        request: DescribeActivationsRequest,
        asker: &Principal,
    ) -> Result<DescribeActivationsResult, Failure> {
        let filter = Filter::parse(&request.filters)?;
        let now = self.now();
        let list = format!("{asker} DescribeActivations {filter:?}");
        let after = match request.next_token() {
            "" => Place::FIRST,
            token => {
                let position = self.pager.position(&list, token, now).ok();
                position.and_then(|text| Place::parse(&text)).ok_or_else(|| {
                    let message = "the token is not one of this list: repeat the call without NextToken";
                    Refusal::new(Reason::InvalidNextToken, message)
                })?
            }
        };
        let size = request.max_results.unwrap_or(DEFAULT_PAGE);
        // One more than fits tells whether there is a next page.
        let mut rows = activation::page(&self.db, &filter, &after, i64::from(size) + 1)
            .await
            .map_err(from_store)?;
        let size = usize::try_from(size).unwrap_or_default();
        let more = rows.len() > size;
        rows.truncate(size);
        let next_token = rows
            .last()
            .filter(|_| more)
            .map(|last| self.pager.token(&list, &last.place().to_string(), now));
        let now = now.as_microsecond();
        let shown: Result<_, _> = rows.into_iter().map(|row| shown(row, now)).collect();
        Ok(DescribeActivationsResult {
            activation_list: shown.map_err(from_store)?,
            next_token,
        })
    }

    pub(super) async fn delete(&self, request: DeleteActivationRequest) -> Result<DeleteActivationResult, Failure> {
        let id = request.activation_id.unwrap_or_default();
        match activation::delete(&self.db, &id, self.now().as_microsecond()).await {
            Ok(()) => {
                tracing::info!(activation_id = id, "an activation was deleted");
                Ok(DeleteActivationResult {})
            }
            Err(StoreError::Missing) => {
                let message = format!("there is no activation {id}");
                Err(Refusal::new(Reason::InvalidActivation, message).into())
            }
            Err(error) => Err(from_store(error)),
        }
    }

    pub(super) async fn update_role(
        &self,
        request: UpdateManagedInstanceRoleRequest,
    ) -> Result<UpdateManagedInstanceRoleResult, Failure> {
        let role = self.roles.find(request.iam_role()).await?;
        let id = request.instance_id.unwrap_or_default();
        let unknown = || Refusal::new(Reason::InvalidInstanceId, format!("{id} is no managed node"));
        // The contract also lets ids of other kinds of machines through, which Muster has not.
        let node: NodeId = id.parse().map_err(|_| unknown())?;
        match node::set_role(&self.db, node.as_str(), &role).await {
            Ok(()) => Ok(UpdateManagedInstanceRoleResult {}),
            Err(StoreError::Missing) => Err(unknown().into()),
            Err(error) => Err(from_store(error)),
        }
    }
}

fn shown(row: ActivationRow, now: i64) -> Result<Activation, StoreError> {
    let tags: BTreeMap<String, String> = serde_json::from_str(&row.tags).map_err(StoreError::corrupt)?;
    let count = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    Ok(Activation {
        description: known(&row.description),
        default_instance_name: known(&row.default_instance_name),
        registration_limit: Some(count(row.registration_limit)),
        registrations_count: Some(count(row.registrations_count)),
        expiration_date: time(row.expires_at),
        // By its date alone: one that is used up is not expired.
        expired: Some(row.expires_at <= now),
        created_date: time(row.created_at),
        tags: tags
            .into_iter()
            .map(|(key, value)| Tag {
                key: Some(key),
                value: Some(value),
            })
            .collect(),
        activation_id: Some(row.activation_id),
        iam_role: Some(row.iam_role),
    })
}
