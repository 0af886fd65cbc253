//! The operations: from the contract to the domain and back.

mod get;
mod label;
mod list;
mod put;
mod reader;
mod remove;
mod settings;
mod tags;
mod view;
mod watch;

use std::sync::Arc;

use muster_boot::{Leave, Parts, Rights};
use muster_model::{Clock, Timestamp};
use muster_proto::parameterstore::v1::parameter_store_server::ParameterStore;
use muster_proto::parameterstore::v1::{
    DeleteParameterRequest, DeleteParameterResult, DeleteParametersRequest, DeleteParametersResult,
    DescribeParametersRequest, DescribeParametersResult, GetParameterHistoryRequest, GetParameterHistoryResult,
    GetParameterRequest, GetParameterResult, GetParametersByPathRequest, GetParametersByPathResult,
    GetParametersRequest, GetParametersResult, LabelParameterVersionRequest, LabelParameterVersionResult,
    PutParameterRequest, PutParameterResult, UnlabelParameterVersionRequest, UnlabelParameterVersionResult,
};
use muster_store::{Db, Pager};
use muster_wire::{Caller, Failure};
use tonic::{Request, Response, Status};

use reader::Reader;
pub(crate) use settings::SettingsApi;
pub(crate) use tags::TagsApi;
pub(crate) use watch::WatchApi;

use crate::domain::scope::Scope;
use crate::error::{ParameterError, from_store};
use crate::secret::Keys;
use crate::store::Outcome;
use crate::store::put::Ground;
use crate::work::{Groups, Publisher};

/// Whether a key needs leave of its own: the default one is everybody's unless somebody denied it (parameter-store 9).
fn leave(is_default_key: bool) -> Leave {
    match is_default_key {
        true => Leave::Given,
        false => Leave::Needed,
    }
}

/// The operations on parameters.
#[derive(Debug)]
pub(crate) struct ParametersApi {
    ground: Ground,
    db: Db,
    pager: Pager,
    clock: Arc<dyn Clock>,
    keys: Arc<Keys>,
    groups: Groups,
    publisher: Publisher,
    /// Lists by path show only what the caller may read by itself.
    checks_each: bool,
}

impl ParametersApi {
    pub(crate) fn new(
        parts: &Parts,
        db: Db,
        pager: Pager,
        ground: Ground,
        keys: Arc<Keys>,
        groups: Groups,
        publisher: Publisher,
    ) -> Self {
        Self {
            ground,
            db,
            pager,
            clock: Arc::clone(&parts.clock),
            keys,
            groups,
            publisher,
            checks_each: false,
        }
    }

    /// Whether lists by path leave out what the caller may not read by itself.
    pub(crate) fn checking_each(self, checks_each: bool) -> Self {
        Self { checks_each, ..self }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn scope(&self) -> &Scope {
        &self.ground.scope
    }

    /// The position in a token of the list that `question` selects.
    fn position(&self, question: &str, token: Option<&str>) -> Result<Option<String>, ParameterError> {
        match token.filter(|token| !token.is_empty()) {
            None => Ok(None),
            Some(token) => match self.pager.position(question, token, self.now()) {
                Ok(position) => Ok(Some(position)),
                Err(_) => Err(ParameterError::NextToken),
            },
        }
    }

    /// Cuts what was read only to learn whether there is more, and gives the token of the next page if there is.
    fn cut<T>(
        &self,
        question: &str,
        rows: &mut Vec<T>,
        size: i32,
        position: impl FnOnce(&T) -> String,
    ) -> Option<String> {
        let size = usize::try_from(size).unwrap_or_default();
        let more = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| more)?;
        Some(self.pager.token(question, &position(last), self.now()))
    }
}

/// What the store said, and what the domain said, as one.
async fn settle<T>(outcome: impl Future<Output = Outcome<T>>) -> Result<T, Failure> {
    Ok(outcome.await.map_err(from_store)??)
}

#[tonic::async_trait]
impl ParameterStore for ParametersApi {
    async fn put_parameter(
        &self,
        request: Request<PutParameterRequest>,
    ) -> Result<Response<PutParameterResult>, Status> {
        let by = Caller::of(&request)?.principal.to_string();
        let rights = Rights::of(&request)?;
        Ok(Response::new(self.put(request.into_inner(), by, &rights).await?))
    }

    async fn get_parameter(
        &self,
        request: Request<GetParameterRequest>,
    ) -> Result<Response<GetParameterResult>, Status> {
        let rights = Rights::of(&request)?;
        Ok(Response::new(self.get(request.into_inner(), rights).await?))
    }

    async fn get_parameters(
        &self,
        request: Request<GetParametersRequest>,
    ) -> Result<Response<GetParametersResult>, Status> {
        let rights = Rights::of(&request)?;
        Ok(Response::new(self.get_many(request.into_inner(), rights).await?))
    }

    async fn get_parameters_by_path(
        &self,
        request: Request<GetParametersByPathRequest>,
    ) -> Result<Response<GetParametersByPathResult>, Status> {
        let (rights, asker) = (Rights::of(&request)?, Caller::of(&request)?.principal.clone());
        Ok(Response::new(self.by_path(request.into_inner(), rights, &asker).await?))
    }

    async fn describe_parameters(
        &self,
        request: Request<DescribeParametersRequest>,
    ) -> Result<Response<DescribeParametersResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(self.describe(request.into_inner(), &asker).await?))
    }

    async fn delete_parameter(
        &self,
        request: Request<DeleteParameterRequest>,
    ) -> Result<Response<DeleteParameterResult>, Status> {
        Ok(Response::new(self.remove(request.into_inner()).await?))
    }

    async fn delete_parameters(
        &self,
        request: Request<DeleteParametersRequest>,
    ) -> Result<Response<DeleteParametersResult>, Status> {
        let rights = Rights::of(&request)?;
        Ok(Response::new(self.remove_many(request.into_inner(), &rights).await?))
    }

    async fn get_parameter_history(
        &self,
        request: Request<GetParameterHistoryRequest>,
    ) -> Result<Response<GetParameterHistoryResult>, Status> {
        let (rights, asker) = (Rights::of(&request)?, Caller::of(&request)?.principal.clone());
        Ok(Response::new(self.history(request.into_inner(), rights, &asker).await?))
    }

    async fn label_parameter_version(
        &self,
        request: Request<LabelParameterVersionRequest>,
    ) -> Result<Response<LabelParameterVersionResult>, Status> {
        let rights = Rights::of(&request)?;
        Ok(Response::new(self.label(request.into_inner(), &rights).await?))
    }

    async fn unlabel_parameter_version(
        &self,
        request: Request<UnlabelParameterVersionRequest>,
    ) -> Result<Response<UnlabelParameterVersionResult>, Status> {
        let rights = Rights::of(&request)?;
        Ok(Response::new(self.unlabel(request.into_inner(), &rights).await?))
    }
}
