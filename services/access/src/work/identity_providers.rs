//! The keys of identity providers: fetched when a token comes, and kept for a while.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Certificate, Client, Response, redirect};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::config::IdentityProvider;
use crate::domain::web_identity::{KeySet, Token, TokenError, is_place};

/// How long one question may take; two are asked.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Longest answer, in bytes.
const LONGEST: usize = 512 * 1024;
/// How long keys are believed.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// How long they are believed while the provider does not answer.
const USABLE: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two questions to a provider: whoever sends tokens with unknown keys cannot make us ask for each.
const PAUSE: Duration = Duration::from_secs(10);

/// Why a token names nobody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebIdentityError {
    #[error("the token of the identity provider is not believed: {0}")]
    Token(#[from] TokenError),
    #[error("the identity provider {0} does not tell its keys")]
    Away(String),
}

/// Finds out whose tokens are.
#[derive(Debug)]
pub(crate) struct IdentityProviders(Vec<Provider>);

#[derive(Debug)]
struct Provider {
    settings: IdentityProvider,
    http: Client,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Option<(Arc<KeySet>, Instant)>,
    asked: Option<Instant>,
}

/// What is read of a provider's description of itself.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Why keys were not had.
type Problem = Box<dyn std::error::Error + Send + Sync>;

impl IdentityProviders {
    /// Knows them by their settings; nothing is asked yet.
    ///
    /// # Errors
    /// If a file with an authority cannot be used.
    pub(crate) fn new(all: &[IdentityProvider]) -> Result<Self, Problem> {
        let provider = |settings: &IdentityProvider| -> Result<Provider, Problem> {
            let mut http = Client::builder()
                .timeout(TIMEOUT)
                .redirect(redirect::Policy::none())
                .no_proxy();
            if !settings.ca.as_os_str().is_empty() {
                let pem = fs::read(&settings.ca)
                    .map_err(|error| format!("{} cannot be read: {error}", settings.ca.display()))?;
                for certificate in Certificate::from_pem_bundle(&pem)? {
                    http = http.add_root_certificate(certificate);
                }
            }
            Ok(Provider {
                settings: settings.clone(),
                http: http.build()?,
                known: Mutex::default(),
            })
        };
        Ok(Self(all.iter().map(provider).collect::<Result<_, _>>()?))
    }

    /// The name of the user that a token names, at this time in seconds since 1970.
    pub(crate) async fn user(&self, token: &str, now: i64) -> Result<String, WebIdentityError> {
        let token = Token::read(token)?;
        let mut all = self.0.iter();
        let provider = all.find(|provider| provider.settings.issuer == token.issuer());
        let provider = provider.ok_or(TokenError::Issuer)?;
        let keys = provider.keys(token.key_id()).await?;
        let IdentityProvider {
            audience, user_claim, ..
        } = &provider.settings;
        Ok(token.user(&keys, audience, user_claim, now)?.to_owned())
    }
}

impl Provider {
    /// Its keys, among them one of this name if it has one.
    async fn keys(&self, key_id: Option<&str>) -> Result<Arc<KeySet>, WebIdentityError> {
        // Whoever comes meanwhile waits for the same answer.
        let mut known = self.known.lock().await;
        let is_soon = known.asked.is_some_and(|asked| asked.elapsed() < PAUSE);
        if let Some((keys, since)) = &known.keys {
            let is_good = since.elapsed() < FRESH && keys.has(key_id);
            if is_good || (is_soon && since.elapsed() < USABLE) {
                return Ok(Arc::clone(keys));
            }
        }
        if is_soon {
            return Err(WebIdentityError::Away(self.settings.issuer.clone()));
        }
        known.asked = Some(Instant::now());
        match self.fetch().await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                known.keys = Some((Arc::clone(&keys), Instant::now()));
                Ok(keys)
            }
            Err(problem) => {
                let issuer = self.settings.issuer.clone();
                tracing::warn!(issuer, error = &*problem, "an identity provider does not tell its keys");
                match &known.keys {
                    Some((keys, since)) if since.elapsed() < USABLE => Ok(Arc::clone(keys)),
                    _ => Err(WebIdentityError::Away(issuer)),
                }
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, Problem> {
        let issuer = &self.settings.issuer;
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery: Discovery = serde_json::from_slice(&self.get(&place).await?)?;
        if discovery.issuer != *issuer {
            return Err(format!("{place} describes {:?}", discovery.issuer).into());
        }
        if !is_place(&discovery.jwks_uri) {
            return Err(format!("{place} names {:?} as the place of its keys", discovery.jwks_uri).into());
        }
        let keys = KeySet::read(&self.get(&discovery.jwks_uri).await?);
        keys.ok_or_else(|| format!("{} holds no keys", discovery.jwks_uri).into())
    }

    async fn get(&self, place: &str) -> Result<Vec<u8>, Problem> {
        let mut answer: Response = self.http.get(place).send().await?.error_for_status()?;
        let mut whole = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            whole.extend_from_slice(&piece);
            if whole.len() > LONGEST {
                return Err(format!("{place} answers more than {LONGEST} bytes").into());
            }
        }
        // A redirection is no answer.
        match answer.status().is_success() {
            true => Ok(whole),
            false => Err(format!("{place} answers {}", answer.status()).into()),
        }
    }
}
