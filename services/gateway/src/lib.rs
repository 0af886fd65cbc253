//! The gateway: AWS JSON 1.1 in, protobuf over NATS out (spec: aws-json-gateway).
//!
//! Operations are found in the contract by reflection, so a new one adds no line here.
//!
//! - `surface`: the port; one request from its first byte to its answer.
//! - `target`: which operation is meant, and in which dress. Pure.
//! - [`sigv4`]: whether a signature is genuine. Pure.
//! - `authentication`: who calls.
//! - `access`: the service that knows the access keys.
//! - `keys`: where signing keys come from, and those of the last seconds.
//! - `throttle`: how many requests an access key may make. Pure.
//! - `sts`: who a caller is, for those who ask STS. Pure.
//! - `call`: from a JSON text over the bus to a JSON text.
//! - `repeats`: what must not run twice runs once. Pure but for the waiting.
//! - `answer`: what goes back. Pure.
//! - `upload`: a request's body, read or thrown away.
//! - `metrics`: requests by operation and code.
//!
//! The gateway keeps nothing on disk, and any number of them may run side by side.

mod access;
mod answer;
mod authentication;
mod call;
mod config;
mod keys;
mod metrics;
mod repeats;
pub mod sigv4;
mod sts;
mod surface;
mod target;
mod throttle;
mod upload;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

use muster_boot::{BoxError, Parts, Running, plain_routes};
use muster_wire::serve;

pub use config::{AuthenticationMode, Settings};
pub use keys::{Asked, Found, Identity, KeyCache, Keys, SessionToken};

use crate::access::Access;
use crate::authentication::Authentication;
use crate::call::Services;
use crate::metrics::Metrics;
use crate::sigv4::Rules;
use crate::surface::{Door, Surface};
use crate::throttle::{Limit, Throttle};

/// The embedded defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Requests are not authenticated, and others could reach the port.
    #[error(
        "{0} is no loopback address, and service.authentication = \"development\" takes any credentials; \
         listen on 127.0.0.1, or set service.insecure_listen_anywhere if the network is private in itself"
    )]
    OpenToOthers(SocketAddr),
    /// Requests would come in clear from elsewhere.
    #[error(
        "{0} is no loopback address, and requests would come without TLS; listen on 127.0.0.1, set server.tls, put a \
         proxy that ends TLS in front and set service.behind_tls_proxy, or set service.insecure_listen_anywhere if the network \
         is private in itself"
    )]
    InClear(SocketAddr),
    /// No signature could be for a region that is served.
    #[error("service.regions is empty: name the regions that signatures may be for, or \"*\" for all")]
    NoRegion,
}

/// The service before it runs.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts answering on the port of `parts`. Where signatures are verified, `access` knows the keys.
    ///
    /// # Errors
    /// If the port can be reached by others and the settings do not allow it, or if the bus does not take the
    /// subscription to news of access keys.
    pub async fn start(settings: Settings, parts: Parts) -> Result<Running, BoxError> {
        let keys = Arc::new(KeyCache::new(Arc::new(Access::new(parts.nats.clone()))));
        if settings.authentication == AuthenticationMode::Signature {
            access::listen(&parts.nats, Arc::clone(&keys), &parts.tasks).await?;
        }
        Self::start_with_keys(settings, parts, keys).await
    }

    /// Starts answering on the port of `parts`, with these access keys where the settings ask for signatures.
    ///
    /// Whoever hears that an access key changed calls [`KeyCache::forget`].
    ///
    /// # Errors
    /// If the port can be reached by others and the settings do not allow it.
    pub async fn start_with_keys(settings: Settings, parts: Parts, keys: Arc<KeyCache>) -> Result<Running, BoxError> {
        Self::open(&settings, parts, keys)
    }

    fn open(settings: &Settings, parts: Parts, keys: Arc<KeyCache>) -> Result<Running, BoxError> {
        let (address, is_encrypted) = (parts.listener.address()?, parts.listener.is_encrypted());
        let authentication = authentication(settings, keys)?;
        admit(address, is_encrypted, settings)?;
        let metrics = {
            let mut registry = parts.registry.lock().unwrap_or_else(PoisonError::into_inner);
            Metrics::register(&mut registry)
        };
        let is_unlimited = settings.authentication == AuthenticationMode::Development && address.ip().is_loopback();
        let door = Door {
            authentication,
            is_secure: settings.behind_tls_proxy || is_encrypted,
            anonymous: Throttle::new(Limit {
                per_second: settings.anonymous_requests_per_second,
                burst: settings.anonymous_request_burst,
            }),
            failed: Throttle::new(Limit {
                per_second: settings.failed_requests_per_second,
                burst: settings.failed_request_burst,
            }),
            throttle: (!is_unlimited).then(|| {
                Throttle::new(Limit {
                    per_second: settings.requests_per_second,
                    burst: settings.request_burst,
                })
            }),
        };
        let services = Services::new(parts.nats.clone());
        let surface = Surface::new(settings, door, services, metrics, parts.clock, parts.tasks.clone());
        let routes = surface::routes(
            Arc::new(surface),
            plain_routes(&parts.nats, &parts.registry, &parts.readiness),
        );
        let stopping = parts.tasks.stopping();
        parts.tasks.spawn("serving", async move {
            serve(parts.listener, routes, stopping).await;
            Ok(())
        });
        Ok(Running::without_mount(address, parts.tasks, parts.failures))
    }
}

fn authentication(settings: &Settings, keys: Arc<KeyCache>) -> Result<Authentication, StartError> {
    match settings.authentication {
        AuthenticationMode::Development => Ok(Authentication::Development),
        AuthenticationMode::Signature if settings.regions.is_empty() => Err(StartError::NoRegion),
        AuthenticationMode::Signature => Ok(Authentication::Signature {
            rules: Rules {
                regions: settings.regions.clone(),
                host_aliases: settings.trusted_host_aliases.clone(),
            },
            keys,
        }),
    }
}

/// Says loudly what missing authentication or encryption means, or refuses.
fn admit(address: SocketAddr, is_encrypted: bool, settings: &Settings) -> Result<(), StartError> {
    let is_loopback = address.ip().is_loopback();
    match settings.authentication {
        AuthenticationMode::Development if is_loopback => {
            tracing::warn!(%address, "DEVELOPMENT MODE: any credentials are accepted from this machine");
        }
        AuthenticationMode::Development if settings.insecure_listen_anywhere => tracing::warn!(
            %address,
            "INSECURE: any credentials are accepted from anywhere, because insecure_listen_anywhere is set; \
             whoever reaches this port runs commands on every node"
        ),
        AuthenticationMode::Development => return Err(StartError::OpenToOthers(address)),
        AuthenticationMode::Signature if is_loopback || settings.behind_tls_proxy || is_encrypted => {
            tracing::info!(%address, "signatures are verified, and policies say who may do what");
        }
        AuthenticationMode::Signature if settings.insecure_listen_anywhere => tracing::warn!(
            %address,
            "INSECURE: requests come in clear, because insecure_listen_anywhere is set; \
             whoever sees one reads it, and can repeat it for five minutes"
        ),
        AuthenticationMode::Signature => return Err(StartError::InClear(address)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(authentication: AuthenticationMode) -> Settings {
        let (_, settings) = muster_boot::load::<Settings>(DEFAULTS, None).unwrap();
        Settings {
            authentication,
            ..settings
        }
    }

    #[test]
    fn without_authentication_only_loopback_is_listened_on() {
        let mut settings = settings(AuthenticationMode::Development);
        for (behind_tls_proxy, anywhere) in [(false, false), (true, false), (false, true)] {
            settings.behind_tls_proxy = behind_tls_proxy;
            settings.insecure_listen_anywhere = anywhere;
            let check = |address: &str| admit(address.parse().unwrap(), false, &settings).is_ok();
            assert!(check("127.0.0.1:8686"));
            assert!(check("[::1]:8686"));
            assert_eq!(check("0.0.0.0:8686"), anywhere);
            assert_eq!(check("10.0.0.7:8686"), anywhere);
        }
    }

    #[test]
    fn without_tls_only_loopback_is_listened_on() {
        let mut settings = settings(AuthenticationMode::Signature);
        for (behind_tls_proxy, anywhere) in [(false, false), (true, false), (false, true)] {
            settings.behind_tls_proxy = behind_tls_proxy;
            settings.insecure_listen_anywhere = anywhere;
            let check = |address: &str| admit(address.parse().unwrap(), false, &settings).is_ok();
            assert!(check("127.0.0.1:8686"));
            assert_eq!(check("10.0.0.7:8686"), behind_tls_proxy || anywhere);
            assert!(admit("10.0.0.7:8686".parse().unwrap(), true, &settings).is_ok());
        }
    }
}
