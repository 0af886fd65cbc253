//! Alarms that stop a command (run-command 2.1, `AlarmConfiguration`): how one stands, and what follows. Pure.

use muster_proto::aws::v1::ExternalAlarmState;
use muster_proto::runcommand::v1::Command;
use serde::Deserialize;

/// The alarm that a command's sender named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) name: String,
    /// The command goes on while nobody knows how the alarm stands.
    ignores_failure: bool,
}

/// How an alarm stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Alarm {
    Quiet,
    Rings,
    /// Nobody knows; why.
    Unknown(String),
}

impl Watched {
    /// Reads it from a command; `None` if no alarm is named.
    pub(crate) fn of(command: &Command) -> Option<Self> {
        let config = command.alarm_configuration.as_ref()?;
        let alarm = config.alarms.first()?;
        Some(Self {
            name: alarm.name.clone().unwrap_or_default(),
            ignores_failure: config.ignore_poll_alarm_failure(),
        })
    }

    /// Whether the command must stop sending, and how the alarm is shown then.
    pub(crate) fn stops(&self, alarm: &Alarm) -> Option<ExternalAlarmState> {
        match alarm {
            Alarm::Quiet => None,
            Alarm::Rings => Some(ExternalAlarmState::Alarm),
            Alarm::Unknown(_) if self.ignores_failure => None,
            Alarm::Unknown(_) => Some(ExternalAlarmState::Unknown),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    name: String,
    /// Alerting rules only: `firing`, `pending` or `inactive`.
    #[serde(default)]
    state: Option<String>,
    /// `ok`, `err` or `unknown`.
    #[serde(default)]
    health: String,
}

/// How the alarm `name` stands, by Prometheus' answer to `GET /api/v1/rules`: it is the alerting rules of that name, and
/// rings while an alert of one of them fires.
pub(crate) fn in_rules(answer: &[u8], name: &str) -> Alarm {
    let Ok(Answer { data }) = serde_json::from_slice(answer) else {
        return Alarm::Unknown("Prometheus' list of rules cannot be read".to_owned());
    };
    let all = data.groups.iter().flat_map(|group| &group.rules);
    let rules: Vec<_> = all.filter(|rule| rule.name == name && rule.state.is_some()).collect();
    let is = |rule: &&&Rule, state| rule.state.as_deref() == Some(state);
    if rules.iter().any(|rule| is(&rule, "firing")) {
        return Alarm::Rings;
    }
    match rules.iter().find(|rule| rule.health != "ok") {
        None if rules.is_empty() => Alarm::Unknown(format!("Prometheus has no alerting rule {name}")),
        Some(_) => Alarm::Unknown(format!("Prometheus cannot evaluate its rule {name}")),
        None => Alarm::Quiet,
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::AlarmConfiguration;

    use super::*;

    fn watched(ignores_failure: bool) -> Watched {
        let command = Command {
            alarm_configuration: Some(AlarmConfiguration {
                ignore_poll_alarm_failure: Some(ignores_failure),
                alarms: vec![muster_proto::aws::v1::Alarm {
                    name: Some("TooSlow".to_owned()),
                }],
            }),
            ..Command::default()
        };
        Watched::of(&command).unwrap()
    }

    #[test]
    fn an_alarm_stops_a_command_while_it_rings_or_when_nobody_knows() {
        let unknown = || Alarm::Unknown(String::new());
        assert_eq!(watched(false).stops(&Alarm::Quiet), None);
        assert_eq!(watched(true).stops(&Alarm::Rings), Some(ExternalAlarmState::Alarm));
        assert_eq!(watched(false).stops(&unknown()), Some(ExternalAlarmState::Unknown));
        assert_eq!(watched(true).stops(&unknown()), None);
        assert_eq!(Watched::of(&Command::default()), None);
    }

    #[test]
    fn an_alarm_is_the_alerting_rules_of_its_name() {
        let rule = |name: &str, state: &str, health: &str| {
            format!(r#"{{"name":"{name}","state":"{state}","health":"{health}","type":"alerting"}}"#)
        };
        let stands = |rules: &[String]| {
            let recording = r#"{"name":"TooSlow","health":"ok","type":"recording"}"#;
            let rules = rules.join(",");
            let groups = format!(r#"[{{"name":"a","rules":[{recording}]}},{{"name":"b","rules":[{rules}]}}]"#);
            let answer = format!(r#"{{"status":"success","data":{{"groups":{groups}}}}}"#);
            in_rules(answer.as_bytes(), "TooSlow")
        };
        assert_eq!(stands(&[rule("TooSlow", "inactive", "ok")]), Alarm::Quiet);
        assert_eq!(stands(&[rule("TooSlow", "pending", "ok")]), Alarm::Quiet);
        let two = [rule("TooSlow", "inactive", "err"), rule("TooSlow", "firing", "ok")];
        assert_eq!(stands(&two), Alarm::Rings);
        for unclear in [
            vec![],
            vec![rule("Other", "firing", "ok")],
            vec![rule("TooSlow", "inactive", "err")],
        ] {
            assert!(matches!(stands(&unclear), Alarm::Unknown(_)), "{unclear:?}");
        }
        assert!(matches!(in_rules(b"<html>", "TooSlow"), Alarm::Unknown(_)));
    }
}
