//! Fetches the attachments of new versions into the object store, and removes those of versions that are gone
//! (documents.md 7).
//!
//! Replicas share the work: whoever takes a version in hand puts it off first, for as long as it may take. What a process
//! that died had in hand is taken up again after that.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use muster_boot::{BoxError, Parts};
use muster_model::Clock;
use muster_objects::{Bucket, ObjectsError};
use muster_store::{Db, StoreError};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::News;
use super::web::{Miss, Pieces, Web};
use crate::Settings;
use crate::domain::attachment::{Arrival, Attachment, StoredFile, folder};
use crate::store::files::{self, DueRow};

/// How often it is looked what others have left.
const LOOK: Duration = Duration::from_secs(5);
/// Versions in hand at once.
const AT_ONCE: usize = 4;
/// Deleted versions looked at at once.
const PAGE: i64 = 32;
/// How often a version is tried.
const ATTEMPTS: i64 = 3;
/// How much longer somebody has a version in hand than fetching may take.
const MARGIN: Duration = Duration::from_secs(30);
/// How long an object store that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts fetching; without an object store there is nothing to fetch.
///
/// # Errors
/// If no client can be made.
pub(crate) fn start(parts: &Parts, settings: &Settings, db: Db, wake: Arc<Notify>) -> Result<(), BoxError> {
    if settings.objects.url.is_empty() {
        return Ok(());
    }
    if !settings.objects.is_known() {
        return Err("objects.url must begin with file:///, http:// or https://".into());
    }
    let fetcher = Fetcher {
        web: Web::new(settings.fetch_from_local_addresses)?,
        settings: settings.clone(),
        db,
        clock: Arc::clone(&parts.clock),
        news: News::new(parts.nats.clone()),
        wake,
    };
    parts.tasks.spawn("fetcher", fetcher.run(parts.tasks.stopping()));
    Ok(())
}

struct Fetcher {
    settings: Settings,
    db: Db,
    web: Web,
    clock: Arc<dyn Clock>,
    news: News,
    wake: Arc<Notify>,
}

impl Fetcher {
    async fn run(self, stopping: CancellationToken) -> Result<(), BoxError> {
        match files::adopt(&self.db, self.now()).await {
            Ok(0) => {}
            Ok(packages) => tracing::info!(packages, "packages from before files were kept get their files now"),
            Err(error) => complain(&error),
        }
        futures::join!(self.keep_fetching(&stopping), self.keep_removing(&stopping));
        Ok(())
    }

    async fn keep_fetching(&self, stopping: &CancellationToken) {
        let mut work = FuturesUnordered::new();
        while !stopping.is_cancelled() {
            match self.claim(AT_ONCE - work.len()).await {
                Ok(claimed) => work.extend(claimed.into_iter().map(|row| self.take(row, stopping))),
                Err(error) => complain(&error),
            }
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                Some(done) = work.next() => done.unwrap_or_else(|error| complain(&error)),
            }
        }
        // What is in hand is given back.
        while let Some(done) = work.next().await {
            done.unwrap_or_else(|error| complain(&error));
        }
    }

    async fn keep_removing(&self, stopping: &CancellationToken) {
        while !stopping.is_cancelled() {
            if let Err(error) = self.remove_gone().await {
                complain(&error);
            }
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn remove_gone(&self) -> Result<(), StoreError> {
        for (document_id, version) in files::gone(&self.db, self.now(), PAGE).await? {
            let cleared = match self.bucket(&self.settings.attachments_bucket) {
                Ok(bucket) => bucket.clear(&folder(&document_id, version)).await,
                Err(error) => Err(error),
            };
            match cleared {
                Ok(()) => files::forget(&self.db, &document_id, version).await?,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "attachments cannot be removed"
                    );
                }
            }
        }
        Ok(())
    }

    /// Takes versions in hand that nobody has.
    async fn claim(&self, most: usize) -> Result<Vec<DueRow>, StoreError> {
        let mut claimed = Vec::new();
        if most == 0 {
            return Ok(claimed);
        }
        let most = i64::try_from(most).unwrap_or(PAGE);
        for row in files::due(&self.db, self.now(), most).await? {
            if files::claim(&self.db, &row, self.after(self.limit() + MARGIN)).await? {
                claimed.push(row);
            }
        }
        Ok(claimed)
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.settings.fetch_seconds.into())
    }

    /// Fetches the files of a version in hand and says what became of them.
    async fn take(&self, row: DueRow, stopping: &CancellationToken) -> Result<(), StoreError> {
        let attempt = row.attempts + 1;
        let halt = Halt::new(self.limit(), stopping);
        let miss = match self.fetch_all(&row, &halt).await {
            Ok(found) => {
                files::settle(&self.db, &row, Arrival::Active, None, &found).await?;
                self.tell("files-stored", &row).await;
                return Ok(());
            }
            // For whoever comes after us, at once; it was no attempt.
            Err(_) if stopping.is_cancelled() => return files::put_off(&self.db, &row, self.now(), row.attempts).await,
            Err(miss) => miss,
        };
        match miss {
            Miss::Later(why) if attempt < ATTEMPTS => {
                tracing::info!(document = row.name, attempt, why, "attachments are tried again");
                let wait = LOOK * 2_u32.pow(u32::try_from(attempt).unwrap_or_default());
                files::put_off(&self.db, &row, self.after(wait), attempt).await
            }
            Miss::Later(why) | Miss::Never(why) => {
                let reason = format!("the attachments could not be fetched: {why}");
                files::settle(&self.db, &row, Arrival::Failed, Some(&reason), &[]).await?;
                self.clear(&row).await;
                self.tell("files-failed", &row).await;
                Ok(())
            }
        }
    }

    /// Removes the files that had come before the one that failed.
    async fn clear(&self, row: &DueRow) {
        let cleared = match self.bucket(&self.settings.attachments_bucket) {
            Ok(bucket) => bucket.clear(&folder(&row.document_id, row.version)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = cleared {
            // They go with the version.
            let error = &error as &dyn std::error::Error;
            tracing::info!(error, document = row.name, "files of a version that failed stay");
        }
    }

    async fn tell(&self, what: &str, row: &DueRow) {
        self.news
            .tell(what, &row.name, Some(row.version), self.clock.now())
            .await;
    }

    async fn fetch_all(&self, row: &DueRow, halt: &Halt<'_>) -> Result<Vec<StoredFile>, Miss> {
        let attachments = row.attachments().map_err(|error| Miss::Later(error.to_string()))?;
        let bucket = self.bucket(&self.settings.attachments_bucket).map_err(store_miss)?;
        let used = files::stored_bytes(&self.db).await;
        let used = used.map_err(|error| Miss::Later(error.to_string()))?;
        let mut room = self.settings.max_total_attachment_bytes.saturating_sub(used);
        let mut found = Vec::with_capacity(attachments.len());
        for attachment in &attachments {
            let object = format!("{}/{}", folder(&row.document_id, row.version), attachment.name);
            let named = |why: String| format!("{}: {why}", attachment.name);
            let stored = self.fetch(&bucket, attachment, object, room, halt).await;
            let stored = stored.map_err(|miss| match miss {
                Miss::Later(why) => Miss::Later(named(why)),
                Miss::Never(why) => Miss::Never(named(why)),
            })?;
            room = room.saturating_sub(u64::try_from(stored.size).unwrap_or_default());
            found.push(stored);
        }
        Ok(found)
    }

    /// Fetches one file into the object store, where it is seen only if it is the right one.
    ///
    /// `room` is how long it may be beside all that is stored; what comes at the same moment is not counted.
    /// What was begun there is ended or given up before this returns: an upload that is only left stays, and costs, with
    /// many stores.
    async fn fetch(
        &self,
        bucket: &Bucket,
        attachment: &Attachment,
        object: String,
        room: u64,
        halt: &Halt<'_>,
    ) -> Result<StoredFile, Miss> {
        let mut pieces = halt.or(self.open(bucket, attachment)).await??;
        let stated = attachment.size.and_then(|size| u64::try_from(size).ok());
        let longest = self.settings.max_attachment_bytes.min(stated.unwrap_or(u64::MAX));
        let mut upload = bucket.upload(&object).await.map_err(store_miss)?;
        let (mut digest, mut size) = (Sha256::new(), 0_u64);
        let checked = loop {
            match halt.or(pieces.next()).await {
                Err(miss) | Ok(Some(Err(miss))) => break Err(miss),
                Ok(None) => break self.check(attachment, size, digest),
                Ok(Some(Ok(piece))) => {
                    size += piece.len() as u64;
                    if size > room {
                        let most = self.settings.max_total_attachment_bytes;
                        break Err(Miss::Never(format!(
                            "all attachments together would be longer than {most} bytes (max_total_attachment_bytes): \
                             delete versions that have some"
                        )));
                    }
                    if size > longest {
                        break Err(Miss::Never(format!("it is longer than {longest} bytes")));
                    }
                    digest.update(&piece);
                    match halt.or(upload.push(piece)).await {
                        Err(miss) => break Err(miss),
                        Ok(Err(error)) => break Err(store_miss(error)),
                        Ok(Ok(())) => {}
                    }
                }
            }
        };
        match checked {
            Ok(sha256) => {
                upload.finish().await.map_err(store_miss)?;
                Ok(StoredFile {
                    name: attachment.name.clone(),
                    object,
                    sha256,
                    size: i64::try_from(size).unwrap_or(i64::MAX),
                })
            }
            Err(miss) => {
                upload.abort().await;
                Err(miss)
            }
        }
    }

    /// Whether a file is what the content says; its checksum.
    fn check(&self, attachment: &Attachment, size: u64, digest: Sha256) -> Result<String, Miss> {
        let sha256 = hex::encode(digest.finalize());
        if let Some(stated) = attachment.sha256.as_ref().filter(|stated| **stated != sha256) {
            return Err(Miss::Never(format!(
                "its sha256 is {sha256}, and the content says {stated}"
            )));
        }
        match attachment.size {
            Some(stated) if u64::try_from(stated) != Ok(size) => Err(Miss::Never(format!(
                "it has {size} bytes, and the content says {stated}"
            ))),
            _ => Ok(sha256),
        }
    }

    async fn open(&self, bucket: &Bucket, attachment: &Attachment) -> Result<Pieces, Miss> {
        let from_store = |pieces: futures::stream::BoxStream<'static, Result<_, ObjectsError>>| {
            pieces.map(|piece| piece.map_err(store_miss)).boxed()
        };
        if let Some(object) = &attachment.object {
            return Ok(from_store(bucket.read(object).await.map_err(store_miss)?));
        }
        match attachment.url.strip_prefix("s3://") {
            None => self.web.open(&attachment.url).await,
            Some(place) => {
                let (name, key) = place
                    .split_once('/')
                    .ok_or_else(|| Miss::Never("its URL names no object".to_owned()))?;
                let bucket = self.bucket(name).map_err(store_miss)?;
                Ok(from_store(bucket.read(key).await.map_err(store_miss)?))
            }
        }
    }

    fn bucket(&self, name: &str) -> Result<Bucket, ObjectsError> {
        // The URL is set, so that no folder of an agent's is meant.
        let nowhere = std::path::Path::new("/");
        self.settings.objects.bucket(nowhere, name, "", None, PATIENCE)
    }

    fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    fn after(&self, wait: Duration) -> i64 {
        let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        self.now().saturating_add(wait)
    }
}

/// When fetching a version's files ends without them.
struct Halt<'a> {
    limit: Duration,
    deadline: Instant,
    stopping: &'a CancellationToken,
}

impl<'a> Halt<'a> {
    fn new(limit: Duration, stopping: &'a CancellationToken) -> Self {
        Self {
            limit,
            deadline: Instant::now() + limit,
            stopping,
        }
    }

    /// What comes of some work, unless it has to end before.
    async fn or<T>(&self, work: impl Future<Output = T>) -> Result<T, Miss> {
        let seconds = self.limit.as_secs();
        tokio::select! {
            // A source that always has something must not go on for ever.
            biased;
            () = self.stopping.cancelled() => Err(Miss::Later("this service stops".to_owned())),
            () = tokio::time::sleep_until(self.deadline) => {
                Err(Miss::Later(format!("the files of the version did not come within {seconds} seconds")))
            }
            done = work => Ok(done),
        }
    }
}

/// Trouble with the database; the next look asks again.
fn complain(error: &StoreError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "attachments cannot be looked after"
    );
}

/// What the store says: names that are none stay so, everything else may come right.
fn store_miss(error: ObjectsError) -> Miss {
    match error {
        ObjectsError::Bucket(_) | ObjectsError::Key(_) => Miss::Never(error.to_string()),
        error => Miss::Later(error.to_string()),
    }
}
