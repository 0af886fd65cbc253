//! On which platforms a document can run: documents.md 5.

use muster_document::Platform::{self, Linux, MacOs, Windows};
use muster_document::{DocumentType, platform_types};
use serde_json::{Value, json};

use super::{command, document_2_2, read};

fn step(action: &str, inputs: Value, platform: Option<&str>) -> Value {
    let mut step = json!({"action": action, "name": "placeholder", "inputs": inputs});
    if let Some(platform) = platform {
        step["precondition"] = json!({"StringEquals": ["platformType", platform]});
    }
    step
}

fn sh(platform: Option<&str>) -> Value {
    step("aws:runShellScript", json!({"runCommand": "x"}), platform)
}

fn ps(platform: Option<&str>) -> Value {
    step("aws:runPowerShellScript", json!({"runCommand": "x"}), platform)
}

#[test]
fn platforms_come_from_actions_and_preconditions() {
    for (steps, expected) in [
        (vec![sh(None)], &[Linux, MacOs][..]),
        (vec![ps(None)], &[Windows, Linux, MacOs]),
        (vec![ps(Some("Windows"))], &[Windows]),
        (vec![ps(Some("windows")), sh(Some("Linux"))], &[Windows, Linux]),
        (vec![sh(None), ps(Some("Windows"))], &[Windows, Linux, MacOs]),
        (vec![sh(Some("Windows"))], &[]),
        (vec![sh(Some("{{ os }}"))], &[Linux, MacOs]),
        (
            vec![step(
                "aws:applications",
                json!({"action": "Install", "source": "x"}),
                None,
            )],
            &[Windows],
        ),
        (
            vec![step(
                "aws:downloadContent",
                json!({"sourceType": "S3", "sourceInfo": {}}),
                None,
            )],
            &[Windows, Linux],
        ),
        (
            vec![step("aws:updateSsmAgent", json!({}), None)],
            &[Windows, Linux, MacOs],
        ),
        (
            vec![
                step("aws:runDockerAction", json!({"action": "Ps"}), None),
                sh(Some("MacOS")),
            ],
            &[Windows, Linux, MacOs],
        ),
    ] {
        let mut steps = steps;
        for (position, step) in steps.iter_mut().enumerate() {
            step["name"] = json!(format!("s{position}"));
        }
        let document = command(&document_2_2(
            &json!({"os": {"type": "String", "default": ""}}),
            &json!(steps),
        ));
        assert_eq!(platform_types(&document), expected, "{steps:?}");
        for platform in Platform::ALL {
            assert_eq!(document.supports(platform), expected.contains(&platform), "{platform}");
        }
    }
}

#[test]
fn documents_without_node_steps_are_for_all() {
    let session = read(
        &json!({"schemaVersion": "1.0", "sessionType": "Port"}),
        DocumentType::Session,
    )
    .unwrap();
    assert_eq!(platform_types(&session), [Windows, Linux, MacOs]);
    let configuration = read(&json!({}), DocumentType::ApplicationConfiguration).unwrap();
    assert_eq!(platform_types(&configuration), [Windows, Linux, MacOs]);
}

#[test]
fn a_platform_has_its_word() {
    for (platform, word) in [(Windows, "Windows"), (Linux, "Linux"), (MacOs, "MacOS")] {
        assert_eq!((platform.to_string().as_str(), word.parse()), (word, Ok(platform)));
    }
    assert!("linux".parse::<Platform>().is_err());
}
