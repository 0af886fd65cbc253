//! The gateway: AWS JSON 1.1 in, protobuf over NATS out (spec: aws-json-gateway).
//!
//! Operations are found in the contract by reflection, so a new one adds no line here.
//!
//! - `surface`: the port; one request from its first byte to its answer.
//! - `target`: which operation is meant, and in which dress. Pure.
//! - `credentials`: who says they are calling. Pure.
//! - `call`: from a JSON text over the bus to a JSON text.
//! - `repeats`: what must not run twice runs once. Pure but for the waiting.
//! - `answer`: what goes back. Pure.
//! - `metrics`: requests by operation and code.
//!
//! The gateway keeps nothing on disk, and any number of them may run side by side.

mod answer;
mod call;
mod config;
mod credentials;
mod metrics;
mod repeats;
mod surface;
mod target;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

use axum::serve::ListenerExt as _;
use muster_boot::{BoxError, Parts, Running, plain_routes};

pub use config::Settings;

use crate::call::Caller;
use crate::metrics::Metrics;
use crate::surface::Surface;

/// The embedded defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Requests are not authenticated yet, and others could reach the port.
    #[error(
        "{0} is no loopback address, and this version takes any credentials; listen on 127.0.0.1, \
         or set service.insecure_listen_anywhere if the network is private in itself"
    )]
    OpenToOthers(SocketAddr),
}

/// The service before it runs.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts answering on the port of `parts`.
    ///
    /// # Errors
    /// If the port can be reached by others and the settings do not allow it.
    pub async fn start(settings: Settings, parts: Parts) -> Result<Running, BoxError> {
        let address = parts.listener.local_addr()?;
        admit(address, settings.insecure_listen_anywhere)?;
        let metrics = {
            let mut registry = parts.registry.lock().unwrap_or_else(PoisonError::into_inner);
            Metrics::register(&mut registry)
        };
        let caller = Caller::new(parts.nats.clone());
        let surface = Surface::new(&settings, caller, metrics, parts.clock, parts.tasks.clone());
        let routes = surface::routes(Arc::new(surface), plain_routes(&parts.nats, &parts.registry));
        let listener = parts.listener.tap_io(|stream| {
            // Small answers must not wait for more.
            let _ = stream.set_nodelay(true);
        });
        let stopping = parts.tasks.stopping();
        parts.tasks.spawn("serving", async move {
            let serving = axum::serve(listener, routes).with_graceful_shutdown(stopping.cancelled_owned());
            serving.await.map_err(BoxError::from)
        });
        Ok(Running::without_mount(address, parts.tasks, parts.failures))
    }
}

/// Says loudly what the missing authentication means, or refuses.
fn admit(address: SocketAddr, anywhere: bool) -> Result<(), StartError> {
    let loopback = address.ip().is_loopback();
    if !loopback && !anywhere {
        return Err(StartError::OpenToOthers(address));
    }
    if loopback {
        tracing::warn!(%address, "DEVELOPMENT MODE: any credentials are accepted from this machine");
    } else {
        tracing::warn!(
            %address,
            "INSECURE: any credentials are accepted from anywhere, because insecure_listen_anywhere is set; \
             whoever reaches this port runs commands on every node"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_authentication_only_loopback_is_listened_on() {
        let check = |address: &str, anywhere| admit(address.parse().unwrap(), anywhere).is_ok();
        assert!(check("127.0.0.1:8686", false));
        assert!(check("[::1]:8686", false));
        assert!(!check("0.0.0.0:8686", false));
        assert!(!check("10.0.0.7:8686", false));
        assert!(check("0.0.0.0:8686", true));
    }
}
