//! What happened in the fleet, run by run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use muster_model::NodeId;

use crate::RunId;

/// A run that a node began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The run's id.
    pub run_id: String,
    /// The node's.
    pub node_id: NodeId,
    /// How often it was begun: more than once is a broken promise.
    pub times: u32,
}

/// What is known about one run over all nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunTally {
    /// How often the work item arrived, by node number.
    pub deliveries: HashMap<usize, u32>,
    /// How often it was executed, by node number. More than once is a violation of the protocol.
    pub executions: HashMap<usize, u32>,
    /// Node numbers in the order in which they began.
    pub order: Vec<usize>,
    /// Nodes that are executing it now.
    pub running: usize,
    /// The most nodes that ever executed it at once.
    pub most_running: usize,
    /// Nodes that have ended it, cancelled ones included.
    pub ended: usize,
    /// Nodes whose end is confirmed by the coordinator.
    pub confirmed: usize,
}

impl RunTally {
    /// Nodes that executed the run more than once: none, if all is well.
    #[must_use]
    pub fn executed_twice(&self) -> Vec<usize> {
        self.executions
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(node, _)| *node)
            .collect()
    }
}

/// The tallies of all runs, shared by all crowds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<HashMap<RunId, RunTally>>>);

impl Tally {
    fn change(&self, run: RunId, change: impl FnOnce(&mut RunTally)) {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(runs.entry(run).or_default());
    }

    pub(crate) fn of(&self, run: RunId) -> RunTally {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.get(&run).cloned().unwrap_or_default()
    }

    /// Every execution of every run; `ids` are the nodes' by number.
    pub(crate) fn executions(&self, ids: &[NodeId]) -> Vec<Execution> {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_run = |(run, tally): (&RunId, &RunTally)| -> Vec<Execution> {
            let of_node = |(number, times): (&usize, &u32)| {
                Some(Execution {
                    run_id: run.to_string(),
                    node_id: ids.get(*number)?.clone(),
                    times: *times,
                })
            };
            tally.executions.iter().filter_map(of_node).collect()
        };
        runs.iter().flat_map(of_run).collect()
    }

    pub(crate) fn delivered(&self, run: RunId, node: usize) {
        self.change(run, |run| *run.deliveries.entry(node).or_default() += 1);
    }

    pub(crate) fn began(&self, run: RunId, node: usize) {
        self.change(run, |run| {
            *run.executions.entry(node).or_default() += 1;
            run.order.push(node);
            run.running += 1;
            run.most_running = run.most_running.max(run.running);
        });
    }

    /// A run ended; `began` tells whether it was being executed.
    pub(crate) fn ended(&self, run: RunId, began: bool) {
        self.change(run, |run| {
            run.running -= usize::from(began);
            run.ended += 1;
        });
    }

    pub(crate) fn confirmed(&self, run: RunId) {
        self.change(run, |run| run.confirmed += 1);
    }
}
