//! libFuzzer over one of the targets; `MUSTER_FUZZ_TARGET` names it.
//!
//! Its corpus folder begins with the target's seeds, which the example `seeds` of `muster-fuzz` writes.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use muster_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("MUSTER_FUZZ_TARGET").unwrap_or_default();
    muster_fuzz::target(&name).unwrap_or_else(|| {
        let names: Vec<_> = muster_fuzz::TARGETS.iter().map(|target| target.name).collect();
        eprintln!("MUSTER_FUZZ_TARGET must be one of {}", names.join(", "));
        std::process::exit(2);
    })
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
