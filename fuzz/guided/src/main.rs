//! libFuzzer over one of the targets; `MUSTER_FUZZ_TARGET` names it.
//!
//! Without a corpus folder it begins with nothing: `MUSTER_FUZZ_SEEDS=<folder>` writes the target's seeds there and ends.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use muster_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("MUSTER_FUZZ_TARGET").unwrap_or_default();
    let target = muster_fuzz::target(&name).unwrap_or_else(|| {
        let names: Vec<_> = muster_fuzz::TARGETS.iter().map(|target| target.name).collect();
        eprintln!("MUSTER_FUZZ_TARGET must be one of {}", names.join(", "));
        std::process::exit(2);
    });
    if let Some(folder) = std::env::var_os("MUSTER_FUZZ_SEEDS") {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            let path = std::path::Path::new(&folder).join(format!("seed-{number:03}"));
            std::fs::write(path, seed).expect("the folder takes seeds");
        }
        std::process::exit(0);
    }
    target
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
