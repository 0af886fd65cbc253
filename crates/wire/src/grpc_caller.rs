//! The layer that says who calls by gRPC.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use futures::future::BoxFuture;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use muster_model::Account;
use tonic::Status;
use tonic::body::Body;

use crate::{Caller, CallerKind, Failure, Peer, Principal, SessionBounds, user_agent};

/// Longest value of `authorization` that is looked at, in bytes: session tokens are long.
const LONGEST: usize = 5 * 1024;
/// What the ids of temporary access keys begin with, whose secret is followed by their session token.
const TEMPORARY: &str = "MSIA";
/// Longest name of a user.
const LONGEST_NAME: usize = 64;
const NO_BEARER: &str = "calls by gRPC need the metadata \"authorization: Bearer <access key id>:<secret access key>\", and with a \
    temporary access key \"Bearer <access key id>:<secret access key>:<session token>\"";
/// One text for everything that is wrong, so that nobody learns which half was right.
const WRONG_BEARER: &str = "the access key is not known or not active, or its secret is another one";
const NO_NAME: &str =
    "the certificate names no user: its subject needs one common name of 1 to 64 letters, digits and +=,.@_-";
const TWO_NAMES: &str = "callers are known by their certificates here: leave the metadata \"authorization\" out";

/// An access key with its secret, as it came. It cannot be printed.
#[derive(Clone, Copy)]
pub struct Bearer<'a> {
    /// The access key id.
    pub access_key: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// Of temporary access keys.
    pub session_token: Option<&'a str>,
}

impl fmt::Debug for Bearer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer({:?}, …)", self.access_key)
    }
}

/// Who has an access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who acts with it.
    pub principal: Principal,
    /// What it does not outlive, if it is a temporary one.
    pub session: Option<SessionBounds>,
}

/// Whose access keys are: asked for those that come as bearers.
pub trait Bearers: fmt::Debug + Send + Sync + 'static {
    /// Who has an active access key whose secret this is.
    ///
    /// # Errors
    /// If it cannot be found out now.
    fn holder<'a>(&'a self, bearer: Bearer<'a>) -> BoxFuture<'a, Result<Option<Holder>, Failure>>;
}

/// How callers by gRPC are known.
#[derive(Debug, Clone, Default)]
pub enum GrpcCallers {
    /// Not at all: everybody who reaches the port is let in, for development.
    #[default]
    Anybody,
    /// By an access key and its secret.
    Bearers(Arc<dyn Bearers>),
    /// By the certificate that they came in with: its common name is that of a user of this account.
    Certificates(Account),
}

/// Puts [`GrpcCallerService`] around a service.
#[derive(Debug, Clone, Default)]
pub(crate) struct GrpcCallerLayer(pub(crate) GrpcCallers);

impl<S> tower::Layer<S> for GrpcCallerLayer {
    type Service = GrpcCallerService<S>;

    fn layer(&self, inner: S) -> GrpcCallerService<S> {
        GrpcCallerService {
            inner,
            callers: self.0.clone(),
        }
    }
}

/// Gives each request its caller.
///
/// Anybody can write metadata: a caller that stands there is refused.
#[derive(Debug, Clone)]
pub(crate) struct GrpcCallerService<S> {
    inner: S,
    callers: GrpcCallers,
}

impl<S> tower::Service<http::Request<Body>> for GrpcCallerService<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let callers = self.callers.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            match caller(&callers, &head).await {
                Ok(caller) => {
                    head.headers.remove(AUTHORIZATION);
                    head.extensions.insert(caller);
                    inner.call(http::Request::from_parts(head, body)).await
                }
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

async fn caller(callers: &GrpcCallers, head: &http::request::Parts) -> Result<Caller, Status> {
    if head.headers.contains_key(Caller::HEADER) {
        let failure = Failure::internal("a call by gRPC has the metadata muster-caller, which only the bus carries");
        return Err(failure.into());
    }
    let peer = head.extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| peer);
    let source_ip: Option<IpAddr> = peer.map(|peer| peer.address.ip().to_canonical());
    let anybody = Caller {
        source_ip,
        secure_transport: peer.is_some_and(|peer| peer.is_encrypted),
        user_agent: user_agent(&head.headers),
        ..Caller::development()
    };
    let (Holder { principal, session }, access_key) = match callers {
        GrpcCallers::Anybody => return Ok(anybody),
        GrpcCallers::Bearers(bearers) => {
            let bearer = bearer(&head.headers).ok_or_else(|| Status::unauthenticated(NO_BEARER))?;
            let holder = bearers.holder(bearer).await?;
            let holder = holder.ok_or_else(|| Status::unauthenticated(WRONG_BEARER))?;
            (holder, Some(bearer.access_key.to_owned()))
        }
        GrpcCallers::Certificates(account) => {
            // Two that say who calls may say two things.
            if head.headers.contains_key(AUTHORIZATION) {
                return Err(Status::unauthenticated(TWO_NAMES));
            }
            let name = peer.and_then(|peer| peer.certified.as_deref());
            let principal = name.and_then(|name| user(account, name));
            let principal = principal.ok_or_else(|| Status::unauthenticated(NO_NAME))?;
            let session = None;
            (Holder { principal, session }, None)
        }
    };
    Ok(Caller {
        kind: CallerKind::of(&principal),
        principal,
        access_key,
        session,
        ..anybody
    })
}

/// The user of this name, whether it exists or not: one that does not may do nothing.
fn user(account: &Account, name: &str) -> Option<Principal> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    let is_name = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_plain);
    is_name.then(|| Principal::new(account.user(name)).ok()).flatten()
}

/// The only bearer in the metadata.
fn bearer(headers: &HeaderMap) -> Option<Bearer<'_>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = value.to_str().ok().filter(|text| text.len() <= LONGEST)?;
    let (scheme, token) = text.split_once(' ')?;
    let (access_key, rest) = token.trim().split_once(':')?;
    let (secret, session_token) = match access_key.starts_with(TEMPORARY) {
        true => rest.split_once(':').map(|(secret, token)| (secret, Some(token)))?,
        false => (rest, None),
    };
    let is_whole = scheme.eq_ignore_ascii_case("bearer") && !access_key.is_empty() && !secret.is_empty();
    is_whole.then_some(Bearer {
        access_key,
        secret,
        session_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Alice;

    impl Bearers for Alice {
        fn holder<'a>(&'a self, bearer: Bearer<'a>) -> BoxFuture<'a, Result<Option<Holder>, Failure>> {
            let principal = Principal::new("arn:aws:iam::000000000000:user/alice").unwrap();
            let session = bearer.session_token.map(|_| SessionBounds {
                until: 7,
                owner: principal.clone(),
                access_key: Some("MKIA".to_owned()),
            });
            let alice = Holder { principal, session };
            let known = [("MKIA", "a:b/c", None), ("MSIA", "a", Some("t:u"))];
            let is_known = known.contains(&(bearer.access_key, bearer.secret, bearer.session_token));
            Box::pin(async move { Ok(is_known.then_some(alice)) })
        }
    }

    async fn ask(values: &[&str]) -> Result<Caller, Status> {
        let mut request = http::Request::new(Body::default());
        for value in values {
            request.headers_mut().append(AUTHORIZATION, value.parse().unwrap());
        }
        caller(&GrpcCallers::Bearers(Arc::new(Alice)), &request.into_parts().0).await
    }

    #[tokio::test]
    async fn a_bearer_is_an_access_key_with_its_secret() {
        for good in ["Bearer MKIA:a:b/c", "bearer MKIA:a:b/c"] {
            let caller = ask(&[good]).await.unwrap();
            assert_eq!(caller.principal.as_str(), "arn:aws:iam::000000000000:user/alice");
            assert_eq!(
                (caller.kind, caller.access_key.as_deref()),
                (CallerKind::User, Some("MKIA"))
            );
        }
        let temporary = ask(&["Bearer MSIA:a:t:u"]).await.unwrap();
        assert_eq!(temporary.access_key.as_deref(), Some("MSIA"));
        assert_eq!(temporary.session.unwrap().access_key.as_deref(), Some("MKIA"));
        assert!(
            !format!(
                "{:?}",
                bearer(&HeaderMap::from_iter([(
                    AUTHORIZATION,
                    "Bearer K:hunter2".parse().unwrap()
                )]))
            )
            .contains("hunter2")
        );
    }

    #[tokio::test]
    async fn a_certificate_names_a_user_and_nothing_else_does() {
        let account = Account::new("aws".to_owned(), "us-east-1".to_owned(), "123456789012".to_owned()).unwrap();
        let callers = GrpcCallers::Certificates(account);
        let ask = async |certified: Option<&str>, authorization: bool| {
            let mut request = http::Request::new(Body::default());
            let peer = Peer {
                address: "192.0.2.7:1".parse().unwrap(),
                is_encrypted: true,
                certified: certified.map(Arc::from),
            };
            request.extensions_mut().insert(ConnectInfo(peer));
            if authorization {
                let value = "Bearer MKIA:a:b/c".parse().unwrap();
                request.headers_mut().append(AUTHORIZATION, value);
            }
            caller(&callers, &request.into_parts().0).await
        };
        let rita = ask(Some("rita"), false).await.unwrap();
        assert_eq!(rita.principal.as_str(), "arn:aws:iam::123456789012:user/rita");
        assert_eq!(
            (rita.kind, rita.access_key, rita.secure_transport),
            (CallerKind::User, None, true)
        );
        for nobody in [
            None,
            Some(""),
            Some("a b"),
            Some("../root"),
            Some("a/b"),
            Some(&"x".repeat(65)),
        ] {
            let status = ask(nobody, false).await.unwrap_err();
            assert_eq!(
                (status.code(), status.message()),
                (tonic::Code::Unauthenticated, NO_NAME)
            );
        }
        let status = ask(Some("rita"), true).await.unwrap_err();
        assert_eq!(status.message(), TWO_NAMES);
    }

    #[tokio::test]
    async fn whoever_has_none_is_told_how_and_whoever_has_a_wrong_one_is_not_told_what_is_wrong() {
        for none in [
            &[][..],
            &["Basic x"],
            &["Bearer MKIA"],
            &["Bearer MSIA:a"],
            &["Bearer MKIA:a:b/c", "Bearer MKIA:a:b/c"],
        ] {
            let status = ask(none).await.unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unauthenticated);
            assert!(status.message().contains("Bearer <access key id>"), "{none:?}");
        }
        for wrong in ["Bearer MKIA:x", "Bearer OTHER:a:b/c"] {
            let status = ask(&[wrong]).await.unwrap_err();
            assert_eq!(
                (status.code(), status.message()),
                (tonic::Code::Unauthenticated, WRONG_BEARER)
            );
        }
    }
}
