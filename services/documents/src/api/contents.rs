//! Contents that were answered before.
//!
//! A version never changes and its pointer never means another one, so what is kept here is right for ever, in every
//! replica. What a name means at the moment is asked of the database each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use muster_proto::documents::v1::GetDocumentResult;

use crate::store::read::Pointer;

/// Answers of `GetDocument` in the stored format, up to a number of bytes.
#[derive(Debug)]
pub(super) struct Contents {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    answers: HashMap<Pointer, Arc<GetDocumentResult>>,
}

impl Contents {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Mutex::default(),
        }
    }

    pub(super) fn get(&self, pointer: &Pointer) -> Option<Arc<GetDocumentResult>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.answers.get(pointer).cloned()
    }

    pub(super) fn put(&self, pointer: Pointer, answer: Arc<GetDocumentResult>) {
        let bytes = answer.content.as_ref().map_or(0, String::len);
        if bytes > self.limit {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + bytes > self.limit {
            // Which ones go does not matter: another query brings each back.
            *kept = Kept::default();
        }
        if kept.answers.insert(pointer, answer).is_none() {
            kept.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(version: i64) -> Pointer {
        Pointer {
            document_id: "id".to_owned(),
            version,
        }
    }

    fn answer(bytes: usize) -> Arc<GetDocumentResult> {
        Arc::new(GetDocumentResult {
            content: Some("x".repeat(bytes)),
            ..GetDocumentResult::default()
        })
    }

    #[test]
    fn no_more_is_kept_than_allowed() {
        let contents = Contents::new(100);
        contents.put(pointer(1), answer(60));
        contents.put(pointer(1), answer(60));
        contents.put(pointer(2), answer(40));
        assert!(contents.get(&pointer(1)).is_some() && contents.get(&pointer(2)).is_some());
        contents.put(pointer(3), answer(1));
        assert!(contents.get(&pointer(1)).is_none() && contents.get(&pointer(3)).is_some());
        contents.put(pointer(4), answer(101));
        assert!(contents.get(&pointer(4)).is_none() && contents.get(&pointer(3)).is_some());
    }
}
