//! The object store as an owner configured it (agent.md B5, run-command.md 8.3): a folder, or an S3-compatible service.
//!
//! Nodes store outputs here and fetch packages; the documents service keeps attachments here.
//! Nothing exists until somebody needs an object: an idle agent has no client and no memory of one.
//! Buckets are folders below the configured one, or buckets of the service in path style.
//! Keys are taken as they are written; nothing is encoded but what travels in a URL.

mod credentials;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientOptions, MultipartUpload, ObjectStore, PutPayload, PutPayloadMut, RetryConfig,
};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use credentials::Credentials;
pub use credentials::CredentialsError;

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
        Ok(Bucket {
            store: Arc::new(builder.build()?),
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
        })
    }

    /// Stores a file under a key.
    ///
    /// # Errors
    /// If the file cannot be read or the store does not take it.
    pub async fn put_file(&self, key: &str, file: &FilePath) -> Result<(), ObjectsError> {
        let key = parse_key(key)?;
        let unreadable = |error| ObjectsError::File(file.to_owned(), error);
        let mut source = tokio::fs::File::open(file).await.map_err(unreadable)?;
        let length = source.metadata().await.map_err(unreadable)?.len();
        if length <= PIECE as u64 {
            let mut content = Vec::new();
            source.read_to_end(&mut content).await.map_err(unreadable)?;
            self.store.put(&key, PutPayload::from(content)).await?;
            return Ok(());
        }
        let mut upload = self.upload(key.as_ref()).await?;
        loop {
            let mut piece = BytesMut::with_capacity(1024 * 1024);
            let pushed = match source.read_buf(&mut piece).await {
                Ok(0) => return upload.finish().await,
                Ok(_) => upload.push(piece.freeze()).await,
                Err(error) => Err(unreadable(error)),
            };
            if let Err(error) = pushed {
                upload.abort().await;
                return Err(error);
            }
        }
    }

    /// Begins an object that is written piece by piece; nobody sees it before its end.
    ///
    /// # Errors
    /// If the store does not take it.
    pub async fn upload(&self, key: &str) -> Result<Upload, ObjectsError> {
        Ok(Upload {
            store: self.store.put_multipart(&parse_key(key)?).await?,
            buffer: PutPayloadMut::new(),
            parts: JoinSet::new(),
        })
    }

    /// An object piece by piece.
    ///
    /// # Errors
    /// If it is not there or cannot be read.
    pub async fn read(&self, key: &str) -> Result<BoxStream<'static, Result<Bytes, ObjectsError>>, ObjectsError> {
        let object = self.store.get(&parse_key(key)?).await?;
        Ok(object.into_stream().map_err(ObjectsError::from).boxed())
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

/// An object on its way into the store. To be ended with [`Upload::finish`] or [`Upload::abort`]: parts of one that is
/// dropped stay with some stores.
#[derive(Debug)]
pub struct Upload {
    store: Box<dyn MultipartUpload>,
    /// The beginning of the next part.
    buffer: PutPayloadMut,
    /// Parts on their way.
    parts: JoinSet<object_store::Result<()>>,
}

impl Upload {
    /// Adds a piece.
    ///
    /// # Errors
    /// If the store does not take it.
    pub async fn push(&mut self, mut piece: Bytes) -> Result<(), ObjectsError> {
        while !piece.is_empty() {
            let room = PIECE - self.buffer.content_length();
            self.buffer.push(piece.split_to(room.min(piece.len())));
            if self.buffer.content_length() == PIECE {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    /// Lets everybody see it. If that fails, nothing of it is left.
    ///
    /// # Errors
    /// If the store does not take it.
    pub async fn finish(mut self) -> Result<(), ObjectsError> {
        let finished = self.complete().await;
        if finished.is_err() {
            self.abort().await;
        }
        finished
    }

    /// Forgets it.
    pub async fn abort(mut self) {
        self.parts.shutdown().await;
        // What is left of it is nobody's object.
        let _ = self.store.abort().await;
    }

    async fn complete(&mut self) -> Result<(), ObjectsError> {
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        self.settle(0).await?;
        self.store.complete().await?;
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), ObjectsError> {
        // Two parts on their way bound the memory.
        self.settle(1).await?;
        let part = std::mem::take(&mut self.buffer);
        self.parts.spawn(self.store.put_part(part.into()));
        Ok(())
    }

    /// Waits until no more than `most` parts are on their way.
    async fn settle(&mut self, most: usize) -> Result<(), ObjectsError> {
        while self.parts.len() > most
            && let Some(sent) = self.parts.join_next().await
        {
            sent.map_err(object_store::Error::from)??;
        }
        Ok(())
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
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::future::BoxFuture;

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

    /// A store that does not take the second part.
    #[derive(Debug)]
    struct Broken {
        parts: usize,
        aborted: Arc<AtomicBool>,
    }

    impl MultipartUpload for Broken {
        fn put_part(&mut self, _: PutPayload) -> object_store::UploadPart {
            self.parts += 1;
            let error = object_store::Error::NotImplemented;
            let outcome = if self.parts < 2 { Ok(()) } else { Err(error) };
            Box::pin(async move { outcome })
        }

        fn complete<'a, 'b>(&'a mut self) -> BoxFuture<'b, object_store::Result<object_store::PutResult>>
        where
            'a: 'b,
        {
            Box::pin(async { Err(object_store::Error::NotImplemented) })
        }

        fn abort<'a, 'b>(&'a mut self) -> BoxFuture<'b, object_store::Result<()>>
        where
            'a: 'b,
        {
            self.aborted.store(true, Ordering::Relaxed);
            Box::pin(async { Ok(()) })
        }
    }

    #[tokio::test]
    async fn nothing_stays_of_an_upload_whose_last_part_fails() {
        let aborted = Arc::new(AtomicBool::new(false));
        let store = Broken {
            parts: 0,
            aborted: Arc::clone(&aborted),
        };
        let mut upload = Upload {
            store: Box::new(store),
            buffer: PutPayloadMut::new(),
            parts: JoinSet::new(),
        };
        upload.push(vec![0; PIECE + 1].into()).await.unwrap();
        assert!(upload.finish().await.is_err());
        assert!(aborted.load(Ordering::Relaxed));
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
        bucket.put_file("big", &file).await.unwrap();
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
        bucket.put_file("a b/c~d/stdout", &file).await.unwrap();
        let stored = std::fs::read_to_string(dir.path().join("objects/logs/a b/c~d/stdout"));
        assert_eq!(stored.unwrap(), "hello");
        assert!(matches!(
            bucket.put_file("a//b", &file).await,
            Err(ObjectsError::Key(_))
        ));
        assert!(matches!(
            bucket.put_file("../b", &file).await,
            Err(ObjectsError::Key(_))
        ));
    }
}
