//! A port on which HTTP/1.1 and HTTP/2 are answered until it is told to stop. Nobody who is slow keeps a connection for
//! nothing: axum's own loop has no time limits.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::{Peer, Port};

/// How long a connection may be there without a whole head of a request: before the first one, and between two. SDKs
/// keep connections for less, or open another one.
const QUIET: Duration = Duration::from_secs(75);
/// How often the other end of an HTTP/2 connection is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);
/// Connections at once; who comes then waits for one of them to end.
const CONNECTIONS: usize = 8_192;

/// Answers all that comes by this port, with [`Peer`] as the connect info. When told to stop it takes no more
/// connections, lets those that are there end their requests, and returns.
pub async fn serve(port: Port, routes: Router, stop: CancellationToken) {
    serve_within(port, routes, stop, QUIET, CONNECTIONS).await;
}

async fn serve_within(mut port: Port, routes: Router, stop: CancellationToken, quiet: Duration, connections: usize) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(quiet);
    let mut http2 = builder.http2();
    http2
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let (graceful, slots) = (GracefulShutdown::new(), Arc::new(Semaphore::new(connections)));
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = port.accept() => accepted,
        };
        let asked = Arc::new(AtomicBool::new(false));
        let service = answering(routes.clone(), peer, Arc::clone(&asked));
        let connection = builder.serve_connection(TokioIo::new(stream), hyper::service::service_fn(service));
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                // Until hyper knows which HTTP it is, and has a head, it waits for ever.
                () = tokio::time::sleep(quiet) => match asked.load(Ordering::Relaxed) {
                    true => connection.await,
                    false => Ok(()),
                },
            };
            if let Err(error) = ended {
                tracing::debug!(error = &*error, "a connection ended badly");
            }
            drop(slot);
        });
    }
    // Whoever comes from now on is refused by the system, and not kept waiting.
    drop(port);
    graceful.shutdown().await;
}

/// What answers the requests of one connection.
fn answering(
    routes: Router,
    peer: Peer,
    asked: Arc<AtomicBool>,
) -> impl Fn(http::Request<Incoming>) -> futures::future::BoxFuture<'static, Result<http::Response<Body>, Infallible>> {
    move |request| {
        asked.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer.clone()));
        Box::pin(routes.clone().oneshot(request))
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const PATIENCE: Duration = Duration::from_secs(30);

    async fn start(routes: Router, quiet: Duration, connections: usize) -> (std::net::SocketAddr, CancellationToken) {
        let port = Port::from(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (address, stop) = (port.address().unwrap(), CancellationToken::new());
        tokio::spawn(serve_within(port, routes, stop.clone(), quiet, connections));
        (address, stop)
    }

    fn hello() -> Router {
        Router::new().route(
            "/",
            get(async |ConnectInfo(peer): ConnectInfo<Peer>| peer.address.ip().to_string()),
        )
    }

    async fn say(address: std::net::SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// All that comes until the other end closes.
    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        let read = tokio::time::timeout(PATIENCE, read).await.expect("it is closed");
        // A reset is an end, too.
        let _ = read;
        text
    }

    #[tokio::test]
    async fn who_never_ends_a_head_is_not_waited_for() {
        let (address, _stop) = start(hello(), SHORT, CONNECTIONS).await;
        for begun in ["", "P", "PRI * HTTP/2.0", "GET / HTTP/1.1\r\nHost: x\r\n"] {
            assert!(!rest(say(address, begun).await).await.contains("200 OK"), "{begun:?}");
        }
        let kept = rest(say(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
        assert!(
            kept.starts_with("HTTP/1.1 200 OK") && kept.ends_with("127.0.0.1"),
            "{kept}"
        );
    }

    #[tokio::test]
    async fn who_comes_when_all_places_are_taken_waits_for_one() {
        let (address, _stop) = start(hello(), PATIENCE, 1).await;
        let first = say(address, "").await;
        let second = say(address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let waiting = tokio::spawn(rest(second));
        drop(first);
        assert!(waiting.await.unwrap().starts_with("HTTP/1.1 200 OK"));
    }

    #[tokio::test]
    async fn what_is_asked_before_the_end_is_answered_and_nobody_comes_after() {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
            Router::new().route(
                "/",
                get(async move || {
                    begun.notify_one();
                    go_on.notified().await;
                    "done"
                }),
            )
        };
        let port = Port::from(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (address, stop) = (port.address().unwrap(), CancellationToken::new());
        let serving = tokio::spawn(serve(port, slow, stop.clone()));
        let asked = say(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        begun.notified().await;
        let idle = TcpStream::connect(address).await.unwrap();
        stop.cancel();
        go_on.notify_one();
        assert!(rest(asked).await.ends_with("done"));
        rest(idle).await;
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
