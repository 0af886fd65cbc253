//! What public documents are made of. Their texts are not here: `public_documents.json` holds facts and names of documents
//! that were created, described and, where they do no harm, executed; the documents below are our own.

use muster_document::{Document, DocumentType, Format, Platform, Verdict, check_parameters, plan, platform_types};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::given;

/// A document of a public repository.
#[derive(Debug, Deserialize)]
struct Facts {
    repository: String,
    path: String,
    sha256: String,
    format: String,
    schema: String,
    /// Name and type.
    parameters: Vec<(String, String)>,
    /// Action, and the platform of the precondition if there is one.
    steps: Vec<Vec<String>>,
    platforms: Vec<String>,
}

/// Inputs that an action needs.
fn inputs(action: &str) -> Value {
    match action {
        "aws:runShellScript" | "aws:runPowerShellScript" => json!({"runCommand": ["exit 0"]}),
        "aws:applications" => json!({"action": "Install", "source": "https://example.com/a.msi"}),
        "aws:configureDocker" => json!({"action": "Install"}),
        "aws:configurePackage" => json!({"action": "Install", "name": "tool"}),
        "aws:domainJoin" => json!({"directoryId": "d-1", "directoryName": "corp.example.com"}),
        "aws:downloadContent" => json!({"sourceType": "HTTP", "sourceInfo": {"url": "https://example.com/a"}}),
        "aws:runDockerAction" => json!({"action": "Ps"}),
        "aws:runDocument" => json!({"documentType": "SSMDocument", "documentPath": "AWS-Noop"}),
        _ => json!({}),
    }
}

/// A document of ours with the same parameters, actions and preconditions.
fn alike(facts: &Facts) -> Value {
    let parameters: Map<_, _> = facts
        .parameters
        .iter()
        .map(|(name, kind)| (name.clone(), json!({"type": kind})))
        .collect();
    let mut document = json!({"schemaVersion": facts.schema, "parameters": parameters});
    if facts.schema == "1.2" {
        let plugins: Map<_, _> = facts
            .steps
            .iter()
            .map(|step| (step[0].clone(), json!({"properties": [inputs(&step[0])]})))
            .collect();
        document["runtimeConfig"] = plugins.into();
        return document;
    }
    let steps = facts.steps.iter().enumerate().map(|(number, step)| {
        let mut made = json!({"action": step[0], "name": format!("step{number}"), "inputs": inputs(&step[0])});
        match step.get(1).map(String::as_str) {
            None => {}
            Some("(parameter)") => {
                let name = &facts.parameters[0].0;
                made["precondition"] = json!({"StringEquals": [format!("{{{{ {name} }}}}"), "x"]});
            }
            Some(platform) => made["precondition"] = json!({"StringEquals": ["platformType", platform]}),
        }
        made
    });
    document["mainSteps"] = steps.collect();
    document
}

#[test]
fn documents_like_the_public_ones_are_accepted_for_the_same_platforms() {
    let all: Vec<Facts> = serde_json::from_str(include_str!("../public_documents.json")).unwrap();
    assert!(all.len() >= 60, "{}", all.len());
    let mut hashes: Vec<_> = all.iter().map(|facts| facts.sha256.as_str()).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), all.len());
    for facts in &all {
        let whose = format!("{} {}", facts.repository, facts.path);
        let format: Format = facts.format.parse().unwrap();
        let text = muster_document::render(&alike(facts), format).unwrap();
        let document = Document::parse(&text, format, DocumentType::Command)
            .unwrap_or_else(|findings| panic!("{whose}: {findings}"));
        let platforms: Vec<_> = platform_types(&document).iter().map(|p| p.as_str()).collect();
        assert_eq!(platforms, facts.platforms, "{whose}");
    }
}

/// A step's name, and the script that runs on Linux.
fn scripts(document: &Document, values: &[(&str, &[&str])]) -> Vec<(String, String)> {
    let parameters = check_parameters(document, &given(values)).unwrap_or_else(|error| panic!("{error}"));
    let plan = plan(document, &parameters, Platform::Linux).unwrap();
    let runs = plan.steps().iter().filter_map(|step| match step.verdict() {
        Verdict::Run(parts) => Some((step.name().to_owned(), parts[0].script().unwrap_or_default())),
        Verdict::Skip(_) | Verdict::Fail(_) => None,
    });
    runs.collect()
}

fn read(text: &str, format: Format) -> Document {
    Document::parse(text, format, DocumentType::Command).unwrap_or_else(|findings| panic!("{findings}"))
}

#[test]
fn a_fault_injection_in_yaml_checks_its_ground_before_it_acts() {
    let text = r#"---
# A heading that is longer than the document's own description.
description: |
  ### Name
  Hold-Breath: *does nothing* for some seconds.

schemaVersion: '2.2'
parameters:
  Seconds:
    type: String
    description: '(Required) How long: a whole number.'
    allowedPattern: ^[0-9]+$
  Install: {type: String, default: 'True', allowedValues: ['True', 'False']}
mainSteps:
- action: aws:runShellScript
  name: CheckGround
  precondition:
    StringEquals:
    - platformType
    - Linux
  description: |
    ## Parameter: Install
    Looks whether the tool is there.
  inputs:
    maxAttempts: 1
    onFailure: exit
    runCommand:
    - |
      #!/bin/bash

      if [[ "$( which breath 2>/dev/null )" ]] ; then echo It is there. ; exit ; fi
      if [[ "{{ Install }}" == True ]] ; then echo Installing ; else exit 1 ; fi
- action: aws:runShellScript
  name: Hold
  precondition: {StringEquals: [platformType, Linux]}
  inputs:
    maxAttempts: 1
    runCommand: [ 'sleep {{Seconds}}', '' ]
"#;
    let document = read(text, Format::Yaml);
    assert_eq!(document.warnings(), &[]);
    assert_eq!(platform_types(&document), [Platform::Linux]);
    let found = scripts(&document, &[("Seconds", &["0"]), ("Install", &["False"])]);
    assert!(
        found[0].1.starts_with("#!/bin/bash\n\nif [[ \"$( which"),
        "{}",
        found[0].1
    );
    assert!(found[0].1.contains(r#"if [[ "False" == True ]]"#), "{}", found[0].1);
    assert_eq!(found[1], ("Hold".to_owned(), "sleep 0\n".to_owned()));
    assert!(check_parameters(&document, &given(&[("Seconds", &["-1"])])).is_err());
}

#[test]
fn keys_of_runbooks_in_a_command_are_told_and_do_nothing() {
    let text = r#"
schemaVersion: "2.2"
parameters:
mainSteps:
  - name: Status
    action: "aws:runShellScript"
    isEnd: true
    onFailure: Abort
    inputs:
      timeoutSeconds: 300
      runCommand: "/srv/app/status.sh"
"#;
    let document = read(text, Format::Yaml);
    let found: Vec<_> = document
        .warnings()
        .iter()
        .map(|finding| finding.path.as_str())
        .collect();
    assert_eq!(found, ["/mainSteps/0/isEnd", "/mainSteps/0/onFailure"]);
    assert_eq!(scripts(&document, &[])[0].1, "/srv/app/status.sh\n");
}

#[test]
fn the_parameter_store_may_hold_a_default_of_any_text_type() {
    for (kind, default) in [
        ("String", r#""{{ ssm:lines }}""#),
        ("StringList", r#""{{ ssm:lines }}""#),
        ("StringList", r#"["{{ssm:lines:3}}"]"#),
    ] {
        let text = format!(
            r#"{{"schemaVersion":"2.0","mainSteps":[{{"action":"aws:runShellScript","name":"run","inputs":{{
                "id":"0.aws:runShellScript","runCommand":["{{{{ commands }}}}"]}}}}],
                "parameters":{{"commands":{{"type":"{kind}","default":{default},"displayType":"textarea"}}}}}}"#
        );
        let document = read(&text, Format::Json);
        assert_eq!(document.warnings(), &[], "{text}");
        let parameters = check_parameters(&document, &given(&[])).unwrap();
        let plan = plan(&document, &parameters, Platform::Linux).unwrap();
        let references = plan.references();
        assert!(
            references.len() == 1 && references[0].starts_with("ssm:lines"),
            "{references:?}"
        );
    }
}

#[test]
fn old_documents_have_properties_as_a_map_or_as_a_list() {
    let text = |properties: &str| {
        format!(
            r#"{{"schemaVersion":"1.2","description":"Prints.","parameters":{{}},
                "runtimeConfig":{{"aws:runShellScript":{{"properties":{properties}}}}}}}"#
        )
    };
    let one = read(
        &text(r#"{"id":"0.aws:runShellScript","runCommand":"echo a"}"#),
        Format::Json,
    );
    let list = read(
        &text(r#"[{"id":"0.aws:runShellScript","runCommand":["echo a"]}]"#),
        Format::Json,
    );
    assert_eq!(scripts(&one, &[]), scripts(&list, &[]));
    assert_eq!(
        scripts(&one, &[])[0],
        ("aws:runShellScript".to_owned(), "echo a\n".to_owned())
    );
}

#[test]
fn switches_without_quotes_are_compared_by_their_text() {
    let text = "
schemaVersion: '2.2'
parameters:
  action: {type: String, allowedValues: [install, remove]}
  confirmed: {type: String, allowedValues: [True, False]}
mainSteps:
- {action: 'aws:runShellScript', name: install, precondition: {StringEquals: ['{{ action }}', install]}, inputs: {runCommand: [': install']}}
- {action: 'aws:runShellScript', name: remove, precondition: {StringEquals: ['{{ action }} {{ confirmed }}', 'remove true']}, inputs: {runCommand: [': remove']}}
";
    let document = read(text, Format::Yaml);
    assert_eq!(document.warnings().len(), 2);
    let run = |action: &str, confirmed: &str| {
        let found = scripts(&document, &[("action", &[action]), ("confirmed", &[confirmed])]);
        found.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(run("install", "true"), ["install"]);
    assert_eq!(run("remove", "true"), ["remove"]);
    assert!(run("remove", "false").is_empty());
}

#[test]
fn one_document_serves_two_systems_and_then_collects() {
    let text = r#"{
      "schemaVersion": "2.2",
      "mainSteps": [
        {"action": "aws:runPowerShellScript", "name": "windows",
         "precondition": {"StringEquals": ["platformType", "Windows"]}, "inputs": {"runCommand": "{{ windows }}"}},
        {"action": "aws:runShellScript", "name": "linux",
         "precondition": {"StringEquals": ["Linux", "platformType"]}, "inputs": {"runCommand": "{{ linux }}"}},
        {"action": "aws:softwareInventory", "name": "collect", "inputs": {"applications": "{{ applications }}"}}],
      "parameters": {
        "windows": {"type": "StringList", "minItems": 1}, "linux": {"type": "StringList", "minItems": 1},
        "applications": {"type": "String", "default": "Enabled", "allowedValues": ["Enabled", "Disabled"]}}}"#;
    let document = read(text, Format::Json);
    let found = scripts(&document, &[("windows", &["dir"]), ("linux", &["ls", "pwd"])]);
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["linux", "collect"]);
    assert_eq!(found[0].1, "ls\npwd\n");
}
