//! Keys in the transit engine of Vault, or in what speaks like it. Data keys are made here and wrapped there, bound to the
//! parameter's ARN.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::domain::scope::Scope;
use crate::secret::binding::Binding;
use crate::secret::data_key::{DataKey, OpenError};
use crate::secret::key_id::KeyId;
use crate::secret::provider::{KeyError, KeyName, Provider, Wrapped, Wrapping};

const NAME: &str = "vault-transit";
/// The alias of SecureStrings that name no key.
const DEFAULT_ALIAS: &str = "aws/ssm";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the transit engine is. Nothing in it is a secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultTransitSettings {
    /// `https://vault.example.com:8200`; empty: not used.
    pub url: String,
    /// Where the engine is mounted.
    pub mount: String,
    /// The key of SecureStrings that name none.
    pub default_key: String,
    /// A file that holds a token and nothing else; it may be changed at any time.
    pub token_file: PathBuf,
}

/// Keys in a transit engine.
#[derive(Debug)]
pub(crate) struct VaultTransit {
    http: reqwest::Client,
    settings: VaultTransitSettings,
    scope: Scope,
}

impl VaultTransit {
    /// The keys of an engine.
    pub(crate) fn new(
        settings: &VaultTransitSettings,
        scope: Scope,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self {
            http: reqwest::Client::builder().timeout(TIMEOUT).build()?,
            settings: settings.clone(),
            scope,
        })
    }

    /// A call: `body` is posted, or nothing is and the answer is read.
    async fn call(&self, path: &str, body: Option<&Value>) -> Result<Value, KeyError> {
        let away = |error: Box<dyn std::error::Error + Send + Sync>| KeyError::Unavailable(error);
        let token = std::fs::read_to_string(&self.settings.token_file).map_err(|error| away(error.into()))?;
        let token = Zeroizing::new(token);
        let url = format!(
            "{}/v1/{}/{path}",
            self.settings.url.trim_end_matches('/'),
            self.settings.mount
        );
        let call = match body {
            Some(body) => self.http.post(url).body(body.to_string()),
            None => self.http.get(url),
        };
        let answer = call
            .header("x-vault-token", token.trim())
            .send()
            .await
            .map_err(|error| away(error.into()))?;
        let status = answer.status().as_u16();
        let bytes = Zeroizing::new(answer.bytes().await.map_err(|error| away(error.into()))?.to_vec());
        let mut read: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match status {
            200..300 => Ok(read["data"].take()),
            400 | 404 => {
                let said = read["errors"][0].as_str().unwrap_or("no such key").to_owned();
                match said.contains("authentication failed") || said.contains("invalid ciphertext") {
                    true => Err(OpenError.into()),
                    false => Err(KeyError::Unusable(format!(
                        "The transit engine refuses the key: {said}"
                    ))),
                }
            }
            other => Err(away(format!("HTTP status {other}").into())),
        }
    }

    /// The key that a caller names.
    fn key(&self, key_id: &str) -> Result<String, KeyError> {
        let named = KeyId::parse(key_id, &self.scope);
        match &named {
            KeyId::Alias(alias) if alias == DEFAULT_ALIAS => Ok(self.settings.default_key.clone()),
            // It becomes a part of a path.
            KeyId::Alias(key) | KeyId::Key(key) if !key.contains(['/', ':']) => Ok(key.clone()),
            _ => Err(KeyError::Unusable(named.not_found(&self.scope))),
        }
    }
}

/// The version in `vault:v3:…`.
fn version(ciphertext: &str) -> Option<&str> {
    let version = ciphertext.strip_prefix("vault:v")?.split(':').next()?;
    version.parse::<u32>().ok().map(|_| version)
}

#[tonic::async_trait]
impl Provider for VaultTransit {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn wrap(&self, key_id: &str, arn: &str, data_key: &DataKey) -> Result<Wrapping, KeyError> {
        let key = self.key(key_id)?;
        let body = json!({
            "plaintext": STANDARD.encode(data_key.bytes()),
            "associated_data": STANDARD.encode(arn),
        });
        let answer = self.call(&format!("encrypt/{key}"), Some(&body)).await?;
        let ciphertext = answer["ciphertext"].as_str().unwrap_or_default();
        let version =
            version(ciphertext).ok_or_else(|| KeyError::Unavailable("the answer holds no ciphertext".into()))?;
        Ok(Wrapping::Done(Wrapped {
            key: KeyName {
                provider: NAME.to_owned(),
                id: key,
                version: version.to_owned(),
            },
            bytes: ciphertext.as_bytes().to_vec(),
        }))
    }

    async fn unwrap(&self, wrapped: &Wrapped, binding: &Binding<'_>) -> Result<DataKey, KeyError> {
        let body = json!({
            "ciphertext": String::from_utf8_lossy(&wrapped.bytes),
            "associated_data": STANDARD.encode(binding.arn()),
        });
        let answer = self.call(&format!("decrypt/{}", wrapped.key.id), Some(&body)).await?;
        let bytes = STANDARD
            .decode(answer["plaintext"].as_str().unwrap_or_default())
            .map_err(|_| OpenError)?;
        Ok(DataKey::from_bytes(&Zeroizing::new(bytes)).ok_or(OpenError)?)
    }

    async fn is_current(&self, key: &KeyName) -> Result<bool, KeyError> {
        let answer = self.call(&format!("keys/{}", key.id), None).await?;
        Ok(answer["latest_version"]
            .as_u64()
            .map(|version| version.to_string())
            .as_deref()
            == Some(&key.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_key_stands_in_the_ciphertext() {
        assert_eq!(version("vault:v12:abc="), Some("12"));
        for bad in ["", "vault:v:x", "vault:x", "v1:abc", "vault:vx:abc"] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }
}
