//! Which steps of a runbook can have run before which.

use std::collections::HashMap;

use serde_json::Value;

use super::{jumps, positions};
use crate::finding::Pointer;
use crate::step::as_switch;

/// The ways through one list of steps.
pub(super) struct Routes {
    followers: Vec<Vec<usize>>,
    /// What can come after a step, once it was asked for.
    known: HashMap<usize, Vec<bool>>,
}

impl Routes {
    /// Reads the ways from the steps; targets that do not exist lead nowhere.
    pub(super) fn of(list: &[Value]) -> Self {
        let here = positions(list);
        let followers = list.iter().enumerate().map(|(position, value)| {
            let Value::Object(step) = value else { return Vec::new() };
            let mut followers: Vec<usize> = jumps(step, &Pointer::root())
                .iter()
                .filter_map(|jump| here.get(jump.target).copied())
                .collect();
            // A token decides only in the run, so both ways are open.
            let is_end = step.get("isEnd").and_then(as_switch) == Some(true);
            if !is_end && !step.contains_key("nextStep") && position + 1 < list.len() {
                followers.push(position + 1);
            }
            followers
        });
        Self {
            followers: followers.collect(),
            known: HashMap::new(),
        }
    }

    /// Whether a way leads from one step to another.
    pub(super) fn lead(&mut self, from: usize, to: usize) -> bool {
        let followers = &self.followers;
        let reached = self.known.entry(from).or_insert_with(|| {
            let mut reached = vec![false; followers.len()];
            let mut open = vec![from];
            while let Some(step) = open.pop() {
                for &follower in &followers[step] {
                    if !std::mem::replace(&mut reached[follower], true) {
                        open.push(follower);
                    }
                }
            }
            reached
        });
        reached.get(to).copied().unwrap_or(false)
    }
}
