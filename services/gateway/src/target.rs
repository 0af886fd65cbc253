//! Which operation a request means, and how its body is written.

use axum::http::{HeaderMap, header};
use muster_proto::facts::{self, Target};
use muster_wire::{Failure, Reason, Refusal};
use prost_reflect::MethodDescriptor;

/// What a request asks for.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// A service answers it.
    Served(&'static MethodDescriptor),
    /// It exists on AWS; in Muster nothing answers it yet.
    NotYet(String),
}

impl Operation {
    /// The operation that `X-Amz-Target` names.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let name = single(headers, "x-amz-target").ok_or_else(unknown)?;
        match facts::target(name).ok_or_else(unknown)? {
            Target::Served(method) => Ok(Self::Served(method)),
            Target::Planned(_) | Target::Unserved => {
                let operation = name.rsplit('.').next().unwrap_or(name);
                Ok(Self::NotYet(operation.to_owned()))
            }
        }
    }

    /// Its name, `SendCommand`.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Served(method) => method.name(),
            Self::NotYet(name) => name,
        }
    }
}

/// The content type of a request, which its answer has too.
pub(crate) fn content_type(headers: &HeaderMap) -> Result<&'static str, Failure> {
    let given = single(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    [
        "application/x-amz-json-1.1",
        "application/x-amz-json-1.0",
        "application/json",
    ]
    .into_iter()
    .find(|known| essence.eq_ignore_ascii_case(known))
    .ok_or_else(unknown)
}

/// The value of a header that stands there once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// AWS sends no text with this one.
pub(crate) fn unknown() -> Failure {
    Refusal::new(Reason::UnknownOperationException, "").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn every_operation_of_the_contract_is_found() {
        for (target, known) in facts::targets() {
            let operation = Operation::of(&headers(&[("x-amz-target", target)])).unwrap();
            assert!(target.ends_with(operation.name()), "{target}");
            assert_eq!(
                matches!(operation, Operation::Served(_)),
                matches!(known, Target::Served(_)),
                "{target}"
            );
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        for target in [
            "AmazonSSM.Nonsense",
            "SendCommand",
            "AmazonEC2.SendCommand",
            "",
            "amazonssm.SendCommand",
        ] {
            assert!(
                Operation::of(&headers(&[("x-amz-target", target)])).is_err(),
                "{target}"
            );
        }
        assert!(Operation::of(&HeaderMap::new()).is_err());
        let twice = headers(&[
            ("x-amz-target", "AmazonSSM.ListCommands"),
            ("x-amz-target", "AmazonSSM.SendCommand"),
        ]);
        assert!(Operation::of(&twice).is_err());
    }

    #[test]
    fn internal_services_have_no_target() {
        for (_, known) in facts::targets() {
            if let Target::Served(method) | Target::Planned(method) = known {
                assert!(!facts::service(method.parent_service()).target_prefix.is_empty());
            }
        }
        assert!(facts::target("AmazonSSM.StartRollout").is_none());
        assert!(facts::target(".StartRollout").is_none());
    }

    #[test]
    fn three_content_types_are_taken() {
        let check = |value| content_type(&headers(&[("content-type", value)]));
        assert_eq!(
            check("application/x-amz-json-1.1").unwrap(),
            "application/x-amz-json-1.1"
        );
        assert_eq!(check("application/json; charset=utf-8").unwrap(), "application/json");
        assert_eq!(
            check("Application/X-Amz-Json-1.0").unwrap(),
            "application/x-amz-json-1.0"
        );
        assert!(check("text/plain").is_err());
        assert!(check("application/x-www-form-urlencoded").is_err());
        assert!(content_type(&HeaderMap::new()).is_err());
    }
}
