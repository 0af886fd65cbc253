//! One exchange with a server of somebody else, over HTTP or HTTPS (rustls on ring, the machine's roots).

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use muster_boot::BoxError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
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
    /// The answer breaks off, or is too long.
    #[error("the answer cannot be read")]
    Body(#[source] BoxError),
    /// The other side takes too long.
    #[error("no answer in time")]
    Slow,
}

/// Sends a request to `address` and reads the answer, of at most `most` bytes; with 0 nothing is read. Anything but a
/// status of 2xx is a failure, also a redirect.
pub(crate) async fn ask(
    address: &Uri,
    request: http::request::Builder,
    body: String,
    most: usize,
) -> Result<Bytes, WebError> {
    let host = address.host().ok_or(WebError::Address("host"))?;
    let is_tls = address.scheme_str() == Some("https");
    let port = address.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let authority = address.authority().map_or("", |authority| authority.as_str());
    // Credentials in an address are not for the Host header.
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let request = request
        .uri(address.path_and_query().map_or("/", |path| path.as_str()))
        .header(http::header::HOST, authority)
        .header(http::header::USER_AGENT, "muster")
        .body(Full::new(Bytes::from(body)))?;
    let stream = TcpStream::connect((name, port)).await.map_err(WebError::Connect)?;
    if is_tls {
        let server = ServerName::try_from(name.to_owned()).map_err(|_| WebError::Name)?;
        let connector = TlsConnector::from(tls()?);
        let stream = connector.connect(server, stream).await.map_err(WebError::Connect)?;
        exchange(stream, request, most).await
    } else {
        exchange(stream, request, most).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    request: http::Request<Full<Bytes>>,
    most: usize,
) -> Result<Bytes, WebError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(async {
        let response = sender.send_request(request).await?;
        if !response.status().is_success() {
            return Err(WebError::Status(response.status().as_u16()));
        }
        if most == 0 {
            return Ok(Bytes::new());
        }
        let body = Limited::new(response.into_body(), most).collect().await;
        body.map(|body| body.to_bytes()).map_err(WebError::Body)
    });
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended?;
            // What had arrived by then can still be read.
            answer.await
        }
    }
}

/// What all exchanges share; made at the first one.
fn tls() -> Result<Arc<ClientConfig>, WebError> {
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
