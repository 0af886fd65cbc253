//! `LabelParameterVersion` and `UnlabelParameterVersion` (parameter-store 7).

use muster_boot::{Rights, Touched};
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
        rights: &Rights,
    ) -> Result<LabelParameterVersionResult, Failure> {
        let name = Name::parse(request.name.as_deref().unwrap_or_default(), self.scope())?;
        let (good, bad) = part(&request.labels);
        let version = request.parameter_version;
        let version = settle(label::put(&self.db, &name, version, &good, self.scope(), self.now())).await?;
        self.publisher.wake();
        self.note_version(&name, version, rights);
        Ok(LabelParameterVersionResult {
            invalid_labels: bad,
            parameter_version: Some(version),
        })
    }

    pub(super) async fn unlabel(
        &self,
        request: UnlabelParameterVersionRequest,
        rights: &Rights,
    ) -> Result<UnlabelParameterVersionResult, Failure> {
        let name = Name::parse(request.name.as_deref().unwrap_or_default(), self.scope())?;
        let version = request.parameter_version.unwrap_or_default();
        let (removed_labels, invalid_labels) =
            settle(label::remove(&self.db, &name, version, &request.labels, self.now())).await?;
        self.note_version(&name, version, rights);
        Ok(UnlabelParameterVersionResult {
            removed_labels,
            invalid_labels,
        })
    }

    /// Notes for the audit log which version was labelled.
    fn note_version(&self, name: &Name, version: i64, rights: &Rights) {
        rights.note(Touched {
            resource: self.scope().arn(&name.path()),
            details: vec![format!("version={version}")],
            is_secret: false,
        });
    }
}
