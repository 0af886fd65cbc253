//! Writes into the audit log that the data keys of a key are wrapped anew, and what came of it.
//!
//! Nobody is shown anything by that, so it does not wait for an audit log that is away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use muster_boot::{AccessOverBus, Authority, Parts};
use muster_model::Clock;
use muster_proto::access::v1::{Decision, DecisionRecord};
use muster_wire::Caller;

use crate::domain::scope::Scope;
use crate::secret::KeyName;

const ACTION: &str = "muster:RewrapDataKeys";

/// Whoever writes it down.
#[derive(Debug)]
pub(crate) struct Witness {
    log: Arc<dyn Authority>,
    clock: Arc<dyn Clock>,
    scope: Scope,
    /// Data keys with which nothing could be done: it is not said again each minute.
    stuck: Mutex<BTreeMap<KeyName, i64>>,
}

impl Witness {
    pub(crate) fn new(parts: &Parts, scope: Scope) -> Self {
        let log = Arc::new(AccessOverBus::new(parts.nats.clone()));
        Self::writing(log, Arc::clone(&parts.clock), scope)
    }

    /// One that writes into this log.
    pub(crate) fn writing(log: Arc<dyn Authority>, clock: Arc<dyn Clock>, scope: Scope) -> Self {
        Self {
            log,
            clock,
            scope,
            stuck: Mutex::default(),
        }
    }

    /// So many data keys of a key are to be wrapped anew.
    pub(crate) async fn begins(&self, old: &KeyName, needed: i64) {
        if !self.is_stuck(old, needed) {
            self.write(old, vec!["state=begins".to_owned(), format!("data-keys={needed}")])
                .await;
        }
    }

    /// So many were, and `rest` were not; `left` is which keys are in use now, and by how many.
    pub(crate) async fn ends(&self, old: &KeyName, needed: i64, count: usize, rest: i64, left: &[(KeyName, i64)]) {
        let is_known = self.is_stuck(old, needed);
        {
            let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
            match count {
                0 if rest > 0 => stuck.insert(old.clone(), rest),
                _ => stuck.remove(old),
            };
        }
        if is_known && count == 0 {
            return;
        }
        let mut details = vec!["state=ends".to_owned(), format!("data-keys={count}")];
        details.extend(left.iter().map(|(key, count)| format!("{key}={count}")));
        self.write(old, details).await;
    }

    fn is_stuck(&self, old: &KeyName, needed: i64) -> bool {
        let stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.get(old) == Some(&needed)
    }

    async fn write(&self, old: &KeyName, details: Vec<String>) {
        let now = self.clock.now();
        let mut details = details;
        details.insert(1, format!("key={}:{}", old.provider, old.id));
        details.insert(2, format!("key-version={}", old.version));
        let mut record = DecisionRecord {
            time: Some(prost_types::Timestamp {
                seconds: now.as_second(),
                nanos: now.subsec_nanosecond(),
            }),
            principal: Some(Caller::service().principal.to_string()),
            surface: Some("local".to_owned()),
            action: Some(ACTION.to_owned()),
            resource: Some(self.scope.key_arn(&old.id)),
            details,
            ..DecisionRecord::default()
        };
        record.set_decision(Decision::Allow);
        if let Err(error) = self.log.record(vec![record]).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(key = %old, error, "that data keys are wrapped anew is not in the audit log");
        }
    }
}
