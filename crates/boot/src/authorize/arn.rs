//! From what a request names to the ARN that policies speak of.
//!
//! One resource must have one ARN, however a caller writes its name: otherwise a policy that denies one spelling would
//! be walked around with another. So names, ids, paths and ARNs of this account all become the same ARN here, and the
//! regions and partitions that a caller writes into an ARN of ours do not count: one installation is one region.

use muster_model::Account;
use muster_policy::Arn;
use muster_wire::Resource;

/// Beginnings of the names of built-in documents, in any case; users' documents have none of them. Built-in documents
/// belong to no account.
const BUILT_IN: [&str; 4] = ["aws", "amazon", "amzn", "muster-"];
/// Kinds of resources that are iam's.
const OF_IAM: [&str; 5] = ["user", "group", "role", "policy", "access-key"];
/// What an automation runs where no version is named.
const DEFAULT_VERSION: &str = "$DEFAULT";

/// The ARN of a resource, and its name alone. What cannot be turned into one is everything of the account,
/// `arn:aws:ssm:us-east-1:000000000000:*`, which only patterns for everything take (aws-json-gateway 1).
pub(crate) fn arn(account: &Account, resource: &Resource) -> (Arn, String) {
    let kind = resource.kind.as_str();
    let service = if OF_IAM.contains(&kind) { "iam" } else { "ssm" };
    let (partition, region) = (account.partition(), account.region());
    let written = written(kind, &resource.name);
    let region = if service == "iam" { "" } else { region };
    if let Some(foreign) = foreign(account, service, kind, written) {
        return (foreign, written.to_owned());
    }
    let name = name(kind, plain(kind, written)).to_owned();
    let owner = match kind {
        "document" | "automation-definition" if is_built_in(&name) => "",
        _ => account.id(),
    };
    let version = match kind {
        "automation-definition" => format!(":{}", resource.version.as_deref().unwrap_or(DEFAULT_VERSION)),
        _ => String::new(),
    };
    // The path that all parameters are below, which has no name.
    let is_root = kind == "parameter" && written == "/";
    let is_nothing = kind.is_empty() || (name.is_empty() && !is_root);
    let is_garbled = kind == "parameter" && !is_root && !names_a_parameter(written, &name);
    let made = match is_nothing || is_garbled {
        true => None,
        false => Arn::new(partition, service, region, owner, &format!("{kind}/{name}{version}")).ok(),
    };
    let everything = || Arn::new(partition, service, region, account.id(), "*");
    let made = made.map_or_else(everything, Ok);
    (made.unwrap_or_else(|_| Arn::any()), name)
}

/// An ARN of somebody else's: it is itself, and no resource of ours.
fn foreign(account: &Account, service: &str, kind: &str, text: &str) -> Option<Arn> {
    let arn: Arn = text.strip_prefix("arn:").and_then(|_| text.parse().ok())?;
    let is_ours = arn.service() == service && (arn.account().is_empty() || arn.account() == account.id());
    let is_of_kind = arn
        .resource()
        .strip_prefix(kind)
        .is_some_and(|rest| rest.starts_with('/'));
    (!(is_ours && is_of_kind)).then_some(arn)
}

/// What a caller writes, without the spaces that the parameter store takes off names (parameter-store 2).
fn written<'a>(kind: &str, text: &'a str) -> &'a str {
    match kind {
        "parameter" => text.trim_matches(' '),
        _ => text,
    }
}

/// What stands behind the kind in an ARN; a plain name is itself.
fn plain<'a>(kind: &str, text: &'a str) -> &'a str {
    if !text.starts_with("arn:") {
        return text;
    }
    let resource = text.splitn(6, ':').nth(5).unwrap_or_default();
    resource
        .strip_prefix(kind)
        .map_or(text, |rest| rest.strip_prefix('/').unwrap_or(rest))
}

/// The name without what does not count: versions and labels, the slash that parameters and settings may begin with, the
/// one that paths of parameters may end in, and the path before a role.
fn name<'a>(kind: &str, text: &'a str) -> &'a str {
    match kind {
        "parameter" => before_colon(text).trim_end_matches(' ').trim_matches('/'),
        "servicesetting" => text.trim_start_matches('/'),
        "document" | "automation-definition" => before_colon(text),
        "role" => text.rsplit('/').next().unwrap_or(text),
        _ => text,
    }
}

/// Whether some parameter could be called like this (parameter-store 2). `written` is what the name was taken from.
fn names_a_parameter(written: &str, name: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let is_shaped = name
        .split('/')
        .all(|part| !part.is_empty() && part.bytes().all(is_part));
    let is_broken_arn = written.starts_with("arn:") && written.parse::<Arn>().is_err();
    is_shaped && !is_broken_arn
}

fn before_colon(text: &str) -> &str {
    text.split(':').next().unwrap_or(text)
}

fn is_built_in(name: &str) -> bool {
    let begins_with = |prefix: &&str| {
        name.get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    BUILT_IN.iter().any(begins_with)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, name: &str) -> String {
        let resource = Resource {
            kind: kind.to_owned(),
            name: name.to_owned(),
            version: None,
            action: None,
        };
        arn(&Account::default(), &resource).0.to_string()
    }

    #[test]
    fn each_kind_has_the_arn_that_policies_of_aws_name() {
        for (kind, name, resource) in [
            ("document", "Mine", "ssm:us-east-1:000000000000:document/Mine"),
            (
                "document",
                "AWS-RunShellScript",
                "ssm:us-east-1::document/AWS-RunShellScript",
            ),
            (
                "parameter",
                "/app/dev/x",
                "ssm:us-east-1:000000000000:parameter/app/dev/x",
            ),
            ("parameter", "x:3", "ssm:us-east-1:000000000000:parameter/x"),
            (
                "servicesetting",
                "/ssm/a/b",
                "ssm:us-east-1:000000000000:servicesetting/ssm/a/b",
            ),
            (
                "managed-instance",
                "mi-0123456789abcdef0",
                "ssm:us-east-1:000000000000:managed-instance/mi-0123456789abcdef0",
            ),
            (
                "automation-definition",
                "AWS-StopEC2Instance",
                "ssm:us-east-1::automation-definition/AWS-StopEC2Instance:$DEFAULT",
            ),
            ("role", "service-role/Node", "iam::000000000000:role/Node"),
            ("user", "alice", "iam::000000000000:user/alice"),
        ] {
            assert_eq!(of(kind, name), format!("arn:aws:{resource}"));
        }
    }

    #[test]
    fn one_resource_has_one_arn_however_it_is_written() {
        let mine = of("document", "Mine");
        for name in [
            "arn:aws:ssm:us-east-1:000000000000:document/Mine",
            "arn:aws:ssm:eu-west-7:000000000000:document/Mine",
            "arn:aws-cn:ssm::000000000000:document/Mine",
            "arn:aws:ssm:us-east-1::document/Mine",
            "Mine:3",
        ] {
            assert_eq!(of("document", name), mine, "{name}");
        }
        let built_in = of("document", "AWS-RunShellScript");
        for name in [
            "arn:aws:ssm:us-east-1::document/AWS-RunShellScript",
            "arn:aws:ssm:us-east-1:000000000000:document/AWS-RunShellScript",
        ] {
            assert_eq!(of("document", name), built_in, "{name}");
        }
        let parameter = of("parameter", "/a/b");
        for name in [
            "a/b",
            "/a/b:label",
            "//a/b",
            " /a/b",
            "/a/b  ",
            "/a/b :1",
            "/a/b/",
            "  arn:aws:ssm:us-east-1:000000000000:parameter/a/b ",
            "arn:aws:ssm:us-east-1:000000000000:parameter/a/b",
            "arn:aws:ssm:us-east-1:000000000000:parameter/a/b:2",
        ] {
            assert_eq!(of("parameter", name), parameter, "{name}");
        }
    }

    #[test]
    fn the_path_of_all_parameters_is_above_them_and_not_everything() {
        assert_eq!(of("parameter", "/"), "arn:aws:ssm:us-east-1:000000000000:parameter/");
    }

    #[test]
    fn what_no_parameter_can_be_called_is_everything_of_the_account() {
        for name in [
            "bad name!",
            "/secret/bad name!",
            "/secret/x*",
            "/secret/?",
            "/secret//x",
            "//",
            "é",
            "bad name!:3",
            "arn:",
            "arn:x",
            "arn:aws:ssm:us-east-1:000000000000:parameter/secret/bad name!",
        ] {
            let on = of("parameter", name);
            assert_eq!(on, "arn:aws:ssm:us-east-1:000000000000:*", "{name}");
        }
    }

    #[test]
    fn an_arn_of_somebody_else_is_itself() {
        for name in [
            "arn:aws:ssm:us-east-1:999999999999:document/Theirs",
            "arn:aws:s3:::bucket",
            "arn:aws:ssm:us-east-1:000000000000:parameter/x",
        ] {
            assert_eq!(of("document", name), name);
        }
    }

    #[test]
    fn what_makes_no_arn_is_everything_of_the_account() {
        for (kind, name) in [("document", ""), ("", "x"), ("parameter", ""), ("document", "a\nb")] {
            assert_eq!(of(kind, name), "arn:aws:ssm:us-east-1:000000000000:*", "{kind} {name}");
        }
        // No ARN, though it begins like one.
        assert_eq!(
            of("document", "arn:aws"),
            "arn:aws:ssm:us-east-1:000000000000:document/arn"
        );
    }
}
