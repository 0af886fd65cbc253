//! Installed packages: `AWS:Application` 1.1, and those of them that are `AWS:AWSComponent` 1.0.

use super::{Entry, time_of_seconds};

/// Between fields and between records; both package tools pass these bytes through, and no field contains them.
const FIELD: char = '\x1f';
const RECORD: char = '\x1e';

/// What `dpkg-query -W -f` is to print.
pub(crate) fn dpkg_format() -> String {
    format_of(&[
        "${db:Status-Abbrev}",
        "${Package}",
        "${Version}",
        "${Section}",
        "${Maintainer}",
        "${Architecture}",
        "${Homepage}",
        "${binary:Summary}",
        "${db-fsys:Last-Modified}",
    ])
}

/// What `rpm -qa --qf` is to print.
pub(crate) fn rpm_format() -> String {
    format_of(&[
        "%{NAME}",
        "%{VERSION}",
        "%{RELEASE}",
        "%{EPOCH}",
        "%{INSTALLTIME}",
        "%{GROUP}",
        "%{VENDOR}",
        "%{URL}",
        "%{SUMMARY}",
        "%{ARCH}",
        "%{SOURCERPM}",
    ])
}

fn format_of(fields: &[&str]) -> String {
    let mut format = fields.join(&FIELD.to_string());
    format.push(RECORD);
    format
}

/// The packages in what `dpkg-query` printed; only those that are installed.
pub(crate) fn of_dpkg(text: &str) -> Vec<Entry> {
    records(text)
        .filter_map(|fields| {
            let [
                status,
                name,
                version,
                section,
                maintainer,
                arch,
                homepage,
                summary,
                modified,
            ] = fields[..]
            else {
                return None;
            };
            if status.chars().nth(1) != Some('i') {
                return None;
            }
            Some(application(&[
                ("Name", name),
                ("ApplicationType", section),
                ("Publisher", maintainer),
                ("Version", version),
                ("InstalledTime", &time_of_seconds(modified)),
                ("Architecture", &architecture(arch)),
                ("URL", homepage),
                ("Summary", summary),
                ("PackageId", &format!("{name}_{version}_{arch}.deb")),
            ]))
        })
        .collect()
}

/// The packages in what `rpm` printed.
pub(crate) fn of_rpm(text: &str) -> Vec<Entry> {
    records(text)
        .filter_map(|fields| {
            let [
                name,
                version,
                release,
                epoch,
                installed,
                group,
                vendor,
                url,
                summary,
                arch,
                source,
            ] = fields[..]
            else {
                return None;
            };
            Some(application(&[
                ("Name", name),
                ("ApplicationType", group),
                ("Publisher", vendor),
                ("Version", version),
                ("Release", release),
                ("Epoch", epoch),
                ("InstalledTime", &time_of_seconds(installed)),
                ("Architecture", &architecture(known(arch))),
                ("URL", url),
                ("Summary", summary),
                ("PackageId", source),
            ]))
        })
        .collect()
}

/// The packages in the table that `snap list` printed.
pub(crate) fn of_snap(text: &str) -> Vec<Entry> {
    let lines = text.lines().skip_while(|line| !line.starts_with("Name ")).skip(1);
    lines
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [name, version, _, _, publisher, ..] = columns[..] else {
                return None;
            };
            // Marks behind a name say that the publisher is verified.
            let publisher = publisher.trim_end_matches(['*', '✓', '✪']);
            Some(application(&[
                ("Name", name),
                ("ApplicationType", "admin"),
                ("Publisher", publisher),
                ("Version", version),
                ("PackageId", &format!("pkg:snap/{publisher}/{name}@{version}")),
            ]))
        })
        .collect()
}

/// Sorted as they are told: by name, publisher, version.
pub(crate) fn sort(applications: &mut [Entry]) {
    applications.sort_by(|one, other| key(one).cmp(&key(other)));
}

fn key(entry: &Entry) -> [&str; 3] {
    [entry.get("Name"), entry.get("Publisher"), entry.get("Version")]
}

/// The applications that belong to the machine's management, and the agent itself.
pub(crate) fn components(applications: &[Entry], agent_version: &str) -> Vec<Entry> {
    let mut agent = Entry::default();
    for (name, value) in [
        ("Name", "muster-agent"),
        ("ApplicationType", "Agent"),
        ("Publisher", "Muster"),
        ("Version", agent_version),
        ("Architecture", std::env::consts::ARCH),
    ] {
        agent.set(name, value);
    }
    let known = applications
        .iter()
        .filter(|application| is_component(application.get("Name")));
    let mut components: Vec<Entry> = known.map(without_package_details).collect();
    components.push(agent);
    sort(&mut components);
    components
}

/// `AWS:AWSComponent` has fewer attributes than `AWS:Application`.
fn without_package_details(application: &Entry) -> Entry {
    let mut component = Entry::default();
    for name in [
        "Name",
        "ApplicationType",
        "Publisher",
        "Version",
        "InstalledTime",
        "Architecture",
        "URL",
    ] {
        component.set(name, application.get(name));
    }
    component
}

fn is_component(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "amazon-cloudwatch-agent",
        "amazon-ec2-utils",
        "amazon-ecr-credential-helper",
        "amazon-efs-utils",
        "amazon-ssm-agent",
        "aws-cfn-bootstrap",
        "aws-cli",
        "aws-kinesis-agent",
        "aws-nitro-enclaves-cli",
        "awscli",
        "awscli-2",
        "codedeploy-agent",
        "ec2-hibinit-agent",
        "ec2-instance-connect",
        "ec2-net-utils",
        "ec2-utils",
        "ecs-init",
    ];
    NAMES.contains(&name) || name.starts_with("aws-apitools-")
}

fn application(attributes: &[(&str, &str)]) -> Entry {
    let mut entry = Entry::default();
    for (name, value) in attributes {
        entry.set(name, known(value));
    }
    entry
}

/// A field as one line; `(none)` is how rpm says that there is nothing.
fn known(value: &str) -> &str {
    match value.trim() {
        "(none)" => "",
        value => value,
    }
}

fn architecture(name: &str) -> String {
    match name.to_lowercase().as_str() {
        "amd64" => "x86_64".to_owned(),
        "386" => "i386".to_owned(),
        other => other.to_owned(),
    }
}

fn records(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let records = text.split(RECORD).filter(|record| !record.trim().is_empty());
    records.map(|record| record.split(FIELD).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_debian_packages_are_told_and_leftovers_are_not() {
        let record = |status: &str, name: &str| {
            [
                status,
                name,
                "1:2.0-3",
                "utils",
                "Jane <j@example.org>",
                "amd64",
                "",
                "does things",
                "1700000000",
            ]
            .join("\x1f")
        };
        let text = [record("ii ", "cut"), record("rc ", "gone"), record("hi ", "held")].join("\x1e");
        let found = of_dpkg(&text);
        let names: Vec<&str> = found.iter().map(|entry| entry.get("Name")).collect();
        assert_eq!(names, ["cut", "held"]);
        assert_eq!(
            serde_json::to_value(&found[0]).unwrap(),
            serde_json::json!({
                "Name": "cut", "ApplicationType": "utils", "Publisher": "Jane <j@example.org>", "Version": "1:2.0-3",
                "InstalledTime": "2023-11-14T22:13:20Z", "Architecture": "x86_64", "Summary": "does things",
                "PackageId": "cut_1:2.0-3_amd64.deb",
            })
        );
    }

    #[test]
    fn rpm_packages_are_told_without_what_they_do_not_have() {
        let fields = [
            "bash",
            "5.1",
            "9.el9",
            "(none)",
            "1700000000",
            "Shells",
            "Rocky",
            "https://x",
            "a shell",
            "x86_64",
            "bash-5.1-9.el9.src.rpm",
        ];
        let found = of_rpm(&(fields.join("\x1f") + "\x1e"));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].get("Release"), found[0].get("Epoch")), ("9.el9", ""));
        assert_eq!(found[0].get("PackageId"), "bash-5.1-9.el9.src.rpm");
        assert!(of_rpm("torn\x1frecord").is_empty());
    }

    #[test]
    fn snaps_are_read_from_their_table() {
        let text = "Name    Version   Rev    Tracking       Publisher   Notes\ncore20  20230801  2015   latest/stable  canonical✓  base\n";
        let found = of_snap(text);
        assert_eq!(found[0].get("PackageId"), "pkg:snap/canonical/core20@20230801");
        assert!(of_snap("No snaps are installed yet.").is_empty());
    }

    #[test]
    fn the_agent_is_a_component_of_its_machine() {
        let mut applications = vec![
            application(&[("Name", "zsh")]),
            application(&[("Name", "amazon-ssm-agent"), ("Summary", "x")]),
        ];
        sort(&mut applications);
        let components = components(&applications, "1.2.3");
        let seen: Vec<_> = components
            .iter()
            .map(|entry| (entry.get("Name"), entry.get("Version"), entry.get("Summary")))
            .collect();
        assert_eq!(seen, [("amazon-ssm-agent", "", ""), ("muster-agent", "1.2.3", "")]);
    }
}
