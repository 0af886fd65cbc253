//! The object store as an owner configured it (agent.md B5, run-command.md 8.3): a folder, or an S3-compatible service.
//!
//! Nodes store outputs here and fetch packages; the documents service keeps attachments here.
//! Nothing exists until somebody needs an object: an idle agent has no client and no memory of one.
//! Buckets are folders below the configured one, or buckets of the service in path style.
//! Keys are taken as they are written; nothing is encoded but what travels in a URL.

mod credentials;
mod file_pieces;
mod upload;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use http::Method;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::signer::Signer as _;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    RetryConfig,
};
use serde::{Deserialize, Serialize};

use credentials::Credentials;
pub use credentials::CredentialsError;
use file_pieces::FilePieces;
pub use upload::Upload;

/// Where objects are, as a section of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objects {
    /// `file:///path` for a folder with a folder for each bucket; `http://…` or `https://…` for an S3-compatible service.
    /// Empty: for an agent the folder `objects` in its state directory; for a service none.
    pub url: String,
    /// The region of requests that name none. Empty: `us-east-1`.
    pub region: String,
    /// A file in the form of `~/.aws/credentials`, profile `default`, readable by its owner only.
    /// Empty: requests to a service are not signed.
    pub credentials_file: String,
}

/// Why the object store cannot be used. Never holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// A text that cannot be a bucket's name.
    #[error("{0:?} is no name of a bucket")]
    Bucket(String),
    /// A text that cannot be a key.
    #[error("{0:?} is no key of an object")]
    Key(String),
    /// There are no credentials where they should be.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// What the store says.
    #[error("{0}")]
    Store(String),
    /// A file on this side.
    #[error("cannot read {0:?}: {1}")]
    File(PathBuf, #[source] std::io::Error),
}

impl From<object_store::Error> for ObjectsError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error;
        // The whole text of a service's answer may be a page of XML.
        Self::Store(match error {
            Error::NotFound { path, .. } => format!("there is no {path}"),
            Error::PermissionDenied { .. } => "the object store denies access".to_owned(),
            Error::Unauthenticated { .. } => "the object store does not know the credentials".to_owned(),
            error => brief(&error),
        })
    }
}

/// The innermost cause and the outermost words of an error, in one line of bounded length.
fn brief(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let code = |text: &str| Some(text.split_once("<Code>")?.1.split_once("</Code>")?.0.to_owned());
    let text = error.to_string();
    if let Some(code) = code(&text).or_else(|| code(&innermost.to_string())) {
        return format!("the object store answers {code}");
    }
    let text = if text.contains(&innermost.to_string()) {
        text
    } else {
        format!("{text}: {innermost}")
    };
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}

/// Longest piece of an upload; longer objects are sent in several.
const PIECE: usize = 8 * 1024 * 1024;

/// A bucket that can be read and written.
#[derive(Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// The service, where it is one that signs URLs.
    signer: Option<Arc<AmazonS3>>,
    /// Whether objects say how they are encoded: in a folder they do not.
    says_encodings: bool,
}

/// How an object is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// Compressed, with `Content-Encoding: gzip`; in a folder, which cannot say so, as it is.
    Gzip,
}

impl Encoding {
    fn attributes(self) -> Attributes {
        match self {
            Self::Plain => Attributes::new(),
            Self::Gzip => Attributes::from_iter([(Attribute::ContentEncoding, "gzip")]),
        }
    }
}

impl Objects {
    /// Whether the URL names a place that is understood.
    #[must_use]
    pub fn is_known(&self) -> bool {
        let starts = ["file:///", "http://", "https://"];
        let is_place = |start: &str| self.url.len() > start.len() && self.url.starts_with(start);
        self.url.is_empty() || starts.into_iter().any(is_place)
    }

    /// Whether objects are in a folder of this machine, and which.
    #[must_use]
    pub fn folder(&self, state: &FilePath) -> Option<PathBuf> {
        match self.url.strip_prefix("file://") {
            Some(folder) => Some(folder.into()),
            None if self.url.is_empty() => Some(state.join("objects")),
            None => None,
        }
    }

    /// Opens a bucket; nothing is asked of a service yet. `state` is the state directory.
    /// `endpoint` is where the bucket is if it is not where this node's objects are.
    /// Requests are repeated for at most `patience`.
    ///
    /// # Errors
    /// If the name is none, the credentials cannot be read, or the folder cannot be made.
    pub fn bucket(
        &self,
        state: &FilePath,
        name: &str,
        region: &str,
        endpoint: Option<&str>,
        patience: Duration,
    ) -> Result<Bucket, ObjectsError> {
        if !is_bucket(name) {
            return Err(ObjectsError::Bucket(name.to_owned()));
        }
        if endpoint.is_none()
            && let Some(folder) = self.folder(state)
        {
            return Bucket::folder(&folder.join(name));
        }
        let endpoint = endpoint.unwrap_or(&self.url);
        let region = [region, &self.region]
            .into_iter()
            .find(|region| !region.is_empty())
            .unwrap_or("us-east-1");
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(region)
            .with_endpoint(endpoint)
            .with_virtual_hosted_style_request(false)
            .with_client_options(
                ClientOptions::new()
                    .with_allow_http(endpoint.starts_with("http://"))
                    .with_connect_timeout(patience.min(Duration::from_secs(5)))
                    .with_timeout_disabled(),
            )
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(100),
                    max_backoff: Duration::from_secs(2),
                    base: 2.,
                },
                max_retries: 10,
                retry_timeout: patience,
            });
        builder = match Credentials::load(&self.credentials_file)? {
            Some(credentials) => credentials.give_to(builder),
            None => builder.with_skip_signature(true),
        };
        let service = Arc::new(builder.build()?);
        Ok(Bucket {
            signer: (!self.credentials_file.is_empty()).then(|| Arc::clone(&service)),
            store: service,
            says_encodings: true,
        })
    }
}

impl Bucket {
    fn folder(folder: &FilePath) -> Result<Self, ObjectsError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| ObjectsError::File(folder.to_owned(), error))?;
        Ok(Self {
            store: Arc::new(LocalFileSystem::new_with_prefix(folder)?),
            signer: None,
            says_encodings: false,
        })
    }

    /// Stores a file under a key.
    ///
    /// # Errors
    /// If the file cannot be read or the store does not take it.
    pub async fn put_file(&self, key: &str, file: &FilePath, encoding: Encoding) -> Result<(), ObjectsError> {
        let key = parse_key(key)?;
        let encoding = match self.says_encodings {
            true => encoding,
            false => Encoding::Plain,
        };
        let unreadable = |error| ObjectsError::File(file.to_owned(), error);
        let mut pieces = FilePieces::open(file, encoding).await.map_err(unreadable)?;
        let mut beginning = BytesMut::new();
        while beginning.len() <= PIECE {
            match pieces.next().await.map_err(unreadable)? {
                Some(piece) => beginning.extend_from_slice(&piece),
                None => {
                    let options = PutOptions {
                        attributes: encoding.attributes(),
                        ..PutOptions::default()
                    };
                    let payload = PutPayload::from(beginning.freeze());
                    self.store.put_opts(&key, payload, options).await?;
                    return Ok(());
                }
            }
        }
        let mut upload = self.begin(&key, encoding).await?;
        let mut piece = Some(beginning.freeze());
        while let Some(next) = piece {
            let pushed = match upload.push(next).await {
                Ok(()) => pieces.next().await.map_err(unreadable),
                Err(error) => Err(error),
            };
            match pushed {
                Ok(next) => piece = next,
                Err(error) => {
                    upload.abort().await;
                    return Err(error);
                }
            }
        }
        upload.finish().await
    }

    /// Begins an object that is written piece by piece; nobody sees it before its end.
    ///
    /// # Errors
    /// If the store does not take it.
    pub async fn upload(&self, key: &str) -> Result<Upload, ObjectsError> {
        self.begin(&parse_key(key)?, Encoding::Plain).await
    }

    async fn begin(&self, key: &Key, encoding: Encoding) -> Result<Upload, ObjectsError> {
        let options = PutMultipartOptions {
            attributes: encoding.attributes(),
            ..PutMultipartOptions::default()
        };
        Ok(Upload::new(self.store.put_multipart_opts(key, options).await?))
    }

    /// An object piece by piece.
    ///
    /// # Errors
    /// If it is not there or cannot be read.
    pub async fn read(&self, key: &str) -> Result<BoxStream<'static, Result<Bytes, ObjectsError>>, ObjectsError> {
        let object = self.store.get(&parse_key(key)?).await?;
        Ok(object.into_stream().map_err(ObjectsError::from).boxed())
    }

    /// A URL by which anybody can read an object for a while; none in a folder, and of a service without credentials.
    ///
    /// # Errors
    /// If the key is none.
    pub async fn signed_url(&self, key: &str, lasts: Duration) -> Result<Option<String>, ObjectsError> {
        let key = parse_key(key)?;
        let Some(signer) = &self.signer else { return Ok(None) };
        let url = signer.signed_url(Method::GET, &key, lasts).await?;
        Ok(Some(url.into()))
    }

    /// Removes everything below a folder of keys; nothing there is no error.
    ///
    /// # Errors
    /// If the store does not do it.
    pub async fn clear(&self, folder: &str) -> Result<(), ObjectsError> {
        let folder = parse_key(folder)?;
        let found: Vec<_> = self.store.list(Some(&folder)).try_collect().await?;
        for object in found {
            match self.store.delete(&object.location).await {
                Err(object_store::Error::NotFound { .. }) | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The store itself, for reading.
    #[must_use]
    pub fn store(&self) -> &dyn ObjectStore {
        &*self.store
    }
}

/// A key as it is written, without a leading or trailing slash.
///
/// # Errors
/// If it is none.
pub fn parse_key(key: &str) -> Result<Key, ObjectsError> {
    Key::parse(key.trim_matches('/')).map_err(|_| ObjectsError::Key(key.to_owned()))
}

/// Whether a text can be a bucket's name; what passes is also safe as the name of a folder.
fn is_bucket(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_inner = |byte: u8| is_plain(byte) || matches!(byte, b'.' | b'-' | b'_');
    (3..=63).contains(&name.len())
        && name.bytes().all(is_inner)
        && name.bytes().next().is_some_and(is_plain)
        && name.bytes().next_back().is_some_and(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_is_a_name_and_no_path() {
        for good in ["logs", "my-bucket.1", "abc"] {
            assert!(is_bucket(good), "{good}");
        }
        for bad in ["", "..", "../x", "a/b", "Upper", "-ab", "ab-", "ab"] {
            assert!(!is_bucket(bad), "{bad}");
        }
    }

    #[test]
    fn places_are_urls() {
        let is_known = |url: &str| {
            Objects {
                url: url.into(),
                ..Objects::default()
            }
            .is_known()
        };
        for good in [
            "",
            "file:///srv/objects",
            "http://127.0.0.1:9000",
            "https://s3.example.org",
        ] {
            assert!(is_known(good), "{good}");
        }
        for bad in ["/srv", "ftp://x", "file://host/x", "https://"] {
            assert!(!is_known(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_file_of_several_parts_arrives_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("stdout");
        let content: Vec<u8> = (0..2 * PIECE + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
        std::fs::write(&file, &content).unwrap();
        let bucket = Objects::default()
            .bucket(dir.path(), "logs", "", None, PATIENCE)
            .unwrap();
        bucket.put_file("big", &file, Encoding::Gzip).await.unwrap();
        assert!(std::fs::read(dir.path().join("objects/logs/big")).unwrap() == content);
    }

    #[tokio::test]
    async fn a_folder_holds_buckets_and_keys_as_they_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("stdout");
        std::fs::write(&file, "hello").unwrap();
        let bucket = Objects::default()
            .bucket(dir.path(), "logs", "", None, PATIENCE)
            .unwrap();
        bucket.put_file("a b/c~d/stdout", &file, Encoding::Plain).await.unwrap();
        let stored = std::fs::read_to_string(dir.path().join("objects/logs/a b/c~d/stdout"));
        assert_eq!(stored.unwrap(), "hello");
        assert!(matches!(
            bucket.put_file("a//b", &file, Encoding::Plain).await,
            Err(ObjectsError::Key(_))
        ));
        assert!(matches!(
            bucket.put_file("../b", &file, Encoding::Plain).await,
            Err(ObjectsError::Key(_))
        ));
    }
}
