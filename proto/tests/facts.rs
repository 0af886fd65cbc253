//! The tables of facts and what is generated beside them.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use muster_proto::aws::v1::{ParameterValueList, Reason};
use muster_proto::documents::v1::DocumentFormat;
use muster_proto::facts::{self, Target};
use muster_proto::runcommand::v1::{CommandStatus, SendCommandRequest};
use muster_proto::{Word, pool};

fn message(name: &str) -> MessageDescriptor {
    pool().get_message_by_name(name).expect(name)
}

fn field(of: &str, name: &str) -> FieldDescriptor {
    message(of).get_field_by_json_name(name).expect(name)
}

fn enumeration(name: &str) -> EnumDescriptor {
    pool().get_enum_by_name(name).expect(name)
}

#[test]
fn a_target_names_a_served_a_planned_or_an_unserved_operation() {
    let Some(Target::Served(method)) = facts::target("AmazonSSM.SendCommand") else {
        panic!("SendCommand is served")
    };
    assert_eq!(method.full_name(), "muster.runcommand.v1.RunCommand.SendCommand");
    assert!(matches!(
        facts::target("AmazonSSM.GetInventory"),
        Some(Target::Planned(_))
    ));
    assert!(matches!(
        facts::target("AmazonSSM.StartSession"),
        Some(Target::Unserved)
    ));
    assert!(facts::target("AmazonSSM.StartRollout").is_none());
    assert!(facts::target("SendCommand").is_none());
}

#[test]
fn internal_services_have_no_target() {
    for name in [
        "fanout.v1.FanOut",
        "fleet.v1.Nodes",
        "runcommand.v1.RunCommandRollouts",
        "runcommand.v1.CommandSenders",
        "documents.v1.DocumentTags",
        "access.v1.Access",
        "access.v1.Decisions",
        "access.v1.Audit",
    ] {
        let service = pool().get_service_by_name(&format!("muster.{name}")).expect(name);
        assert_eq!(facts::service(&service).target_prefix, "");
    }
}

#[test]
fn people_may_call_what_the_gateway_shows_and_what_says_so() {
    let is_for_people = |service: &str, method: &str| {
        let service = pool().get_service_by_name(&format!("muster.{service}")).expect(service);
        let method = service.methods().find(|each| each.name() == method).expect(method);
        facts::is_for_people(&method)
    };
    for (service, method) in [
        ("runcommand.v1.RunCommand", "SendCommand"),
        ("fleet.v1.Tags", "AddTagsToResource"),
        ("fanout.v1.FanOut", "GetHistory"),
        ("fleet.v1.Nodes", "ApproveNode"),
        ("documents.v1.DocumentValidation", "Validate"),
        ("runcommand.v1.RunCommandOutput", "OfferOutput"),
    ] {
        assert!(is_for_people(service, method), "{service}.{method}");
    }
    for (service, method) in [
        ("fanout.v1.FanOut", "StartRollout"),
        ("fanout.v1.FanOut", "CancelRollout"),
        ("fleet.v1.Nodes", "RegisterNode"),
        ("fleet.v1.Nodes", "ResolveTargets"),
        ("fleet.v1.Registrar", "RegisterManagedInstance"),
        ("runcommand.v1.RunCommandRollouts", "Record"),
        ("runcommand.v1.RunCommandRollouts", "IsSeen"),
        ("runcommand.v1.CommandSenders", "GetSender"),
        ("documents.v1.DocumentTags", "Add"),
    ] {
        assert!(!is_for_people(service, method), "{service}.{method}");
    }
}

#[test]
fn limits_of_a_field_and_of_its_elements_are_found() {
    let ids = facts::field(&field("muster.runcommand.v1.SendCommandRequest", "InstanceIds"));
    assert_eq!(ids.max_length, Some(50));
    let element = ids.element.as_ref().expect("elements have a pattern");
    assert_eq!(element.pattern.as_deref(), Some(r"(^i-(\w{8}|\w{17})$)|(^mi-\w{17}$)"));
    let timeout = facts::field(&field("muster.runcommand.v1.SendCommandRequest", "TimeoutSeconds"));
    assert_eq!((timeout.min, timeout.max), (Some(30), Some(2_592_000)));
    assert!(facts::field(&field("muster.runcommand.v1.SendCommandRequest", "DocumentName")).required);
}

#[test]
fn fields_of_internal_messages_have_no_facts() {
    let facts = facts::field(&field("muster.agent.v1.WorkItem", "runId"));
    assert_eq!(facts, &Default::default());
}

#[test]
fn a_field_that_holds_sensitive_messages_is_sensitive() {
    assert!(facts::field(&field("muster.runcommand.v1.SendCommandRequest", "Parameters")).sensitive);
    let messages: Vec<_> = pool()
        .all_messages()
        .filter(|message| facts::message(message).sensitive)
        .collect();
    assert!(!messages.is_empty());
    for holder in pool().all_messages() {
        for field in holder.fields().filter(|_| !holder.is_map_entry()) {
            let held = match field.kind() {
                Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
                kind => kind,
            };
            if held.as_message().is_some_and(|held| messages.contains(held)) {
                assert!(facts::field(&field).sensitive, "{}", field.full_name());
            }
        }
    }
}

#[test]
fn debug_of_a_message_leaves_out_what_is_sensitive() {
    let request = SendCommandRequest {
        document_name: Some("AWS-RunShellScript".into()),
        parameters: [(
            "commands".into(),
            ParameterValueList {
                items: vec!["s3cret".into()],
            },
        )]
        .into(),
        ..Default::default()
    };
    let text = format!("{request:?}");
    assert!(text.contains("AWS-RunShellScript"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn a_transparent_message_has_one_field_which_is_a_list_or_a_map() {
    let mut seen = 0;
    for message in pool()
        .all_messages()
        .filter(|message| facts::message(message).transparent)
    {
        let fields: Vec<_> = message.fields().collect();
        assert!(
            matches!(&fields[..], [only] if only.is_list() || only.is_map()),
            "{}",
            message.full_name()
        );
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn only_lists_and_maps_are_shown_when_empty() {
    let commands = field("muster.runcommand.v1.ListCommandsResult", "Commands");
    assert!(facts::field(&commands).emit_empty);
    for message in pool().all_messages() {
        for field in message.fields() {
            let fits = !facts::field(&field).emit_empty || field.is_list() || field.is_map();
            assert!(fits, "{}", field.full_name());
        }
    }
}

#[test]
fn a_word_and_its_value_find_each_other() {
    assert_eq!(CommandStatus::TimedOut.word(), "TimedOut");
    assert_eq!(CommandStatus::from_word("TimedOut"), Some(CommandStatus::TimedOut));
    assert_eq!(CommandStatus::from_word("timedout"), None);
    assert_eq!(CommandStatus::from_word(""), None);
    assert_eq!(CommandStatus::Unset.word(), "");
    assert_eq!(DocumentFormat::WORDS, ["YAML", "JSON", "TEXT"]);
}

#[test]
fn words_by_reflection_are_the_generated_ones() {
    let status = enumeration("muster.runcommand.v1.CommandStatus");
    assert_eq!(facts::words(&status), CommandStatus::WORDS);
    for value in status.values() {
        let generated = CommandStatus::try_from(value.number()).expect("the same enum").word();
        assert_eq!(facts::word(&value).unwrap_or_default(), generated);
        let expected = (!generated.is_empty()).then(|| value.number());
        assert_eq!(facts::number(&status, generated), expected);
    }
}

#[test]
fn every_reason_has_a_status() {
    for word in Reason::WORDS {
        let facts = facts::error(Reason::from_word(word).expect(word));
        assert!((400..600).contains(&facts.status), "{word}");
        assert_eq!(facts.fault, facts.status >= 500, "{word}");
    }
    assert_eq!(facts::error(Reason::Unset), facts::error(Reason::InternalServerError));
    assert_eq!(facts::error(Reason::InvalidCommandId).member, "");
}

#[test]
fn comments_of_the_contract_are_in_the_descriptors() {
    let text = String::from_utf8_lossy(muster_proto::DESCRIPTOR_SET);
    assert!(text.contains("Runs documents on nodes, once."));
}
