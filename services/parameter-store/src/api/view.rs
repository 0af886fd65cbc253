//! Stored rows as the contract shows them.

use muster_model::Timestamp;
use muster_proto::parameterstore::v1::{Parameter, ParameterHistory, ParameterInlinePolicy, ParameterMetadata};
use muster_store::StoreError;

use crate::domain::asked::Asked;
use crate::domain::label::Labels;
use crate::domain::policy;
use crate::domain::scope::Scope;
use crate::store::row::{FactsRow, ValueRow};

/// A version without its value and type. Whoever asked by a name sees the spelling that was asked for.
pub(super) fn parameter(row: &ValueRow, asked: Option<&Asked>, scope: &Scope) -> Parameter {
    let spelled = asked.and_then(|asked| asked.spelled.clone());
    Parameter {
        name: Some(spelled.unwrap_or_else(|| row.name.clone())),
        version: Some(row.version),
        selector: asked.and_then(|asked| asked.selector_text.clone()),
        last_modified_date: Some(time(row.modified_at)),
        arn: Some(scope.arn(&row.path)),
        data_type: Some(row.data_type.clone()),
        ..Parameter::default()
    }
}

/// The latest version without its value. `done` are the policies that had their say.
pub(super) fn metadata(row: FactsRow, done: &[(String, i64)], scope: &Scope) -> Result<ParameterMetadata, StoreError> {
    let mut metadata = ParameterMetadata {
        arn: Some(scope.arn(&row.path)),
        policies: policies(&row, done)?,
        name: Some(row.name.clone()),
        key_id: row.key_id.clone(),
        last_modified_date: Some(time(row.modified_at)),
        last_modified_user: Some(row.modified_by.clone()),
        description: row.description.clone(),
        allowed_pattern: row.allowed_pattern.clone(),
        version: Some(row.version),
        data_type: Some(row.data_type.clone()),
        ..ParameterMetadata::default()
    };
    metadata.set_type(row.parameter_type()?);
    metadata.set_tier(row.tier()?);
    Ok(metadata)
}

/// A version of a history.
pub(super) fn history(
    row: FactsRow,
    value: String,
    labels: &Labels,
    done: &[(String, i64)],
) -> Result<ParameterHistory, StoreError> {
    let on_it = labels.iter().filter(|(_, version)| **version == row.version);
    let mut history = ParameterHistory {
        policies: policies(&row, done)?,
        labels: on_it.map(|(label, _)| label.clone()).collect(),
        name: Some(row.name.clone()),
        key_id: row.key_id.clone(),
        last_modified_date: Some(time(row.modified_at)),
        last_modified_user: Some(row.modified_by.clone()),
        description: row.description.clone(),
        value: Some(value),
        allowed_pattern: row.allowed_pattern.clone(),
        version: Some(row.version),
        data_type: Some(row.data_type.clone()),
        ..ParameterHistory::default()
    };
    history.set_type(row.parameter_type()?);
    history.set_tier(row.tier()?);
    Ok(history)
}

/// The policies of a version. Those of an older one have nothing to say any more.
fn policies(row: &FactsRow, done: &[(String, i64)]) -> Result<Vec<ParameterInlinePolicy>, StoreError> {
    let policies = policy::parse(&row.policies).map_err(StoreError::corrupt)?;
    let shown = policies.into_iter().zip(0_i64..).map(|(policy, place)| {
        let is_done = row.version != row.last_version || done.iter().any(|(id, at)| *id == row.id && *at == place);
        ParameterInlinePolicy {
            policy_type: Some(policy.rule.word().to_owned()),
            policy_text: Some(policy.text),
            policy_status: Some(if is_done { "Finished" } else { "Pending" }.to_owned()),
        }
    });
    Ok(shown.collect())
}

pub(super) fn time(microseconds: i64) -> prost_types::Timestamp {
    let time = Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH);
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}
