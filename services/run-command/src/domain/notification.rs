//! Notifications (run-command 9): who wants to hear of what, and in which words.

use muster_proto::Word;
use muster_proto::aws::v1::{NotificationConfig, NotificationEvent, NotificationType, Reason};
use muster_proto::runcommand::v1::{Command, SendCommandRequest};
use muster_wire::Refusal;
use serde::Serialize;

use crate::domain::event::{Event, time};
use crate::domain::invocation::micros;

/// What a command's sender wants to hear, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) arn: String,
    /// Words of statuses; empty: all of them.
    statuses: Vec<&'static str>,
    of_invocations: bool,
}

impl Wanted {
    /// Reads it from a command; `None` if nobody wants to hear anything.
    pub(crate) fn of(config: Option<&NotificationConfig>) -> Option<Self> {
        let config = config?;
        let arn = config.notification_arn.clone().filter(|arn| !arn.is_empty())?;
        let events: Vec<_> = config.notification_events().collect();
        let is_all = events.contains(&NotificationEvent::All);
        Some(Self {
            arn,
            statuses: match is_all {
                true => Vec::new(),
                false => events.into_iter().map(Word::word).collect(),
            },
            of_invocations: config.notification_type() == NotificationType::Invocation,
        })
    }

    /// Whether it is about this.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        let is_told_of = matches!(
            event.status.as_str(),
            "InProgress" | "Success" | "TimedOut" | "Cancelled" | "Failed"
        );
        is_told_of
            && event.node_id.is_some() == self.of_invocations
            && (self.statuses.is_empty() || self.statuses.contains(&event.status.as_str()))
    }
}

/// What a request may ask for; `is_known` says whether a sink is configured under an ARN.
pub(crate) fn check(request: &SendCommandRequest, is_known: impl FnOnce(&str) -> bool) -> Result<(), Refusal> {
    let refuse = |what: String| Err(Refusal::new(Reason::InvalidNotificationConfig, what));
    let role = request.service_role_arn.as_deref().unwrap_or_default();
    if !role.is_empty() && !is_role(role) {
        let message = format!("ServiceRoleArn {role} is not of the form arn:<partition>:iam::<account>:role/<name>");
        return Err(Refusal::new(Reason::InvalidRole, message));
    }
    let Some(config) = &request.notification_config else {
        return Ok(());
    };
    let arn = config.notification_arn.as_deref().unwrap_or_default();
    if arn.is_empty() {
        let asks = !config.notification_events.is_empty() || config.notification_type.is_some();
        return match asks {
            true => refuse("NotificationConfig says what to tell but no NotificationArn says where".to_owned()),
            false => Ok(()),
        };
    }
    if role.is_empty() {
        let message = "ServiceRoleArn is required with NotificationArn: the role in whose name notifications are sent";
        return Err(Refusal::new(Reason::InvalidRole, message));
    }
    match is_known(arn) {
        true => Ok(()),
        false => refuse(format!(
            "no sink is configured as {arn}: it must be one of run-command's notification_sinks"
        )),
    }
}

fn is_role(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (scheme, partition, service, region, account, resource) = (next(), next(), next(), next(), next(), next());
    scheme == "arn"
        && !partition.is_empty()
        && service == "iam"
        && region.is_empty()
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfCommand<'a> {
    command_id: &'a str,
    document_name: &'a str,
    instance_ids: &'a [String],
    requested_date_time: String,
    expires_after: String,
    output_s3_bucket_name: &'a str,
    output_s3_key_prefix: &'a str,
    status: &'a str,
    event_time: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfInvocation<'a> {
    command_id: &'a str,
    document_name: &'a str,
    instance_id: &'a str,
    requested_date_time: String,
    status: &'a str,
    event_time: String,
}

/// What the sink gets.
pub(crate) fn payload(command: &Command, event: &Event) -> String {
    let at = |time_of: &Option<prost_types::Timestamp>| time_of.as_ref().map(|at| time(micros(at))).unwrap_or_default();
    let payload = match &event.node_id {
        None => serde_json::to_string(&OfCommand {
            command_id: &event.command_id,
            document_name: command.document_name(),
            instance_ids: &command.instance_ids,
            requested_date_time: at(&command.requested_date_time),
            expires_after: at(&command.expires_after),
            output_s3_bucket_name: command.output_s3_bucket_name(),
            output_s3_key_prefix: command.output_s3_key_prefix(),
            status: &event.status,
            event_time: time(event.at),
        }),
        Some(node) => serde_json::to_string(&OfInvocation {
            command_id: &event.command_id,
            document_name: command.document_name(),
            instance_id: node,
            requested_date_time: at(&command.requested_date_time),
            status: &event.status,
            event_time: time(event.at),
        }),
    };
    payload.expect("texts always have a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:muster:sns:local:000000000000:ops";
    const ROLE: &str = "arn:aws:iam::000000000000:role/notify";

    fn config(events: &[NotificationEvent], of: Option<NotificationType>) -> NotificationConfig {
        NotificationConfig {
            notification_arn: Some(ARN.to_owned()),
            notification_events: events.iter().map(|event| *event as i32).collect(),
            notification_type: of.map(|of| of as i32),
        }
    }

    fn event(node: Option<&str>, status: &str, details: &str) -> Event {
        Event {
            command_id: "c-1".to_owned(),
            node_id: node.map(str::to_owned),
            status: status.to_owned(),
            details: details.to_owned(),
            at: 2_000_000,
        }
    }

    #[test]
    fn only_what_was_asked_for_is_told_and_never_what_is_no_news() {
        let all = Wanted::of(Some(&config(&[NotificationEvent::All], None))).unwrap();
        for status in ["InProgress", "Success", "TimedOut", "Cancelled", "Failed"] {
            assert!(all.wants(&event(None, status, status)), "{status}");
            assert!(!all.wants(&event(Some("mi-1"), status, status)), "{status}");
        }
        for status in ["Pending", "Delayed", "Cancelling"] {
            assert!(!all.wants(&event(None, status, status)), "{status}");
        }
        let some = config(&[NotificationEvent::TimedOut], Some(NotificationType::Invocation));
        let some = Wanted::of(Some(&some)).unwrap();
        assert!(some.wants(&event(Some("mi-1"), "TimedOut", "DeliveryTimedOut")));
        assert!(some.wants(&event(Some("mi-1"), "TimedOut", "ExecutionTimedOut")));
        assert!(!some.wants(&event(Some("mi-1"), "Success", "Success")));
        assert!(!some.wants(&event(None, "TimedOut", "DeliveryTimedOut")));
        assert_eq!(Wanted::of(Some(&NotificationConfig::default())), None);
        assert_eq!(Wanted::of(None), None);
    }

    #[test]
    fn the_sink_the_role_and_the_arn_must_be_there() {
        let request = |config: Option<NotificationConfig>, role: Option<&str>| SendCommandRequest {
            notification_config: config,
            service_role_arn: role.map(str::to_owned),
            ..SendCommandRequest::default()
        };
        let reason = |request| check(&request, |arn| arn == ARN).err().map(|refusal| refusal.reason);
        let good = || Some(config(&[], None));
        assert_eq!(reason(request(None, None)), None);
        assert_eq!(reason(request(Some(NotificationConfig::default()), None)), None);
        assert_eq!(reason(request(good(), Some(ROLE))), None);
        assert_eq!(reason(request(good(), None)), Some(Reason::InvalidRole));
        assert_eq!(reason(request(good(), Some("admin"))), Some(Reason::InvalidRole));
        assert_eq!(reason(request(None, Some("admin"))), Some(Reason::InvalidRole));
        let other = NotificationConfig {
            notification_arn: Some("arn:other".to_owned()),
            ..NotificationConfig::default()
        };
        assert_eq!(
            reason(request(Some(other), Some(ROLE))),
            Some(Reason::InvalidNotificationConfig)
        );
        let nowhere = NotificationConfig {
            notification_arn: None,
            ..config(&[NotificationEvent::All], None)
        };
        assert_eq!(
            reason(request(Some(nowhere), Some(ROLE))),
            Some(Reason::InvalidNotificationConfig)
        );
    }

    #[test]
    fn payloads_have_the_members_of_the_spec_in_lower_camel_case() {
        let command = Command {
            document_name: Some("AWS-RunShellScript".to_owned()),
            requested_date_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            expires_after: Some(prost_types::Timestamp { seconds: 9, nanos: 0 }),
            ..Command::default()
        };
        assert_eq!(
            payload(&command, &event(None, "Success", "Success")),
            r#"{"commandId":"c-1","documentName":"AWS-RunShellScript","instanceIds":[],"requestedDateTime":"1970-01-01T00:00:01.000Z","expiresAfter":"1970-01-01T00:00:09.000Z","outputS3BucketName":"","outputS3KeyPrefix":"","status":"Success","eventTime":"1970-01-01T00:00:02.000Z"}"#
        );
        assert_eq!(
            payload(&command, &event(Some("mi-1"), "TimedOut", "DeliveryTimedOut")),
            r#"{"commandId":"c-1","documentName":"AWS-RunShellScript","instanceId":"mi-1","requestedDateTime":"1970-01-01T00:00:01.000Z","status":"TimedOut","eventTime":"1970-01-01T00:00:02.000Z"}"#
        );
    }
}
