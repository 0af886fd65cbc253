//! How many versions of SecureStrings each version of a key is needed by, for whoever wants to retire one.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use muster_boot::Parts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::secret::KeyName;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    provider: String,
    key: String,
    version: String,
}

/// The counts on `/metrics`.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyUses(Family<Label, Gauge>, Arc<Mutex<HashSet<Label>>>);

impl KeyUses {
    pub(crate) fn register(parts: &Parts) -> Self {
        let uses = Self::default();
        let mut registry = parts.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.sub_registry_with_prefix("muster_parameter_store").register(
            "data_keys",
            "Versions of SecureStrings whose data keys are wrapped with this version of a key, as of the last look",
            uses.0.clone(),
        );
        uses
    }

    /// Shows these counts in the place of the last ones. One that nothing needs is not shown.
    pub(crate) fn show(&self, counts: &[(KeyName, i64)]) {
        let mut shown = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = HashSet::new();
        for (key, count) in counts {
            let label = Label {
                provider: key.provider.clone(),
                key: key.id.clone(),
                version: key.version.clone(),
            };
            self.0.get_or_create(&label).set(*count);
            now.insert(label);
        }
        for gone in shown.difference(&now) {
            self.0.remove(gone);
        }
        *shown = now;
    }
}
