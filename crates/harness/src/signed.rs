//! AWS JSON with signatures, without the weight of the real command line: for tests that make hundreds of calls.

use hmac::{Hmac, Mac as _};
use muster_model::{Clock as _, SystemClock};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const REGION: &str = "us-east-1";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// A caller with an access key.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Address and port of the gateway.
    address: String,
    access_key: String,
    secret: String,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body; null if it is no JSON.
    pub json: Value,
}

impl Reply {
    /// The error word; empty if it is none.
    #[must_use]
    pub fn word(&self) -> &str {
        self.json["__type"].as_str().unwrap_or_default()
    }

    /// The error's text, under whichever name.
    #[must_use]
    pub fn text(&self) -> &str {
        let text = self.json["message"].as_str().or(self.json["Message"].as_str());
        text.unwrap_or_default()
    }
}

impl Signed {
    /// Calls this gateway, `http://127.0.0.1:8686`, with an access key.
    #[must_use]
    pub fn new(gateway: &str, access_key: &str, secret: &str) -> Self {
        Self {
            address: gateway.trim_start_matches("http://").to_owned(),
            access_key: access_key.to_owned(),
            secret: secret.to_owned(),
        }
    }

    /// Calls an operation.
    ///
    /// # Panics
    /// If the gateway cannot be reached, or answers no HTTP.
    pub async fn call(&self, operation: &str, body: &str) -> Reply {
        let request = self.request(operation, body);
        let mut stream = TcpStream::connect(&self.address).await.expect("the gateway listens");
        stream.write_all(request.as_bytes()).await.expect("the gateway reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the gateway answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Reply {
            status: status.expect("an answer has a status"),
            json: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }

    /// The headers of a call besides those of HTTP itself, with its signature.
    #[must_use]
    pub fn headers(&self, operation: &str, body: &str) -> [(&'static str, String); 5] {
        let time = SystemClock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &time[..8];
        let (host, target) = (&self.address, format!("AmazonSSM.{operation}"));
        let signed = "content-type;host;x-amz-date;x-amz-target";
        let hash = hex::encode(Sha256::digest(body));
        let canonical = format!(
            "POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\nx-amz-date:{time}\nx-amz-target:{target}\n\n{signed}\n{hash}"
        );
        let scope = format!("{day}/{REGION}/ssm/aws4_request");
        let canonical = hex::encode(Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}");
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [day, REGION, "ssm", "aws4_request"] {
            key = mac(&key, part);
        }
        let signature = hex::encode(mac(&key, &text));
        let credential = format!("{}/{scope}", self.access_key);
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}");
        [
            ("host", host.clone()),
            ("content-type", CONTENT_TYPE.to_owned()),
            ("x-amz-date", time),
            ("x-amz-target", target),
            ("authorization", authorization),
        ]
    }

    fn request(&self, operation: &str, body: &str) -> String {
        let headers = self.headers(operation, body);
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let length = body.len();
        format!("POST / HTTP/1.1\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
