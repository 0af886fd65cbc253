//! Who calls: what a surface found out about the caller of a request, and how services tell it each other.
//!
//! Each surface makes it, and handlers read it with [`Caller::of`]:
//!
//! - The gateway verifies a signature and puts the caller into the header [`Caller::HEADER`] of its call over NATS.
//!   Only services may publish where that header is believed (`muster.v1.api.>` in their own account).
//! - A call there without the header is a service's own.
//! - A person on NATS calls from an account of its own and reaches `muster.v1.ops.api.>`. There the broker says who it
//!   is, in a header that nobody can forge, and [`Caller::HEADER`] counts for nothing.
//! - A call by gRPC has an access key and its secret, or, in development, everybody who reaches the port is
//!   [`CallerKind::Development`]. The header is refused there.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Failure;

/// Longest name of a principal, in bytes.
const LONGEST_PRINCIPAL: usize = 2048;
/// Longest name of what a request was made with, in bytes.
const LONGEST_USER_AGENT: usize = 256;
/// Longest header, in bytes.
const LONGEST_HEADER: usize = 3072;

/// The ARN of whoever acts: printable ASCII without spaces, `arn:` and five more parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Principal(String);

/// A text that names no principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a principal is an ARN of at most {LONGEST_PRINCIPAL} printable ASCII characters: arn:aws:iam::<account>:user/<name>"
)]
pub struct BadPrincipal;

impl Principal {
    /// Reads an ARN.
    ///
    /// # Errors
    /// If the text is none.
    pub fn new(arn: impl Into<String>) -> Result<Self, BadPrincipal> {
        let arn = arn.into();
        let is_printable = arn.bytes().all(|byte| byte.is_ascii_graphic());
        // Region and account may be empty.
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let is_arn = matches!(
            parts.as_slice(),
            ["arn", partition, service, _, _, resource]
                if [partition, service, resource].into_iter().all(|part| !part.is_empty())
        );
        if is_arn && is_printable && arn.len() <= LONGEST_PRINCIPAL {
            Ok(Self(arn))
        } else {
            Err(BadPrincipal)
        }
    }

    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Principal {
    type Error = BadPrincipal;

    fn try_from(arn: String) -> Result<Self, BadPrincipal> {
        Self::new(arn)
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> Self {
        principal.0
    }
}

/// What a request says that it was made with, as far as it can be written down: the first 256 printable characters.
#[must_use]
pub fn user_agent(headers: &http::HeaderMap) -> Option<String> {
    let said = headers.get(http::header::USER_AGENT)?.as_bytes().iter();
    let printable = said.filter(|byte| **byte == b' ' || byte.is_ascii_graphic());
    let text: String = printable
        .take(LONGEST_USER_AGENT)
        .map(|byte| char::from(*byte))
        .collect();
    (!text.is_empty()).then_some(text)
}

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CallerKind {
    /// A person or a program with an access key.
    User,
    /// Somebody who acts in a role.
    Role,
    /// A managed node.
    Node,
    /// A service of Muster itself.
    Service,
    /// Somebody without credentials, who asks for what needs none: `unauthenticated` in the contract.
    Anonymous,
    /// Anybody: the surface takes any credentials, because it is for trying things out.
    Development,
}

impl CallerKind {
    /// Of who has an access key: `arn:aws:iam::<account>:user/<name>` is a user, whatever else acts in a role.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        let resource = principal.as_str().splitn(6, ':').nth(5).unwrap_or_default();
        match resource.starts_with("user/") {
            true => Self::User,
            false => Self::Role,
        }
    }
}

/// What somebody who came with a temporary access key does not outlive, however long what they asked for goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionBounds {
    /// When the access key ends, in seconds since 1970.
    pub until: i64,
    /// The user whose it is, or who acts in a role with it.
    pub owner: Principal,
    /// The access key of that user that it was made with, if any was.
    pub access_key: Option<String>,
}

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// Who acts.
    pub principal: Principal,
    /// What that is.
    pub kind: CallerKind,
    /// The id of the access key that the request was signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<String>,
    /// What the caller does not outlive, where it came with a temporary access key by gRPC. No other surface has anything
    /// that goes on and is asked for with one, so it does not travel.
    #[serde(skip)]
    pub session: Option<SessionBounds>,
    /// Where the request came from, as the surface saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    /// Whether it came by TLS.
    pub secure_transport: bool,
    /// What the caller says that it asks with; see [`user_agent`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The id that the caller is answered with, and that logs name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Uuid>,
}

impl Caller {
    /// The token of who calls in subjects of live output: the name of a person of the bus, or [`NO_PERSON`].
    ///
    /// [`NO_PERSON`]: crate::subject::NO_PERSON
    #[must_use]
    pub fn person_name(&self) -> &str {
        let is_word = |name: &&str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
        };
        let name = self.principal.as_str().split_once(":user/").map(|(_, name)| name);
        let name = name.filter(|_| self.kind == CallerKind::User);
        name.filter(is_word).unwrap_or(crate::subject::NO_PERSON)
    }

    /// The header on the bus that holds a caller, as one line of JSON.
    pub const HEADER: &'static str = "muster-caller";

    /// A service of Muster, which nothing names but the account that it is in.
    #[must_use]
    pub fn service() -> Self {
        Self::plain(CallerKind::Service, "arn:muster:nats:::account/MUSTER")
    }

    /// A user of the account of people, by its name there and where the broker saw it.
    pub(crate) fn person(principal: Principal, source_ip: Option<IpAddr>) -> Self {
        Self {
            principal,
            kind: CallerKind::User,
            access_key: None,
            session: None,
            source_ip,
            // The broker does not say how it is connected.
            secure_transport: false,
            user_agent: None,
            request_id: None,
        }
    }

    /// Somebody without credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::plain(CallerKind::Anonymous, "arn:muster:gateway:::anonymous")
    }

    /// Whether policies decide what it may do. Services are trusted by the bus, and development asks nobody.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        matches!(self.kind, CallerKind::User | CallerKind::Role | CallerKind::Node)
    }

    /// Anybody, where any credentials are taken.
    #[must_use]
    pub fn development() -> Self {
        Self::plain(CallerKind::Development, "arn:aws:iam::000000000000:user/development")
    }

    fn plain(kind: CallerKind, arn: &str) -> Self {
        Self {
            principal: Principal(arn.to_owned()),
            kind,
            access_key: None,
            session: None,
            source_ip: None,
            secure_transport: false,
            user_agent: None,
            request_id: None,
        }
    }

    /// The caller of a request that came by one of the surfaces.
    ///
    /// # Errors
    /// If no surface said who it is; such a request is nobody's.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<&Self, Failure> {
        let caller = request.extensions().get::<Self>();
        caller.ok_or_else(|| Failure::internal("a request came by no surface: its caller is not known"))
    }

    /// The value of [`Caller::HEADER`]: ASCII without line ends.
    #[must_use]
    pub fn to_header(&self) -> String {
        let json = serde_json::to_string(self).expect("texts, flags and addresses have a JSON form");
        let mut line = String::with_capacity(json.len());
        for each in json.chars() {
            if each == ' ' || each.is_ascii_graphic() {
                line.push(each);
            } else {
                // Only inside of texts, where an escape is the same character.
                for unit in each.encode_utf16(&mut [0; 2]) {
                    line.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        line
    }

    /// Reads a value of [`Caller::HEADER`].
    ///
    /// # Errors
    /// A fault of ours for everything that [`Caller::to_header`] does not write: whoever writes such a header is no
    /// service of this version, and is not believed in part either.
    pub fn from_header(value: &str) -> Result<Self, Failure> {
        if value.len() > LONGEST_HEADER {
            return Err(Failure::internal("the header muster-caller is too long"));
        }
        serde_json::from_str(value).map_err(|error| {
            // What stands in the header is not repeated: it is not known whose it is.
            let (line, column) = (error.line(), error.column());
            Failure::internal(format!(
                "the header muster-caller is no caller (line {line}, column {column})"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alice() -> Caller {
        Caller {
            principal: Principal::new("arn:aws:iam::000000000000:user/alice").unwrap(),
            kind: CallerKind::User,
            access_key: Some("MKIAABCDEFGHIJKLMNOP".to_owned()),
            session: None,
            source_ip: Some("192.0.2.7".parse().unwrap()),
            secure_transport: true,
            user_agent: Some("aws-cli/2".to_owned()),
            request_id: Some(Uuid::from_u128(7)),
        }
    }

    #[test]
    fn the_header_is_one_line_of_json() {
        assert_eq!(
            alice().to_header(),
            r#"{"principal":"arn:aws:iam::000000000000:user/alice","kind":"User","access_key":"MKIAABCDEFGHIJKLMNOP","source_ip":"192.0.2.7","secure_transport":true,"user_agent":"aws-cli/2","request_id":"00000000-0000-0000-0000-000000000007"}"#
        );
        assert_eq!(
            Caller::service().to_header(),
            r#"{"principal":"arn:muster:nats:::account/MUSTER","kind":"Service","secure_transport":false}"#
        );
    }

    #[test]
    fn what_no_service_writes_is_not_believed() {
        let good = alice().to_header();
        assert!(Caller::from_header(&good).is_ok());
        for bad in [
            String::new(),
            "{}".to_owned(),
            "alice".to_owned(),
            format!("{good}{good}"),
            good.replace("\"User\"", "\"Root\""),
            good.replace("arn:aws:iam::000000000000:user/alice", "alice"),
            good.replace("arn:aws:iam::000000000000:user/alice", "arn:aws:iam::0:"),
            good.replace("user/alice", "user/al ice"),
            good.replace("\"kind\"", "\"admin\":true,\"kind\""),
            good.replace("\"kind\"", "\"session\":null,\"kind\""),
            good.replace("\"kind\"", "\"kind\":\"Role\",\"kind\""),
            good.replace("\"secure_transport\":true,", ""),
            good.replace("192.0.2.7", "here"),
            good.replace("MKIA", &"M".repeat(4000)),
        ] {
            assert!(matches!(Caller::from_header(&bad), Err(Failure::Internal(_))), "{bad}");
        }
    }

    #[test]
    fn a_request_that_came_by_no_surface_is_nobody_s() {
        let mut request = tonic::Request::new(());
        assert!(matches!(Caller::of(&request), Err(Failure::Internal(_))));
        request.extensions_mut().insert(alice());
        assert_eq!(Caller::of(&request).unwrap(), &alice());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(key in any::<String>(), name in "[!-~]{1,64}") {
            prop_assume!(key.len() < 200);
            let mut caller = alice();
            caller.access_key = Some(key);
            caller.principal = Principal::new(format!("arn:aws:iam::000000000000:user/{name}")).unwrap();
            let header = caller.to_header();
            prop_assert!(header.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
            prop_assert_eq!(Caller::from_header(&header).unwrap(), caller);
        }
    }
}
