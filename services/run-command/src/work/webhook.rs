//! One POST to a webhook, over HTTP or HTTPS (rustls on ring, the machine's roots).

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Why a notification was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    /// The address cannot be used.
    #[error("the address has no {0}")]
    Address(&'static str),
    /// Nobody answers there.
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// TLS cannot be set up.
    #[error("cannot speak TLS")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// The host's name cannot be checked.
    #[error("the host's name cannot stand in a certificate")]
    Name,
    /// The exchange broke off.
    #[error("the exchange broke off")]
    Http(#[from] hyper::Error),
    /// The request cannot be made.
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
    /// The other side does not want it.
    #[error("answered with status {0}")]
    Status(u16),
    /// The other side takes too long.
    #[error("no answer in time")]
    Slow,
}

/// Sends a payload; anything but a status of 2xx is a failure, also a redirect.
pub(crate) async fn post(address: &Uri, id: &str, payload: String) -> Result<(), WebhookError> {
    let host = address.host().ok_or(WebhookError::Address("host"))?;
    let is_tls = address.scheme_str() == Some("https");
    let port = address.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((name, port)).await.map_err(WebhookError::Connect)?;
    let request = request(address, id, payload)?;
    if is_tls {
        let server = ServerName::try_from(name.to_owned()).map_err(|_| WebhookError::Name)?;
        let connector = TlsConnector::from(tls()?);
        let stream = connector.connect(server, stream).await.map_err(WebhookError::Connect)?;
        exchange(stream, request).await
    } else {
        exchange(stream, request).await
    }
}

fn request(address: &Uri, id: &str, payload: String) -> Result<http::Request<Full<Bytes>>, http::Error> {
    let path = address.path_and_query().map_or("/", |path| path.as_str());
    let host = address.authority().map_or("", |authority| authority.as_str());
    // Credentials in an address are not for the Host header.
    let host = host.rsplit('@').next().unwrap_or_default();
    http::Request::post(path)
        .header(http::header::HOST, host)
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::USER_AGENT, "muster")
        .header("Muster-Notification-Id", id)
        .body(Full::new(Bytes::from(payload)))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    request: http::Request<Full<Bytes>>,
) -> Result<(), WebhookError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = std::pin::pin!(connection);
    let response = tokio::select! {
        response = sender.send_request(request) => response?,
        ended = &mut connection => {
            ended?;
            return Err(WebhookError::Address("server that answers"));
        }
    };
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(WebhookError::Status(status.as_u16())),
    }
}

/// What all exchanges share; made at the first one.
fn tls() -> Result<Arc<ClientConfig>, WebhookError> {
    static SHARED: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(shared) = SHARED.get() {
        return Ok(Arc::clone(shared));
    }
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a root certificate of the machine cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(SHARED.get_or_init(|| Arc::new(config))))
}
