//! `LabelParameterVersion` and `UnlabelParameterVersion` (parameter-store 7).

use muster_proto::parameterstore::v1::{
    LabelParameterVersionRequest, LabelParameterVersionResult, UnlabelParameterVersionRequest,
    UnlabelParameterVersionResult,
};
use muster_wire::Failure;

use super::{ParametersApi, settle};
use crate::domain::label::part;
use crate::domain::name::Name;
use crate::store::label;

impl ParametersApi {
    pub(super) async fn label(
        &self,
        request: LabelParameterVersionRequest,
    ) -> Result<LabelParameterVersionResult, Failure> {
        let name = Name::parse(request.name.as_deref().unwrap_or_default(), self.scope())?;
        let (good, bad) = part(&request.labels);
        let version = request.parameter_version;
        let version = settle(label::put(&self.db, &name, version, &good, self.scope(), self.now())).await?;
        self.publisher.wake();
        Ok(LabelParameterVersionResult {
            invalid_labels: bad,
            parameter_version: Some(version),
        })
    }

    pub(super) async fn unlabel(
        &self,
        request: UnlabelParameterVersionRequest,
    ) -> Result<UnlabelParameterVersionResult, Failure> {
        let name = Name::parse(request.name.as_deref().unwrap_or_default(), self.scope())?;
        let version = request.parameter_version.unwrap_or_default();
        let (removed_labels, invalid_labels) =
            settle(label::remove(&self.db, &name, version, &request.labels, self.now())).await?;
        Ok(UnlabelParameterVersionResult {
            removed_labels,
            invalid_labels,
        })
    }
}
