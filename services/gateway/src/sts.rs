//! Two operations of STS (aws-json-gateway 6): `GetCallerIdentity`, which SDKs, scripts and Terraform ask first ("who am I?"),
//! and `GetSessionToken`, a temporary access key for whoever has one that is not.
//!
//! They come in another protocol than everything else here: a form in, XML out. Any caller may ask. Pure.

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
/// How long a session may be, in seconds.
const SHORTEST: i64 = 900;
const LONGEST: i64 = 43_200;

/// What a form asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Who its caller is.
    Identity,
    /// A temporary access key for so many seconds.
    Session(i64),
}

impl Wish {
    /// The operation's name.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Identity => IDENTITY,
            Self::Session(_) => SESSION,
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

/// Finds out what the form asks for.
///
/// # Errors
/// `UnknownOperationException` if it is nothing that is here, `ValidationException` if a session cannot be so long or would
/// need a device of its caller.
pub(crate) fn read(body: &[u8]) -> Result<Wish, Failure> {
    // No value that is meant has a character that a form would write in another way.
    let value = |name: &str| {
        let mut all = body.split(|byte| *byte == b'&');
        all.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    };
    let is_version = value("Version") == Some(VERSION.as_bytes());
    match value("Action") {
        Some(action) if is_version && action == IDENTITY.as_bytes() => Ok(Wish::Identity),
        Some(action) if is_version && action == SESSION.as_bytes() => {
            if value("SerialNumber").is_some() || value("TokenCode").is_some() {
                let text =
                    "there are no devices here that a session could ask for: leave SerialNumber and TokenCode out";
                return Err(Refusal::validation(text).into());
            }
            let seconds = match value("DurationSeconds") {
                None => Some(LONGEST),
                Some(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            };
            let seconds = seconds.filter(|seconds| (SHORTEST..=LONGEST).contains(seconds));
            let text = format!("DurationSeconds is a number from {SHORTEST} to {LONGEST}");
            seconds
                .map(Wish::Session)
                .ok_or_else(|| Refusal::validation(text).into())
        }
        _ => {
            let text = format!("Of STS there are only {IDENTITY} and {SESSION} of version {VERSION} here.");
            Err(Refusal::new(Reason::UnknownOperationException, text).into())
        }
    }
}

/// A temporary access key that was made.
pub(crate) fn session(made: &IssueSessionResult, request: Uuid) -> Answer {
    let until = Timestamp::from_second(made.until()).unwrap_or(Timestamp::UNIX_EPOCH);
    let body = format!(
        "<{SESSION}Response xmlns=\"{NAMESPACE}\"><{SESSION}Result><Credentials><AccessKeyId>{}</AccessKeyId>\
         <SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>{until}</Expiration></Credentials>\
         </{SESSION}Result><ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></{SESSION}Response>",
        escape(made.access_key_id()),
        escape(made.secret_access_key()),
        escape(made.session_token()),
    );
    Answer::success(body.into())
}

/// Who a caller is. What AWS has as a unique id is the name here: names are not given away again while anything
/// refers to them.
pub(crate) fn identity(principal: &Principal, request: Uuid) -> Answer {
    let arn = principal.as_str();
    let mut parts = arn.splitn(6, ':');
    let account = parts.nth(4).unwrap_or_default();
    // `user/ann` or `assumed-role/Role/session`.
    let resource = parts.next().unwrap_or_default();
    let id = resource
        .split_once('/')
        .map_or(resource, |(_, name)| name)
        .replace('/', ":");
    let body = format!(
        "<{IDENTITY}Response xmlns=\"{NAMESPACE}\"><{IDENTITY}Result><Arn>{}</Arn><UserId>{}</UserId>\
         <Account>{}</Account></{IDENTITY}Result><ResponseMetadata><RequestId>{request}</RequestId>\
         </ResponseMetadata></{IDENTITY}Response>",
        escape(arn),
        escape(&id),
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
        other => other,
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let status = match code {
        "InvalidClientTokenId" | "SignatureDoesNotMatch" | "MissingAuthenticationToken" | "ExpiredToken" => {
            StatusCode::FORBIDDEN
        }
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
    fn two_operations_of_one_version_are_known() {
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
            b"Action=AssumeRole&Version=2011-06-15",
            b"Action=GetCallerIdentity&Version=2012-10-17",
            b"\xff=\xfe",
        ] {
            assert!(read(other).is_err());
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
