//! The keys of identity providers: fetched when a token comes, and kept for a while.

use std::fs;
use std::sync::{Arc, PoisonError, RwLock};
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
    known: RwLock<Option<Known>>,
    /// When it was last asked; held while it is.
    asked: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone)]
struct Known {
    keys: Arc<KeySet>,
    since: Instant,
}

impl Known {
    fn is_good(&self, key_id: Option<&str>) -> bool {
        self.since.elapsed() < FRESH && self.keys.has(key_id)
    }
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
                known: RwLock::default(),
                asked: Mutex::default(),
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
        // Nobody whose key is known waits for the provider, whatever others send.
        if let Some(known) = self.known().filter(|known| known.is_good(key_id)) {
            return Ok(known.keys);
        }
        // Whoever comes while it is asked waits for the same answer.
        let mut asked = self.asked.lock().await;
        if let Some(known) = self.known().filter(|known| known.is_good(key_id)) {
            return Ok(known.keys);
        }
        if asked.is_none_or(|asked| asked.elapsed() >= PAUSE) {
            *asked = Some(Instant::now());
            match self.fetch().await {
                Ok(keys) => self.learn(keys),
                Err(problem) => {
                    let issuer = &self.settings.issuer;
                    tracing::warn!(issuer, error = &*problem, "an identity provider does not tell its keys");
                }
            }
        }
        let usable = self.known().filter(|known| known.since.elapsed() < USABLE);
        let away = || WebIdentityError::Away(self.settings.issuer.clone());
        usable.map(|known| known.keys).ok_or_else(away)
    }

    fn known(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, keys: KeySet) {
        let known = Known {
            keys: Arc::new(keys),
            since: Instant::now(),
        };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
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
