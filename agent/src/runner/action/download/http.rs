//! `HTTP`: one file by its URL.

use std::time::Duration;

use digest_auth::{AuthContext, HttpMethod};
use futures::StreamExt;
use reqwest::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use super::place::{Draft, Place};
use super::{Bench, Info, Trouble};

/// Most redirects in a row.
const REDIRECTS: usize = 10;
const CONNECT: Duration = Duration::from_secs(30);
/// A server that says nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// How the server learns who asks. Not to be printed.
enum Login {
    Nobody,
    Basic(String, String),
    Digest(String, String),
}

/// Downloads; what to say about it.
pub(super) fn download(bench: &mut Bench<'_, '_>, info: &Info, place: &Place, limit: u64) -> Result<String, Trouble> {
    let url: Url = info
        .required("url")?
        .parse()
        .map_err(|_| Trouble::NeverRan("url is no URL".to_owned()))?;
    let is_insecure = info.switch("allowInsecureDownload")?;
    match url.scheme() {
        "https" => {}
        "http" if is_insecure => {}
        "http" => {
            return Err(Trouble::NeverRan(
                "the URL is not encrypted: use https, or set allowInsecureDownload to true".to_owned(),
            ));
        }
        _ => return Err(Trouble::NeverRan("the URL is neither http nor https".to_owned())),
    }
    let login = login(info)?;
    let target = place.file(&file_name(&url));
    let shown = shown(&url);
    let bytes = bench
        .block_on(fetch(url, login, is_insecure, place, target.clone(), limit))?
        .map_err(|why| Trouble::Failed(format!("cannot download {shown}: {why}")))?;
    Ok(format!(
        "downloaded {shown} ({bytes} bytes) to {}",
        place.shown(&target).display()
    ))
}

fn login(info: &Info) -> Result<Login, Trouble> {
    let pair = || Ok::<_, Trouble>((info.required("username")?, info.text("password").unwrap_or_default()));
    match info.text("authMethod").as_deref() {
        None | Some("None") => Ok(Login::Nobody),
        Some("Basic") => pair().map(|(name, password)| Login::Basic(name, password)),
        Some("Digest") => pair().map(|(name, password)| Login::Digest(name, password)),
        Some(_) => Err(Trouble::NeverRan(
            "authMethod is none of None, Basic and Digest".to_owned(),
        )),
    }
}

async fn fetch(
    url: Url,
    login: Login,
    is_insecure: bool,
    place: &Place,
    target: std::path::PathBuf,
    limit: u64,
) -> Result<u64, String> {
    let redirects = Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            attempt.error("too many redirects")
        } else if attempt.url().scheme() != "https" && !is_insecure {
            attempt.error("a redirect leads to a URL that is not encrypted")
        } else {
            attempt.follow()
        }
    });
    let client = Client::builder()
        .user_agent(concat!("muster-agent/", env!("CARGO_PKG_VERSION")))
        .redirect(redirects)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .build()
        .map_err(plain)?;
    let answer = ask(&client, &url, &login).await?;
    if !answer.status().is_success() {
        return Err(format!("the server answers {}", answer.status()));
    }
    if answer.content_length().is_some_and(|length| length > limit) {
        return Err(super::too_large(limit));
    }
    let mut draft = Draft::begin(place, target, limit)?;
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        draft.write(&piece.map_err(plain)?)?;
    }
    draft.finish()
}

async fn ask(client: &Client, url: &Url, login: &Login) -> Result<Response, String> {
    let request = client.get(url.clone());
    match login {
        Login::Nobody => request.send().await.map_err(plain),
        Login::Basic(name, password) => request.basic_auth(name, Some(password)).send().await.map_err(plain),
        Login::Digest(name, password) => {
            let answer = request.send().await.map_err(plain)?;
            if answer.status() != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            // The server that redirected us here is not the one that we have a password for.
            if answer.url().host_str() != url.host_str() {
                return Err("another server than the one asked wants a password".to_owned());
            }
            let at = answer.url().clone();
            let response = digest(&answer, &at, name, password)?;
            client
                .get(at)
                .header(AUTHORIZATION, response)
                .send()
                .await
                .map_err(plain)
        }
    }
}

/// The answer to a server's challenge.
fn digest(answer: &Response, url: &Url, name: &str, password: &str) -> Result<HeaderValue, String> {
    let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    let mut challenge = challenges
        .filter_map(|value| value.to_str().ok())
        .find_map(|text| digest_auth::parse(text).ok())
        .ok_or("the server does not offer Digest authentication")?;
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let context = AuthContext::new_with_method(name, password, path, None::<&[u8]>, HttpMethod::GET);
    let response = challenge
        .respond(&context)
        .map_err(|_| "the server's challenge is not understood")?;
    let mut header = HeaderValue::from_str(&response.to_string()).map_err(|_| "the user name does not fit a header")?;
    header.set_sensitive(true);
    Ok(header)
}

/// An error without its URL, which may hold a secret.
fn plain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The last segment of the path.
fn file_name(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut segments| segments.next_back());
    match last {
        None | Some("" | "." | "..") => "download".to_owned(),
        Some(name) => name.to_owned(),
    }
}

/// A URL as it may be shown: what follows the path, and who asks, may be secret.
fn shown(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!(
        "{}://{}{port}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_a_name_and_keeps_its_secrets() {
        let url: Url = "https://me:secret@example.org:8443/a/run.sh?token=secret#x"
            .parse()
            .unwrap();
        assert_eq!(file_name(&url), "run.sh");
        assert_eq!(shown(&url), "https://example.org:8443/a/run.sh");
        assert_eq!(file_name(&"https://example.org/".parse().unwrap()), "download");
        assert_eq!(file_name(&"https://example.org".parse().unwrap()), "download");
    }
}
