//! Who calls: believed in development, proved everywhere else.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use http::request;
use jiff::Timestamp;
use muster_wire::{Caller, Failure};
use uuid::Uuid;

use crate::keys::{Asked, Identity, KeyCache, SessionToken};
use crate::sigv4::{Authorization, Claim, Rules};

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
    /// Judges all of a request but its body.
    pub(crate) async fn name<'a>(&'a self, head: &'a request::Parts, now: Timestamp) -> Result<Named<'a>, Failure> {
        match self {
            Self::Development => {
                let authorization = Authorization::of(&head.headers, head.uri.query())?;
                Ok(Named::Development(authorization.credential.access_key))
            }
            Self::Signature { rules, keys } => {
                let claim = Box::new(Claim::read(head, rules, now)?);
                let asked = Asked {
                    access_key: claim.access_key(),
                    day: claim.day(),
                    region: claim.region(),
                    session_token: claim.session_token().map(SessionToken::new),
                };
                let identity = Box::new(keys.identity(asked, now).await?);
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
    pub(crate) fn prove(self, head: &request::Parts, body: &[u8], arrival: Arrival) -> Result<Caller, Failure> {
        let access_key = Some(self.access_key().to_owned());
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
        let anybody = Caller {
            access_key,
            source_ip: peer.map(|ConnectInfo(address)| address.ip().to_canonical()),
            secure_transport: arrival.is_secure,
            request_id: Some(arrival.id),
            ..Caller::development()
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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) id: Uuid,
    /// Whether it came by TLS, at least as far as the proxy in front.
    pub(crate) is_secure: bool,
}
