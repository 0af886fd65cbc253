//! `ListDocuments` and `ListDocumentVersions` (documents 8).

use muster_proto::documents::v1::{
    ListDocumentVersionsRequest, ListDocumentVersionsResult, ListDocumentsRequest, ListDocumentsResult,
};
use muster_wire::{Failure, Principal};

use super::{DocumentsApi, settle, view};
use crate::domain::version::Selector;
use crate::domain::{filter, name};
use crate::error::{DocumentError, from_store};
use crate::store::list::{self, Question};
use crate::store::read;

/// Rows of a page when the caller does not say.
const DEFAULT_PAGE: i32 = 50;

impl DocumentsApi {
    pub(super) async fn list(
        &self,
        request: ListDocumentsRequest,
        asker: &Principal,
    ) -> Result<ListDocumentsResult, Failure> {
        let filters = filter::parse(&request.filters, &request.document_filter_list)?;
        let question = format!("{asker} ListDocuments {filters:?}");
        let after = self.position(&question, request.next_token.as_deref())?;
        let size = request.max_results.unwrap_or(DEFAULT_PAGE);
        let wanted = Question {
            filters,
            after,
            limit: i64::from(size) + 1,
        };
        let mut rows = list::documents(&self.db, &wanted).await.map_err(from_store)?;
        let next_token = self.cut(&question, &mut rows, size, |last| last.name.clone());
        let ids: Vec<_> = rows.iter().map(|row| row.document_id.as_str()).collect();
        let mut tags = read::tags_of_all(&self.db, &ids).await.map_err(from_store)?;
        let identifiers = rows.iter().map(|row| {
            let tags = tags.remove(&row.document_id).unwrap_or_default();
            view::identifier(row, tags, &self.account)
        });
        Ok(ListDocumentsResult {
            document_identifiers: identifiers.collect::<Result<_, _>>().map_err(from_store)?,
            next_token,
        })
    }

    pub(super) async fn list_versions(
        &self,
        request: ListDocumentVersionsRequest,
        asker: &Principal,
    ) -> Result<ListDocumentVersionsResult, Failure> {
        let given = request.name.unwrap_or_default();
        let asked = name::asked(&given, &self.account)?;
        let document = settle(read::pointer(&self.db, asked, &Selector::new(None, None)).await)?;
        // A document of the same name that was made since the last page is another list.
        let question = format!("{asker} ListDocumentVersions {}", document.document_id);
        let below = match self.position(&question, request.next_token.as_deref())? {
            None => i64::MAX,
            Some(position) => position.parse().map_err(|_| DocumentError::NextToken)?,
        };
        let size = request.max_results.unwrap_or(DEFAULT_PAGE);
        let mut rows = read::versions(&self.db, asked, below, i64::from(size) + 1)
            .await
            .map_err(from_store)?;
        let next_token = self.cut(&question, &mut rows, size, |last| last.version.to_string());
        let versions = rows.iter().map(view::version).collect::<Result<_, _>>();
        Ok(ListDocumentVersionsResult {
            document_versions: versions.map_err(from_store)?,
            next_token,
        })
    }
}
