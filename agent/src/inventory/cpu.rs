//! The processors: `AWS:InstanceDetailedInformation` 1.0.

use serde_json::Value;

use super::Entry;

/// What `lscpu -J` and the kernel's list of processors say; the second fills in what the first leaves out.
pub(crate) fn detailed_information(lscpu: &str, cpuinfo: &str, kernel: &str) -> Entry {
    let table = serde_json::from_str(lscpu).unwrap_or(Value::Null);
    let field = |name: &str| find(&table, name).filter(|value| *value != "-").map(str::to_owned);
    let number = |name: &str| field(name)?.parse::<u64>().ok();
    let of_kernel = Processors::read(cpuinfo);

    let sockets = number("Socket(s)").unwrap_or(of_kernel.sockets);
    let cores = number("Core(s) per socket").map_or(of_kernel.cores, |each| each * sockets);
    let threads = number("CPU(s)").unwrap_or(of_kernel.threads);
    let is_hyper_threaded = number("Thread(s) per core").map_or(threads > cores, |each| each > 1);
    let speed = [field("CPU MHz"), field("CPU max MHz"), of_kernel.mhz];
    let speed = speed.into_iter().flatten().next().unwrap_or_default();

    let mut entry = Entry::default();
    entry.set("CPUModel", &field("Model name").unwrap_or(of_kernel.model));
    entry.set("CPUCores", &cores.to_string());
    entry.set("CPUs", &threads.to_string());
    entry.set_always("CPUSpeedMHz", speed.split(['.', ',']).next().unwrap_or_default());
    entry.set("CPUSockets", &sockets.to_string());
    entry.set("CPUHyperThreadEnabled", &is_hyper_threaded.to_string());
    entry.set("KernelVersion", kernel);
    entry
}

/// Newer versions of the tool put fields into groups.
fn find<'a>(table: &'a Value, name: &str) -> Option<&'a str> {
    match table {
        Value::Array(rows) => rows.iter().find_map(|row| find(row, name)),
        Value::Object(row) => {
            let is_it = row
                .get("field")
                .and_then(Value::as_str)
                .map(|field| field.trim_end_matches(':'))
                == Some(name);
            let own = row.get("data").and_then(Value::as_str).filter(|_| is_it);
            own.or_else(|| ["lscpu", "children"].iter().find_map(|key| find(row.get(*key)?, name)))
        }
        _ => None,
    }
}

/// What `/proc/cpuinfo` tells.
struct Processors {
    model: String,
    mhz: Option<String>,
    sockets: u64,
    cores: u64,
    threads: u64,
}

impl Processors {
    fn read(text: &str) -> Self {
        let values = |name: &'static str| {
            text.lines().filter_map(move |line| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == name).then(|| value.trim().to_owned())
            })
        };
        let mut packages: Vec<String> = values("physical id").collect();
        packages.sort_unstable();
        packages.dedup();
        let (threads, sockets) = (values("processor").count().max(1) as u64, packages.len().max(1) as u64);
        let each = values("cpu cores").next().and_then(|cores| cores.parse::<u64>().ok());
        Self {
            model: values("model name").next().unwrap_or_default(),
            mhz: values("cpu MHz").next(),
            sockets,
            cores: each.map_or(threads, |each| each * sockets),
            threads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: Fast CPU\ncpu MHz\t\t: 2445.406\nphysical id\t: 0\ncpu cores\t: 2\n\nprocessor\t: 1\nmodel name\t: Fast CPU\nphysical id\t: 0\ncpu cores\t: 2\n";

    fn all(entry: &Entry) -> [&str; 7] {
        [
            "CPUModel",
            "CPUCores",
            "CPUs",
            "CPUSpeedMHz",
            "CPUSockets",
            "CPUHyperThreadEnabled",
            "KernelVersion",
        ]
        .map(|name| entry.get(name))
    }

    #[test]
    fn the_tool_is_believed_and_the_kernel_fills_in_its_gaps() {
        let lscpu = r#"{"lscpu": [{"field": "CPU(s):", "data": "8"}, {"field": "Vendor ID:", "data": "x", "children": [
            {"field": "Model name:", "data": "Slow CPU"}, {"field": "Thread(s) per core:", "data": "2"},
            {"field": "Core(s) per socket:", "data": "2"}, {"field": "Socket(s):", "data": "2"}]}]}"#;
        let entry = detailed_information(lscpu, CPUINFO, "6.1.0");
        assert_eq!(all(&entry), ["Slow CPU", "4", "8", "2445", "2", "true", "6.1.0"]);
    }

    #[test]
    fn the_kernel_alone_is_enough() {
        let entry = detailed_information("", CPUINFO, "6.1.0");
        assert_eq!(all(&entry), ["Fast CPU", "2", "2", "2445", "1", "false", "6.1.0"]);
        let entry = detailed_information("", "", "");
        assert_eq!(all(&entry), ["", "1", "1", "", "1", "false", ""]);
    }
}
