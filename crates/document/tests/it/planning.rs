//! What a node runs: conditions, platforms, directories, timeouts.

use muster_document::{DocumentType, PlanError, Platform, Verdict, plan};
use serde_json::{Value, json};

use super::{bind, command, document_2_2, plan_on_linux, read, shell};

/// The verdict's word and trace.
fn verdict(content: &Value, platform: Platform, values: &[(&str, &[&str])]) -> (&'static str, String) {
    let document = command(content);
    let plan = plan(&document, &bind(&document, values), platform).unwrap();
    match plan.steps()[0].verdict() {
        Verdict::Run(_) => ("run", String::new()),
        Verdict::Skip(trace) => ("skip", trace.clone()),
        Verdict::Fail(trace) => ("fail", trace.clone()),
    }
}

#[test]
fn a_precondition_decides_whether_a_step_runs() {
    let with = |operands: [&str; 2]| {
        let mut step = json!({"action": "aws:runPowerShellScript", "name": "a", "inputs": {"runCommand": "x"}});
        step["precondition"] = json!({"StringEquals": operands});
        document_2_2(
            &json!({"p": {"type": "String", "default": "Linux"}, "q": {"type": "String", "default": ""}}),
            &json!([step]),
        )
    };
    for (operands, platform, values, expected) in [
        (["platformType", "Linux"], Platform::Linux, &[][..], "run"),
        (["linux", "platformType"], Platform::Linux, &[], "run"),
        (["platformType", "Linux"], Platform::Windows, &[], "skip"),
        (["platformType", "macos"], Platform::MacOs, &[], "run"),
        (["platformType", "{{ p }}"], Platform::Linux, &[], "run"),
        (["platformType", "{{ p }}"], Platform::Windows, &[], "skip"),
        (["{{ p }}", "Linux"], Platform::Windows, &[], "run"),
        (["{{ p }}", "linux"], Platform::Windows, &[], "skip"),
        (["x{{ p }}{{ q }}", "xLinux"], Platform::Linux, &[], "run"),
        (["{{ p }}", "{{ q }}"], Platform::Linux, &[("q", &["Linux"][..])], "run"),
        (["{{ p }}", "{{ q }}"], Platform::Linux, &[], "skip"),
        (["{{ p }}", "x"], Platform::Linux, &[("p", &["{{ssm:os}}"])], "fail"),
        (
            ["{{ p }}", "platformType"],
            Platform::Linux,
            &[("p", &["platformType"])],
            "skip",
        ),
    ] {
        assert_eq!(
            verdict(&with(operands), platform, values).0,
            expected,
            "{operands:?} on {platform} given {values:?}"
        );
    }
}

#[test]
fn a_platform_without_the_action_skips_in_2_2_and_fails_before() {
    let step = json!([{"action": "aws:applications", "name": "a", "inputs": {"action": "Install", "source": "x"}}]);
    let with_steps = |version: &str| json!({"schemaVersion": version, "mainSteps": step});
    let plugin = json!({"schemaVersion": "1.2", "runtimeConfig": {"aws:applications": {"properties": {"action": "Install", "source": "x"}}}});
    assert_eq!(
        verdict(&with_steps("2.2"), Platform::Linux, &[]),
        ("skip", "Linux has no action aws:applications".to_owned())
    );
    assert_eq!(verdict(&with_steps("2.0"), Platform::Linux, &[]).0, "fail");
    assert_eq!(verdict(&plugin, Platform::Linux, &[]).0, "fail");
    assert_eq!(verdict(&plugin, Platform::Windows, &[]).0, "run");
    let shell_step = document_2_2(&json!({}), &json!([shell("a", &json!("x"))]));
    assert_eq!(verdict(&shell_step, Platform::Windows, &[]).0, "skip");
}

#[test]
fn an_unmet_precondition_comes_before_a_missing_action() {
    let mut step = shell("a", &json!("x"));
    step["precondition"] = json!({"StringEquals": ["platformType", "Linux"]});
    let (word, trace) = verdict(&document_2_2(&json!({}), &json!([step])), Platform::Windows, &[]);
    assert_eq!((word, trace.as_str()), ("skip", "the precondition does not hold"));
}

#[test]
fn a_flow_word_from_a_parameter_must_be_known() {
    let mut step = shell("a", &json!("x"));
    step["inputs"]["onFailure"] = json!("{{ p }}");
    let content = document_2_2(&json!({"p": {"type": "String", "default": ""}}), &json!([step]));
    assert_eq!(verdict(&content, Platform::Linux, &[]).0, "run");
    assert_eq!(verdict(&content, Platform::Linux, &[("p", &["exit"])]).0, "run");
    let (word, trace) = verdict(&content, Platform::Linux, &[("p", &["hunter2"])]);
    assert_eq!(word, "fail");
    assert!(!trace.contains("hunter2"));
}

/// Name, part ids and directories of each step.
fn layout(content: &Value) -> Vec<(String, Vec<(String, String)>)> {
    let plan = plan_on_linux(&command(content), &[]);
    let steps = plan.steps().iter().map(|step| {
        let Verdict::Run(parts) = step.verdict() else {
            panic!("not run")
        };
        (
            step.name().to_owned(),
            parts
                .iter()
                .map(|part| (part.id().to_owned(), part.directory().to_owned()))
                .collect(),
        )
    });
    steps.collect()
}

#[test]
fn results_and_directories_have_their_names() {
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    let steps = document_2_2(
        &json!({}),
        &json!([shell("first", &json!("x")), shell("se-cond_2", &json!("x"))]),
    );
    assert_eq!(
        layout(&steps),
        [
            ("first".to_owned(), vec![pair("first", "awsrunShellScript/first")]),
            (
                "se-cond_2".to_owned(),
                vec![pair("se-cond_2", "awsrunShellScript/se-cond_2")]
            ),
        ]
    );
    let plugins = json!({"schemaVersion": "1.2", "runtimeConfig": {
        "aws:runPowerShellScript": {"properties": {"runCommand": "x"}},
        "aws:runShellScript": {"properties": [{"id": "0.aws:runShellScript", "runCommand": "x"}, {"runCommand": "y"}]},
    }});
    assert_eq!(
        layout(&plugins),
        [
            (
                "aws:runPowerShellScript".to_owned(),
                vec![pair(
                    "0.aws:runPowerShellScript",
                    "awsrunPowerShellScript/0.awsrunPowerShellScript"
                )]
            ),
            (
                "aws:runShellScript".to_owned(),
                vec![
                    pair("0.aws:runShellScript", "awsrunShellScript/0.awsrunShellScript"),
                    pair("1.aws:runShellScript", "awsrunShellScript/1.awsrunShellScript"),
                ]
            ),
        ]
    );
}

#[test]
fn no_property_id_leaves_its_directory() {
    let ids = [
        "../../etc",
        "..",
        ".",
        "/abs",
        "a/b",
        "a b",
        "é",
        "c:",
        "c",
        "x\0",
        "c.8",
    ];
    let properties: Vec<Value> = ids.iter().map(|id| json!({"id": id, "runCommand": "x"})).collect();
    let found =
        layout(&json!({"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": properties}}}));
    let directories: Vec<&str> = found[0].1.iter().map(|(_, directory)| directory.as_str()).collect();
    assert_eq!(
        directories,
        [
            "awsrunShellScript/.._.._etc",
            "awsrunShellScript/.._",
            "awsrunShellScript/._",
            "awsrunShellScript/_abs",
            "awsrunShellScript/a_b",
            "awsrunShellScript/a_b.5",
            "awsrunShellScript/_",
            "awsrunShellScript/c",
            "awsrunShellScript/c.8",
            "awsrunShellScript/x_",
            "awsrunShellScript/c.8.10",
        ]
    );
}

/// Seconds and notes of the first part.
fn timeout(timeout: &Value, values: &[(&str, &[&str])]) -> (u64, usize) {
    let mut step = shell("a", &json!("x"));
    step["inputs"]["timeoutSeconds"] = timeout.clone();
    let document = command(&document_2_2(
        &json!({"t": {"type": "String", "default": "3600"}, "i": {"type": "Integer", "default": 60}}),
        &json!([step]),
    ));
    let plan = plan_on_linux(&document, values);
    let Verdict::Run(parts) = plan.steps()[0].verdict() else {
        panic!("not run")
    };
    (parts[0].timeout_seconds(), parts[0].notes().len())
}

#[test]
fn an_execution_timeout_is_clamped_with_a_note() {
    for (written, values, expected) in [
        (json!(60), &[][..], (60, 0)),
        (json!("60"), &[], (60, 0)),
        (json!(" 60 "), &[], (60, 0)),
        (json!("{{ t }}"), &[], (3600, 0)),
        (json!("{{ t }}"), &[("t", &["7200"][..])], (7200, 0)),
        (json!("{{ i }}"), &[], (60, 0)),
        (json!(5), &[], (5, 0)),
        (json!(4), &[], (5, 1)),
        (json!(0), &[], (5, 1)),
        (json!("-1"), &[], (5, 1)),
        (json!(172_800), &[], (172_800, 0)),
        (json!(172_801), &[], (172_800, 1)),
        (json!("1e99"), &[], (172_800, 1)),
        (json!("90.5"), &[], (91, 0)),
        (json!(""), &[], (3600, 0)),
        (json!(null), &[], (3600, 0)),
        (json!("an hour"), &[], (3600, 1)),
        (json!("NaN"), &[], (3600, 1)),
        (json!("{{ t }}"), &[("t", &["{{ssm:t}}"])], (3600, 1)),
    ] {
        assert_eq!(timeout(&written, values), expected, "{written} given {values:?}");
    }
}

#[test]
fn a_timeout_beside_the_inputs_counts_when_they_have_none() {
    for (inner, expected) in [(None, 77), (Some(88), 88)] {
        let mut step = shell("a", &json!("x"));
        step["timeoutSeconds"] = json!("77");
        if let Some(seconds) = inner {
            step["inputs"]["timeoutSeconds"] = json!(seconds);
        }
        let plan = plan_on_linux(&command(&document_2_2(&json!({}), &json!([step]))), &[]);
        let Verdict::Run(parts) = plan.steps()[0].verdict() else {
            panic!("not run")
        };
        assert_eq!(parts[0].timeout_seconds(), expected);
    }
}

#[test]
fn the_settings_of_cloud_watch_are_inputs() {
    let content = json!({"schemaVersion": "1.2", "parameters": {"status": {"type": "String", "default": "Enabled"}}, "runtimeConfig": {
        "aws:cloudWatch": {"settings": {"startType": "{{ status }}"}, "properties": "{{ status }}"},
    }});
    let document = command(&content);
    let plan = plan(&document, &bind(&document, &[]), Platform::Windows).unwrap();
    let Verdict::Run(parts) = plan.steps()[0].verdict() else {
        panic!("not run")
    };
    assert_eq!(parts[0].inputs()["settings"], json!({"startType": "Enabled"}));
    assert_eq!(parts[0].inputs()["properties"], json!("Enabled"));
}

#[test]
fn other_documents_do_not_run_on_nodes() {
    let session = read(
        &json!({"schemaVersion": "1.0", "sessionType": "Port"}),
        DocumentType::Session,
    )
    .unwrap();
    let refused = plan(&session, &bind(&session, &[]), Platform::Linux);
    assert_eq!(refused, Err(PlanError::NotForNodes(DocumentType::Session)));
}

#[test]
fn a_plan_hides_values() {
    let content = document_2_2(
        &json!({"p": {"type": "String"}, "e": {"type": "String", "interpolationType": "ENV_VAR"}}),
        &json!([shell("a", &json!("echo {{ p }}"))]),
    );
    let plan = plan_on_linux(&command(&content), &[("p", &["hunter2"]), ("e", &["hunter3"])]);
    let shown = format!("{plan:?}");
    assert!(!shown.contains("hunter") && shown.contains("SSM_e"), "{shown}");
}

#[test]
fn what_an_agent_must_be_able_to_do_is_known() {
    let plain = command(&document_2_2(
        &json!({"p": {"type": "String"}}),
        &json!([shell("a", &json!("x"))]),
    ));
    let variable = command(&document_2_2(
        &json!({"p": {"type": "String", "interpolationType": "ENV_VAR"}}),
        &json!([shell("a", &json!("x"))]),
    ));
    assert!(plain.required_capabilities().is_empty());
    assert_eq!(variable.required_capabilities(), ["interpolation-env-var"]);
}
