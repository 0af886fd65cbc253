//! Keys in AWS KMS, or in what speaks like it. Data keys are made here; KMS only wraps and unwraps them, with the
//! parameter's ARN as encryption context, as the public service has it.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_model::{Clock, SystemClock};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::domain::put::is_default_key;
use crate::secret::binding::Binding;
use crate::secret::data_key::{DataKey, OpenError};
use crate::secret::provider::{KeyError, KeyName, Provider, Wrapped, Wrapping};
use crate::secret::signature::{Credentials, Request, authorization};

const NAME: &str = "aws-kms";
/// KMS rotates the material of its keys itself, and says nothing of it.
const VERSION: &str = "-";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where KMS is. Nothing in it is a secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsKmsSettings {
    /// `https://kms.<region>.amazonaws.com`; empty: not used.
    pub url: String,
    /// The region that requests are signed for.
    pub region: String,
    /// A file in the form of `~/.aws/credentials`, profile `default`.
    pub credentials_file: PathBuf,
    /// The key of SecureStrings that name none: an id, an ARN or an alias.
    pub default_key: String,
}

/// Keys in KMS.
#[derive(Debug)]
pub(crate) struct AwsKms {
    http: reqwest::Client,
    url: reqwest::Url,
    settings: AwsKmsSettings,
}

impl AwsKms {
    /// The keys of an address.
    pub(crate) fn new(settings: &AwsKmsSettings) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Credentials::load(&settings.credentials_file)?;
        Ok(Self {
            http: reqwest::Client::builder().timeout(TIMEOUT).build()?,
            url: settings.url.parse()?,
            settings: settings.clone(),
        })
    }

    /// The key that a caller names, as KMS is asked for it.
    fn named<'a>(&'a self, key_id: &'a str) -> &'a str {
        match is_default_key(key_id) {
            true => &self.settings.default_key,
            false => key_id,
        }
    }

    async fn call(&self, operation: &str, body: &Value) -> Result<Value, KeyError> {
        let away = |error: Box<dyn std::error::Error + Send + Sync>| KeyError::Unavailable(error);
        // Read each time: whoever changes them need not restart anything.
        let credentials = Credentials::load(&self.settings.credentials_file).map_err(|error| away(error.into()))?;
        let body = Zeroizing::new(body.to_string());
        let target = format!("TrentService.{operation}");
        let host = self.url.authority().to_owned();
        let time = SystemClock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut headers = vec![
            ("content-type", "application/x-amz-json-1.1"),
            ("host", host.as_str()),
            ("x-amz-date", time.as_str()),
        ];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token", token.as_str()));
        }
        headers.push(("x-amz-target", target.as_str()));
        let request = Request {
            region: &self.settings.region,
            service: "kms",
            time: &time,
            headers: &headers,
            body: body.as_bytes(),
        };
        let mut call = self
            .http
            .post(self.url.clone())
            .header("authorization", authorization(&request, &credentials));
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            call = call.header(*name, *value);
        }
        let answer = call
            .body(body.as_bytes().to_vec())
            .send()
            .await
            .map_err(|error| away(error.into()))?;
        let status = answer.status();
        let bytes = Zeroizing::new(answer.bytes().await.map_err(|error| away(error.into()))?.to_vec());
        let read: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match status.is_success() {
            true => Ok(read),
            false => Err(refused(status.as_u16(), &read)),
        }
    }
}

/// Whether a name of a key is one that may be given to another key.
fn is_alias(named: &str) -> bool {
    named.starts_with("alias/") || named.contains(":alias/")
}

fn refused(status: u16, answer: &Value) -> KeyError {
    let word = answer["__type"].as_str().unwrap_or_default();
    let word = word.rsplit('#').next().unwrap_or_default();
    let text = answer["message"]
        .as_str()
        .or(answer["Message"].as_str())
        .unwrap_or(word);
    match word {
        "InvalidCiphertextException" | "IncorrectKeyException" => KeyError::Open(OpenError),
        // What is wrong with the key that the caller names.
        "NotFoundException"
        | "DisabledException"
        | "KMSInvalidStateException"
        | "InvalidKeyUsageException"
        | "InvalidArnException"
        | "ValidationException" => KeyError::Unusable(text.to_owned()),
        // It stays so until somebody changes the key's policy: to try again helps nobody. The text names who we are there.
        "AccessDeniedException" => {
            tracing::warn!(why = text, "KMS denies the use of a key");
            KeyError::Unusable("KMS does not let the parameter store use the key".to_owned())
        }
        // What is wrong between the service and the provider is not the caller's to know: it is in the log.
        _ => KeyError::Unavailable(format!("HTTP status {status} {word}: {text}").into()),
    }
}

fn bytes(answer: &Value, member: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = answer[member].as_str().unwrap_or_default();
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| KeyError::Unavailable(error.into()))?;
    Ok(Zeroizing::new(bytes))
}

#[tonic::async_trait]
impl Provider for AwsKms {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn wrap(&self, key_id: &str, arn: &str, data_key: &DataKey) -> Result<Wrapping, KeyError> {
        let key_id = self.named(key_id);
        let body = json!({
            "KeyId": key_id,
            "Plaintext": STANDARD.encode(data_key.bytes()),
            "EncryptionContext": {"PARAMETER_ARN": arn},
        });
        let answer = self.call("Encrypt", &body).await?;
        Ok(Wrapping::Done(Wrapped {
            key: KeyName {
                provider: NAME.to_owned(),
                // What an alias means now: it may mean another key later.
                id: answer["KeyId"].as_str().unwrap_or(key_id).to_owned(),
                version: VERSION.to_owned(),
            },
            bytes: bytes(&answer, "CiphertextBlob")?.to_vec(),
        }))
    }

    async fn unwrap(&self, wrapped: &Wrapped, binding: &Binding<'_>) -> Result<DataKey, KeyError> {
        let body = json!({
            "KeyId": wrapped.key.id,
            "CiphertextBlob": STANDARD.encode(&wrapped.bytes),
            "EncryptionContext": {"PARAMETER_ARN": binding.arn()},
        });
        let answer = self.call("Decrypt", &body).await?;
        Ok(DataKey::from_bytes(&bytes(&answer, "Plaintext")?).ok_or(OpenError)?)
    }

    async fn meaning(&self, key_id: &str) -> Result<Option<String>, KeyError> {
        let named = self.named(key_id);
        if !is_alias(named) {
            // The setting may have been another key; what a caller names by its id is the same for ever.
            return Ok(is_default_key(key_id).then(|| named.to_owned()));
        }
        let answer = self.call("DescribeKey", &json!({"KeyId": named})).await?;
        let key = &answer["KeyMetadata"];
        let arn = key["Arn"].as_str().or(key["KeyId"].as_str());
        let arn = arn.ok_or_else(|| KeyError::Unavailable("the answer holds no key".into()))?;
        match key["Enabled"].as_bool() {
            Some(false) => Err(KeyError::Unusable(format!("{arn} is disabled."))),
            _ => Ok(Some(arn.to_owned())),
        }
    }

    async fn is_current(&self, _key: &KeyName) -> Result<bool, KeyError> {
        Ok(true)
    }
}
