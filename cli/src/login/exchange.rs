//! A token for an access key: `AssumeRoleWithWebIdentity` of STS at the gateway.

use reqwest::Client;

use super::{away, body};
use crate::complaint::Complaint;

/// What is asked for.
pub(super) struct Wanted<'a> {
    pub(super) token: &'a str,
    pub(super) role: Option<&'a str>,
    pub(super) session_name: Option<&'a str>,
    pub(super) seconds: u32,
}

/// A temporary access key. It is printed or written where it was asked for, and nowhere else.
pub(super) struct Credentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) session_token: String,
    pub(super) until: String,
    pub(super) principal: String,
}

/// Changes a token for an access key.
pub(super) async fn exchange(http: &Client, gateway: &str, wanted: Wanted<'_>) -> Result<Credentials, Complaint> {
    let seconds = wanted.seconds.to_string();
    let mut form = vec![
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("WebIdentityToken", wanted.token),
        ("DurationSeconds", seconds.as_str()),
    ];
    form.extend(wanted.role.map(|role| ("RoleArn", role)));
    form.extend(wanted.session_name.map(|name| ("RoleSessionName", name)));
    let answer = http.post(gateway).form(&form).send().await;
    let answer = answer.map_err(|error| away(format!("the gateway at {gateway}"), error))?;
    let is_success = answer.status().is_success();
    let text = body(answer, gateway).await?;
    let text = String::from_utf8_lossy(&text);
    match is_success {
        true => read(&text).ok_or_else(|| away(gateway, "its answer is not understood: is it a gateway of Muster?")),
        false => Err(refused(gateway, &text)),
    }
}

fn read(text: &str) -> Option<Credentials> {
    Some(Credentials {
        access_key_id: member(text, "AccessKeyId")?,
        secret_access_key: member(text, "SecretAccessKey")?,
        session_token: member(text, "SessionToken")?,
        until: member(text, "Expiration")?,
        principal: member(text, "Arn")?,
    })
}

fn refused(gateway: &str, text: &str) -> Complaint {
    match (member(text, "Code"), member(text, "Message")) {
        (Some(code), Some(message)) => Complaint::Usage {
            what: format!("{code}: {message}"),
            hint: match code.as_str() {
                "InvalidIdentityToken" => {
                    "an administrator says in the settings of access whose tokens are believed, and makes the users"
                        .to_owned()
                }
                _ => String::new(),
            },
        },
        _ => away(gateway, "it refuses, and does not say why: is it a gateway of Muster?"),
    }
}

/// The text between two tags; none of those that are read stands within another of its name.
fn member(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    Some(value.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_a_refusal_said() {
        let text = "<R><Credentials><AccessKeyId>MSIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>k.t</SessionToken>\
            <Expiration>2026-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:iam::1:user/a&amp;b</Arn>\
            </AssumedRoleUser></R>";
        let read = read(text).unwrap();
        assert_eq!(
            (read.access_key_id.as_str(), read.principal.as_str()),
            ("MSIA", "arn:aws:iam::1:user/a&b")
        );
        let text =
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no &lt;b&gt;</Message></Error></ErrorResponse>";
        assert!(refused("http://g", text).line().starts_with("AccessDenied: no <b>"));
        assert!(refused("http://g", "<html>").line().contains("is it a gateway"));
    }
}
