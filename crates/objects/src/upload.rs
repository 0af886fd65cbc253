//! An object that is written piece by piece.

use bytes::Bytes;
use object_store::{MultipartUpload, PutPayloadMut};
use tokio::task::JoinSet;

use crate::{ObjectsError, PIECE};

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
    pub(crate) fn new(store: Box<dyn MultipartUpload>) -> Self {
        Self {
            store,
            buffer: PutPayloadMut::new(),
            parts: JoinSet::new(),
        }
    }

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::future::BoxFuture;
    use object_store::PutPayload;

    use super::*;

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
        let mut upload = Upload::new(Box::new(store));
        upload.push(vec![0; PIECE + 1].into()).await.unwrap();
        assert!(upload.finish().await.is_err());
        assert!(aborted.load(Ordering::Relaxed));
    }
}
