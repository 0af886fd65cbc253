//! Pages of lists and the tokens between them.

use std::sync::Arc;

use muster_model::{Clock, Timestamp};
use muster_store::Pager;

use crate::error::AccessError;

/// Entries on a page if nobody says.
pub(super) const DEFAULT: i32 = 100;

/// Makes and reads the tokens of lists.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pager: Pager,
    clock: Arc<dyn Clock>,
}

/// How many rows are read for a page: one more than fits tells whether there is a next page.
pub(super) fn limit(size: Option<i32>) -> i64 {
    i64::from(size.unwrap_or(DEFAULT)) + 1
}

impl Pages {
    pub(crate) fn new(pager: Pager, clock: Arc<dyn Clock>) -> Self {
        Self { pager, clock }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The position in a token of the list that `question` selects; empty for the first page.
    pub(super) fn position(&self, question: &str, token: Option<&str>) -> Result<String, AccessError> {
        match token.filter(|token| !token.is_empty()) {
            None => Ok(String::new()),
            Some(token) => {
                let position = self.pager.position(question, token, self.now());
                position.map_err(|_| AccessError::NextToken)
            }
        }
    }

    /// Cuts what was read only to learn whether there is more, and gives the token of the next page if there is.
    pub(super) fn cut<T>(
        &self,
        question: &str,
        rows: &mut Vec<T>,
        size: Option<i32>,
        position: impl FnOnce(&T) -> String,
    ) -> Option<String> {
        let size = usize::try_from(size.unwrap_or(DEFAULT)).unwrap_or_default();
        let more = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| more)?;
        Some(self.pager.token(question, &position(last), self.now()))
    }
}
