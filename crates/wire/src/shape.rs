//! The messages of the contract as the codec and the limit checker walk them.
//!
//! Descriptors answer every question with a look-up by name; here all answers stand ready, read once from
//! [`muster_proto::facts`]: the member's names, what it holds, its limits.
//! Only messages of [`muster_proto::pool`] have a shape.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use muster_proto::aws::v1::{FieldFacts, Reason};
use muster_proto::{facts, pool};
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind as ProtoKind, MapKey, MessageDescriptor};

use crate::limits::{Constraint, Pattern};

/// A message.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) descriptor: MessageDescriptor,
    /// In the order of the contract.
    pub(crate) members: Vec<Member>,
    /// The message itself as a value.
    pub(crate) node: Node,
    /// Something in it, or in what it holds, has a limit.
    pub(crate) constrained: bool,
    /// Positions of the members by name.
    names: HashMap<String, usize>,
}

/// A member of a message.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) field: FieldDescriptor,
    /// The name in JSON.
    pub(crate) name: String,
    /// The name in the paths of violations.
    pub(crate) step: String,
    /// It must be present, and that it is shows in every form.
    pub(crate) required: bool,
    /// A list or map that must be present and may be empty: only JSON can tell that from absent.
    pub(crate) must_appear: bool,
    pub(crate) emit_empty: bool,
    /// An enum set to its zero value is shown as an empty text.
    pub(crate) empty_word: bool,
    pub(crate) node: Node,
    /// The limit checker has something to do here.
    pub(crate) checked: bool,
}

/// A value: of a member, or inside a list or a map.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) sensitive: bool,
    /// Limits of the value itself, not of what it holds.
    pub(crate) constraints: Vec<Constraint>,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Kind {
    Bool,
    I32,
    I64,
    U32,
    U64,
    F32,
    F64,
    String,
    Bytes,
    Timestamp(MessageDescriptor),
    Enum(Arc<Vocabulary>),
    Message(ShapeIndex),
    /// A message that stands for its only member.
    Wrapper(ShapeIndex),
    List(Box<Node>),
    Map {
        /// The kind of the keys; text on the public surface.
        key: Box<Node>,
        value: Box<Node>,
    },
}

/// Where a shape is; shapes may hold each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShapeIndex(usize);

impl ShapeIndex {
    pub(crate) fn shape(self) -> &'static Shape {
        &TABLE.shapes[self.0]
    }
}

/// The words of an enum.
#[derive(Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Number and word, in the order of the numbers.
    words: Vec<(i32, String)>,
    /// The words are the contract's. Otherwise they are the names of the constants.
    described: bool,
    /// How another word is refused, if not as every other broken limit.
    refusal: Option<Reason>,
}

impl Vocabulary {
    fn of(descriptor: &EnumDescriptor) -> Self {
        let described = !facts::words(descriptor).is_empty();
        let mut words: Vec<(i32, String)> = descriptor
            .values()
            .filter_map(|value| {
                let word = if described { facts::word(&value)? } else { value.name() };
                Some((value.number(), word.to_owned()))
            })
            .collect();
        words.sort_by_key(|(number, _)| *number);
        Self {
            words,
            described,
            refusal: facts::refusal(descriptor),
        }
    }

    /// The word of a number.
    pub(crate) fn word(&self, number: i32) -> Option<&str> {
        let at = self.words.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.words[at].1)
    }

    /// The number of a word.
    pub(crate) fn number(&self, word: &str) -> Option<i32> {
        self.words
            .iter()
            .find(|(_, known)| known == word)
            .map(|(number, _)| *number)
    }

    /// How another word is refused, if not as every other broken limit.
    pub(crate) fn refusal(&self) -> Option<Reason> {
        self.refusal
    }

    /// All words, in the order of the numbers.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|(_, word)| word.as_str())
    }
}

impl Shape {
    /// The shape of a message of the contract.
    ///
    /// # Panics
    /// If the contract has no such message.
    pub(crate) fn of(message: &MessageDescriptor) -> &'static Self {
        let index = TABLE
            .names
            .get(message.full_name())
            .expect("only messages of the contract are read, written and checked");
        index.shape()
    }

    /// The member with this name in JSON.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.names.get(name).map(|&at| &self.members[at])
    }

    /// The only member of a message that stands for it.
    pub(crate) fn wrapped(&self) -> &Member {
        &self.members[0]
    }
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::read);

struct Table {
    shapes: Vec<Shape>,
    names: HashMap<String, ShapeIndex>,
}

impl Table {
    fn read() -> Self {
        let messages: Vec<MessageDescriptor> = pool().all_messages().filter(|each| !each.is_map_entry()).collect();
        let mut reader = Reader {
            names: messages
                .iter()
                .enumerate()
                .map(|(at, each)| (each.full_name().to_owned(), ShapeIndex(at)))
                .collect(),
            vocabularies: HashMap::new(),
            patterns: HashMap::new(),
        };
        let mut shapes: Vec<Shape> = messages.into_iter().map(|each| reader.shape(each)).collect();
        mark_constrained(&mut shapes);
        Self {
            shapes,
            names: reader.names,
        }
    }
}

/// Reads shapes; equal words and patterns are kept once.
struct Reader {
    names: HashMap<String, ShapeIndex>,
    vocabularies: HashMap<String, Arc<Vocabulary>>,
    patterns: HashMap<String, Arc<Pattern>>,
}

impl Reader {
    fn shape(&mut self, descriptor: MessageDescriptor) -> Shape {
        let sensitive = facts::message(&descriptor).sensitive;
        let members: Vec<Member> = descriptor.fields().map(|field| self.member(field, sensitive)).collect();
        let node = Node {
            kind: self.message(&descriptor),
            sensitive,
            constraints: Vec::new(),
        };
        Shape {
            names: members
                .iter()
                .enumerate()
                .map(|(at, member)| (member.name.clone(), at))
                .collect(),
            constrained: false,
            descriptor,
            members,
            node,
        }
    }

    fn member(&mut self, field: FieldDescriptor, sensitive: bool) -> Member {
        let facts = facts::field(&field);
        let mut node = if field.is_list() {
            let element = self.node(&field.kind(), facts.element.as_deref());
            Node::new(Kind::List(Box::new(element)))
        } else if let (true, ProtoKind::Message(entry)) = (field.is_map(), field.kind()) {
            let key = self.node(&entry.map_entry_key_field().kind(), facts.key.as_deref());
            let value = self.node(&entry.map_entry_value_field().kind(), facts.element.as_deref());
            Node::new(Kind::Map {
                key: Box::new(key),
                value: Box::new(value),
            })
        } else {
            self.node(&field.kind(), None)
        };
        node.constraints.splice(0..0, self.constraints(facts));
        node.sensitive = sensitive || facts.sensitive || node.holds_sensitive();
        let name = field.json_name().to_owned();
        let may_be_empty = node.may_be_empty();
        Member {
            step: lower_first(&name),
            required: facts.required && !may_be_empty,
            must_appear: facts.required && may_be_empty,
            emit_empty: facts.emit_empty,
            empty_word: facts.empty_word,
            checked: false,
            name,
            node,
            field,
        }
    }

    fn node(&mut self, kind: &ProtoKind, facts: Option<&FieldFacts>) -> Node {
        let mut node = Node::new(match kind {
            ProtoKind::Bool => Kind::Bool,
            ProtoKind::Int32 | ProtoKind::Sint32 | ProtoKind::Sfixed32 => Kind::I32,
            ProtoKind::Int64 | ProtoKind::Sint64 | ProtoKind::Sfixed64 => Kind::I64,
            ProtoKind::Uint32 | ProtoKind::Fixed32 => Kind::U32,
            ProtoKind::Uint64 | ProtoKind::Fixed64 => Kind::U64,
            ProtoKind::Float => Kind::F32,
            ProtoKind::Double => Kind::F64,
            ProtoKind::String => Kind::String,
            ProtoKind::Bytes => Kind::Bytes,
            ProtoKind::Enum(each) => Kind::Enum(self.vocabulary(each)),
            ProtoKind::Message(each) => self.message(each),
        });
        if let Some(facts) = facts {
            node.constraints = self.constraints(facts);
            node.sensitive = facts.sensitive;
        }
        if let Kind::Enum(words) = &node.kind
            && words.described
        {
            node.constraints.push(Constraint::Words(Arc::clone(words)));
        }
        node
    }

    fn message(&self, descriptor: &MessageDescriptor) -> Kind {
        if descriptor.full_name() == "google.protobuf.Timestamp" {
            return Kind::Timestamp(descriptor.clone());
        }
        let index = self.names[descriptor.full_name()];
        if facts::message(descriptor).transparent {
            Kind::Wrapper(index)
        } else {
            Kind::Message(index)
        }
    }

    fn vocabulary(&mut self, descriptor: &EnumDescriptor) -> Arc<Vocabulary> {
        let known = self.vocabularies.entry(descriptor.full_name().to_owned());
        Arc::clone(known.or_insert_with(|| Arc::new(Vocabulary::of(descriptor))))
    }

    /// In the order in which violations are listed.
    fn constraints(&mut self, facts: &FieldFacts) -> Vec<Constraint> {
        let pattern = facts.pattern.as_ref().map(|text| {
            let known = self.patterns.entry(text.clone());
            Arc::clone(known.or_insert_with(|| Arc::new(Pattern::new(text))))
        });
        [
            facts.max_length.map(Constraint::MaxLength),
            facts.min_length.filter(|least| *least > 0).map(Constraint::MinLength),
            facts.max.map(Constraint::Max),
            facts.min.map(Constraint::Min),
            pattern.map(Constraint::Pattern),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Node {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            sensitive: false,
            constraints: Vec::new(),
        }
    }

    fn holds_sensitive(&self) -> bool {
        match &self.kind {
            Kind::List(element) => element.sensitive,
            Kind::Map { value, .. } => value.sensitive,
            _ => false,
        }
    }

    /// A list or map for which empty is a value like any other.
    fn may_be_empty(&self) -> bool {
        let at_least_one = |each: &Constraint| matches!(each, Constraint::MinLength(_));
        matches!(self.kind, Kind::List(_) | Kind::Map { .. }) && !self.constraints.iter().any(at_least_one)
    }

    /// The value, or something inside it, has a limit, as far as `known` tells about messages.
    fn constrained(&self, known: &[bool]) -> bool {
        !self.constraints.is_empty()
            || match &self.kind {
                Kind::Message(held) | Kind::Wrapper(held) => known[held.0],
                Kind::List(element) => element.constrained(known),
                Kind::Map { key, value } => key.constrained(known) || value.constrained(known),
                _ => false,
            }
    }
}

/// Finds out which messages have limits; they may hold each other, so this goes round until nothing changes.
fn mark_constrained(shapes: &mut [Shape]) {
    let mut known = vec![false; shapes.len()];
    loop {
        let mut changed = false;
        for (at, shape) in shapes.iter_mut().enumerate() {
            for member in &mut shape.members {
                member.checked = member.required || member.node.constrained(&known);
                if member.checked && !known[at] {
                    known[at] = true;
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    for (shape, constrained) in shapes.iter_mut().zip(known) {
        shape.constrained = constrained;
    }
}

/// `InstanceIds` is `instanceIds` in the paths of violations.
fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// A key of a map as text.
pub(crate) fn key_text(key: &MapKey) -> Cow<'_, str> {
    match key {
        MapKey::String(text) => Cow::Borrowed(text),
        MapKey::Bool(value) => Cow::Owned(value.to_string()),
        MapKey::I32(number) => Cow::Owned(number.to_string()),
        MapKey::I64(number) => Cow::Owned(number.to_string()),
        MapKey::U32(number) => Cow::Owned(number.to_string()),
        MapKey::U64(number) => Cow::Owned(number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(name: &str) -> &'static Shape {
        Shape::of(&pool().get_message_by_name(name).unwrap())
    }

    #[test]
    fn members_are_found_by_their_exact_names() {
        let request = shape("muster.runcommand.v1.SendCommandRequest");
        assert_eq!(request.member("InstanceIds").unwrap().step, "instanceIds");
        assert!(request.member("instanceIds").is_none());
        assert!(request.constrained);
    }

    #[test]
    fn messages_without_limits_are_known() {
        assert!(!shape("muster.agent.v1.WorkItem").constrained);
        assert!(!shape("muster.runcommand.v1.CancelCommandResult").constrained);
        assert!(shape("muster.aws.v1.TargetMapValueList").constrained);
    }

    #[test]
    fn what_holds_secrets_is_sensitive_itself() {
        let parameters = shape("muster.runcommand.v1.SendCommandRequest")
            .member("Parameters")
            .unwrap();
        assert!(parameters.node.sensitive);
        let expression = shape("muster.maintenancewindows.v1.MaintenanceWindowTaskParameterValueExpression");
        assert!(expression.member("Values").unwrap().node.sensitive);
    }

    #[test]
    fn transparent_messages_have_exactly_one_member() {
        for each in &TABLE.shapes {
            if matches!(each.node.kind, Kind::Wrapper(_)) {
                assert_eq!(each.members.len(), 1, "{}", each.descriptor.full_name());
            }
        }
    }
}
