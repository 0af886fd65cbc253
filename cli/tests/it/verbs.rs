//! Verbs where no server is needed, or none is there.

use crate::program::alone;

#[test]
fn the_help_names_every_verb_and_every_exit_code() {
    let said = alone(&["--help"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    for verb in [
        "up",
        "run",
        "nodes",
        "activations",
        "commands",
        "documents",
        "parameters",
        "access",
        "policy",
        "audit",
        "call",
        "completion",
    ] {
        let named = said.stdout.lines().any(|line| line.trim_start().starts_with(verb));
        assert!(named, "{verb} is not in the help:\n{}", said.stdout);
    }
    for code in 0..=5 {
        let explained = said.stdout.lines().any(|line| line.starts_with(&format!("  {code}  ")));
        assert!(explained, "exit code {code} is not in the help:\n{}", said.stdout);
    }
    assert!(!said.stdout.contains("leash"), "{}", said.stdout);
}

#[test]
fn up_has_the_flags_that_scripts_rely_on() {
    let said = alone(&["up", "--help"]);
    for flag in [
        "--data-dir <DIR>",
        "--agents <N>",
        "--listen <ADDR:PORT>",
        "--ready-file <FILE>",
    ] {
        assert!(
            said.stdout.contains(flag),
            "{flag} is not in the help:\n{}",
            said.stdout
        );
    }
}

#[test]
fn without_a_server_verbs_say_how_to_name_one() {
    for words in [
        &["nodes"][..],
        &["commands"],
        &["activations"],
        &["documents"],
        &["parameters", "ls"],
        &["call", "RunCommand.ListCommands"],
        &["run", "--targets", "tag:Role=web", "--", "uptime"],
    ] {
        let said = alone(words);
        assert_eq!((said.code, said.stdout.as_str()), (5, ""), "{words:?}");
        let line = said.complaint();
        assert!(line.contains("muster up") && line.contains("--server"), "{line}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let said = alone(&["nodes", "--server", "nats://127.0.0.1:1"]);
    assert_eq!(said.code, 5);
    assert!(
        said.complaint().contains("nats://127.0.0.1:1 does not answer"),
        "{}",
        said.stderr
    );
}

#[test]
fn wrong_usage_has_its_own_code() {
    for words in [
        &["run", "--", "uptime"][..],
        &["run", "--targets", "web", "--", "uptime"],
        &["run", "--targets", "tag:a=b"],
        &["nodes", "tag", "mi-1", "novalue"],
        &["call", "RunCommand.Nope"],
        &["nonsense"],
    ] {
        let said = alone(words);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{words:?}");
    }
}

#[test]
fn operations_are_listed_without_a_server() {
    let said = alone(&["call"]);
    assert_eq!(said.code, 0);
    assert!(said.stdout.lines().any(|line| line == "RunCommand.SendCommand"));
}

#[test]
fn a_missing_program_is_named_with_what_to_do() {
    let said = alone(&["up", "--data-dir", "data", "--nats-server", "no-such-server"]);
    assert_eq!(said.code, 1);
    let line = said.complaint();
    assert!(
        line.contains("no-such-server") && line.contains("MUSTER_NATS_SERVER"),
        "{line}"
    );
}
