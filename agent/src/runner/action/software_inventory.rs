//! `aws:softwareInventory`: what this machine has (inventory-and-compliance.md 4; docs/operate/inventory.md).
//!
//! There is no inventory service yet. So the items are kept with the run: the step's output has a summary and then each
//! item as a line of JSON, the small ones first; and `inventory.json` in the run's directory has them all.
//! A part that fails fails the step, and nothing is told: half an inventory would look like a whole one.

use std::fs;
use std::path::{Path, PathBuf};

use muster_model::{Clock, SystemClock, Timestamp};

use super::{Bench, End, Trouble};
use crate::facts;
use crate::inventory::{self, Entry, Item, applications, cpu, custom, files, network, services};
use crate::runner::process::Launch;
use crate::runner::script::{self, ScriptError};

/// Longest output of a tool, in characters.
const OUTPUT: usize = 32 * 1024 * 1024;

/// The parts that only Windows or a cloud's own machines have.
const ELSEWHERE: &[(&str, &str)] = &[
    ("windowsUpdates", "AWS:WindowsUpdate"),
    ("windowsRoles", "AWS:WindowsRole"),
    ("windowsRegistry", "AWS:WindowsRegistry"),
    ("billingInfo", "AWS:BillingInfo"),
];

/// Collects what is asked for, as the agent's own user: it is about the machine.
pub(super) fn perform(bench: &mut Bench<'_, '_>) -> Result<End, Trouble> {
    bench.own_guise()?;
    let now = SystemClock.now();
    let items = collect(bench, now)?;
    inventory::check(&items).map_err(|error| Trouble::Failed(error.to_string()))?;

    for item in &items {
        let (name, version, count) = (&item.type_name, &item.schema_version, item.content.len());
        let noun = if count == 1 { "entry" } else { "entries" };
        bench.print(&format!("{name} {version}: {count} {noun}, hash {}", item.content_hash));
    }
    for (input, type_name) in ELSEWHERE {
        if wants(bench, input) || (*input == "windowsRegistry" && bench.text(input).is_some()) {
            bench.print(&format!("{type_name}: skipped, this machine has no such thing"));
        }
    }
    if items.is_empty() {
        bench.print("nothing was collected: no part that this machine has is Enabled");
        return Ok(End::Exited(0));
    }
    let all = serde_json::to_string(&items).expect("items have a JSON form");
    let file = bench.file("inventory.json");
    script::write_private(&file, &all)?;
    bench.print(&format!("{} bytes in {}", all.len(), file.display()));
    for item in &items {
        let line = serde_json::to_string(item).expect("items have a JSON form");
        bench.print(&line);
    }
    Ok(End::Exited(0))
}

/// The items, those with few entries first.
fn collect(bench: &mut Bench<'_, '_>, now: Timestamp) -> Result<Vec<Item>, Trouble> {
    let mut items = Vec::new();
    if wants(bench, "instanceDetailedInformation") {
        let lscpu = tool(bench, "lscpu", &["-J"])?.unwrap_or_default();
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        let entry = cpu::detailed_information(&lscpu, &cpuinfo, &kernel);
        items.push(Item::new("AWS:InstanceDetailedInformation", "1.0", now, vec![entry]));
    }
    if wants(bench, "networkConfig") {
        items.extend(network(bench)?.map(|entries| Item::new("AWS:Network", "1.0", now, entries)));
    }
    let (wants_applications, wants_components) = (wants(bench, "applications"), wants(bench, "awsComponents"));
    let mut applications = Vec::new();
    if wants_applications || wants_components {
        applications = installed(bench)?;
    }
    if wants_components {
        let components = applications::components(&applications, facts::version());
        items.push(Item::new("AWS:AWSComponent", "1.0", now, components));
    }
    if wants(bench, "customInventory") {
        items.extend(custom(bench, now)?);
    }
    if let Some(input) = bench.text("files") {
        let variables = bench.environment(&bench.workshop.account, &[]);
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        let found = files::find(&input, &variable).map_err(|error| Trouble::Failed(error.to_string()))?;
        bench.trace.extend(found.notes);
        items.push(Item::new("AWS:File", "1.0", now, found.entries));
    }
    if wants(bench, "services") {
        items.extend(services(bench)?.map(|entries| Item::new("AWS:Service", "1.0", now, entries)));
    }
    if wants_applications {
        items.push(Item::new("AWS:Application", "1.1", now, applications));
    }
    Ok(items)
}

fn wants(bench: &Bench<'_, '_>, input: &str) -> bool {
    bench
        .text(input)
        .is_some_and(|word| word.eq_ignore_ascii_case("Enabled"))
}

/// Installed packages, of every package tool that this machine has.
fn installed(bench: &mut Bench<'_, '_>) -> Result<Vec<Entry>, Trouble> {
    let mut found = Vec::new();
    let mut tools = Vec::new();
    if let Some(text) = tool(bench, "dpkg-query", &["-W", "-f", &applications::dpkg_format()])? {
        found.extend(applications::of_dpkg(&text));
        tools.push("dpkg");
    }
    if let Some(text) = tool(bench, "rpm", &["-qa", "--qf", &applications::rpm_format()])? {
        found.extend(applications::of_rpm(&text));
        tools.push("rpm");
    }
    if Path::new("/run/snapd.socket").exists()
        && let Some(text) = tool(bench, "snap", &["list"])?
    {
        found.extend(applications::of_snap(&text));
        tools.push("snap");
    }
    if tools.is_empty() {
        bench.note("applications: neither dpkg nor rpm is installed; there is nothing to ask");
    }
    applications::sort(&mut found);
    Ok(found)
}

fn network(bench: &mut Bench<'_, '_>) -> Result<Option<Vec<Entry>>, Trouble> {
    let (Some(addresses), Some(routes)) = (
        tool(bench, "ip", &["-j", "addr"])?,
        tool(bench, "ip", &["-j", "route"])?,
    ) else {
        bench.note("networkConfig: the program ip is not installed; AWS:Network is left out");
        return Ok(None);
    };
    let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let entries = network::interfaces(&addresses, &routes, &resolv_conf);
    entries
        .map(Some)
        .map_err(|error| Trouble::Failed(format!("the output of ip -j is not understood: {error}")))
}

fn services(bench: &mut Bench<'_, '_>) -> Result<Option<Vec<Entry>>, Trouble> {
    if !Path::new("/run/systemd/system").is_dir() {
        bench.note("services: systemd does not run on this machine; AWS:Service is left out");
        return Ok(None);
    }
    let properties = format!("--property={}", services::PROPERTIES);
    let show = tool(
        bench,
        "systemctl",
        &["show", "--all", "--no-pager", &properties, "*.service"],
    )?;
    let list = [
        "list-unit-files",
        "--type=service",
        "--no-legend",
        "--no-pager",
        "--full",
    ];
    let unit_files = tool(bench, "systemctl", &list)?;
    let (Some(show), Some(unit_files)) = (show, unit_files) else {
        bench.note("services: systemctl is not installed; AWS:Service is left out");
        return Ok(None);
    };
    Ok(Some(services::services(&show, &unit_files)))
}

/// Items that somebody else on this machine writes: in Muster's place, and in the AWS agent's where there is one.
fn custom(bench: &mut Bench<'_, '_>, now: Timestamp) -> Result<Vec<Item>, Trouble> {
    let own = match bench.text("customInventoryDirectory") {
        Some(directory) => PathBuf::from(directory),
        None => bench.workshop.state.root().join("inventory/custom"),
    };
    let node = bench.workshop.about.node_id;
    let theirs = Path::new("/var/lib/amazon/ssm").join(node).join("inventory/custom");
    let mut texts = Vec::new();
    for directory in [own, theirs] {
        let unreadable = |error| Trouble::Failed(format!("cannot read {directory:?}: {error}"));
        let listing = match fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            listing => listing.map_err(unreadable)?,
        };
        let mut paths: Vec<PathBuf> = listing.flatten().map(|file| file.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json") && path.is_file());
        paths.sort();
        if texts.len() + paths.len() > custom::FILES {
            return Err(Trouble::Failed(format!(
                "{directory:?} has more than {} files",
                custom::FILES
            )));
        }
        for path in paths {
            let text = fs::read(&path).map_err(|error| Trouble::Failed(format!("cannot read {path:?}: {error}")))?;
            texts.push((path.display().to_string(), String::from_utf8_lossy(&text).into_owned()));
        }
    }
    let (items, notes) = custom::items(&texts, now);
    bench.trace.extend(notes);
    Ok(items)
}

/// What a tool prints; nothing if it is not installed.
fn tool(bench: &mut Bench<'_, '_>, name: &str, arguments: &[&str]) -> Result<Option<String>, Trouble> {
    let program = match script::find(name) {
        Err(ScriptError::NoInterpreter(_)) => return Ok(None),
        program => program?,
    };
    let guise = bench.own_guise()?;
    let launch = Launch {
        program,
        arguments: arguments.iter().map(Into::into).collect(),
        environment: bench.environment(&guise.account, &[("LC_ALL".to_owned(), "C.UTF-8".to_owned())]),
        directory: "/".into(),
    };
    let (end, [out, err]) = bench.run_aside(&launch, &guise, OUTPUT)?;
    match end {
        End::Exited(0) => Ok(Some(out)),
        // An empty list is a failure to some.
        End::Exited(1) if out.is_empty() && err.contains("no packages found") => Ok(Some(out)),
        End::Exited(code) => {
            let err: String = err.trim().chars().take(500).collect();
            Err(Trouble::Failed(format!(
                "{name} ended with the exit code {code}: {err}"
            )))
        }
        End::Killed(signal) => Err(Trouble::Failed(format!("{name} was ended by signal {signal}"))),
        end => Err(Trouble::Ended(end)),
    }
}
