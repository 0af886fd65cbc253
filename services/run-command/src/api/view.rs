//! Stored rows as the contract shows them.

use muster_model::Timestamp;
use muster_proto::Word;
use muster_proto::aws::v1::{
    AlarmConfiguration, AlarmStateInformation, CloudWatchOutputConfig, ExternalAlarmState, NotificationConfig,
    NotificationType,
};
use muster_proto::runcommand::v1::{
    Command, CommandInvocation, CommandInvocationStatus, CommandPlugin, CommandPluginStatus, CommandStatus,
};
use muster_store::StoreError;

use crate::domain::alarm::Watched;
use crate::domain::location::Location;
use crate::store::CommandRow;
use crate::store::read::{ListedInvocation, PluginRow};

/// A command as it stands.
pub(crate) fn command(row: &CommandRow) -> Result<Command, StoreError> {
    let mut command = row.facts()?;
    let progress = row.progress();
    let count = |value: u32| Some(i32::try_from(value).unwrap_or(i32::MAX));
    command.status = CommandStatus::from_word(&row.status).map(Into::into);
    command.status_details = Some(row.status_details.clone());
    command.target_count = count(progress.targets);
    command.completed_count = count(progress.completed());
    command.error_count = count(progress.errors());
    command.delivery_timed_out_count = count(progress.delivery_timed_out);
    let state = ExternalAlarmState::from_word(&row.triggered_alarm);
    if let (Some(state), Some(alarm)) = (state, Watched::of(&command)) {
        command.triggered_alarms.push(triggered(alarm.name, state));
    }
    Ok(command)
}

/// An alarm that has stopped a command.
pub(super) fn triggered(name: String, state: ExternalAlarmState) -> AlarmStateInformation {
    AlarmStateInformation {
        name: Some(name),
        state: Some(state.into()),
    }
}

/// What an invocation takes from its command.
pub(super) fn facts(row: &ListedInvocation) -> Result<Command, StoreError> {
    crate::store::decode(&row.facts)
}

/// An invocation as it stands, with the steps that are to be shown.
/// `all` are all steps, of which one alone has outputs that count as the invocation's.
pub(super) fn invocation(
    row: &ListedInvocation,
    steps: &[PluginRow],
    all: &[PluginRow],
    objects_url: &str,
) -> Result<CommandInvocation, StoreError> {
    let facts = facts(row)?;
    let stored = &row.invocation;
    let status = stored.invocation()?.status;
    let location = location(&facts, objects_url, &stored.command_id, &stored.node_id);
    let of_only = |stream| match all {
        [only] => location.url(&only.action, &only.name, stream),
        _ => String::new(),
    };
    Ok(CommandInvocation {
        command_id: Some(stored.command_id.clone()),
        instance_id: Some(stored.node_id.clone()),
        instance_name: Some(stored.instance_name.clone()),
        comment: facts.comment.clone(),
        document_name: facts.document_name.clone(),
        document_version: facts.document_version.clone(),
        requested_date_time: Some(time(stored.requested_at)),
        status: CommandInvocationStatus::from_word(status.status()).map(Into::into),
        status_details: Some(status.details().to_owned()),
        trace_output: Some(stored.trace.clone()),
        standard_output_url: Some(of_only("stdout")),
        standard_error_url: Some(of_only("stderr")),
        command_plugins: steps.iter().map(|step| plugin(step, &facts, &location)).collect(),
        service_role: facts.service_role,
        notification_config: facts.notification_config,
        cloud_watch_output_config: facts.cloud_watch_output_config,
    })
}

/// Where the complete outputs of an invocation go.
pub(super) fn location<'a>(facts: &'a Command, url: &'a str, command_id: &'a str, node_id: &'a str) -> Location<'a> {
    Location {
        url,
        bucket: facts.output_s3_bucket_name.as_deref().unwrap_or_default(),
        key_prefix: facts.output_s3_key_prefix.as_deref().unwrap_or_default(),
        command_id,
        node_id,
    }
}

fn plugin(row: &PluginRow, facts: &Command, location: &Location<'_>) -> CommandPlugin {
    CommandPlugin {
        name: Some(row.name.clone()),
        status: CommandPluginStatus::from_word(&row.status).map(Into::into),
        status_details: Some(row.status_details.clone()),
        response_code: i32::try_from(row.response_code).ok(),
        response_start_date_time: row.started_at.map(time),
        response_finish_date_time: row.finished_at.map(time),
        output: Some(row.output.clone()),
        standard_output_url: Some(location.url(&row.action, &row.name, "stdout")),
        standard_error_url: Some(location.url(&row.action, &row.name, "stderr")),
        output_s3_region: facts.output_s3_region.clone(),
        output_s3_bucket_name: facts.output_s3_bucket_name.clone(),
        output_s3_key_prefix: Some(location.prefix(&row.action)),
    }
}

/// Microseconds since 1970 as the contract's time.
pub(super) fn time(micros: i64) -> prost_types::Timestamp {
    let time = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX);
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

/// A notification config that says nothing, as AWS shows it.
fn no_notifications() -> NotificationConfig {
    NotificationConfig {
        notification_arn: Some(String::new()),
        notification_events: Vec::new(),
        // Set to nothing: shown as an empty text.
        notification_type: Some(NotificationType::Unset.into()),
    }
}

/// A notification config as it was given, with empty texts for what was not.
pub(super) fn notifications(given: Option<&NotificationConfig>) -> NotificationConfig {
    let nothing = no_notifications();
    let Some(given) = given else {
        return nothing;
    };
    NotificationConfig {
        notification_arn: given.notification_arn.clone().or(nothing.notification_arn),
        notification_events: given.notification_events.clone(),
        notification_type: given.notification_type.or(nothing.notification_type),
    }
}

/// A log config as it was given, with what AWS shows for what was not.
pub(super) fn log(given: Option<&CloudWatchOutputConfig>) -> CloudWatchOutputConfig {
    let nothing = no_log();
    let Some(given) = given else {
        return nothing;
    };
    CloudWatchOutputConfig {
        cloud_watch_log_group_name: given
            .cloud_watch_log_group_name
            .clone()
            .or(nothing.cloud_watch_log_group_name),
        cloud_watch_output_enabled: given.cloud_watch_output_enabled.or(nothing.cloud_watch_output_enabled),
    }
}

/// A log config that says nothing, as AWS shows it.
fn no_log() -> CloudWatchOutputConfig {
    CloudWatchOutputConfig {
        cloud_watch_log_group_name: Some(String::new()),
        cloud_watch_output_enabled: Some(false),
    }
}

/// An alarm configuration as it was given, with what AWS shows for what was not.
pub(super) fn alarms(given: Option<&AlarmConfiguration>) -> AlarmConfiguration {
    let given = given.cloned().unwrap_or_default();
    AlarmConfiguration {
        ignore_poll_alarm_failure: given.ignore_poll_alarm_failure.or(Some(false)),
        ..given
    }
}
