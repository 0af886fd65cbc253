//! Who calls by NATS: by which subject a call came decides what is believed.

use std::net::IpAddr;

use async_nats::HeaderMap;
use muster_model::Account;
use serde::Deserialize;

use crate::{Caller, Failure, Principal, Reason, Refusal};

/// What the broker adds to a message from another account. It takes away what the sender has written there.
const REQUEST_INFO: &str = "Nats-Request-Info";
/// Longest name of a user, in bytes, as credentials are made.
const LONGEST_NAME: usize = 64;

/// Whom a service names in the header, else the service itself. A header that cannot be read is nobody's.
///
/// # Errors
/// If the header is no caller.
pub(crate) fn of_service(headers: Option<&HeaderMap>) -> Result<Caller, Failure> {
    match only(headers, Caller::HEADER) {
        Ok(None) => Ok(Caller::service()),
        Ok(Some(value)) => Caller::from_header(value),
        Err(MoreThanOne) => Err(Failure::internal(
            "the header muster-caller stands in a call more than once",
        )),
    }
}

/// The person that the broker names. What the call says of itself counts for nothing.
///
/// # Errors
/// If the broker does not say who it is: the call did not come from another account.
pub(crate) fn of_person(headers: Option<&HeaderMap>, account: &Account) -> Result<Caller, Failure> {
    let info = only(headers, REQUEST_INFO).ok().flatten();
    let info = info.and_then(|value| serde_json::from_str::<RequestInfo>(value).ok());
    let person = info.and_then(|info| info.person(account));
    person.ok_or_else(|| {
        let message = "the NATS server does not say who asks: this is answered to users of the account for people, in \
                       operator mode, whose names are 1 to 64 of a-z, A-Z, 0-9, '-' and '_'";
        Refusal::new(Reason::AccessDeniedException, message).into()
    })
}

/// What the broker knows of the sender; there is more in it than this.
#[derive(Debug, Deserialize)]
struct RequestInfo {
    /// The account's public key.
    acc: String,
    /// The user's public key.
    user: String,
    /// The name in the user's claims.
    name_tag: String,
    /// The address that it is connected from.
    #[serde(default)]
    host: String,
}

impl RequestInfo {
    fn person(&self, account: &Account) -> Option<Caller> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_name = (1..=LONGEST_NAME).contains(&self.name_tag.len()) && self.name_tag.chars().all(is_word);
        if !is_name || !self.acc.starts_with('A') || !self.user.starts_with('U') {
            return None;
        }
        let source_ip: Option<IpAddr> = self.host.parse().ok();
        Some(Caller::person(
            Principal::new(account.user(&self.name_tag)).ok()?,
            source_ip,
        ))
    }
}

/// A header that stands in a call more than once.
#[derive(Debug)]
struct MoreThanOne;

/// The only value of a header, however its name is spelled.
fn only<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Result<Option<&'a str>, MoreThanOne> {
    let named = headers.into_iter().flat_map(HeaderMap::iter);
    let mut named = named.filter(|(key, _)| key.to_string().eq_ignore_ascii_case(name));
    let Some((_, values)) = named.next() else {
        return Ok(None);
    };
    match (values.as_slice(), named.next()) {
        ([value], None) => Ok(Some(value.as_str())),
        _ => Err(MoreThanOne),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallerKind;

    const MIA: &str = r#"{"acc":"AOPS","user":"UMIA","name_tag":"mia","host":"192.0.2.7","rtt":12}"#;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, *value);
        }
        headers
    }

    #[test]
    fn a_person_is_whom_the_broker_names_whatever_the_call_says() {
        let service = Caller::service().to_header();
        let call = headers(&[("muster-caller", &service), (REQUEST_INFO, MIA)]);
        let caller = of_person(Some(&call), &Account::default()).unwrap();
        assert_eq!(caller.principal.as_str(), "arn:aws:iam::000000000000:user/mia");
        assert_eq!(
            (caller.kind, caller.source_ip),
            (CallerKind::User, "192.0.2.7".parse().ok())
        );
        assert_eq!(of_service(Some(&call)).unwrap(), Caller::service());
    }

    #[test]
    fn whom_the_broker_does_not_name_is_nobody() {
        let refused = |headers: Option<&HeaderMap>| match of_person(headers, &Account::default()) {
            Err(Failure::Refused(refusal)) => refusal.reason == Reason::AccessDeniedException,
            _ => false,
        };
        assert!(refused(None));
        let service = Caller::service().to_header();
        assert!(refused(Some(&headers(&[("muster-caller", &service)]))));
        assert!(refused(Some(&headers(&[(REQUEST_INFO, MIA), (REQUEST_INFO, MIA)]))));
        assert!(refused(Some(&headers(&[
            (REQUEST_INFO, MIA),
            ("nats-request-info", MIA)
        ]))));
        for bad in [
            "",
            "mia",
            "{}",
            &MIA.replace("\"name_tag\":\"mia\",", ""),
            &MIA.replace("AOPS", ""),
            &MIA.replace("UMIA", "mia"),
            &MIA.replace("\"mia\"", "\"\""),
            &MIA.replace("\"mia\"", "\"a/b\""),
            &MIA.replace("\"mia\"", "\"a:b\""),
            &MIA.replace("\"mia\"", "\"m i\""),
        ] {
            assert!(refused(Some(&headers(&[(REQUEST_INFO, bad)]))), "{bad}");
        }
    }
}
