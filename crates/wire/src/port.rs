//! A bound port, in clear or with TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

/// Longest time for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long is waited when the system gives no more connections.
const BREATH: Duration = Duration::from_secs(1);
/// Handshakes under way at once; whoever comes then waits to be heard.
const MOST_HANDSHAKES: usize = 1024;

/// A bound port. With TLS nobody who is slow keeps others from coming in.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    tls: Option<Handshakes>,
}

struct Handshakes {
    acceptor: TlsAcceptor,
    under_way: JoinSet<Option<(Stream, Peer)>>,
}

impl std::fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handshakes({})", self.under_way.len())
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether nobody on the way can read or change what is said.
    pub is_encrypted: bool,
    /// The common name in the certificate that it came in with, which an authority of ours has signed.
    pub certified: Option<Arc<str>>,
}

impl From<TcpListener> for Port {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }
}

impl Port {
    /// The same port, that speaks TLS only.
    #[must_use]
    pub fn encrypted(self, config: Arc<ServerConfig>) -> Self {
        let tls = Handshakes {
            acceptor: TlsAcceptor::from(config),
            under_way: JoinSet::new(),
        };
        Self { tls: Some(tls), ..self }
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Its address.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Port {
    /// The next connection. May be given up while it waits: nobody who came is lost.
    pub(crate) async fn accept(&mut self) -> (Stream, Peer) {
        loop {
            let Some(Handshakes { acceptor, under_way }) = &mut self.tls else {
                let (stream, address) = next(&self.listener).await;
                return (Stream::Clear(at_once(stream)), peer(address, false, None));
            };
            tokio::select! {
                Some(done) = under_way.join_next(), if !under_way.is_empty() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
                (stream, address) = next(&self.listener), if under_way.len() < MOST_HANDSHAKES => {
                    let handshake = acceptor.accept(at_once(stream));
                    under_way.spawn(async move {
                        let done = tokio::time::timeout(HANDSHAKE, handshake).await.ok()?;
                        match done {
                            Ok(stream) => {
                                let certified = certified(&stream);
                                Some((Stream::Encrypted(Box::new(stream)), peer(address, true, certified)))
                            }
                            Err(error) => {
                                tracing::debug!(%address, %error, "a handshake failed");
                                None
                            }
                        }
                    });
                }
            }
        }
    }
}

async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // Somebody who came is gone again.
            Err(error) if is_of_the_other_end(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken: is there a limit of open files?");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

fn is_of_the_other_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

fn peer(address: SocketAddr, is_encrypted: bool, certified: Option<Arc<str>>) -> Peer {
    Peer {
        address,
        is_encrypted,
        certified,
    }
}

/// The only common name in the certificate of the other side; the handshake has verified who signed it.
fn certified(stream: &TlsStream<TcpStream>) -> Option<Arc<str>> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut names = certificate.subject().iter_common_name();
    match (names.next(), names.next()) {
        (Some(name), None) => name.as_str().ok().map(Arc::from),
        _ => None,
    }
}

/// Small answers must not wait for more.
fn at_once(stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    stream
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Everybody on the way can read it.
    Clear(TcpStream),
    /// Nobody on the way can.
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_read(context, into),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Encrypted(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Clear(stream) => stream.is_write_vectored(),
            Self::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_flush(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
