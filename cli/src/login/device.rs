//! A token for who confirms a code in a browser, perhaps on another machine: the device flow of OAuth 2 (RFC 8628).

use std::time::{Duration, Instant};

use reqwest::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{away, body};
use crate::complaint::Complaint;
use crate::print;

/// The kind of a token that a confirmed code is changed for.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Seconds between two questions unless the provider says otherwise; how many more it may ask for at once.
const INTERVAL: u64 = 5;
const SLOWER: u64 = 5;

#[derive(Deserialize)]
struct Discovery {
    device_authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
}

#[derive(Deserialize)]
struct Begun {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Answer {
    id_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Asks the person at the terminal to confirm a code, and waits until that has been done.
pub(super) async fn token(http: &Client, issuer: &str, client_id: &str, scope: &str) -> Result<String, Complaint> {
    let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let answer = http.get(&place).send().await.map_err(|error| away(&place, error))?;
    let discovery: Discovery = read(answer, &place).await?;
    let (Some(begin), Some(end)) = (discovery.device_authorization_endpoint, discovery.token_endpoint) else {
        let why = "it has no device flow: get a token elsewhere, and give it with --token-file";
        return Err(away(issuer, why));
    };
    let scope = format!("openid {scope}");
    let form = [("client_id", client_id), ("scope", scope.trim())];
    let answer = http
        .post(&begin)
        .form(&form)
        .send()
        .await
        .map_err(|error| away(&begin, error))?;
    let begun: Begun = read(answer, &begin).await?;
    let page = begun
        .verification_uri_complete
        .as_ref()
        .unwrap_or(&begun.verification_uri);
    print::say(&format!("open {page} and confirm the code {}", begun.user_code));
    let deadline = Instant::now() + Duration::from_secs(begun.expires_in);
    let mut interval = begun.interval.unwrap_or(INTERVAL);
    loop {
        tokio::time::sleep(Duration::from_secs(interval)).await;
        if Instant::now() >= deadline {
            return Err(away(issuer, "the code was not confirmed in time"));
        }
        let form = [
            ("grant_type", GRANT),
            ("device_code", begun.device_code.as_str()),
            ("client_id", client_id),
        ];
        let answer = http
            .post(&end)
            .form(&form)
            .send()
            .await
            .map_err(|error| away(&end, error))?;
        let answer: Answer = serde_json::from_slice(&body(answer, &end).await?).map_err(|error| away(&end, error))?;
        match (answer.id_token, answer.error.as_deref()) {
            (Some(token), None) => return Ok(token),
            (None, None) => return Err(away(&end, "it gives no id token")),
            (_, Some("authorization_pending")) => {}
            (_, Some("slow_down")) => interval += SLOWER,
            (_, Some(error)) => {
                let why = answer.error_description.unwrap_or_default();
                return Err(away(issuer, format!("{error}: {why}").trim_end_matches([' ', ':'])));
            }
        }
    }
}

async fn read<T: DeserializeOwned>(answer: reqwest::Response, place: &str) -> Result<T, Complaint> {
    let status = answer.status();
    let text = body(answer, place).await?;
    match status.is_success() {
        true => serde_json::from_slice(&text).map_err(|error| away(place, error)),
        false => Err(away(place, format!("it answers {status}: {}", brief(&text)))),
    }
}

/// The beginning of an answer that is none, as one line.
fn brief(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}
