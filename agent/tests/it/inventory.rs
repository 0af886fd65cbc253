//! `aws:softwareInventory` on the machine that runs the tests.

use std::fs;
use std::process::Command;

use muster_proto::agent::v1::RunStatus;
use serde_json::{Value, json};

use crate::tools::one;
use crate::{Scene, work};

/// The document of the type Policy that comes with Muster, with everything switched on.
fn gather(inputs: &Value) -> Value {
    json!({
        "schemaVersion": "2.0",
        "mainSteps": [{"action": "aws:softwareInventory", "name": "collectSoftwareInventoryItems", "inputs": inputs}],
    })
}

fn items(text: &str) -> Vec<Value> {
    text.lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn of_type<'a>(items: &'a [Value], name: &str) -> &'a Value {
    items
        .iter()
        .find(|item| item["TypeName"] == name)
        .unwrap_or_else(|| panic!("no {name} in {items:?}"))
}

#[tokio::test]
async fn a_machine_tells_what_it_has() {
    let scene = Scene::start().await;
    let custom = scene.agent.scratch("state/inventory/custom");
    fs::create_dir_all(&custom).unwrap();
    fs::write(
        custom.join("rack.json"),
        r#"{"SchemaVersion": "1.0", "TypeName": "Custom:Rack", "Content": {"Row": "7"}}"#,
    )
    .unwrap();
    fs::write(custom.join("bad.json"), "no json").unwrap();
    let (here, files) = (scene.agent.scratch("files"), scene.agent.scratch("files/app.conf"));
    fs::create_dir(&here).unwrap();
    fs::write(&files, "12345").unwrap();
    let inputs = json!({
        "applications": "Enabled", "awsComponents": "Enabled", "networkConfig": "Enabled", "windowsUpdates": "Enabled",
        "instanceDetailedInformation": "Enabled", "services": "Enabled", "windowsRoles": "Disabled",
        "customInventory": "Enabled", "billingInfo": "Enabled",
        "files": json!([{"Path": here, "Pattern": ["*.conf"]}]).to_string(),
    });
    let run = scene.coordinator.send(&work::of(&gather(&inputs))).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    let step = ended.step();
    assert!(step.stdout.contains("AWS:WindowsUpdate: skipped"), "{}", step.stdout);
    assert!(!step.stdout.contains("AWS:WindowsRole"), "{}", step.stdout);
    assert!(step.trace.contains("bad.json: no JSON"), "{}", step.trace);

    // The whole report is kept with the run.
    let directory = scene.agent.state().run(run);
    let report = fs::read_dir(&directory).unwrap().flatten().map(|file| file.path());
    let report = report
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with("inventory.json"))
        .unwrap();
    let all: Vec<Value> = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let stdout = fs::read_dir(&directory).unwrap().flatten().map(|file| file.path());
    let stdout = stdout
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with("stdout"))
        .unwrap();
    assert_eq!(items(&fs::read_to_string(stdout).unwrap()), all);

    let cpu = &of_type(&all, "AWS:InstanceDetailedInformation")["Content"][0];
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(cpu["KernelVersion"], kernel.trim());
    let processors = std::thread::available_parallelism().unwrap().get();
    assert!(cpu["CPUs"].as_str().unwrap().parse::<usize>().unwrap() >= processors);
    let components = &of_type(&all, "AWS:AWSComponent")["Content"];
    assert!(
        components
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["Name"] == "muster-agent")
    );
    assert_eq!(of_type(&all, "Custom:Rack")["Content"], json!([{"Row": "7"}]));
    let file = &of_type(&all, "AWS:File")["Content"][0];
    assert_eq!(
        (&file["Name"], &file["Size"], &file["InstalledDir"]),
        (&json!("app.conf"), &json!("5"), &json!(here))
    );
    // Package tools and their counts, where this machine has them.
    if let Ok(listed) = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}\n"])
        .output()
    {
        let installed = String::from_utf8_lossy(&listed.stdout)
            .lines()
            .filter(|line| *line == "installed")
            .count();
        let applications = of_type(&all, "AWS:Application");
        assert_eq!(applications["SchemaVersion"], "1.1");
        assert!(applications["Content"].as_array().unwrap().len() >= installed && installed > 0);
    }
    if Command::new("ip").arg("-V").output().is_ok() {
        let network = &of_type(&all, "AWS:Network")["Content"];
        assert!(network.as_array().unwrap().iter().all(|link| link["Name"] != "lo"));
    }
}

#[tokio::test]
async fn what_is_not_enabled_is_not_collected_and_a_failure_tells_nothing() {
    let scene = Scene::start().await;
    let nothing = work::of(&one("aws:softwareInventory", json!({"applications": "Disabled"})));
    let run = scene.coordinator.send(&nothing).await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Success);
    assert!(
        ended.step().stdout.contains("nothing was collected"),
        "{}",
        ended.step().stdout
    );

    let half = json!({"instanceDetailedInformation": "Enabled", "files": "no json"});
    let run = scene
        .coordinator
        .send(&work::of(&one("aws:softwareInventory", half)))
        .await;
    let ended = scene.coordinator.end(run).await;
    assert_eq!((ended.status(), ended.step().code), (RunStatus::Failed, 1));
    assert!(
        ended.step().trace.contains("files is no list"),
        "{}",
        ended.step().trace
    );
    assert!(
        !ended.step().stdout.contains("InstanceDetailedInformation"),
        "{}",
        ended.step().stdout
    );
}
