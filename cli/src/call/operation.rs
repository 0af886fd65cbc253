//! Operations by name.

use muster_proto::pool;
use prost_reflect::MethodDescriptor;

use crate::complaint::Complaint;

/// Method names less alike than this are no help, wherever they live.
const ALIKE: f64 = 0.8;
/// Suggestions that fit a line.
const SUGGESTIONS: usize = 4;

/// `RunCommand.SendCommand`.
pub(super) fn name(method: &MethodDescriptor) -> String {
    format!("{}.{}", method.parent_service().name(), method.name())
}

/// All operations, one in a line, by service.
pub(super) fn list() -> String {
    let mut names: Vec<String> = all().map(|method| name(&method)).collect();
    names.sort_unstable();
    names.iter().map(|name| format!("{name}\n")).collect()
}

/// The operation that a caller means: `Service.Method`, `package.Service/Method`, or a method that only one service
/// has.
pub(super) fn find(text: &str) -> Result<MethodDescriptor, Complaint> {
    let path = text.replace('/', ".");
    let mut parts = path.rsplit('.');
    let (method, service) = (parts.next().unwrap_or_default(), parts.next());
    let mut found = all().filter(|each| {
        let of_service = service.is_none_or(|service| each.parent_service().name() == service);
        each.name() == method && of_service
    });
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (Some(one), Some(other)) => Err(Complaint::Usage {
            what: format!("several services have an operation {method}"),
            hint: format!("say which one: {} or {}", name(&one), name(&other)),
        }),
        (None, _) => Err(unknown(text, service, method)),
    }
}

fn unknown(text: &str, service: Option<&str>, method: &str) -> Complaint {
    let near = near(service, method);
    let hint = match near.is_empty() {
        true => "`muster call` lists all operations".to_owned(),
        false => format!("did you mean {}?", near.join(", ")),
    };
    Complaint::Usage {
        what: format!("there is no operation {text}"),
        hint,
    }
}

/// Names like the wanted one, the likest first.
fn near(service: Option<&str>, method: &str) -> Vec<String> {
    let alike = |one: &str, other: &str| strsim::jaro_winkler(&one.to_lowercase(), &other.to_lowercase());
    let mut scored: Vec<(f64, String)> = all()
        .filter_map(|each| {
            let of_method = alike(each.name(), method);
            let of_service = service.map_or(1.0, |service| alike(each.parent_service().name(), service));
            // What the operation is called says more than where it lives.
            (of_method >= ALIKE).then(|| (of_method * 0.7 + of_service * 0.3, name(&each)))
        })
        .collect();
    scored.sort_by(|(one, name), (other, other_name)| other.total_cmp(one).then_with(|| name.cmp(other_name)));
    scored.truncate(SUGGESTIONS);
    scored.into_iter().map(|(_, name)| name).collect()
}

fn all() -> impl Iterator<Item = MethodDescriptor> {
    let methods = |service: prost_reflect::ServiceDescriptor| service.methods().collect::<Vec<_>>();
    pool().services().flat_map(methods)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_found_in_every_way_of_writing_them() {
        for text in [
            "RunCommand.SendCommand",
            "SendCommand",
            "muster.runcommand.v1.RunCommand.SendCommand",
            "muster.runcommand.v1.RunCommand/SendCommand",
        ] {
            assert_eq!(name(&find(text).unwrap()), "RunCommand.SendCommand", "{text}");
        }
    }

    #[test]
    fn near_names_are_suggested() {
        let line = |text: &str| find(text).unwrap_err().line();
        assert!(
            line("RunComand.SendCommnd").contains("did you mean RunCommand.SendCommand"),
            "{}",
            line("RunComand.SendCommnd")
        );
        assert!(
            line("sendcommand").contains("RunCommand.SendCommand"),
            "{}",
            line("sendcommand")
        );
        assert!(
            line("Fleet.SendCommand").contains("RunCommand.SendCommand"),
            "{}",
            line("Fleet.SendCommand")
        );
        assert_eq!(
            line("xyzzy"),
            "there is no operation xyzzy; `muster call` lists all operations"
        );
    }

    #[test]
    fn the_list_has_every_operation_once() {
        let list = list();
        assert_eq!(list.lines().filter(|line| *line == "RunCommand.SendCommand").count(), 1);
        assert_eq!(list.lines().count(), all().count());
    }
}
