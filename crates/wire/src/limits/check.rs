//! The walk through a message that finds every broken limit.

use std::borrow::Cow;
use std::collections::HashMap;

use prost_reflect::{DynamicMessage, MapKey, ReflectMessage as _, Value};

use super::display::display;
use super::path::{Path, Step};
use super::{Constraint, Violation};
use crate::shape::{Kind, Node, Shape, key_text};

/// Violations after which the search ends: more tell the caller nothing.
const ENOUGH: usize = 100;

pub(super) fn check(message: &DynamicMessage) -> Vec<Violation> {
    let shape = Shape::of(&message.descriptor());
    if !shape.constrained {
        return Vec::new();
    }
    let mut walk = Walk {
        path: Path::default(),
        violations: Vec::new(),
    };
    walk.message(shape, message, shape.node.sensitive);
    walk.violations
}

struct Walk<'a> {
    path: Path<'a>,
    violations: Vec<Violation>,
}

impl<'a> Walk<'a> {
    fn message(&mut self, shape: &'static Shape, message: &'a DynamicMessage, sensitive: bool) {
        if !shape.constrained {
            return;
        }
        for member in shape.members.iter().filter(|member| member.checked) {
            self.path.enter(Step::Member(&member.step));
            let present = message.has_field(&member.field);
            if present && let Cow::Borrowed(value) = message.get_field(&member.field) {
                self.value(&member.node, value, sensitive || member.node.sensitive);
            } else if member.required {
                self.report(None, Constraint::NotNull);
            }
            self.path.leave();
        }
    }

    /// A value of a member: each broken limit is an item of its own.
    fn value(&mut self, node: &'static Node, value: &'a Value, sensitive: bool) {
        let shown = || (!sensitive).then(|| display(node, value));
        for limit in &node.constraints {
            if limit.is_broken_by(value) {
                self.report(shown(), limit.clone());
            }
        }
        match (&node.kind, value) {
            (Kind::List(element), Value::List(list)) => {
                let broken = self.elements(element, list, sensitive);
                if broken {
                    self.report(shown(), Constraint::Elements(Constraint::all_of(element)));
                }
            }
            (Kind::Map { key, value: held }, Value::Map(map)) => {
                if keys_break(key, map.keys()) {
                    self.report(shown(), Constraint::Keys(Constraint::all_of(key)));
                }
                if self.entries(held, map, sensitive) {
                    self.report(shown(), Constraint::Values(Constraint::all_of(held)));
                }
            }
            (Kind::Message(held), Value::Message(message)) => self.message(held.shape(), message, sensitive),
            (Kind::Wrapper(held), Value::Message(message)) => {
                let member = held.shape().wrapped();
                if let Cow::Borrowed(value) = message.get_field(&member.field) {
                    self.value(&member.node, value, sensitive || member.node.sensitive);
                }
            }
            _ => {}
        }
    }

    /// A value in a list or map. Simple values have no path of their own, so the answer tells whether one of
    /// them breaks a limit; messages report for themselves.
    fn inside(&mut self, node: &'static Node, value: &'a Value, sensitive: bool) -> bool {
        let sensitive = sensitive || node.sensitive;
        let broken = node.constraints.iter().any(|limit| limit.is_broken_by(value));
        let broken_inside = match (&node.kind, value) {
            (Kind::List(element), Value::List(list)) => self.elements(element, list, sensitive),
            (Kind::Map { key, value: held }, Value::Map(map)) => {
                let keys_broken = keys_break(key, map.keys());
                self.entries(held, map, sensitive) || keys_broken
            }
            (Kind::Message(held), Value::Message(message)) => {
                self.message(held.shape(), message, sensitive);
                false
            }
            (Kind::Wrapper(held), Value::Message(message)) => {
                let member = held.shape().wrapped();
                match message.get_field(&member.field) {
                    Cow::Borrowed(value) => self.inside(&member.node, value, sensitive),
                    // Nothing was ever put in: it is empty.
                    Cow::Owned(value) => member.node.constraints.iter().any(|limit| limit.is_broken_by(&value)),
                }
            }
            _ => false,
        };
        broken || broken_inside
    }

    fn elements(&mut self, node: &'static Node, list: &'a [Value], sensitive: bool) -> bool {
        let mut broken = false;
        for (at, value) in list.iter().enumerate() {
            if self.violations.len() >= ENOUGH {
                break;
            }
            self.path.enter(Step::Element(at));
            broken |= self.inside(node, value, sensitive);
            self.path.leave();
        }
        broken
    }

    fn entries(&mut self, node: &'static Node, map: &'a HashMap<MapKey, Value>, sensitive: bool) -> bool {
        let mut broken = false;
        for (key, value) in map {
            if self.violations.len() >= ENOUGH {
                break;
            }
            self.path.enter(Step::Entry(key_text(key)));
            broken |= self.inside(node, value, sensitive);
            self.path.leave();
        }
        broken
    }

    fn report(&mut self, value: Option<String>, constraint: Constraint) {
        if self.violations.len() < ENOUGH {
            self.violations.push(Violation {
                path: self.path.written(),
                value,
                constraint,
            });
        }
    }
}

fn keys_break<'a>(node: &Node, mut keys: impl Iterator<Item = &'a MapKey>) -> bool {
    !node.constraints.is_empty()
        && keys.any(|key| {
            let value = Value::from(key.clone());
            node.constraints.iter().any(|limit| limit.is_broken_by(&value))
        })
}
