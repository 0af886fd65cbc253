//! From the command line to the request.

use muster_proto::aws::v1::{CloudWatchOutputConfig, ParameterValueList, Target};
use muster_proto::runcommand::v1::SendCommandRequest;

use super::Arguments;
use crate::complaint::Complaint;
use crate::pair;

/// The document that runs lines in a shell.
pub(super) const SHELL: &str = "AWS-RunShellScript";
/// Its parameter, and that of its relatives.
const COMMANDS: &str = "commands";

/// The nodes as the caller wrote them.
pub(super) fn nodes_in_words(arguments: &Arguments) -> String {
    if !arguments.instance_ids.is_empty() {
        return arguments.instance_ids.join(", ");
    }
    let targets = arguments.targets.iter();
    let written: Vec<String> = targets
        .map(|target| format!("{}={}", target.key, target.values.join(",")))
        .collect();
    written.join(" and ")
}

pub(super) fn build(arguments: Arguments) -> Result<SendCommandRequest, Complaint> {
    let mut parameters = pair::by_name(&arguments.parameters);
    if !arguments.words.is_empty() {
        let line = line(&arguments.words);
        if parameters.insert(COMMANDS.to_owned(), vec![line]).is_some() {
            return Err(Complaint::Usage {
                what: "the words after `--` and --parameters commands=… say the same thing twice".to_owned(),
                hint: "leave one of them out".to_owned(),
            });
        }
    }
    let targets = arguments.targets.into_iter().map(|target| Target {
        key: Some(target.key),
        values: target.values,
    });
    let parameters = parameters
        .into_iter()
        .map(|(name, items)| (name, ParameterValueList { items }));
    Ok(SendCommandRequest {
        instance_ids: arguments.instance_ids,
        targets: targets.collect(),
        document_name: Some(arguments.document),
        document_version: arguments.document_version,
        parameters: parameters.collect(),
        max_concurrency: arguments.max_concurrency.map(|rate| rate.to_string()),
        max_errors: arguments.max_errors.map(|rate| rate.to_string()),
        timeout_seconds: arguments.timeout,
        comment: arguments.comment,
        cloud_watch_output_config: arguments.log_streams.then(|| CloudWatchOutputConfig {
            cloud_watch_output_enabled: Some(true),
            ..CloudWatchOutputConfig::default()
        }),
        ..SendCommandRequest::default()
    })
}

/// One word is a line for the shell; several are quoted so that the program gets exactly these words.
fn line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    }
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+=.,:/@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        let command = Arguments::augment_args(clap::Command::new("run"));
        let matches = command.try_get_matches_from(std::iter::once(&"run").chain(words))?;
        Arguments::from_arg_matches(&matches)
    }

    #[test]
    fn the_issue_s_own_line_becomes_the_request() {
        let arguments = parse(&[
            "--targets",
            "tag:Role=web",
            "--max-concurrency",
            "10",
            "--max-errors",
            "1",
            "--timeout",
            "600",
            "--",
            "uptime",
        ])
        .unwrap();
        assert_eq!(nodes_in_words(&arguments), "tag:Role=web");
        let request = build(arguments).unwrap();
        assert_eq!(request.document_name(), SHELL);
        assert_eq!(request.max_concurrency(), "10");
        assert_eq!(request.max_errors(), "1");
        assert_eq!(request.timeout_seconds(), 600);
        assert_eq!(request.targets[0].key(), "tag:Role");
        assert_eq!(request.targets[0].values, ["web"]);
        assert_eq!(request.parameters[COMMANDS].items, ["uptime"]);
    }

    #[test]
    fn one_word_is_a_line_and_several_are_words() {
        let check = |words: &[&str], expected: &str| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(line(&words), expected);
        };
        check(&["echo $HOME; ls | wc"], "echo $HOME; ls | wc");
        check(&["df", "-h", "/var/log"], "df -h /var/log");
        check(&["echo", "$HOME", "it's", ""], r"echo '$HOME' 'it'\''s' ''");
    }

    #[test]
    fn log_streams_are_asked_for_only_where_they_are_wanted() {
        let wanted = build(parse(&["--targets", "*", "--log-streams", "--", "x"]).unwrap()).unwrap();
        assert!(wanted.cloud_watch_output_config.unwrap().cloud_watch_output_enabled());
        let unwanted = build(parse(&["--targets", "*", "--", "x"]).unwrap()).unwrap();
        assert_eq!(unwanted.cloud_watch_output_config, None);
    }

    #[test]
    fn nodes_must_be_named_in_one_way() {
        assert!(parse(&["--", "uptime"]).is_err());
        assert!(parse(&["--targets", "tag:a=b", "--instance-ids", "mi-1", "--", "uptime"]).is_err());
        let two = parse(&["--instance-ids", "mi-1,mi-2", "--", "uptime"]).unwrap();
        assert_eq!(two.instance_ids, ["mi-1", "mi-2"]);
    }

    #[test]
    fn something_must_be_run() {
        assert!(parse(&["--targets", "*"]).is_err());
        assert!(parse(&["--targets", "*", "--document", "Update", "--parameters", "x=1"]).is_ok());
        let twice = parse(&["--targets", "*", "--parameters", "commands=a", "--", "b"]).unwrap();
        assert!(matches!(build(twice), Err(Complaint::Usage { .. })));
    }

    #[test]
    fn rates_are_checked_before_anything_is_sent() {
        assert!(parse(&["--targets", "*", "--max-concurrency", "0", "--", "x"]).is_err());
        assert!(parse(&["--targets", "*", "--max-errors", "101%", "--", "x"]).is_err());
        assert!(parse(&["--targets", "*", "--timeout", "5", "--", "x"]).is_err());
    }
}
