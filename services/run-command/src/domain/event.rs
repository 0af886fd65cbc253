//! What is told of commands and invocations: every change of a status, never a parameter or an output.

use muster_model::Timestamp;
use muster_wire::subject;
use serde::Serialize;

/// A command, or a command on a node, has a new status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) command_id: String,
    /// `None`: it is about the command as a whole.
    pub(crate) node_id: Option<String>,
    pub(crate) status: String,
    pub(crate) details: String,
    /// Microseconds since 1970.
    pub(crate) at: i64,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'static str,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    command_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a str>,
    status: &'a str,
    status_details: &'a str,
}

impl Event {
    fn resource(&self) -> &'static str {
        match self.node_id {
            Some(_) => "invocation",
            None => "command",
        }
    }

    /// Where it is published.
    pub(crate) fn subject(&self) -> String {
        subject::event("run-command", self.resource(), &self.details)
    }

    /// As a CloudEvent in JSON. The same event has the same id each time it is published.
    pub(crate) fn cloud_event(&self, id: &str) -> Vec<u8> {
        let event = CloudEvent {
            specversion: "1.0",
            id,
            source: "muster/run-command",
            kind: format!("run-command.{}.{}", self.resource(), self.details),
            subject: &self.command_id,
            time: time(self.at),
            datacontenttype: "application/json",
            data: Data {
                command_id: &self.command_id,
                instance_id: self.node_id.as_deref(),
                status: &self.status,
                status_details: &self.details,
            },
        };
        serde_json::to_vec(&event).expect("texts always have a JSON form")
    }
}

/// ISO 8601 with milliseconds.
pub(crate) fn time(micros: i64) -> String {
    Timestamp::from_microsecond(micros)
        .map(|time| format!("{time:.3}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_cloud_event_on_a_subject_of_its_own() {
        let event = Event {
            command_id: "c-1".to_owned(),
            node_id: Some("mi-1".to_owned()),
            status: "TimedOut".to_owned(),
            details: "DeliveryTimedOut".to_owned(),
            at: 1_500_000,
        };
        assert_eq!(
            event.subject(),
            "muster.v1.event.run-command.invocation.DeliveryTimedOut"
        );
        let json: serde_json::Value = serde_json::from_slice(&event.cloud_event("r-0")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "specversion": "1.0",
                "id": "r-0",
                "source": "muster/run-command",
                "type": "run-command.invocation.DeliveryTimedOut",
                "subject": "c-1",
                "time": "1970-01-01T00:00:01.500Z",
                "datacontenttype": "application/json",
                "data": {
                    "commandId": "c-1", "instanceId": "mi-1",
                    "status": "TimedOut", "statusDetails": "DeliveryTimedOut",
                },
            })
        );
    }
}
