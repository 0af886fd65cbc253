//! What stays the same on this machine (agent.md B8), each as a hash of kind and value: the service can compare it and
//! cannot read it. Addresses that the network gives and versions of the system are no part of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// What makers write who have nothing to say.
const PLACEHOLDERS: [&str; 9] = [
    "none",
    "n/a",
    "default string",
    "not specified",
    "not applicable",
    "not available",
    "system serial number",
    "to be filled by o.e.m.",
    "0123456789",
];

/// Reads what there is. `root` is where the machine's files are: `/`, or where an agent in a container that stands for
/// its host finds them.
#[must_use]
pub fn attributes(root: &Path) -> BTreeMap<String, String> {
    let text = |path: &str| fs::read_to_string(root.join(path)).ok();
    let mut found = vec![("machine-id", text("etc/machine-id"))];
    // A container sees its host's hardware and is not its host.
    let is_container = ["run/.containerenv", ".dockerenv"]
        .iter()
        .any(|path| root.join(path).exists());
    if !is_container {
        found.extend([
            ("product-uuid", text("sys/class/dmi/id/product_uuid")),
            (
                "product-serial",
                text("sys/class/dmi/id/product_serial").or_else(|| text("proc/device-tree/serial-number")),
            ),
            ("board-serial", text("sys/class/dmi/id/board_serial")),
            ("mac", first_card(root)),
            ("disk", root_disk(root)),
        ]);
    }
    hashes(found)
}

/// Hashes of the values that say something.
fn hashes(found: Vec<(&'static str, Option<String>)>) -> BTreeMap<String, String> {
    let told = found.into_iter().filter_map(|(kind, value)| {
        let value = value?.trim_matches(['\0', ' ', '\n', '\t']).to_lowercase();
        let says_nothing = value
            .bytes()
            .all(|byte| matches!(byte, b'0' | b'f' | b'-' | b':' | b'.' | b'x'));
        if says_nothing || PLACEHOLDERS.contains(&value.as_str()) {
            return None;
        }
        let mut hasher = Sha256::new();
        hasher.update(kind);
        hasher.update([0]);
        hasher.update(&value);
        let hash: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Some((kind.to_owned(), hash))
    });
    told.collect()
}

/// The address that the first card came with, by the cards' names. Bridges, tunnels and the like are no cards.
fn first_card(root: &Path) -> Option<String> {
    let mut cards: Vec<_> = fs::read_dir(root.join("sys/class/net"))
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|card| card.join("device").exists())
        .collect();
    cards.sort();
    let permanent = |card: &std::path::PathBuf| {
        let kind = fs::read_to_string(card.join("addr_assign_type")).ok()?;
        let address = fs::read_to_string(card.join("address")).ok()?;
        // 0: the address is the card's own.
        (kind.trim() == "0").then_some(address)
    };
    cards.iter().find_map(permanent)
}

/// The number of the first disk that has one, by the disks' names.
fn root_disk(root: &Path) -> Option<String> {
    let mut disks: Vec<_> = fs::read_dir(root.join("sys/block"))
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|disk| disk.join("device").exists())
        .collect();
    disks.sort();
    let number = |disk: &std::path::PathBuf| {
        let files = ["device/serial", "device/wwid", "wwid", "serial"];
        files.iter().find_map(|file| fs::read_to_string(disk.join(file)).ok())
    };
    disks.iter().find_map(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        write(
            root.path(),
            "sys/class/dmi/id/product_uuid",
            "6B6A1F0C-0000-4000-8000-1C697A000001\n",
        );
        write(root.path(), "sys/class/dmi/id/product_serial", "Default string\n");
        write(root.path(), "sys/class/net/eth0/address", "1c:69:7a:00:00:01\n");
        write(root.path(), "sys/class/net/eth0/addr_assign_type", "0\n");
        write(root.path(), "sys/class/net/eth0/device/uevent", "");
        write(root.path(), "sys/class/net/br0/address", "02:42:00:00:00:01\n");
        root
    }

    #[test]
    fn what_says_something_is_told_as_hashes() {
        let root = machine();
        let told = attributes(root.path());
        let kinds: Vec<_> = told.keys().map(String::as_str).collect();
        assert_eq!(kinds, ["mac", "machine-id", "product-uuid"]);
        assert!(told.values().all(|hash| hash.len() == 64));
        assert!(!format!("{told:?}").contains("1c:69:7a"));
        assert_eq!(attributes(root.path()), told);
    }

    #[test]
    fn an_address_that_was_given_and_a_new_system_version_change_nothing() {
        let root = machine();
        let before = attributes(root.path());
        write(root.path(), "etc/os-release", "VERSION_ID=99");
        write(root.path(), "sys/class/net/br0/address", "02:42:00:00:00:02\n");
        assert_eq!(attributes(root.path()), before);
    }

    #[test]
    fn a_container_does_not_tell_its_hosts_hardware() {
        let root = machine();
        write(root.path(), ".dockerenv", "");
        let told = attributes(root.path());
        assert_eq!(told.keys().collect::<Vec<_>>(), ["machine-id"]);
    }

    #[test]
    fn nothing_is_told_where_nothing_is_known() {
        let root = tempfile::tempdir().unwrap();
        assert!(attributes(root.path()).is_empty());
        write(
            root.path(),
            "sys/class/dmi/id/product_uuid",
            "00000000-0000-0000-0000-000000000000",
        );
        assert!(attributes(root.path()).is_empty());
    }
}
