//! Rows R01 to R35 of schedules-and-rate-control 7.4.
//! Nodes accept at once, and those in flight end strictly in the order in which they were sent.

use std::collections::{BTreeMap, VecDeque};

use muster_model::{CommandOutcome, MaxConcurrency, MaxErrors, TargetOutcome};

use super::{Effect, Event, Trial, at, plan};

/// How targets end that do not succeed, by position from 1.
type Ends = BTreeMap<u32, TargetOutcome>;

/// Reads `U1,2 F4..6`: `F` failed, `X` execution timeout, `D` delivery timeout, `U` undeliverable.
fn ends(text: &str) -> Ends {
    let mut ends = Ends::new();
    for group in text.split_whitespace().filter(|group| *group != "-") {
        let (letter, positions) = group.split_at(1);
        let outcome = match letter {
            "F" => TargetOutcome::Failed,
            "X" => TargetOutcome::ExecutionTimedOut,
            "D" => TargetOutcome::DeliveryTimedOut,
            "U" => TargetOutcome::Undeliverable,
            other => panic!("{other} stands for nothing"),
        };
        for range in positions.split(',') {
            let (first, last) = range.split_once("..").unwrap_or((range, range));
            let range = first.parse::<u32>().unwrap()..=last.parse().unwrap();
            ends.extend(range.map(|position| (position, outcome)));
        }
    }
    ends
}

fn outcome(ends: &Ends, position: u32) -> TargetOutcome {
    ends.get(&position).copied().unwrap_or(TargetOutcome::Success)
}

struct World<'a> {
    trial: Trial,
    ends: &'a Ends,
    /// In flight, in sending order.
    sent: VecDeque<u32>,
    /// The position whose result exceeded the limit.
    breach: Option<u32>,
}

impl World<'_> {
    /// Lets nodes accept what they are sent; those that will go missing keep silent.
    fn deliver(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Send { index, .. } = effect {
                self.sent.push_back(index);
                if outcome(self.ends, index + 1) != TargetOutcome::DeliveryTimedOut {
                    let more = self.trial.accept(index);
                    self.deliver(more);
                }
            }
        }
    }

    fn finish(&mut self) {
        while let Some(index) = self.sent.pop_front() {
            let effects = match outcome(self.ends, index + 1) {
                TargetOutcome::DeliveryTimedOut => {
                    self.trial.now += super::super::ACK_INTERVAL;
                    self.trial.apply(Event::Tick)
                }
                outcome => self.trial.end(index, outcome),
            };
            if self.trial.rollout.is_breached() {
                self.breach.get_or_insert(index + 1);
            }
            self.deliver(effects);
        }
        self.trial.now = at(super::DEADLINE);
        self.trial.apply(Event::Tick);
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    limits: (u32, u32),
    sent: u32,
    breach: Option<u32>,
    /// Success, failed, other, not sent.
    counts: [u32; 4],
    last: String,
}

fn run(targets: u32, concurrency: &str, errors: &str, ends: &Ends) -> Row {
    let concurrency: MaxConcurrency = concurrency.parse().unwrap();
    let errors: MaxErrors = errors.parse().unwrap();
    let limits = (concurrency.resolve(targets), errors.resolve(targets));
    let mut plan = plan(targets, limits.0, limits.1);
    for (position, planned) in (1..).zip(&mut plan.targets) {
        let outcome = outcome(ends, position);
        planned.refused = (outcome == TargetOutcome::Undeliverable).then_some(outcome);
    }

    let (trial, effects) = Trial::started(plan);
    let mut world = World {
        trial,
        ends,
        sent: VecDeque::new(),
        breach: None,
    };
    world.deliver(effects);
    world.finish();

    let tally = world.trial.rollout.tally();
    let success = tally.of(TargetOutcome::Success);
    let not_sent = tally.of(TargetOutcome::Terminated);
    assert_eq!(tally.total(), targets);
    Row {
        limits,
        sent: targets - not_sent,
        breach: world.breach,
        counts: [
            success,
            tally.errors(),
            targets - success - tally.errors() - not_sent,
            not_sent,
        ],
        last: format!("{:?}", CommandOutcome::judge(tally, limits.1, false)),
    }
}

/// Row | N | max-concurrency | max-errors | C | E | outcomes | sent | breach | success | failed | other | not sent | final.
/// The specification's table, but for R29: it says Failed there, which run-command 4.3 refines,
/// as every counted error is an execution timeout.
const TABLE: &str = "
    R01 |  10 |   50 |    0 | 50 |  0 | -             |  10 |  - |  10 |  0 | 0 |  0 | Success
    R02 |  10 |   50 |    0 | 50 |  0 | F4            |  10 |  4 |   9 |  1 | 0 |  0 | Failed
    R03 |  10 |    1 |    0 |  1 |  0 | F4            |   4 |  4 |   3 |  1 | 0 |  6 | Failed
    R04 |  10 |    1 |    0 |  1 |  0 | F1            |   1 |  1 |   0 |  1 | 0 |  9 | Failed
    R05 |  10 |    1 |    1 |  1 |  1 | F4            |  10 |  - |   9 |  1 | 0 |  0 | Incomplete
    R06 |  10 |    1 |    1 |  1 |  1 | F4,7          |   7 |  7 |   5 |  2 | 0 |  3 | Failed
    R07 |  10 |    1 |    2 |  1 |  2 | F4            |  10 |  - |   9 |  1 | 0 |  0 | Incomplete
    R08 |  10 |    3 |    0 |  3 |  0 | F2            |   4 |  2 |   3 |  1 | 0 |  6 | Failed
    R09 |  10 |    3 |    1 |  3 |  1 | F2,3          |   5 |  3 |   3 |  2 | 0 |  5 | Failed
    R10 |  10 |    3 |    1 |  3 |  1 | F2,3,5        |   5 |  3 |   2 |  3 | 0 |  5 | Failed
    R11 |  10 | 100% |    0 | 10 |  0 | F1,2,3        |  10 |  1 |   7 |  3 | 0 |  0 | Failed
    R12 |  50 |  10% |  10% |  5 |  5 | F1..5         |  50 |  - |  45 |  5 | 0 |  0 | Incomplete
    R13 |  50 |  10% |  10% |  5 |  5 | F1..6         |  10 |  6 |   4 |  6 | 0 | 40 | Failed
    R14 |  50 |    1 |  10% |  1 |  5 | F1..6         |   6 |  6 |   0 |  6 | 0 | 44 | Failed
    R15 |  50 |    5 |    3 |  5 |  3 | F10,20,30,40  |  44 | 40 |  40 |  4 | 0 |  6 | Failed
    R16 |  50 |  10% |  10% |  5 |  5 | F1..4         |  50 |  - |  46 |  4 | 0 |  0 | Incomplete
    R17 |   5 |  10% |  10% |  1 |  0 | F3            |   3 |  3 |   2 |  1 | 0 |  2 | Failed
    R18 |   5 |  50% |  50% |  2 |  2 | F1,2          |   5 |  - |   3 |  2 | 0 |  0 | Incomplete
    R19 |   5 |  50% |  50% |  2 |  2 | F1,2,3        |   4 |  3 |   1 |  3 | 0 |  1 | Failed
    R20 |   7 |  30% |  15% |  2 |  1 | F2,6          |   7 |  6 |   5 |  2 | 0 |  0 | Failed
    R21 |   3 |  33% |  33% |  1 |  0 | F2            |   2 |  2 |   1 |  1 | 0 |  1 | Failed
    R22 |   1 |    1 |    0 |  1 |  0 | F1            |   1 |  1 |   0 |  1 | 0 |  0 | Failed
    R23 |   1 |   50 |    1 | 50 |  1 | F1            |   1 |  - |   0 |  1 | 0 |  0 | Failed
    R24 |  10 |    1 | 100% |  1 | 10 | F1..10        |  10 |  - |   0 | 10 | 0 |  0 | Failed
    R25 |  10 |    2 |  99% |  2 |  9 | F1..10        |  10 | 10 |   0 | 10 | 0 |  0 | Failed
    R26 |   4 |   10 |   10 | 10 | 10 | F1..4         |   4 |  - |   0 |  4 | 0 |  0 | Failed
    R27 | 200 |   50 |    0 | 50 |  0 | F60           | 109 | 60 | 108 |  1 | 0 | 91 | Failed
    R28 |  19 |  10% |   5% |  1 |  0 | F7            |   7 |  7 |   6 |  1 | 0 | 12 | Failed
    R29 |  10 |    2 |    0 |  2 |  0 | X5            |   6 |  5 |   5 |  1 | 0 |  4 | ExecutionTimedOut
    R30 |   5 |    5 |    0 |  5 |  0 | U1..4         |   5 |  - |   1 |  0 | 4 |  0 | Success
    R31 |   5 |    5 |    0 |  5 |  0 | U1..5         |   5 |  - |   0 |  0 | 5 |  0 | Failed
    R32 |   5 |    1 |    0 |  1 |  0 | D2            |   5 |  - |   4 |  0 | 1 |  0 | DeliveryTimedOut
    R33 |   5 |    1 |    2 |  1 |  2 | D2            |   5 |  - |   4 |  0 | 1 |  0 | Incomplete
    R34 |   6 |    1 |    1 |  1 |  1 | U1,2 F4       |   6 |  - |   3 |  1 | 2 |  0 | Incomplete
    R35 |  99 |  10% |   1% |  9 |  0 | F1            |   9 |  1 |   8 |  1 | 0 | 90 | Failed
";

#[test]
fn every_worked_example_comes_out_as_the_table_says() {
    let mut rows = 0;
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number = |cell: usize| cells[cell].parse::<u32>().unwrap();
        let expected = Row {
            limits: (number(4), number(5)),
            sent: number(7),
            breach: cells[8].parse().ok(),
            counts: [number(9), number(10), number(11), number(12)],
            last: cells[13].to_owned(),
        };
        assert_eq!(
            run(number(1), cells[2], cells[3], &ends(cells[6])),
            expected,
            "{}",
            cells[0]
        );
        rows += 1;
    }
    assert_eq!(rows, 35);
}

#[test]
fn a_target_that_cannot_be_addressed_keeps_its_place_in_the_order() {
    // The failure of the first is processed before the turn of the second comes.
    let row = run(3, "1", "0", &ends("F1 U2"));
    assert_eq!((row.sent, row.counts), (1, [0, 1, 0, 2]));
}
