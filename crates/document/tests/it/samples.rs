//! Whole documents as people write them.

use muster_document::{
    Document, DocumentType, Format, Next, Outcome, Platform, RunStatus, Verdict, check_parameters, convert,
    execution_seconds, plan, platform_types,
};
use proptest::prelude::*;

use super::{bind, given};

const SCRIPT_1_2: &str = r#"{
  "schemaVersion": "1.2",
  "description": "Run the given lines.",
  "parameters": {
    "commands": {"type": "StringList", "description": "Lines of the script.", "minItems": 1, "displayType": "textarea"},
    "workingDirectory": {"type": "String", "default": "", "maxChars": 4096},
    "executionTimeout": {
      "type": "String", "default": "3600",
      "allowedPattern": "^([1-9][0-9]{0,4}|1[0-6][0-9]{4}|17[0-1][0-9]{3}|172[0-7][0-9]{2}|172800)$"
    }
  },
  "runtimeConfig": {
    "aws:runShellScript": {
      "properties": [{
        "id": "0.aws:runShellScript",
        "runCommand": "{{ commands }}",
        "workingDirectory": "{{ workingDirectory }}",
        "timeoutSeconds": "{{ executionTimeout }}"
      }]
    }
  }
}"#;

const INVENTORY_2_0: &str = r#"{
  "schemaVersion": "2.0",
  "parameters": {"applications": {"type": "String", "default": "Enabled", "allowedValues": ["Enabled", "Disabled"]}},
  "mainSteps": [{"action": "aws:softwareInventory", "name": "collect", "inputs": {"applications": "{{ applications }}", "files": ""}}]
}"#;

const DEPLOY_2_2: &str = r#"---
# Two platforms, a template of another language, and a step that cleans up.
schemaVersion: "2.2"
description: |
  Deploy *one* release.
parameters:
  release:
    type: String
    allowedPattern: '^[0-9]+\.[0-9]+$'
    interpolationType: ENV_VAR
  hosts: {type: StringList, default: [a.example, b.example]}
  verbose: {type: Boolean, default: false}
mainSteps:
  - name: windows
    action: aws:runPowerShellScript
    precondition: {StringEquals: [platformType, Windows]}
    inputs: &limits
      runCommand: ["Write-Host '{{ release }}'"]
      timeoutSeconds: 120
  - name: unix
    action: aws:runShellScript
    precondition:
      StringEquals:
        - platformType
        - Linux
    inputs:
      timeoutSeconds: "120"
      onFailure: exit
      runCommand:
        - |
          #!/bin/sh
          set -eu
          if [ -z "${SSM_release+x}" ]; then
            SSM_release="{{release}}"
          fi
          docker inspect --format '{{.State.Status}}' "app:$SSM_release"
        - echo verbose={{ verbose }}
        - "{{ hosts }}"
  - name: optional
    action: aws:runShellScript
    inputs: {runCommand: [": skipped after a failure"]}
  - name: cleanup
    action: aws:runShellScript
    inputs:
      finallyStep: true
      runCommand: "rm -f /tmp/deploy"
"#;

const RUNBOOK_0_3: &str = r#"
schemaVersion: '0.3'
description: Make an image of a stopped machine.
assumeRole: '{{ AutomationAssumeRole }}'
parameters:
  InstanceId: {type: 'AWS::EC2::Instance::Id'}
  AutomationAssumeRole: {type: String, default: ''}
  ImageName: {type: String, default: 'image-{{global:DATE_TIME}}'}
outputs: [image.ImageId]
mainSteps:
- name: stop
  action: aws:changeInstanceState
  maxAttempts: 3
  timeoutSeconds: '600'
  isCritical: 'true'
  onFailure: 'step:start'
  inputs: {InstanceIds: ['{{ InstanceId }}'], DesiredState: stopped}
- name: image
  action: aws:createImage
  inputs: {InstanceId: '{{ InstanceId }}', ImageName: '{{ ImageName }}', NoReboot: true}
- name: decide
  action: aws:branch
  inputs:
    Choices:
    - {NextStep: start, Variable: '{{ image.ImageId }}', StartsWith: ami-}
    Default: finish
- name: start
  action: aws:changeInstanceState
  inputs: {InstanceIds: ['{{ InstanceId }}'], DesiredState: running}
- name: finish
  action: aws:sleep
  isEnd: true
  inputs: {Duration: PT5S}
"#;

const SESSION_1_0: &str = r#"{
  "schemaVersion": "1.0", "sessionType": "Port",
  "parameters": {"portNumber": {"type": "String", "default": "22", "allowedPattern": "^([1-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4})$"}},
  "properties": {"portNumber": "{{ portNumber }}", "type": "LocalPortForwarding"}
}"#;

fn samples() -> [(&'static str, Format, DocumentType); 5] {
    [
        (SCRIPT_1_2, Format::Json, DocumentType::Command),
        (INVENTORY_2_0, Format::Json, DocumentType::Policy),
        (DEPLOY_2_2, Format::Yaml, DocumentType::Command),
        (RUNBOOK_0_3, Format::Yaml, DocumentType::Automation),
        (SESSION_1_0, Format::Json, DocumentType::Session),
    ]
}

#[test]
fn each_sample_is_accepted_without_a_warning_in_both_formats() {
    for (content, format, document_type) in samples() {
        let document = Document::parse(content, format, document_type).unwrap_or_else(|findings| panic!("{findings}"));
        assert_eq!(document.warnings(), &[], "{content}");
        let other = if format == Format::Json {
            Format::Yaml
        } else {
            Format::Json
        };
        let converted = convert(content, format, other).unwrap();
        let again = Document::parse(&converted, other, document_type)
            .unwrap_or_else(|findings| panic!("{findings}\n{converted}"));
        assert_eq!(again.content(), document.content());
        assert_eq!(again.steps(), document.steps());
    }
}

#[test]
fn a_script_of_schema_1_2_runs_its_lines() {
    let document = Document::parse(SCRIPT_1_2, Format::Json, DocumentType::Command).unwrap();
    assert_eq!(platform_types(&document), [Platform::Linux, Platform::MacOs]);
    let parameters = bind(
        &document,
        &[("commands", &["echo a", "exit 7"]), ("executionTimeout", &["5"])],
    );
    assert_eq!(execution_seconds(&document, &parameters), 5);
    let plan = plan(&document, &parameters, Platform::Linux).unwrap();
    assert_eq!(plan.next(&[]), Next::Step(0));
    let Verdict::Run(parts) = plan.steps()[0].verdict() else {
        panic!("not run")
    };
    assert_eq!(parts[0].script().as_deref(), Some("echo a\nexit 7\n"));
    assert_eq!(parts[0].text("workingDirectory").as_deref(), Some(""));
    assert_eq!(
        plan.next(&[(0, Outcome::of_exit_code(7, Platform::Linux))]),
        Next::End(RunStatus::Failed)
    );
    for (values, message) in [
        (&[][..], "parameter commands: it is required"),
        (
            &[("commands", &[][..])],
            "parameter commands: it needs at least 1 elements (minItems)",
        ),
        (
            &[("commands", &["x"]), ("executionTimeout", &["0"])],
            "parameter executionTimeout: the value does not match allowedPattern",
        ),
        (
            &[("commands", &["x"]), ("command", &["x"])],
            "parameter command: the document does not support it",
        ),
    ] {
        assert_eq!(
            check_parameters(&document, &given(values)).unwrap_err().to_string(),
            message
        );
    }
}

#[test]
fn a_document_of_several_steps_runs_as_written() {
    let document = Document::parse(DEPLOY_2_2, Format::Yaml, DocumentType::Command).unwrap();
    assert_eq!(document.description(), Some("Deploy *one* release.\n"));
    assert_eq!(document.required_capabilities(), ["interpolation-env-var"]);
    let parameters = bind(&document, &[("release", &["4.2"])]);
    assert_eq!(execution_seconds(&document, &parameters), 3600);
    let plan = plan(&document, &parameters, Platform::Linux).unwrap();
    assert!(matches!(plan.steps()[0].verdict(), Verdict::Skip(_)));
    let Verdict::Run(parts) = plan.steps()[1].verdict() else {
        panic!("not run")
    };
    let script = parts[0].script().unwrap();
    assert!(script.starts_with("#!/bin/sh\nset -eu\n"), "{script}");
    assert!(
        script.contains("SSM_release=\"${SSM_release}\"") && script.contains("'{{.State.Status}}'"),
        "{script}"
    );
    assert!(
        script.ends_with("\necho verbose=false\na.example\nb.example\n"),
        "{script}"
    );
    assert_eq!(parts[0].timeout_seconds(), 120);
    assert_eq!(plan.environment().get("SSM_release").map(String::as_str), Some("4.2"));
    let so_far = [(0, Outcome::Skipped), (1, Outcome::Failed)];
    assert_eq!(plan.next(&so_far), Next::Step(3), "the clean-up runs after an exit");
    assert_eq!(
        plan.next(&[so_far[0], so_far[1], (3, Outcome::Success)]),
        Next::End(RunStatus::Failed)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Any damage to a document has an answer, and what is accepted can be planned on every platform.
    #[test]
    fn a_damaged_document_never_panics(which in 0..5_usize, at in any::<prop::sample::Index>(), cut in 0..40_usize, put in "([{}\\[\\]\":,a-z0-9 \n-]|\\{\\{|&a|\\*a|null|true){0,12}") {
        let (content, format, document_type) = samples()[which];
        let chars: Vec<char> = content.chars().collect();
        let from = at.index(chars.len());
        let to = (from + cut).min(chars.len());
        let damaged: String = chars[..from].iter().copied().chain(put.chars()).chain(chars[to..].iter().copied()).collect();
        if let Ok(document) = Document::parse(&damaged, format, document_type)
            && let Ok(parameters) = check_parameters(&document, &Default::default())
        {
            for platform in Platform::ALL {
                if let Ok(plan) = plan(&document, &parameters, platform) {
                    let _ = (plan.next(&[]), plan.references(), execution_seconds(&document, &parameters));
                }
            }
        }
    }
}
