//! Where log streams are and what they are called (run-command 8.4). Pure.

use std::path::PathBuf;

use muster_model::{CommandId, SignedDuration, Timestamp};
use muster_proto::agent::v1::OutputStream;
use muster_proto::runcommand::v1::Command;

/// Longest name of a group.
const GROUP_LIMIT: usize = 512;
/// Longest part of a path that is surely taken by a file system.
const PART_LIMIT: usize = 200;

/// Whether the sender of a command wants log streams.
pub(crate) fn is_wanted(facts: &Command) -> bool {
    let config = facts.cloud_watch_output_config.as_ref();
    config.is_some_and(|config| config.cloud_watch_output_enabled())
}

/// Whether a text may name a group.
pub(crate) fn is_group(name: &str) -> bool {
    !name.is_empty() && name.chars().all(belongs_in_group)
}

fn belongs_in_group(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '#')
}

/// The group of a command's streams: as given, or `/aws/ssm/<document>`.
pub(crate) fn group(facts: &Command) -> String {
    let config = facts.cloud_watch_output_config.as_ref();
    let given = config.map_or("", |config| config.cloud_watch_log_group_name());
    if !given.is_empty() {
        return given.to_owned();
    }
    let document = facts.document_name();
    let plain = document.chars().map(|c| if belongs_in_group(c) { c } else { '.' });
    "/aws/ssm/".chars().chain(plain).take(GROUP_LIMIT).collect()
}

/// `<command>/<node>/<step>/stdout` or `…/stderr`.
pub(crate) fn stream(command: &str, node: &str, step: &str, stream: OutputStream) -> String {
    let stream = match stream {
        OutputStream::Stderr => "stderr",
        OutputStream::Stdout | OutputStream::Unset => "stdout",
    };
    format!("{command}/{node}/{}/{stream}", part(step))
}

/// A step's name as one part of a path.
fn part(step: &str) -> String {
    let plain = step.chars().map(|c| match c {
        ':' | '*' | '/' => '-',
        c if c.is_control() => '-',
        c => c,
    });
    let mut plain: String = plain.collect();
    plain.truncate(plain.floor_char_boundary(PART_LIMIT));
    if plain.chars().all(|c| c == '.') {
        return format!("-{plain}");
    }
    plain
}

/// How long after a command's expiry, when every node's run has ended or was given up, its nodes may still bring what
/// they have: they try for 24 hours.
const LATE: SignedDuration = SignedDuration::from_hours(25);

/// Whether nothing more is taken for a command. `expires_at`: in microseconds since 1970.
pub(crate) fn is_closed(expires_at: i64, now: Timestamp) -> bool {
    let expires = Timestamp::from_microsecond(expires_at).unwrap_or(Timestamp::MAX);
    now.duration_since(expires) > LATE
}

/// Where the streams of a group are below the folder of all. Groups whose names differ in slashes only share a folder;
/// their streams still differ, since a command has one group. No part of it looks like a command: beside the folders of
/// its commands, a group's folder holds those of the groups whose names go on from its own.
pub(crate) fn folder(group: &str) -> PathBuf {
    let parts = group.split('/').filter(|part| !part.is_empty());
    let safe = parts.map(|part| {
        let part: String = part.chars().take(PART_LIMIT).collect();
        match part.chars().all(|c| c == '.') || part.parse::<CommandId>().is_ok() {
            true => format!("_{part}"),
            false => part,
        }
    });
    safe.collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use muster_proto::aws::v1::CloudWatchOutputConfig;
    use proptest::prelude::*;

    use super::*;

    fn command(document: &str, group: &str) -> Command {
        Command {
            document_name: Some(document.to_owned()),
            cloud_watch_output_config: Some(CloudWatchOutputConfig {
                cloud_watch_log_group_name: Some(group.to_owned()),
                cloud_watch_output_enabled: Some(true),
            }),
            ..Command::default()
        }
    }

    #[test]
    fn a_group_is_the_given_one_or_named_after_the_document() {
        assert_eq!(group(&command("AWS-RunShellScript", "ops/#1")), "ops/#1");
        assert_eq!(group(&command("AWS-RunShellScript", "")), "/aws/ssm/AWS-RunShellScript");
        assert_eq!(
            group(&command("arn:muster:ssm:eu:123456789012:document/Mine", "")),
            "/aws/ssm/arn.muster.ssm.eu.123456789012.document/Mine"
        );
        assert!(is_group("/aws/ssm/a_b-c.d#e") && !is_group("a b") && !is_group("a:b") && !is_group(""));
    }

    #[test]
    fn a_stream_is_named_as_in_the_specification() {
        assert_eq!(
            stream("c", "mi-1", "aws:runShellScript", OutputStream::Stdout),
            "c/mi-1/aws-runShellScript/stdout"
        );
        assert_eq!(stream("c", "mi-1", "a*b", OutputStream::Stderr), "c/mi-1/a-b/stderr");
    }

    #[test]
    fn a_group_named_like_a_command_has_a_folder_of_its_own() {
        let id = "dd48600d-1657-41f4-9602-27eb5b4198c9";
        let other = folder(&format!("ops/{id}/mi-1/one/stdout"));
        assert!(!other.starts_with(folder("ops").join(id)), "{other:?}");
        assert_eq!(folder("ops/web"), Path::new("ops/web"));
    }

    #[test]
    fn nodes_have_a_day_after_a_command_s_expiry() {
        let expires = 1_000_000_000_000;
        let at = |hours| Timestamp::from_microsecond(expires).unwrap() + SignedDuration::from_hours(hours);
        assert!(!is_closed(expires, at(-100)) && !is_closed(expires, at(24)) && is_closed(expires, at(26)));
    }

    proptest! {
        #[test]
        fn nothing_leads_out_of_the_folder(group in ".{0,40}", step in ".{0,300}") {
            let path = Path::new("/logs").join(folder(&group));
            prop_assert!(path.components().all(|part| part != Component::ParentDir), "{path:?}");
            prop_assert!(path.starts_with("/logs"));
            let name = stream("c", "n", &step, OutputStream::Stdout);
            let parts: Vec<_> = name.split('/').collect();
            prop_assert_eq!(parts.len(), 4);
            prop_assert!(parts[2] != "." && parts[2] != ".." && !parts[2].is_empty());
        }
    }
}
