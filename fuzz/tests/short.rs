//! A moment of damage for each target in every test run.
//!
//! `MUSTER_FUZZ_SECONDS` lets each target run for so long instead; `MUSTER_FUZZ_SEED` chooses other damage.

use std::time::{Duration, Instant};

use muster_fuzz::damage::{Dice, damaged};
use muster_fuzz::{Target, target};

/// Inputs of a target in an ordinary test run.
const INPUTS: u64 = 1_500;
/// No input may take longer, not even in a build that is not optimised.
const LONGEST: Duration = Duration::from_secs(20);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Feeds a target with its seeds, and then with damaged ones.
#[expect(clippy::print_stdout, reason = "how much was tried is what a longer run is for")]
fn feed(target: &Target) {
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| one(target, seed));
    let mut dice = Dice::new(number("MUSTER_FUZZ_SEED").unwrap_or(1));
    let began = Instant::now();
    let is_over = |inputs: u64| match number("MUSTER_FUZZ_SECONDS") {
        Some(seconds) => began.elapsed() >= Duration::from_secs(seconds),
        None => inputs >= INPUTS,
    };
    let mut inputs = 0;
    while !is_over(inputs) {
        one(target, &damaged(&seeds, &mut dice));
        inputs += 1;
    }
    println!("{}: {inputs} inputs in {:?}", target.name, began.elapsed());
}

fn one(target: &Target, input: &[u8]) {
    let began = Instant::now();
    let outcome = std::panic::catch_unwind(|| (target.run)(input));
    let shown = || String::from_utf8_lossy(input).into_owned();
    assert!(outcome.is_ok(), "{} panicked at {:?}", target.name, shown());
    assert!(
        began.elapsed() < LONGEST,
        "{} took {:?} for {:?}",
        target.name,
        began.elapsed(),
        shown()
    );
}

macro_rules! feeds {
    ($($name:ident,)+) => {
        $(#[test]
        fn $name() {
            feed(target(stringify!($name)).expect("there is such a target"));
        })+

        #[test]
        fn every_target_is_fed() {
            let fed = [$(stringify!($name)),+];
            let all: Vec<_> = muster_fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(fed.as_slice(), all);
        }
    };
}

feeds! {
    document_json,
    document_yaml,
    interpolation,
    aws_json,
    work_item,
    policy,
    authorization,
}
