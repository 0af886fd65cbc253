//! Services of systemd: `AWS:Service` 1.0.

use std::collections::{BTreeMap, HashMap};

use super::Entry;

/// What `systemctl show` is asked for, of each service.
pub(crate) const PROPERTIES: &str =
    "Id,Description,Type,LoadState,ActiveState,SubState,UnitFileState,Requires,RequiredBy";

/// The services in what `systemctl show` printed, and those that are only files in what `systemctl list-unit-files`
/// printed. In the order of their names.
pub(crate) fn services(show: &str, unit_files: &str) -> Vec<Entry> {
    let mut found: BTreeMap<String, Entry> = BTreeMap::new();
    for unit in show.split("\n\n") {
        let values: HashMap<&str, &str> = unit.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |name: &str| values.get(name).copied().unwrap_or_default();
        // A unit that others wait for and that nobody installed is no service of this machine.
        if !value("Id").ends_with(".service") || value("LoadState") == "not-found" {
            continue;
        }
        let is_running = value("ActiveState") == "reloading" || value("SubState") == "running";
        let mut entry = Entry::default();
        entry.set("Name", value("Id"));
        entry.set("DisplayName", value("Description"));
        entry.set("ServiceType", value("Type"));
        entry.set("Status", if is_running { "Running" } else { "Stopped" });
        entry.set("DependentServices", &services_in(value("RequiredBy")));
        entry.set("ServicesDependedOn", &services_in(value("Requires")));
        entry.set("StartType", start_type(value("UnitFileState")));
        found.insert(value("Id").to_owned(), entry);
    }
    for line in unit_files.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(state)) = (words.next(), words.next()) else {
            continue;
        };
        // A template is no service; an alias is told under its own name.
        if !name.ends_with(".service") || name.contains("@.") || state == "alias" || found.contains_key(name) {
            continue;
        }
        let mut entry = Entry::default();
        entry.set("Name", name);
        entry.set("Status", "Stopped");
        entry.set("StartType", start_type(state));
        found.insert(name.to_owned(), entry);
    }
    found.into_values().collect()
}

fn start_type(state: &str) -> &'static str {
    match state {
        "enabled" | "enabled-runtime" | "linked" | "linked-runtime" => "Automatic",
        "disabled" | "masked" | "masked-runtime" => "Disabled",
        _ => "Manual",
    }
}

fn services_in(units: &str) -> String {
    let services = units.split_whitespace().filter(|unit| unit.ends_with(".service"));
    services.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaded_units_and_unit_files_are_one_list() {
        let show = "Id=ssh.service\nDescription=OpenBSD Secure Shell server\nType=notify\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nRequires=system.slice a.service\nRequiredBy=\n\nId=once.service\nDescription=Once\nType=oneshot\nLoadState=loaded\nActiveState=active\nSubState=exited\nUnitFileState=static\n\nId=ghost.service\nLoadState=not-found\n";
        let files = "ssh.service enabled enabled\ncron.service disabled enabled\ngetty@.service enabled enabled\nsshd.service alias -\n";
        let found = services(show, files);
        let seen: Vec<_> = found
            .iter()
            .map(|entry| (entry.get("Name"), entry.get("Status"), entry.get("StartType")))
            .collect();
        assert_eq!(
            seen,
            [
                ("cron.service", "Stopped", "Disabled"),
                ("once.service", "Stopped", "Manual"),
                ("ssh.service", "Running", "Automatic"),
            ]
        );
        assert_eq!(found[2].get("ServicesDependedOn"), "a.service");
    }
}
