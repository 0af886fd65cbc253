//! What reads bytes from outside, fed with any bytes.
//!
//! A [`Target`] is a function of bytes that must return: no panic, no hang, and what it asserts holds.
//! `tests/short.rs` feeds each one with damaged seeds for a moment in every test run, or for as long as it is told;
//! the package in `guided/` feeds the same functions by libFuzzer, which follows the code's coverage.
//!
//! Two of the functions read formats that differ in everything but their names: see [`document`].

pub mod authorization;
pub mod aws_json;
pub mod damage;
pub mod document;
pub mod interpolation;
pub mod policy;
pub mod seeds;
pub mod work_item;

/// A function that takes anything, and seeds to begin with.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Takes one input; panics if something does not hold.
    pub run: fn(&[u8]),
    /// Inputs that reach deep.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "document_json",
        run: document::json,
        seeds: seeds::json,
    },
    Target {
        name: "document_yaml",
        run: document::yaml,
        seeds: seeds::yaml,
    },
    Target {
        name: "interpolation",
        run: interpolation::run,
        seeds: seeds::interpolation,
    },
    Target {
        name: "aws_json",
        run: aws_json::run,
        seeds: seeds::aws_json,
    },
    Target {
        name: "work_item",
        run: work_item::run,
        seeds: seeds::work_item,
    },
    Target {
        name: "policy",
        run: policy::run,
        seeds: seeds::policy,
    },
    Target {
        name: "authorization",
        run: authorization::run,
        seeds: seeds::authorization,
    },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
