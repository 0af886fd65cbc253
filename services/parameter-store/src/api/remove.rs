//! `DeleteParameter` and `DeleteParameters` (parameter-store 6).

use muster_boot::{Rights, Touched};
use muster_proto::parameterstore::v1::{
    DeleteParameterRequest, DeleteParameterResult, DeleteParametersRequest, DeleteParametersResult,
};
use muster_wire::Failure;

use super::ParametersApi;
use crate::domain::name::Name;
use crate::error::{ParameterError, from_store};
use crate::store::delete::delete;

impl ParametersApi {
    pub(super) async fn remove(&self, request: DeleteParameterRequest) -> Result<DeleteParameterResult, Failure> {
        let name = Name::parse(request.name.as_deref().unwrap_or_default(), self.scope())?;
        let there = delete(&self.db, &[name.path()], self.scope(), self.now())
            .await
            .map_err(from_store)?;
        if there.is_empty() {
            let name = name.spelled().to_owned();
            return Err(ParameterError::Missing { name }.into());
        }
        self.publisher.wake();
        Ok(DeleteParameterResult {})
    }

    pub(super) async fn remove_many(
        &self,
        request: DeleteParametersRequest,
        rights: &Rights,
    ) -> Result<DeleteParametersResult, Failure> {
        let names = request.names.iter().map(|name| Name::parse(name, self.scope()));
        let names: Vec<Name> = names.collect::<Result<_, _>>()?;
        let paths: Vec<String> = names.iter().map(Name::path).collect();
        let mut there = delete(&self.db, &paths, self.scope(), self.now())
            .await
            .map_err(from_store)?;
        self.publisher.wake();
        let mut answer = DeleteParametersResult::default();
        let mut told: Vec<&str> = Vec::new();
        for ((path, name), given) in paths.iter().zip(&names).zip(&request.names) {
            if there.remove(path) {
                answer.deleted_parameters.push(name.spelled().to_owned());
            } else if !told.contains(&path.as_str()) {
                rights.note(Touched {
                    resource: self.scope().arn(path),
                    details: vec!["outcome=ParameterNotFound".to_owned()],
                    is_secret: false,
                });
                answer.invalid_parameters.push(given.clone());
            }
            told.push(path);
        }
        Ok(answer)
    }
}
