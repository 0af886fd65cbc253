//! A caller that writes HTTP by hand, so that nothing is put right on the way.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::signer::{AccessKey, sign};

const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/ssm/aws4_request, \
                             SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=00ff";

/// A request before it is sent.
#[derive(Clone)]
pub(crate) struct Call {
    start: String,
    host: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Call {
    /// A request with no headers but those that HTTP wants.
    pub(crate) fn bare(method: &str, path: &str) -> Self {
        Self {
            start: format!("{method} {path} HTTP/1.1"),
            host: None,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A request as the real clients send it.
    pub(crate) fn of(operation: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::bare("POST", "/")
            .with("X-Amz-Target", &format!("AmazonSSM.{operation}"))
            .with("Content-Type", "application/x-amz-json-1.1")
            .with("X-Amz-Date", "20260101T000000Z")
            .with("Authorization", AUTHORIZATION)
            .body(body)
    }

    /// A request of somebody who has no credentials.
    pub(crate) fn unsigned(operation: &str, body: &str) -> Self {
        Self::of(operation, body).without("Authorization").without("X-Amz-Date")
    }

    /// With this header instead of one of the same name.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        let mut call = self.without(name);
        call.headers.push((name.to_owned(), value.to_owned()));
        call
    }

    /// With this header beside those of the same name.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Signed for that address, at that moment, by another hand than the gateway's.
    pub(crate) fn signed(self, to: SocketAddr, key: &AccessKey, at: Timestamp) -> Self {
        let mut call = self.without("Authorization").without("X-Amz-Date");
        let mut words = call.start.split(' ');
        let method = words.next().unwrap_or_default();
        let url = format!("http://{to}{}", words.next().unwrap_or_default());
        let host = call.host.clone().unwrap_or_else(|| to.to_string());
        let mut headers = call.headers.clone();
        headers.push(("Host".to_owned(), host));
        let more = sign(key, at, method, &url, &headers, &call.body);
        call.headers.extend(more);
        call
    }

    /// Signed, or to be signed, for this host.
    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) async fn send(&self, to: SocketAddr) -> Reply {
        self.send_with_pause(to, async || {}).await
    }

    /// Sends no body, and waits for the answer.
    pub(crate) async fn send_head(&self, to: SocketAddr) -> Reply {
        self.send_parts(to, async || {}, &[]).await
    }

    /// With something else between the head and the body.
    pub(crate) async fn send_with_pause(&self, to: SocketAddr, pause: impl AsyncFnOnce()) -> Reply {
        self.send_parts(to, pause, &self.body).await
    }

    async fn send_parts(&self, to: SocketAddr, pause: impl AsyncFnOnce(), body: &[u8]) -> Reply {
        let host = self.host.clone().unwrap_or_else(|| to.to_string());
        let mut text = format!("{}\r\nHost: {host}\r\nConnection: close\r\n", self.start);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut stream = TcpStream::connect(to).await.expect("the gateway listens");
        stream.write_all(text.as_bytes()).await.expect("the gateway reads");
        pause().await;
        stream.write_all(body).await.expect("the gateway reads the whole body");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("the gateway answers");
        Reply::read(&answer)
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Reply {
    fn read(answer: &[u8]) -> Self {
        let answer = String::from_utf8(answer.to_vec()).expect("text");
        let (head, text) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        Self {
            status: status.parse().expect("a number"),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            text: text.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().filter(|(known, _)| known == name);
        let found = all.next().map(|(_, value)| value.as_str());
        assert!(all.next().is_none(), "{name} stands there twice");
        found
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The error word and the text, wherever it stands.
    pub(crate) fn error(&self) -> (String, String) {
        let json = self.json();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(self.header("x-amzn-errortype"), json["__type"].as_str());
        (text("__type"), text("message") + &text("Message"))
    }
}
