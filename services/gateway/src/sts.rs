//! Operations of STS (aws-json-gateway 6): `GetCallerIdentity`, which SDKs, scripts and Terraform ask first ("who am I?");
//! `GetSessionToken`, a temporary access key for whoever has one that is not; `AssumeRole`, one that acts in a role; and
//! `AssumeRoleWithWebIdentity`, one for who comes with a token of an identity provider.
//!
//! They come in another protocol than everything else here: a form in, XML out. Pure.

use std::collections::BTreeMap;
use std::fmt;

use axum::http::{HeaderMap, StatusCode, header};
use muster_model::Timestamp;
use muster_proto::access::v1::IssueSessionResult;
use muster_wire::{Failure, Principal, Reason, Refusal, aws_json};
use uuid::Uuid;

use crate::answer::Answer;

/// The service in the scope of its signatures.
pub(crate) const SERVICE: &str = "sts";
/// What is answered in.
pub(crate) const CONTENT_TYPE: &str = "text/xml";
/// Who a caller is.
const IDENTITY: &str = "GetCallerIdentity";
/// A temporary access key.
const SESSION: &str = "GetSessionToken";
/// One that acts in a role.
const ASSUME: &str = "AssumeRole";
/// One for who comes with a token and signs nothing.
const WEB_IDENTITY: &str = "AssumeRoleWithWebIdentity";
/// How long a session may be, in seconds, and how long it is in a role unless its caller says otherwise.
const SHORTEST: i64 = 900;
const LONGEST: i64 = 43_200;
const IN_ROLE: i64 = 3_600;

/// What a form asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Who its caller is.
    Identity,
    /// A temporary access key for so many seconds.
    Session(i64),
    /// One that acts in a role.
    Assume(Assume),
}

/// A session in a role.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Assume {
    /// Whom to act as. Only who comes with a token may leave it out, and acts as its user then.
    pub(crate) role_arn: Option<String>,
    /// How the session is called.
    pub(crate) name: Option<String>,
    /// How long it lasts.
    pub(crate) seconds: i64,
    /// The token of an identity provider, in place of a signature.
    pub(crate) web_identity_token: Option<String>,
}

impl fmt::Debug for Assume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Assume({:?}, {:?}, …)", self.role_arn, self.name)
    }
}

impl Wish {
    /// The operation's name.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::Identity => IDENTITY,
            Self::Session(_) => SESSION,
            Self::Assume(assume) => assume.operation(),
        }
    }
}

impl Assume {
    fn operation(&self) -> &'static str {
        match self.web_identity_token {
            Some(_) => WEB_IDENTITY,
            None => ASSUME,
        }
    }
}

const VERSION: &str = "2011-06-15";
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Whether a request is a form, and none of the operations that `X-Amz-Target` names.
pub(crate) fn is_meant(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") && !headers.contains_key("x-amz-target")
}

/// What stands in a form. Of a name that is there twice the last one counts, whatever is asked of the form.
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    pub(crate) fn of(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The operation that it names, if there is one of this name.
    pub(crate) fn operation(&self) -> Option<&'static str> {
        let named = self.0.get("Action")?;
        let known = [IDENTITY, SESSION, ASSUME, WEB_IDENTITY];
        known.into_iter().find(|operation| operation == named)
    }

    /// Whether it asks for something that needs no signature: a token of an identity provider says who asks.
    pub(crate) fn is_unsigned(&self) -> bool {
        self.operation() == Some(WEB_IDENTITY)
    }

    /// Finds out what it asks for.
    ///
    /// # Errors
    /// `UnknownOperationException` if it is nothing that is here, `ValidationException` if it names what is not there or a
    /// session cannot be so.
    pub(crate) fn read(mut self) -> Result<Wish, Failure> {
        let action = self.take("Action").unwrap_or_default();
        let is_version = self.take("Version").is_some_and(|version| version == VERSION);
        let wish = match action.as_str() {
            IDENTITY if is_version => Wish::Identity,
            SESSION if is_version => Wish::Session(self.seconds(LONGEST)?),
            ASSUME if is_version => Wish::Assume(self.assume(None)?),
            WEB_IDENTITY if is_version => {
                let missing = || Refusal::validation("WebIdentityToken is missing");
                let token = self.take("WebIdentityToken").ok_or_else(missing)?;
                Wish::Assume(self.assume(Some(token))?)
            }
            _ => {
                let text = format!(
                    "Of STS there are only {IDENTITY}, {SESSION}, {ASSUME} and {WEB_IDENTITY} of version {VERSION} here."
                );
                return Err(Refusal::new(Reason::UnknownOperationException, text).into());
            }
        };
        match self.0.into_keys().next() {
            None => Ok(wish),
            Some(name) => {
                let text = format!("{action} takes no {name} here: leave it out");
                Err(Refusal::validation(text).into())
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    fn assume(&mut self, web_identity_token: Option<String>) -> Result<Assume, Refusal> {
        Ok(Assume {
            role_arn: self.take("RoleArn"),
            name: self.take("RoleSessionName"),
            seconds: self.seconds(IN_ROLE)?,
            web_identity_token,
        })
    }

    /// How long a session is to be.
    fn seconds(&mut self, usual: i64) -> Result<i64, Refusal> {
        let seconds = match self.take("DurationSeconds") {
            None => Some(usual),
            Some(text) => text.parse().ok(),
        };
        let seconds = seconds.filter(|seconds| (SHORTEST..=LONGEST).contains(seconds));
        let text = format!("DurationSeconds is a number from {SHORTEST} to {LONGEST}");
        seconds.ok_or_else(|| Refusal::validation(text))
    }
}

/// A temporary access key that was made.
pub(crate) fn session(wish: &Wish, made: &IssueSessionResult, request: Uuid) -> Answer {
    let operation = wish.operation();
    let until = Timestamp::from_second(made.until()).unwrap_or(Timestamp::UNIX_EPOCH);
    let principal = made.principal();
    let whom = match wish {
        Wish::Assume(_) => format!(
            "<AssumedRoleUser><Arn>{}</Arn><AssumedRoleId>{}</AssumedRoleId></AssumedRoleUser>",
            escape(principal),
            escape(&unique_id(principal)),
        ),
        _ => String::new(),
    };
    let body = format!(
        "<{operation}Response xmlns=\"{NAMESPACE}\"><{operation}Result><Credentials><AccessKeyId>{}</AccessKeyId>\
         <SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>{until}</Expiration></Credentials>\
         {whom}</{operation}Result><ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></{operation}Response>",
        escape(made.access_key_id()),
        escape(made.secret_access_key()),
        escape(made.session_token()),
    );
    Answer::success(body.into())
}

/// What AWS has as a unique id is the name here: names are not given away again while anything refers to them.
fn unique_id(arn: &str) -> String {
    // `user/ann` or `assumed-role/Role/session`.
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let name = resource.split_once('/').map_or(resource, |(_, name)| name);
    name.replace('/', ":")
}

/// Who a caller is.
pub(crate) fn identity(principal: &Principal, request: Uuid) -> Answer {
    let arn = principal.as_str();
    let account = arn.split(':').nth(4).unwrap_or_default();
    let body = format!(
        "<{IDENTITY}Response xmlns=\"{NAMESPACE}\"><{IDENTITY}Result><Arn>{}</Arn><UserId>{}</UserId>\
         <Account>{}</Account></{IDENTITY}Result><ResponseMetadata><RequestId>{request}</RequestId>\
         </ResponseMetadata></{IDENTITY}Response>",
        escape(arn),
        escape(&unique_id(arn)),
        escape(account),
    );
    Answer::success(body.into())
}

/// A failure in the words of this protocol, which has others for who is not believed.
pub(crate) fn failure(failure: &Failure, request: Uuid) -> Answer {
    let (word, status) = aws_json::word_and_status(failure);
    let code = match word.as_str() {
        "UnknownOperationException" => "InvalidAction",
        "UnrecognizedClientException" => "InvalidClientTokenId",
        "InvalidSignatureException" => "SignatureDoesNotMatch",
        "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
        "IncompleteSignatureException" => "IncompleteSignature",
        "ExpiredTokenException" => "ExpiredToken",
        "ThrottlingException" => "Throttling",
        "ValidationException" => "ValidationError",
        "AccessDeniedException" => "AccessDenied",
        // A role or a user that is not there, in the words of IAM, which STS does not have.
        "NoSuchEntity" => "ValidationError",
        other => other,
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let status = match code {
        // As STS of AWS has it, where AWS JSON has 400 for all of them.
        "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "ExpiredToken"
        | "AccessDenied" => StatusCode::FORBIDDEN,
        _ => status,
    };
    let kind = if status.is_server_error() { "Receiver" } else { "Sender" };
    let message = match failure {
        Failure::Refused(refusal) => refusal.message.as_str(),
        _ => "",
    };
    let body = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{kind}</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{request}</RequestId></ErrorResponse>",
        escape(code),
        escape(message),
    );
    Answer {
        status,
        word: Some(code.to_owned()),
        body: body.into(),
    }
}

/// Text between two tags.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> Result<Wish, Failure> {
        Form::of(body).read()
    }

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.body).unwrap()
    }

    #[test]
    fn a_form_without_a_target_is_meant() {
        let headers = |lines: &[(&'static str, &'static str)]| {
            let pairs = lines
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            pairs.collect::<HeaderMap>()
        };
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        assert!(is_meant(&headers(&[form])));
        assert!(!is_meant(&headers(&[form, ("x-amz-target", "AmazonSSM.ListCommands")])));
        assert!(!is_meant(&headers(&[("content-type", "application/x-amz-json-1.1")])));
        assert!(!is_meant(&HeaderMap::new()));
    }

    #[test]
    fn four_operations_of_one_version_are_known() {
        assert_eq!(
            read(b"Action=GetCallerIdentity&Version=2011-06-15").unwrap(),
            Wish::Identity
        );
        assert_eq!(
            read(b"Version=2011-06-15&Action=GetCallerIdentity").unwrap(),
            Wish::Identity
        );
        let session = |rest: &str| read(format!("Action=GetSessionToken&Version=2011-06-15{rest}").as_bytes());
        assert_eq!(session("").unwrap(), Wish::Session(43_200));
        assert_eq!(session("&DurationSeconds=900").unwrap(), Wish::Session(900));
        for rest in [
            "&DurationSeconds=899",
            "&DurationSeconds=43201",
            "&DurationSeconds=x",
            "&SerialNumber=a&TokenCode=1",
        ] {
            assert!(session(rest).is_err(), "{rest}");
        }
        for other in [
            &b""[..],
            b"Action=GetCallerIdentity",
            b"Action=AssumeRole&Version=2012-10-17",
            b"Action=GetFederationToken&Version=2011-06-15",
            b"Action=GetCallerIdentity&Version=2012-10-17",
            b"\xff=\xfe",
        ] {
            assert!(read(other).is_err());
        }
    }

    #[test]
    fn a_role_is_assumed_by_a_signature_or_a_token() {
        let form = |action: &str, rest: &str| {
            let body = format!("Action={action}&Version=2011-06-15{rest}");
            (Form::of(body.as_bytes()).is_unsigned(), read(body.as_bytes()))
        };
        let rest = "&RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2FOps&RoleSessionName=ann%2Bx";
        let (is_unsigned, wish) = form("AssumeRole", rest);
        let assume = Assume {
            role_arn: Some("arn:aws:iam::000000000000:role/Ops".to_owned()),
            name: Some("ann+x".to_owned()),
            seconds: 3_600,
            web_identity_token: None,
        };
        assert_eq!((is_unsigned, wish.unwrap()), (false, Wish::Assume(assume.clone())));
        let (is_unsigned, wish) = form("AssumeRoleWithWebIdentity", &format!("{rest}&WebIdentityToken=a.b.c"));
        let assume = Assume {
            web_identity_token: Some("a.b.c".to_owned()),
            ..assume
        };
        let wish = wish.unwrap();
        assert!(!format!("{wish:?}").contains("a.b.c"), "{wish:?}");
        assert_eq!((is_unsigned, wish), (true, Wish::Assume(assume)));
        // What would narrow a session is not there, and is not passed over.
        for bad in [
            "&Policy=%7B%7D",
            "&ExternalId=x",
            "&DurationSeconds=60",
            "&Tags.member.1.Key=a",
        ] {
            let (_, wish) = form("AssumeRole", &format!("{rest}{bad}"));
            assert!(wish.is_err(), "{bad}");
        }
        assert!(form("AssumeRoleWithWebIdentity", rest).1.is_err());
        assert!(form("AssumeRole", &format!("{rest}&WebIdentityToken=a.b.c")).1.is_err());
        // What needs no signature and what is done is the same, whatever else stands there.
        for (last, is_meant) in [("GetCallerIdentity", false), ("AssumeRoleWithWebIdentity", true)] {
            let (is_unsigned, _) = form("AssumeRoleWithWebIdentity", &format!("&Action={last}"));
            assert_eq!(is_unsigned, is_meant, "{last}");
        }
    }

    #[test]
    fn users_and_roles_have_an_id_and_an_account() {
        let of = |arn: &str| text(&identity(&Principal::new(arn).unwrap(), Uuid::nil())).to_owned();
        let user = of("arn:aws:iam::123456789012:user/a&b");
        assert!(
            user.contains("<Arn>arn:aws:iam::123456789012:user/a&amp;b</Arn>"),
            "{user}"
        );
        assert!(
            user.contains("<UserId>a&amp;b</UserId><Account>123456789012</Account>"),
            "{user}"
        );
        let role = of("arn:aws:sts::123456789012:assumed-role/Ops/ann");
        assert!(role.contains("<UserId>Ops:ann</UserId>"), "{role}");
    }

    #[test]
    fn who_is_not_believed_is_told_so_in_the_words_of_sts() {
        for (reason, code, status) in [
            (Reason::UnrecognizedClientException, "InvalidClientTokenId", 403),
            (Reason::InvalidSignatureException, "SignatureDoesNotMatch", 403),
            (
                Reason::MissingAuthenticationTokenException,
                "MissingAuthenticationToken",
                403,
            ),
            (Reason::ExpiredTokenException, "ExpiredToken", 403),
            (Reason::AccessDeniedException, "AccessDenied", 403),
            (Reason::IncompleteSignatureException, "IncompleteSignature", 400),
            (Reason::ValidationException, "ValidationError", 400),
            (Reason::InvalidIdentityToken, "InvalidIdentityToken", 400),
            (Reason::ThrottlingException, "Throttling", 400),
            (Reason::UnknownOperationException, "InvalidAction", 400),
        ] {
            let answer = failure(&Refusal::new(reason, "a < b").into(), Uuid::nil());
            assert_eq!((answer.code(), answer.status.as_u16()), (code, status));
            let text = text(&answer);
            assert!(
                text.contains(&format!("<Code>{code}</Code><Message>a &lt; b</Message>")),
                "{text}"
            );
        }
    }
}
