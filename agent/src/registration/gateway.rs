//! Registration over HTTPS at the gateway (fleet 9, step 5), for sites where a machine cannot reach the bus without
//! credentials, or does not know where it is.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use muster_proto::fleet::v1::{RegisterManagedInstanceRequest, RegisterManagedInstanceResult};
use muster_proto::pool;
use muster_wire::{aws_json, is_loopback};
use prost::Message;
use prost_reflect::DynamicMessage;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, StatusCode, Url};
use serde::Deserialize;

use super::door::Trouble;

const TARGET: &str = "AmazonSSM.RegisterManagedInstance";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);
/// Longest answer, in bytes.
const LONGEST_ANSWER: usize = 256 * 1024;

/// A URL that is no gateway's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is no URL at all.
    #[error("{0:?} is no URL: https://host, or http://127.0.0.1:8686 for a gateway on this machine")]
    Malformed(String),
    /// The code of the activation would be sent in clear.
    #[error(
        "{0} is not encrypted, and the activation's code would be sent over the network in clear: use https, or give \
         --insecure if the network is private in itself"
    )]
    InClear(String),
}

/// Where a gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayUrl(Url);

impl GatewayUrl {
    /// Reads a URL. Without encryption only the machine itself is a gateway's, unless `is_insecure`.
    ///
    /// # Errors
    /// If the text is none, or the way there is not encrypted.
    pub fn parse(text: &str, is_insecure: bool) -> Result<Self, UrlError> {
        let malformed = || UrlError::Malformed(text.to_owned());
        let url: Url = text.parse().map_err(|_| malformed())?;
        let host = url.host_str().ok_or_else(malformed)?;
        match url.scheme() {
            "https" => {}
            "http" if is_insecure || is_loopback(host) => {}
            "http" => return Err(UrlError::InClear(text.to_owned())),
            _ => return Err(malformed()),
        }
        Ok(Self(url))
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A gateway to ask.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    url: Url,
    client: Client,
}

impl Gateway {
    /// A gateway whose certificate is trusted by the system's authorities, or that in the file `ca` (PEM) where it is
    /// not empty.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no certificate.
    pub(crate) fn at(url: &GatewayUrl, ca: &Path) -> io::Result<Self> {
        let mut client = Client::builder()
            .user_agent(concat!("muster-agent/", env!("CARGO_PKG_VERSION")))
            // Whoever is sent elsewhere must not take the code there.
            .redirect(Policy::none())
            .timeout(ANSWER);
        if !ca.as_os_str().is_empty() {
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", ca.display()));
            for certificate in Certificate::from_pem_bundle(&std::fs::read(ca)?).map_err(invalid)? {
                client = client.add_root_certificate(certificate);
            }
        }
        Ok(Self {
            url: url.0.clone(),
            client: client.build().map_err(io::Error::other)?,
        })
    }

    pub(super) async fn ask(
        &self,
        question: &RegisterManagedInstanceRequest,
    ) -> Result<RegisterManagedInstanceResult, Trouble> {
        let sent = self
            .client
            .post(self.url.clone())
            .header("content-type", CONTENT_TYPE)
            .header("x-amz-target", TARGET)
            .body(to_json(question)?)
            .send()
            .await;
        let answer = sent.map_err(|error| Trouble::Passing(chain(&error)))?;
        let status = answer.status();
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(|error| Trouble::Passing(chain(&error)))?);
            if body.len() > LONGEST_ANSWER {
                return Err(Trouble::Passing(
                    "the answer is too long to be the gateway's".to_owned(),
                ));
            }
        }
        match status {
            StatusCode::OK => of_json(&body),
            _ => Err(refusal(status, &body)),
        }
    }
}

/// What a body says that is no answer.
fn refusal(status: StatusCode, body: &[u8]) -> Trouble {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "__type")]
        word: String,
        #[serde(default, alias = "Message")]
        message: String,
    }
    let Ok(Body { word, message }) = serde_json::from_slice(body) else {
        // Something on the way answers, or it is no gateway.
        return Trouble::Passing(format!("the gateway answers with status {status}"));
    };
    let text = match message.as_str() {
        "" => word.clone(),
        _ => message,
    };
    match status.is_client_error() && word != "ThrottlingException" {
        true => Trouble::Final(text),
        false => Trouble::Passing(text),
    }
}

fn to_json(question: &RegisterManagedInstanceRequest) -> Result<Vec<u8>, Trouble> {
    let descriptor = pool()
        .get_message_by_name("muster.fleet.v1.RegisterManagedInstanceRequest")
        .ok_or_else(strange)?;
    let message = DynamicMessage::decode(descriptor, question.encode_to_vec().as_slice()).map_err(|_| strange())?;
    Ok(aws_json::encode(&message))
}

fn of_json(body: &[u8]) -> Result<RegisterManagedInstanceResult, Trouble> {
    let descriptor = pool()
        .get_message_by_name("muster.fleet.v1.RegisterManagedInstanceResult")
        .ok_or_else(strange)?;
    let decoded = aws_json::decode(body, descriptor).map_err(|_| strange())?;
    RegisterManagedInstanceResult::decode(decoded.message.encode_to_vec().as_slice()).map_err(|_| strange())
}

fn strange() -> Trouble {
    Trouble::Passing("the answer is not understood".to_owned())
}

/// An error with its causes; the URL in it holds no secret.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_without_encryption() {
        for good in [
            "https://muster.example",
            "http://127.0.0.1:8686",
            "http://[::1]:8686/",
            "http://localhost",
        ] {
            assert!(GatewayUrl::parse(good, false).is_ok(), "{good}");
        }
        for bad in [
            "http://muster.example",
            "http://10.0.0.1:8686",
            "http://127.0.0.1.example",
        ] {
            assert_eq!(GatewayUrl::parse(bad, false), Err(UrlError::InClear(bad.to_owned())));
            assert!(GatewayUrl::parse(bad, true).is_ok());
        }
        for bad in ["", "muster.example", "nats://127.0.0.1:4222", "https://"] {
            assert_eq!(
                GatewayUrl::parse(bad, true),
                Err(UrlError::Malformed(bad.to_owned())),
                "{bad}"
            );
        }
    }

    #[test]
    fn questions_and_answers_survive_json() {
        let question = RegisterManagedInstanceRequest {
            activation_id: Some("id".to_owned()),
            proof: Some(vec![0, 1, 255]),
            proof_time: Some(1_800_000_000),
            attributes: [("mac".to_owned(), "ab".to_owned())].into(),
            ..RegisterManagedInstanceRequest::default()
        };
        let json: serde_json::Value = serde_json::from_slice(&to_json(&question).unwrap()).unwrap();
        let expected = serde_json::json!({
            "ActivationId": "id", "Proof": "AAH/", "ProofTime": 1_800_000_000, "Attributes": {"mac": "ab"}
        });
        assert_eq!(json, expected);
        let answer =
            of_json(br#"{"InstanceId":"mi-1","ServiceTime":1800000000.5,"Servers":"tls://a,tls://b"}"#).unwrap();
        assert_eq!((answer.instance_id(), answer.servers()), ("mi-1", "tls://a,tls://b"));
        assert_eq!(answer.service_time.unwrap().seconds, 1_800_000_000);
    }

    #[test]
    fn what_a_person_must_mend_is_told_from_what_passes() {
        let read = |status: u16, body: &str| refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        let denied = read(400, r#"{"__type":"InvalidActivation","Message":"no"}"#);
        assert!(matches!(denied, Trouble::Final(text) if text == "no"));
        for (status, body) in [
            (400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#),
            (
                503,
                r#"{"__type":"ServiceUnavailable","message":"Registrar is unavailable"}"#,
            ),
            (502, "<html>bad gateway</html>"),
            (404, "not here"),
        ] {
            assert!(matches!(read(status, body), Trouble::Passing(_)), "{status} {body}");
        }
    }
}
