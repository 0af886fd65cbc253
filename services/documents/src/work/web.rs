//! Fetching from the web: http and https, and not from addresses that are refused.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use crate::domain::address;

/// Most redirects in a row.
const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);
/// A server that says nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Why something was not fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Miss {
    /// It may work the next time.
    Later(String),
    /// It will not.
    Never(String),
}

/// Content on its way.
pub(super) type Pieces = BoxStream<'static, Result<Bytes, Miss>>;

/// A client that keeps away from refused addresses, whatever a name means and wherever it is sent on to.
#[derive(Debug, Clone)]
pub(super) struct Web {
    client: Client,
    allows_local: bool,
}

/// An address that is refused. It is found again in what the client says.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "{host} is at an address that nothing is fetched from: loopback, link-local and metadata addresses are refused \
     unless fetch_from_local_addresses is set"
)]
struct Refused {
    host: String,
}

impl Web {
    pub(super) fn new(allows_local: bool) -> Result<Self, reqwest::Error> {
        let redirects = Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS {
                return attempt.error("too many redirects");
            }
            match refuse(attempt.url(), allows_local) {
                Some(refused) => attempt.error(refused),
                None => attempt.follow(),
            }
        });
        let client = Client::builder()
            .user_agent(concat!("muster-documents/", env!("CARGO_PKG_VERSION")))
            // A proxy would resolve the names, and reach what we do not.
            .no_proxy()
            .dns_resolver(std::sync::Arc::new(Resolver { allows_local }))
            .redirect(redirects)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()?;
        Ok(Self { client, allows_local })
    }

    /// Opens what a URL names.
    pub(super) async fn open(&self, url: &str) -> Result<Pieces, Miss> {
        let url: Url = url.parse().map_err(|_| Miss::Never("its URL is none".to_owned()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Miss::Never(format!("files are not fetched by {}", url.scheme())));
        }
        if let Some(refused) = refuse(&url, self.allows_local) {
            return Err(Miss::Never(refused.to_string()));
        }
        let answer = self.client.get(url).send().await.map_err(miss)?;
        match answer.status() {
            status if status.is_success() => Ok(answer.bytes_stream().map_err(miss).boxed()),
            status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => {
                Err(Miss::Later(format!("the server answers {status}")))
            }
            status if status.is_server_error() => Err(Miss::Later(format!("the server answers {status}"))),
            status => Err(Miss::Never(format!("the server answers {status}"))),
        }
    }
}

/// Whether a URL names a refused address itself.
fn refuse(url: &Url, allows_local: bool) -> Option<Refused> {
    let host = url.host_str()?;
    let address: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
    (!allows_local && address::is_refused(address)).then(|| Refused { host: host.to_owned() })
}

/// What the client says, without the URL, which may hold a secret.
fn miss(error: reqwest::Error) -> Miss {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    loop {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return Miss::Never(refused.to_string());
        }
        match cause.source() {
            Some(deeper) => cause = deeper,
            None if error.is_redirect() => return Miss::Never(cause.to_string()),
            None => return Miss::Later(cause.to_string()),
        }
    }
}

#[derive(Debug)]
struct Resolver {
    allows_local: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allows_local = self.allows_local;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let count = found.len();
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| allows_local || !address::is_refused(address.ip()))
                .collect();
            if allowed.is_empty() && count > 0 {
                return Err(Refused { host }.into());
            }
            Ok::<Addrs, _>(Box::new(allowed.into_iter()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(url: &str) -> String {
        match Web::new(false).unwrap().open(url).await {
            Err(Miss::Never(why)) => why,
            Err(Miss::Later(why)) => panic!("{url} would be tried again: {why}"),
            Ok(_) => panic!("{url} was fetched"),
        }
    }

    #[tokio::test]
    async fn ones_own_machine_is_refused_by_number_and_by_name() {
        for url in [
            "http://127.0.0.1:1/x",
            "http://2130706433/x",
            "http://[::1]:1/x",
            "http://[::ffff:7f00:1]/x",
            "http://169.254.169.254/latest/meta-data/",
            "http://localhost:1/x",
        ] {
            let why = refused(url).await;
            assert!(why.contains("fetch_from_local_addresses"), "{url}: {why}");
        }
        assert!(refused("file:///etc/passwd").await.contains("file"));
    }

    #[tokio::test]
    async fn where_it_is_allowed_a_server_that_is_not_there_is_tried_again() {
        let outcome = Web::new(true).unwrap().open("http://127.0.0.1:1/x?secret").await;
        let Err(Miss::Later(why)) = outcome else {
            panic!("nobody is there");
        };
        assert!(!why.contains("secret"), "{why}");
    }
}
