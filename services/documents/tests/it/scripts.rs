//! The scripts of the built-in documents, run by this machine's shell with stand-ins for what they would change.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use muster_document::{Document, DocumentType, Format, Plan, Platform, Verdict, check_parameters, plan};
use muster_harness::Folder;

fn document(name: &str) -> Document {
    let file = format!("{}/builtin/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let content = std::fs::read_to_string(file).unwrap();
    Document::parse(&content, Format::Json, DocumentType::Command).unwrap()
}

fn planned(name: &str, parameters: &[(&str, &str)]) -> Plan {
    let document = document(name);
    let given: BTreeMap<_, _> = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
        .collect();
    let parameters = check_parameters(&document, &given).unwrap_or_else(|error| panic!("{name}: {error}"));
    plan(&document, &parameters, Platform::Linux).unwrap()
}

fn accepts(name: &str, parameters: &[(&str, &str)]) -> bool {
    let given: BTreeMap<_, _> = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
        .collect();
    check_parameters(&document(name), &given).is_ok()
}

/// Step and script of everything that runs on Linux.
fn scripts(plan: &Plan) -> Vec<(String, String)> {
    let mut scripts = Vec::new();
    for step in plan.steps() {
        if let Verdict::Run(parts) = step.verdict() {
            let own = parts.iter().filter_map(|part| part.script());
            scripts.extend(own.map(|script| (step.name().to_owned(), script)));
        }
    }
    scripts
}

/// Runs each script of a document and tells, step by step, its exit code and what it wrote.
/// `commands` are stand-ins, found before the machine's own.
fn run(name: &str, parameters: &[(&str, &str)], commands: &[(&str, &str)]) -> String {
    let folder = Folder::new("scripts");
    for (command, body) in commands {
        let file = folder.join(command);
        std::fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let plan = planned(name, parameters);
    let mut told = String::new();
    for (step, script) in scripts(&plan) {
        let output = Command::new("/bin/sh")
            .arg("-c")
            .arg(script)
            .current_dir(folder.path())
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .envs(plan.environment())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let code = output.status.code().unwrap_or(-1);
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        write!(told, "{step} {code}: {text}").unwrap();
        if !told.ends_with('\n') {
            told.push('\n');
        }
    }
    told
}

/// A stand-in that says how it was called.
const SAYS: &str = r#"echo "$(basename "$0") $*""#;

#[test]
fn every_script_is_one_for_the_shell() {
    let samples: [(&str, &[(&str, &str)]); 13] = [
        ("AWS-Noop", &[]),
        ("AWS-RunInspecChecks", &[("sourceType", "S3")]),
        ("AWS-RunPatchBaseline", &[("Operation", "Scan")]),
        ("AWS-RunPatchBaselineAssociation", &[("Operation", "Scan")]),
        (
            "AWS-RunRemoteScript",
            &[("sourceType", "S3"), ("commandLine", "run.sh")],
        ),
        ("AWS-RunShellScript", &[("commands", "true")]),
        ("AWS-RunAnsiblePlaybook", &[("playbook", "- hosts: all")]),
        ("AWS-RunSaltState", &[("state", "x: []")]),
        ("Muster-CheckDiskSpace", &[]),
        ("Muster-ManagePackages", &[("action", "install")]),
        ("Muster-ManageService", &[("service", "nginx")]),
        ("Muster-NodeReport", &[]),
        ("Muster-ReadJournal", &[]),
    ];
    for (name, parameters) in samples {
        let scripts = scripts(&planned(name, parameters));
        assert!(!scripts.is_empty(), "{name}");
        for (step, script) in scripts {
            let checked = Command::new("/bin/sh")
                .arg("-n")
                .arg("-c")
                .arg(script)
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&checked.stderr).into_owned();
            assert!(checked.status.success(), "{name} {step}: {errors}");
        }
    }
}

#[test]
fn a_node_report_works_on_this_machine() {
    let told = run("Muster-NodeReport", &[("rows", "3")], &[]);
    for step in ["System", "Load", "Memory", "Disks", "Processes", "FailedServices"] {
        assert!(told.contains(&format!("{step} 0: ")), "{told}");
    }
}

#[test]
fn full_disks_are_found_and_what_is_no_disk_is_left_out() {
    let df = r#"cat <<'END'
Filesystem 1024-blocks Used Available Capacity Mounted on
/dev/sda1 100 91 9 91% /
/dev/sdb1 100 90 10 90% /srv/a b
tmpfs 100 100 0 100% /run
/dev/loop3 100 100 0 100% /snap/x
END"#;
    let told = run("Muster-CheckDiskSpace", &[], &[("df", df)]);
    assert_eq!(told, "Check 1: FULL  91% /\nok    90% /srv/a b\n1 above 90%\n");
    let told = run("Muster-CheckDiskSpace", &[("threshold", "91")], &[("df", df)]);
    assert_eq!(told, "Check 0: ok    91% /\nok    90% /srv/a b\n");
    let called = run(
        "Muster-CheckDiskSpace",
        &[("paths", "/ /srv/*")],
        &[("df", "echo \"$@\" >&2; exit 1")],
    );
    assert_eq!(
        called, "Check 2: -P -- / /srv/*\n",
        "paths are split at blanks and otherwise left alone"
    );
    assert!(run("Muster-CheckDiskSpace", &[("threshold", "100")], &[]).starts_with("Check 0: "));
}

#[test]
fn a_service_is_changed_and_then_looked_at() {
    let systemctl = |state: &str| format!(r#"case "$1" in is-active) echo {state} ;; *) echo "$*" ;; esac"#);
    let manage = |action: &str, state: &str| {
        let parameters = [("service", "nginx"), ("action", action)];
        run("Muster-ManageService", &parameters, &[("systemctl", &systemctl(state))])
    };
    let status = "status --no-pager --lines=10 -- nginx\n";
    assert_eq!(
        manage("start", "active"),
        format!("Act 0: start -- nginx\nVerify 0: {status}")
    );
    assert_eq!(manage("status", "failed"), format!("Act 0: \nVerify 0: {status}"));
    assert_eq!(
        manage("restart", "failed"),
        format!("Act 0: restart -- nginx\nVerify 1: {status}after restart the service is failed\n")
    );
    assert!(manage("stop", "active").contains("Verify 1: "));
    assert!(manage("stop", "inactive").contains("Verify 0: "));
    for bad in ["", "-x", "a b", "a;b", "$(id)", "a\nb"] {
        assert!(!accepts("Muster-ManageService", &[("service", bad)]), "{bad:?}");
    }
    assert!(accepts("Muster-ManageService", &[("service", r"foo@bar\x2d.service")]));
}

#[test]
fn packages_are_handed_to_the_package_manager_one_by_one() {
    let manage = |parameters: &[(&str, &str)]| run("Muster-ManagePackages", parameters, &[("apt-get", SAYS)]);
    let options = "-q -y -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300";
    assert_eq!(
        manage(&[("action", "install"), ("packages", "curl libstdc++6=1:2~3")]),
        format!("Manage 0: apt-get {options} update\napt-get {options} install curl libstdc++6=1:2~3\n")
    );
    assert_eq!(
        manage(&[("action", "remove"), ("packages", "curl")]),
        format!("Manage 0: apt-get {options} remove curl\n")
    );
    assert_eq!(
        manage(&[("action", "upgrade")]),
        format!("Manage 0: apt-get {options} update\napt-get {options} upgrade\n")
    );
    assert_eq!(manage(&[("action", "remove")]), "Manage 1: name at least one package\n");
    for bad in ["-y", "curl -y", "a;b", "a  b", "*"] {
        assert!(
            !accepts("Muster-ManagePackages", &[("action", "install"), ("packages", bad)]),
            "{bad:?}"
        );
    }
}

#[test]
fn the_journal_is_asked_for_what_was_asked_for() {
    let read = |parameters: &[(&str, &str)]| run("Muster-ReadJournal", parameters, &[("journalctl", SAYS)]);
    assert_eq!(
        read(&[]),
        "Read 0: journalctl --no-pager --lines=100 --priority=debug\n"
    );
    assert_eq!(
        read(&[("unit", "nginx"), ("since", "-1h"), ("lines", "5"), ("priority", "err")]),
        "Read 0: journalctl --no-pager --lines=5 --priority=err --unit=nginx --since=-1h\n"
    );
}

#[test]
fn a_playbook_reaches_ansible_as_it_was_given() {
    let ansible = r#"echo "${*%/*}"; for last; do :; done; cat "$last""#;
    let apply = |parameters: &[(&str, &str)]| {
        run(
            "AWS-RunAnsiblePlaybook",
            parameters,
            &[("ansible-playbook", ansible), ("curl", CURL)],
        )
    };
    let playbook = "- hosts: all\n  tasks:\n    - debug: msg=\"it's {{ who }} `$HOME` \\n\"";
    let told = apply(&[("playbook", playbook), ("check", "True"), ("extravars", "a=1 b=x/y")]);
    assert!(
        told.starts_with(
            "runAnsiblePlaybook 0: --inventory localhost, --connection local --extra-vars a=1 b=x/y --check "
        ),
        "{told}"
    );
    assert!(told.ends_with(&format!("{playbook}\n")), "{told}");
    let told = apply(&[("playbookurl", "https://example.com/p.yml"), ("extravars", "")]);
    assert!(told.ends_with("fetched https://example.com/p.yml\n"), "{told}");
    assert!(!told.contains("--extra-vars"), "{told}");
    assert_eq!(apply(&[]), "runAnsiblePlaybook 1: give playbook or playbookurl\n");
    let both = apply(&[("playbook", "x"), ("playbookurl", "https://example.com/p.yml")]);
    assert_eq!(both, "runAnsiblePlaybook 1: give playbook or playbookurl, not both\n");
    for bad in ["a", "a=b;c", "a=$(id)", "a='b'", "a=`id`"] {
        assert!(!accepts("AWS-RunAnsiblePlaybook", &[("extravars", bad)]), "{bad}");
    }
    for bad in ["file:///etc/passwd", "https://a b", "https://a'b", "https://a`b`"] {
        assert!(!accepts("AWS-RunAnsiblePlaybook", &[("playbookurl", bad)]), "{bad}");
    }
}

#[test]
fn a_state_reaches_salt_as_it_was_given() {
    let salt = r#"echo "$*" | sed 's|/tmp/[^ ]*|FOLDER|'; for n; do [ -d "$n" ] && cat "$n/muster.sls"; done; :"#;
    let apply =
        |parameters: &[(&str, &str)]| run("AWS-RunSaltState", parameters, &[("salt-call", salt), ("curl", CURL)]);
    let state = "/tmp/x:\n  file.managed:\n    - contents: '{{ pillar[\"SSM\"] }} $x'";
    assert_eq!(
        apply(&[("state", state), ("test", "True")]),
        format!(
            "runSaltState 0: --local --retcode-passthrough --file-root FOLDER state.apply muster \
             pillar={{\"SSM\":\"True\"}} test=True\n{state}\n"
        )
    );
    let told = apply(&[("stateurl", "http://example.com/s.sls"), ("pillars", "")]);
    assert!(
        told.ends_with("state.apply muster\nfetched http://example.com/s.sls\n"),
        "{told}"
    );
    assert!(!accepts("AWS-RunSaltState", &[("pillars", r#"{"a":"'; id; '"}"#)]));
}

/// A stand-in for `curl -fsSL -o FILE URL`.
const CURL: &str = r#"echo "fetched $4" > "$3""#;

#[test]
fn a_remote_script_runs_beside_what_was_fetched() {
    let told = run(
        "AWS-RunRemoteScript",
        &[("sourceType", "GitHub"), ("commandLine", "fetched.sh one; exit 4")],
        &[("fetched.sh", SAYS)],
    );
    assert_eq!(told, "runShellScript 4: fetched.sh one\n");
    let told = run(
        "AWS-RunRemoteScript",
        &[
            ("sourceType", "GitHub"),
            ("commandLine", "pwd"),
            ("workingDirectory", "/usr; echo \"$(id)\""),
        ],
        &[],
    );
    assert!(
        told.starts_with("runShellScript 1: ") && !told.contains("uid="),
        "{told}"
    );
    let elsewhere = [
        ("sourceType", "GitHub"),
        ("commandLine", "pwd"),
        ("workingDirectory", "/usr"),
    ];
    assert_eq!(run("AWS-RunRemoteScript", &elsewhere, &[]), "runShellScript 0: /usr\n");
}

#[test]
fn patching_names_what_it_lacks() {
    for name in ["AWS-RunPatchBaseline", "AWS-RunPatchBaselineAssociation"] {
        let told = run(name, &[("Operation", "Install")], &[]);
        assert!(
            told.starts_with("PatchLinux 1: ") && told.contains("Patch Manager"),
            "{told}"
        );
    }
    let hooks = planned("AWS-RunPatchBaselineWithHooks", &[("Operation", "Install")]);
    let actions: Vec<_> = hooks.steps().iter().map(|step| step.action().name()).collect();
    assert_eq!(actions, ["aws:runDocument"; 4]);
    assert!(hooks.steps()[3].is_finally());
    let Verdict::Run(parts) = hooks.steps()[1].verdict() else {
        panic!("the patching does not run");
    };
    assert_eq!(parts[0].inputs()["documentParameters"]["Operation"], "Install");
    assert_eq!(
        parts[0].inputs()["documentParameters"]["RebootOption"],
        "RebootIfNeeded"
    );
}

#[test]
fn inspec_is_asked_if_it_is_there() {
    let source = [("sourceType", "S3")];
    let told = run("AWS-RunInspecChecks", &source, &[]);
    assert_eq!(told, "runInspecLinux 1: inspec is not installed on this node\n");
    let told = run("AWS-RunInspecChecks", &source, &[("inspec", SAYS)]);
    assert_eq!(told, "runInspecLinux 0: inspec exec . --no-color\n");
}

/// The lines that a step of AWS-UpdateLinuxAmi sends to its instance, with values for the tokens.
fn update_of_an_image(values: &[(&str, &str)]) -> String {
    let file = format!("{}/builtin/AWS-UpdateLinuxAmi.json", env!("CARGO_MANIFEST_DIR"));
    let document: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let commands = document["mainSteps"][2]["inputs"]["Parameters"]["commands"]
        .as_array()
        .unwrap();
    let mut script: String = commands
        .iter()
        .map(|line| format!("{}\n", line.as_str().unwrap()))
        .collect();
    for (name, value) in values {
        script = script.replace(&format!("{{{{ {name} }}}}"), value);
    }
    assert!(!script.contains("{{"), "{script}");
    script
}

#[test]
fn an_image_is_updated_with_what_the_system_has() {
    let update = |values: &[(&str, &str)], commands: &[&str]| {
        let folder = Folder::new("scripts");
        for command in commands {
            let file = folder.join(command);
            std::fs::write(&file, format!("#!/bin/sh\n{SAYS}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        for tool in ["tr", "basename", "mktemp", "sh"] {
            let found = ["/usr/bin", "/bin"].map(|place| std::path::Path::new(place).join(tool));
            let found = found.into_iter().find(|path| path.exists()).unwrap();
            std::os::unix::fs::symlink(found, folder.join(tool)).unwrap();
        }
        let output = Command::new("/bin/sh")
            .arg("-c")
            .arg(update_of_an_image(values))
            .env("PATH", folder.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    let nothing = ("PreUpdateScript", "none");
    let values = |include, exclude| {
        [
            nothing,
            ("PostUpdateScript", "none"),
            ("IncludePackages", include),
            ("ExcludePackages", exclude),
        ]
    };
    assert_eq!(
        update(&values("all", "none"), &["apt-get", "apt-mark"]),
        "apt-get update\napt-get -y upgrade\n"
    );
    assert_eq!(
        update(&values("curl,git", "kernel"), &["apt-get", "apt-mark"]),
        "apt-get update\napt-mark hold kernel\napt-get -y install --only-upgrade curl git\napt-mark unhold kernel\n"
    );
    assert_eq!(
        update(&values("curl,git", "kernel"), &["dnf"]),
        "dnf -y update --exclude=kernel curl git\n"
    );
    assert_eq!(update(&values("all", "none"), &["yum"]), "yum -y update\n");
    assert_eq!(
        update(&values("all", "kernel"), &["zypper"]),
        "zypper --non-interactive addlock kernel\nzypper --non-interactive update\nzypper --non-interactive removelock kernel\n"
    );
}
