//! Messages of the contract as people and scripts see them.

use muster_proto::pool;
use muster_wire::aws_json;
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message;
use serde_json::Value;

/// A message as AWS JSON. `name` is its full name in the contract.
pub(crate) fn json(name: &str, message: &impl Message) -> Value {
    let descriptor = pool()
        .get_message_by_name(name)
        .expect("callers name messages of the contract");
    let bytes = message.encode_to_vec();
    let message = DynamicMessage::decode(descriptor, bytes.as_slice()).expect("the bytes were made from this message");
    of_dynamic(&message)
}

/// The same for a message that is known by its descriptor only.
pub(crate) fn of_dynamic(message: &DynamicMessage) -> Value {
    serde_json::from_slice(&aws_json::encode(message)).expect("the codec writes JSON")
}

/// JSON as it is printed: indented, with a line end.
pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A time for people: UTC, to the second. Empty if there is none.
pub(crate) fn time(time: Option<&prost_types::Timestamp>) -> String {
    let moment = time.and_then(|time| muster_model::Timestamp::new(time.seconds, time.nanos).ok());
    moment.map_or_else(String::new, |moment| moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use muster_proto::runcommand::v1::{Command, CommandStatus};

    use super::*;

    #[test]
    fn json_is_the_public_api_s() {
        let command = Command {
            command_id: Some("c".to_owned()),
            status: Some(CommandStatus::InProgress as i32),
            ..Command::default()
        };
        let value = json("muster.runcommand.v1.Command", &command);
        assert_eq!(value["CommandId"], "c");
        assert_eq!(value["Status"], "InProgress");
        assert!(pretty(&value).ends_with("}\n"));
    }

    #[test]
    fn times_are_utc_to_the_second() {
        let moment = prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 999,
        };
        assert_eq!(time(Some(&moment)), "2023-11-14 22:13:20Z");
        assert_eq!(time(None), "");
    }
}
