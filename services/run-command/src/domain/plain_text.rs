//! Texts that are kept as they came: a NUL is in none of them, because PostgreSQL keeps no text that has one.

use muster_proto::runcommand::v1::SendCommandRequest;
use muster_wire::Refusal;

/// Refuses a command whose texts cannot be kept.
///
/// # Errors
/// `ValidationException`, which names the member.
pub(crate) fn check(request: &SendCommandRequest) -> Result<(), Refusal> {
    let alarms = request.alarm_configuration.iter().flat_map(|config| &config.alarms);
    let members = [
        ("comment", &request.comment),
        ("documentVersion", &request.document_version),
        ("outputS3KeyPrefix", &request.output_s3_key_prefix),
        ("outputS3Region", &request.output_s3_region),
        ("serviceRoleArn", &request.service_role_arn),
    ];
    let members = members
        .into_iter()
        .chain(alarms.map(|alarm| ("alarmConfiguration.alarms", &alarm.name)));
    for (member, text) in members {
        if text.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(Refusal::validation(format!("{member} holds a NUL character")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::{Alarm, AlarmConfiguration};

    use super::*;

    #[test]
    fn a_nul_is_refused_wherever_a_text_is_kept() {
        let text = || Some("a\0b".to_owned());
        let named = |name: Option<String>| AlarmConfiguration {
            alarms: vec![Alarm { name }],
            ..AlarmConfiguration::default()
        };
        let none = SendCommandRequest::default;
        let all = [
            (
                "comment",
                SendCommandRequest {
                    comment: text(),
                    ..none()
                },
            ),
            (
                "outputS3KeyPrefix",
                SendCommandRequest {
                    output_s3_key_prefix: text(),
                    ..none()
                },
            ),
            (
                "outputS3Region",
                SendCommandRequest {
                    output_s3_region: text(),
                    ..none()
                },
            ),
            (
                "alarmConfiguration.alarms",
                SendCommandRequest {
                    alarm_configuration: Some(named(text())),
                    ..none()
                },
            ),
        ];
        for (member, request) in all {
            let refusal = check(&request).unwrap_err();
            assert_eq!(refusal.message, format!("{member} holds a NUL character"));
        }
        let good = SendCommandRequest {
            comment: Some("as it is".to_owned()),
            alarm_configuration: Some(named(Some("disk".to_owned()))),
            ..none()
        };
        assert!(check(&good).is_ok());
    }
}
