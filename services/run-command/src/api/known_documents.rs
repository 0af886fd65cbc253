//! Documents that were parsed before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use muster_document::Document;

/// How many are kept.
const MOST: usize = 256;

/// Documents that were parsed before, by the hash of their content: a content means the same for ever.
#[derive(Debug, Default)]
pub(super) struct KnownDocuments(Mutex<HashMap<String, Arc<Document>>>);

impl KnownDocuments {
    pub(super) fn get(&self, key: &str) -> Option<Arc<Document>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(super) fn put(&self, key: String, document: Arc<Document>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            // Which ones go does not matter: parsing again costs well under a millisecond.
            known.clear();
        }
        known.insert(key, document);
    }
}
