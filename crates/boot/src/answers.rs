//! Signs what a service answers to nodes that ask in the middle of a run (decision 18).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use muster_credential::work::{AnswerCertificate, AnswerKey, Answered, NoAnswerKey, Signature};
use tokio::sync::watch;

use crate::private_file::{PrivateFileError, read_private};
use crate::{BoxError, Tasks};

/// How often it is looked whether there is another key.
const LOOK: Duration = Duration::from_secs(5);

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum AnswerKeyError {
    /// The file cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// It holds something else.
    #[error("the key for answers in {} cannot be used", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: NoAnswerKey,
    },
    /// It is another service's.
    #[error("the key for answers in {} is that of {service}", .path.display())]
    Service {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        service: String,
    },
}

/// Signs answers with the key of the service, as it is in its file now.
#[derive(Debug, Clone)]
pub struct AnswerSeal(watch::Receiver<Option<Arc<AnswerKey>>>);

impl AnswerSeal {
    /// The key in a file; no path: nothing is signed. `service` is the service without `muster-`.
    ///
    /// # Errors
    /// If there is a path, and no key of this service.
    pub fn open(service: &'static str, path: &Path, tasks: &Tasks) -> Result<Self, AnswerKeyError> {
        if path.as_os_str().is_empty() {
            tracing::warn!(
                "answers to nodes are not signed: nodes that pinned keys do not believe them; set answer_key_file"
            );
            return Ok(Self(watch::Sender::new(None).subscribe()));
        }
        let (sender, receiver) = watch::channel(Some(Arc::new(load(service, path)?)));
        let (path, stopping) = (path.to_owned(), tasks.stopping());
        tasks.spawn("answer key", async move {
            while stopping.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
                look(service, &path, &sender).await?;
            }
            Ok(())
        });
        Ok(Self(receiver))
    }

    /// The headers that vouch for an answer; none where nothing is signed.
    #[must_use]
    pub fn headers(&self, answered: Answered<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(key) = &*self.0.borrow() {
            headers.insert(Signature::HEADER, key.sign(answered).to_string());
            headers.insert(AnswerCertificate::HEADER, key.certificate().to_string());
        }
        headers
    }
}

async fn look(
    service: &'static str,
    path: &Path,
    sender: &watch::Sender<Option<Arc<AnswerKey>>>,
) -> Result<(), BoxError> {
    let place = path.to_owned();
    match tokio::task::spawn_blocking(move || load(service, &place)).await? {
        Ok(found) => {
            sender.send_if_modified(|known| {
                let is_known = known
                    .as_ref()
                    .is_some_and(|key| key.certificate() == found.certificate());
                if !is_known {
                    tracing::info!("answers to nodes are signed with another key from now on");
                    *known = Some(Arc::new(found));
                }
                !is_known
            });
        }
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "the key for answers cannot be read again; the former goes on"
        ),
    }
    Ok(())
}

fn load(service: &str, path: &Path) -> Result<AnswerKey, AnswerKeyError> {
    let path = path.to_owned();
    match AnswerKey::parse(&read_private(&path)?) {
        Err(source) => Err(AnswerKeyError::Content { path, source }),
        Ok(key) if key.certificate().service() != service => Err(AnswerKeyError::Service {
            service: key.certificate().service().to_owned(),
            path,
        }),
        Ok(key) => Ok(key),
    }
}
