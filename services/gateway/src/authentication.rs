//! Who calls: believed in development, proved everywhere else.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use http::request;
use jiff::Timestamp;
use muster_wire::{Caller, Failure, Peer};
use uuid::Uuid;

use crate::keys::{Asked, Identity, KeyCache, SessionToken};
use crate::sigv4::{Authorization, Claim, Rules};
use crate::throttle::Tries;

/// How requests are authenticated.
#[derive(Debug)]
pub(crate) enum Authentication {
    /// The access key id is read and believed.
    Development,
    /// The signature is verified.
    Signature {
        /// What signatures may be for.
        rules: Rules,
        /// The signing keys.
        keys: Arc<KeyCache>,
    },
}

/// A request whose caller is known, unless its body turns out to be another one.
#[derive(Debug)]
pub(crate) enum Named<'a> {
    /// By what it says of itself.
    Development(&'a str),
    /// By a key that exists.
    Signature {
        claim: Box<Claim<'a>>,
        identity: Box<Identity>,
        rules: &'a Rules,
    },
}

impl Authentication {
    /// Judges all of a request to a service (`ssm`) but its body.
    pub(crate) async fn name<'a>(
        &'a self,
        head: &'a request::Parts,
        service: &str,
        tries: Tries<'_>,
        now: Timestamp,
    ) -> Result<Named<'a>, Failure> {
        match self {
            Self::Development => {
                let authorization = Authorization::of(&head.headers, head.uri.query())?;
                Ok(Named::Development(authorization.credential.access_key))
            }
            Self::Signature { rules, keys } => {
                let claim = Box::new(Claim::read(head, service, rules, now)?);
                let asked = Asked {
                    access_key: claim.access_key(),
                    day: claim.day(),
                    region: claim.region(),
                    service: claim.service(),
                    session_token: claim.session_token().map(SessionToken::new),
                };
                let identity = Box::new(keys.identity(asked, tries, now).await?);
                Ok(Named::Signature { claim, identity, rules })
            }
        }
    }
}

impl<'a> Named<'a> {
    pub(crate) fn access_key(&self) -> &'a str {
        match self {
            Self::Development(access_key) => access_key,
            Self::Signature { claim, .. } => claim.access_key(),
        }
    }

    /// Judges the whole request, and says who calls.
    pub(crate) fn prove(self, body: &[u8], arrival: Arrival) -> Result<Caller, Failure> {
        let access_key = Some(self.access_key().to_owned());
        let anybody = Caller {
            access_key,
            ..arrival.of(Caller::development())
        };
        match self {
            Self::Development(_) => Ok(anybody),
            Self::Signature { claim, identity, rules } => {
                claim.prove(&identity.signing_key, body, rules)?;
                Ok(Caller {
                    principal: identity.principal,
                    kind: identity.kind,
                    ..anybody
                })
            }
        }
    }
}

/// What the port knows of a request.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) id: Uuid,
    /// Whether it came by TLS, at least as far as the proxy in front.
    pub(crate) is_secure: bool,
    /// Where it came from.
    pub(crate) source_ip: Option<IpAddr>,
    /// What it says that it was made with.
    pub(crate) user_agent: Option<String>,
}

impl Arrival {
    /// The same caller, who came this way.
    pub(crate) fn of(self, caller: Caller) -> Caller {
        Caller {
            source_ip: self.source_ip,
            secure_transport: self.is_secure,
            user_agent: self.user_agent,
            request_id: Some(self.id),
            ..caller
        }
    }
}

/// Where a request came from: from whom the port has it, or what the proxy in front put at the end of
/// `X-Forwarded-For`. What stands before that is what callers say of themselves.
pub(crate) fn source(head: &request::Parts, has_proxy: bool) -> Option<IpAddr> {
    if has_proxy {
        let last = head.headers.get_all("x-forwarded-for").into_iter().next_back()?;
        let address = last.to_str().ok()?.rsplit(',').next()?.trim();
        return address.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    }
    let peer = head.extensions.get::<ConnectInfo<Peer>>();
    peer.map(|ConnectInfo(peer)| peer.address.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(forwarded: &[&str], has_proxy: bool) -> Option<String> {
        let mut request = http::Request::new(());
        let peer = Peer {
            address: "[::ffff:127.0.0.1]:9".parse().unwrap(),
            is_encrypted: false,
            certified: None,
        };
        request.extensions_mut().insert(ConnectInfo(peer));
        for value in forwarded {
            request.headers_mut().append("x-forwarded-for", value.parse().unwrap());
        }
        source(&request.into_parts().0, has_proxy).map(|address| address.to_string())
    }

    #[test]
    fn the_source_is_the_peer_or_what_the_proxy_says() {
        assert_eq!(from(&["192.0.2.1"], false).as_deref(), Some("127.0.0.1"));
        assert_eq!(from(&["192.0.2.1"], true).as_deref(), Some("192.0.2.1"));
        // Only the last one is the proxy's word.
        assert_eq!(from(&["198.51.100.9, 192.0.2.1"], true).as_deref(), Some("192.0.2.1"));
        assert_eq!(
            from(&["198.51.100.9", "2001:db8::1"], true).as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(from(&["nonsense"], true), None);
        assert_eq!(from(&[], true), None);
    }
}
