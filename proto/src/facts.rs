//! The options of the contract as typed values.
//!
//! Everything is read once, at the first call, into tables keyed by full name; a look-up is one hash of a name and
//! copies nothing. Descriptors of any pool that holds the same contract will do.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, EnumValueDescriptor, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor,
};

use crate::aws::v1::{
    EnumFacts, ErrorFacts, FieldFacts, MessageFacts, OperationFacts, Reason, ServiceFacts, WordFacts,
};
use crate::{Word, pool};

/// What an `X-Amz-Target` names.
#[derive(Debug, Clone)]
pub enum Target {
    /// An operation that a part of Muster answers.
    Served(MethodDescriptor),
    /// An operation that the contract describes and nothing answers yet.
    Planned(MethodDescriptor),
    /// A public operation that the contract does not describe.
    Unserved,
}

/// Facts of a service. Internal services have none: every member is at its default.
pub fn service(service: &ServiceDescriptor) -> &'static ServiceFacts {
    TABLES.services.get(service.full_name()).unwrap_or(&TABLES.no_service)
}

/// Facts of an operation.
pub fn operation(method: &MethodDescriptor) -> &'static OperationFacts {
    TABLES
        .operations
        .get(method.full_name())
        .unwrap_or(&TABLES.no_operation)
}

/// Whether people may call an operation on NATS: all of services that the gateway shows, but for those that are for
/// whoever has no credentials yet, and of internal ones those that say so.
pub fn is_for_people(method: &MethodDescriptor) -> bool {
    let (facts, is_shown) = (
        operation(method),
        !service(method.parent_service()).target_prefix.is_empty(),
    );
    facts.people || (is_shown && !facts.unauthenticated)
}

/// What policies call an operation: `ssm:SendCommand`, `muster:CreateUser` (aws-json-gateway 7).
pub fn action(method: &MethodDescriptor) -> String {
    let prefix = match service(method.parent_service()).action_prefix.as_str() {
        "" => "ssm",
        prefix => prefix,
    };
    format!("{prefix}:{}", method.name())
}

/// Facts of a message.
pub fn message(message: &MessageDescriptor) -> &'static MessageFacts {
    TABLES.messages.get(message.full_name()).unwrap_or(&TABLES.no_message)
}

/// Facts of a field. `sensitive` is also true when the field holds messages that are sensitive as a whole.
pub fn field(field: &FieldDescriptor) -> &'static FieldFacts {
    TABLES.fields.get(field.full_name()).unwrap_or(&TABLES.no_field)
}

/// The word of an enum value; none for unset values and for internal enums.
pub fn word(value: &EnumValueDescriptor) -> Option<&'static str> {
    TABLES.words.get(value.full_name()).map(String::as_str)
}

/// What ARNs of the kind of resource that an enum value names begin with behind the account; none for other enums.
pub fn resource(value: &EnumValueDescriptor) -> Option<&'static str> {
    TABLES.resources.get(value.full_name()).map(String::as_str)
}

/// All words of an enum, in the order of the values' numbers.
pub fn words(of: &EnumDescriptor) -> &'static [String] {
    TABLES.enums.get(of.full_name()).map_or(&[], |each| &each.words)
}

/// The number of the enum value with this word.
pub fn number(of: &EnumDescriptor, word: &str) -> Option<i32> {
    TABLES.enums.get(of.full_name())?.numbers.get(word).copied()
}

/// How a value is refused that is none of the enum's; none: as every other broken limit.
pub fn refusal(of: &EnumDescriptor) -> Option<Reason> {
    TABLES.enums.get(of.full_name())?.refusal
}

/// The reason with this word, `InvalidDocument`.
pub fn reason(word: &str) -> Option<Reason> {
    Reason::from_word(word)
}

/// How a reason is answered. The unset reason is answered like `InternalServerError`.
pub fn error(reason: Reason) -> &'static ErrorFacts {
    let known = if reason == Reason::Unset {
        Reason::InternalServerError
    } else {
        reason
    };
    TABLES
        .errors
        .get(&known)
        .expect("a test holds that every reason carries error facts")
}

/// What a target such as `AmazonSSM.SendCommand` names; none if the public surface has no such operation.
pub fn target(name: &str) -> Option<&'static Target> {
    TABLES.targets.get(name)
}

/// All targets with what they name, in no order.
pub fn targets() -> impl Iterator<Item = (&'static str, &'static Target)> {
    TABLES.targets.iter().map(|(name, target)| (name.as_str(), target))
}

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::read);

#[derive(Default)]
struct Tables {
    services: HashMap<String, ServiceFacts>,
    operations: HashMap<String, OperationFacts>,
    messages: HashMap<String, MessageFacts>,
    fields: HashMap<String, FieldFacts>,
    words: HashMap<String, String>,
    resources: HashMap<String, String>,
    enums: HashMap<String, Words>,
    errors: HashMap<Reason, ErrorFacts>,
    targets: HashMap<String, Target>,
    no_service: ServiceFacts,
    no_operation: OperationFacts,
    no_message: MessageFacts,
    no_field: FieldFacts,
}

#[derive(Default)]
struct Words {
    words: Vec<String>,
    numbers: HashMap<String, i32>,
    refusal: Option<Reason>,
}

impl Tables {
    fn read() -> Self {
        let mut tables = Self::default();
        tables.read_services();
        tables.read_messages();
        tables.read_enums();
        tables
    }

    fn read_services(&mut self) {
        let (of_service, of_operation) = (option("service"), option("operation"));
        for service in pool().services() {
            for method in service.methods() {
                if let Some(facts) = decode(&method.options(), &of_operation) {
                    self.operations.insert(method.full_name().to_owned(), facts);
                }
            }
            let Some(facts) = decode::<ServiceFacts>(&service.options(), &of_service) else {
                continue;
            };
            let prefix = &facts.target_prefix;
            // Internal services have no targets, whatever else is said of them.
            for method in service.methods().filter(|_| !prefix.is_empty()) {
                let name = format!("{prefix}.{}", method.name());
                let target = if facts.planned {
                    Target::Planned(method)
                } else {
                    Target::Served(method)
                };
                self.targets.insert(name, target);
            }
            for name in &facts.unserved_operations {
                self.targets.insert(format!("{prefix}.{name}"), Target::Unserved);
            }
            self.services.insert(service.full_name().to_owned(), facts);
        }
    }

    fn read_messages(&mut self) {
        let (of_message, of_field) = (option("message"), option("field"));
        for message in pool().all_messages() {
            if let Some(facts) = decode(&message.options(), &of_message) {
                self.messages.insert(message.full_name().to_owned(), facts);
            }
        }
        for message in pool().all_messages() {
            for field in message.fields() {
                let mut facts = decode::<FieldFacts>(&field.options(), &of_field).unwrap_or_default();
                facts.sensitive |= self.holds_sensitive(&field);
                if facts != self.no_field {
                    self.fields.insert(field.full_name().to_owned(), facts);
                }
            }
        }
    }

    fn holds_sensitive(&self, field: &FieldDescriptor) -> bool {
        let held = match field.kind() {
            Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
            kind => kind,
        };
        held.as_message()
            .and_then(|held| self.messages.get(held.full_name()))
            .is_some_and(|facts| facts.sensitive)
    }

    fn read_enums(&mut self) {
        let (of_enum, of_value) = (option("enumeration"), option("word"));
        for each in pool().all_enums() {
            let facts = decode::<EnumFacts>(&each.options(), &of_enum);
            let mut known = Words {
                refusal: facts.and_then(|facts| Reason::from_word(&facts.refusal)),
                ..Words::default()
            };
            for value in each.values() {
                let Some(facts) = decode::<WordFacts>(&value.options(), &of_value) else {
                    continue;
                };
                if let (Some(error), Some(reason)) = (facts.error, Reason::from_word(&facts.text)) {
                    self.errors.insert(reason, error);
                }
                self.words.insert(value.full_name().to_owned(), facts.text.clone());
                if !facts.resource.is_empty() {
                    self.resources.insert(value.full_name().to_owned(), facts.resource);
                }
                known.numbers.insert(facts.text.clone(), value.number());
                known.words.push(facts.text);
            }
            self.enums.insert(each.full_name().to_owned(), known);
        }
    }
}

fn option(name: &str) -> ExtensionDescriptor {
    pool()
        .get_extension_by_name(&format!("muster.aws.v1.{name}"))
        .expect("options.proto declares it")
}

fn decode<T: Message + Default>(options: &DynamicMessage, option: &ExtensionDescriptor) -> Option<T> {
    if !options.has_extension(option) {
        return None;
    }
    let value = options.get_extension(option);
    let message = value.as_message().expect("every option of the contract is a message");
    Some(message.transcode_to().expect("type and descriptor come from one file"))
}
