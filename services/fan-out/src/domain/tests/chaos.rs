//! Laws under honest nodes and a bad network: messages are lost, repeated and overtake each other, nodes come and go,
//! the coordinator crashes. Here the truth is known: what reached a node, and what ran there.

use std::collections::BTreeSet;

use muster_model::{SignedDuration, TargetOutcome};
use proptest::prelude::*;

use super::super::Recipients;
use super::{DEADLINE, Effect, Event, Phase, Report, TargetState, Trial, at, plan};

/// A message under way.
#[derive(Debug, Clone, PartialEq)]
enum Message {
    Work { node: u32, attempt: u32 },
    Cancel { node: u32 },
    ToCoordinator(Event),
}

#[derive(Debug, Default, Clone)]
struct Node {
    online: bool,
    /// The work is in its journal.
    journaled: bool,
    cancelled: bool,
    /// How often its script was started.
    runs: u32,
    /// How it ended; sent until the coordinator has it.
    result: Option<TargetOutcome>,
}

struct World {
    trial: Trial,
    nodes: Vec<Node>,
    under_way: Vec<Message>,
    /// Told by the coordinator itself, without any news from the node, to have ended before the work came.
    written_off: BTreeSet<u32>,
}

/// One stroke of fate; numbers are taken modulo what there is to choose from.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Deliver(usize),
    Lose(usize),
    Repeat(usize),
    Connect(usize),
    Disconnect(usize),
    /// A run ends, well or badly.
    End(usize, bool),
    /// A node sends again what is not confirmed.
    Resend(usize),
    Wait(i64),
    Crash,
    CancelOne(usize),
    CancelAll,
}

impl World {
    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { index, attempt } => match self.nodes[index as usize].online {
                    true => self.under_way.push(Message::Work { node: index, attempt }),
                    false => self.report(Event::Unreachable { index, attempt }),
                },
                Effect::SendCancel { index } => {
                    if self.nodes[index as usize].online {
                        self.under_way.push(Message::Cancel { node: index });
                    }
                }
                Effect::Tell {
                    index,
                    state,
                    records_after: None,
                    ..
                } => {
                    if let TargetState::Ended(TargetOutcome::Terminated | TargetOutcome::Cancelled) = state {
                        self.written_off.insert(index);
                    }
                }
                Effect::Tell { .. } => {}
            }
        }
    }

    fn report(&mut self, event: Event) {
        self.under_way.push(Message::ToCoordinator(event));
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::ToCoordinator(event) => {
                let effects = self.trial.apply(event);
                self.carry_out(effects);
            }
            Message::Cancel { node } => {
                let state = &mut self.nodes[node as usize];
                state.cancelled = true;
                if state.journaled && state.result.is_none() {
                    state.result = Some(TargetOutcome::Cancelled);
                }
                self.resend(node);
            }
            Message::Work { node, .. } => {
                let state = &mut self.nodes[node as usize];
                if !state.online {
                    return;
                }
                if !state.journaled {
                    state.journaled = true;
                    if state.cancelled {
                        state.result = Some(TargetOutcome::Cancelled);
                    } else {
                        state.runs += 1;
                    }
                }
                self.report(Event::Accepted { index: node });
                self.resend(node);
            }
        }
    }

    fn resend(&mut self, node: u32) {
        let state = &self.nodes[node as usize];
        if let (true, Some(outcome)) = (state.online, state.result) {
            let report = Report {
                first: 1,
                last: 2,
                end: Some(outcome),
            };
            self.report(Event::Replied { index: node, report });
        }
    }

    fn meet(&mut self, fate: Fate) {
        let pick = |number: usize, of: usize| if of == 0 { None } else { Some(number % of) };
        let node = |number| pick(number, self.nodes.len());
        match fate {
            Fate::Deliver(number) => {
                if let Some(at) = pick(number, self.under_way.len()) {
                    let message = self.under_way.swap_remove(at);
                    self.deliver(message);
                }
            }
            Fate::Lose(number) => {
                if let Some(at) = pick(number, self.under_way.len()) {
                    self.under_way.swap_remove(at);
                }
            }
            Fate::Repeat(number) => {
                if let Some(at) = pick(number, self.under_way.len()) {
                    let message = self.under_way[at].clone();
                    // The broker answers each sending once.
                    if !matches!(message, Message::ToCoordinator(Event::Unreachable { .. })) {
                        self.deliver(message);
                    }
                }
            }
            Fate::Connect(number) => {
                if let Some(index) = node(number) {
                    let state = &mut self.nodes[index];
                    state.online = true;
                    let has_run = state.journaled && state.result.is_none();
                    let index = u32::try_from(index).unwrap();
                    self.report(Event::Present { index, has_run });
                    self.resend(index);
                }
            }
            Fate::Disconnect(number) => {
                if let Some(index) = node(number) {
                    self.nodes[index].online = false;
                }
            }
            Fate::End(number, well) => {
                if let Some(index) = node(number) {
                    let state = &mut self.nodes[index];
                    if state.journaled && state.result.is_none() {
                        state.result = Some(if well {
                            TargetOutcome::Success
                        } else {
                            TargetOutcome::Failed
                        });
                    }
                    self.resend(u32::try_from(index).unwrap());
                }
            }
            Fate::Resend(number) => {
                if let Some(index) = node(number) {
                    self.resend(u32::try_from(index).unwrap());
                }
            }
            Fate::Wait(seconds) => {
                self.trial.now += SignedDuration::from_secs(seconds);
                self.deliver(Message::ToCoordinator(Event::Tick));
            }
            Fate::Crash => {
                let effects = self.trial.crash();
                self.carry_out(effects);
            }
            Fate::CancelOne(number) => {
                if let Some(index) = node(number) {
                    let recipients = Recipients::Some(vec![u32::try_from(index).unwrap()]);
                    self.deliver(Message::ToCoordinator(Event::Cancelled(recipients)));
                }
            }
            Fate::CancelAll => self.deliver(Message::ToCoordinator(Event::Cancelled(Recipients::All))),
        }
    }

    fn check_truth(&self) {
        for (index, node) in (0_u32..).zip(&self.nodes) {
            assert!(node.runs <= 1, "{index} ran {} times", node.runs);
            let written_off = self.written_off.contains(&index);
            assert!(
                !(written_off && node.journaled),
                "{index} was written off as never sent, but has the work"
            );
            if let Phase::Ended(TargetOutcome::Success | TargetOutcome::Failed) = self.trial.phase(index) {
                assert_eq!(
                    self.trial.rollout.target(index).unwrap().progress().outcome(),
                    node.result
                );
            }
        }
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    let any = any::<usize>;
    prop_oneof![
        30 => any().prop_map(Fate::Deliver),
        3 => any().prop_map(Fate::Lose),
        3 => any().prop_map(Fate::Repeat),
        5 => any().prop_map(Fate::Connect),
        3 => any().prop_map(Fate::Disconnect),
        10 => (any(), proptest::bool::weighted(0.8)).prop_map(|(node, well)| Fate::End(node, well)),
        4 => any().prop_map(Fate::Resend),
        4 => (0_i64..40).prop_map(Fate::Wait),
        1 => Just(Fate::Crash),
        1 => any().prop_map(Fate::CancelOne),
        1 => proptest::bool::weighted(0.1).prop_map(|all| if all { Fate::CancelAll } else { Fate::Wait(1) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn honest_nodes_run_once_and_nobody_is_forgotten(
        (targets, concurrency, errors_allowed) in (1_u32..10, 1_u32..6, 0_u32..4),
        online in proptest::collection::vec(proptest::bool::weighted(0.7), 10),
        fates in proptest::collection::vec(fate(), 0..150),
    ) {
        let (trial, effects) = Trial::started(plan(targets, concurrency, errors_allowed));
        let nodes = online.iter().take(targets as usize).map(|online| Node { online: *online, ..Node::default() });
        let nodes = nodes.collect();
        let mut world = World { trial, nodes, under_way: Vec::new(), written_off: BTreeSet::new() };
        world.carry_out(effects);
        for fate in fates {
            world.meet(fate);
            world.check_truth();
        }
        world.trial.now = world.trial.now.max(at(DEADLINE));
        world.deliver(Message::ToCoordinator(Event::Tick));
        prop_assert!(world.trial.rollout.is_finished());
        world.trial.verify();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn in_a_calm_world_everybody_gets_a_real_result(
        (targets, concurrency) in (1_u32..30, 1_u32..10),
        order in proptest::collection::vec(any::<usize>(), 600),
    ) {
        let (trial, effects) = Trial::started(plan(targets, concurrency, targets));
        // Half of the nodes come only later.
        let nodes = (0..targets).map(|index| Node { online: index % 2 == 0, ..Node::default() }).collect();
        let mut world = World { trial, nodes, under_way: Vec::new(), written_off: BTreeSet::new() };
        world.carry_out(effects);
        for (round, number) in order.into_iter().enumerate() {
            match round % 4 {
                0 if round < 300 => world.meet(Fate::Connect(number)),
                1 => world.meet(Fate::End(number, true)),
                _ => world.meet(Fate::Deliver(number)),
            }
        }
        for index in 0..targets as usize {
            world.meet(Fate::Connect(index));
        }
        for _ in 0..targets * 2 {
            while let Some(message) = world.under_way.pop() {
                world.deliver(message);
            }
            for index in 0..targets as usize {
                world.meet(Fate::End(index, true));
            }
        }
        world.check_truth();
        world.trial.verify();
        prop_assert_eq!(world.trial.rollout.tally().of(TargetOutcome::Success), targets);
    }
}
