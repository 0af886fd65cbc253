//! `ListDocuments` and `ListDocumentVersions` (documents 8).

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::documents::v1::{
    ListDocumentVersionsRequest, ListDocumentVersionsResult, ListDocumentsRequest, ListDocumentsResult,
};
use muster_wire::Failure;

use super::{DocumentsApi, view};
use crate::domain::filter::{self, Filter, Owner};
use crate::domain::name;
use crate::error::{DocumentError, from_store};
use crate::store::read;
use crate::store::row::VersionRow;

/// Rows of a page when the caller does not say.
const DEFAULT_PAGE: i32 = 50;
/// Documents that are looked at together.
const LOOK_AT: i64 = 200;

impl DocumentsApi {
    pub(super) async fn list(&self, request: ListDocumentsRequest) -> Result<ListDocumentsResult, Failure> {
        let filters = filter::parse(&request.filters, &request.document_filter_list)?;
        let question = format!("ListDocuments {filters:?}");
        let mut after = self
            .position(&question, request.next_token.as_deref())?
            .unwrap_or_default();
        let size = usize::try_from(request.max_results.unwrap_or(DEFAULT_PAGE)).unwrap_or_default();
        let public = read::public(&self.db).await.map_err(from_store)?;
        let mut found = Vec::new();
        'pages: loop {
            let rows = read::defaults(&self.db, &after, LOOK_AT).await.map_err(from_store)?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.name);
            for row in &rows {
                let tags = read::tags(&self.db, &row.document_id).await.map_err(from_store)?;
                if filters.iter().all(|filter| passes(filter, row, &tags, &public)) {
                    found.push(view::identifier(row, tags, &self.settings.account_id).map_err(from_store)?);
                    // One more than fits tells whether there is a next page.
                    if found.len() > size {
                        break 'pages;
                    }
                }
            }
        }
        let more = found.len() > size;
        found.truncate(size);
        let last = found.last().and_then(|document| document.name.as_deref());
        let next_token = last
            .filter(|_| more)
            .map(|last| self.pager.token(&question, last, self.now()));
        Ok(ListDocumentsResult {
            document_identifiers: found,
            next_token,
        })
    }

    pub(super) async fn list_versions(
        &self,
        request: ListDocumentVersionsRequest,
    ) -> Result<ListDocumentVersionsResult, Failure> {
        let given = request.name.unwrap_or_default();
        let asked = name::asked(&given, &self.settings.account_id)?;
        let question = format!("ListDocumentVersions {asked}");
        let below = match self.position(&question, request.next_token.as_deref())? {
            None => i64::MAX,
            Some(position) => position.parse().map_err(|_| DocumentError::NextToken)?,
        };
        let size = i64::from(request.max_results.unwrap_or(DEFAULT_PAGE));
        let mut rows = read::versions(&self.db, asked, below, size + 1)
            .await
            .map_err(from_store)?;
        if rows.is_empty() && !read::exists(&self.db, asked).await.map_err(from_store)? {
            return Err(DocumentError::Missing { name: asked.to_owned() }.into());
        }
        let size = usize::try_from(size).unwrap_or_default();
        let more = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| more).map(|row| row.version.to_string());
        Ok(ListDocumentVersionsResult {
            document_versions: rows
                .iter()
                .map(view::version)
                .collect::<Result<_, _>>()
                .map_err(from_store)?,
            next_token: last.map(|last| self.pager.token(&question, &last, self.now())),
        })
    }
}

fn passes(filter: &Filter, row: &VersionRow, tags: &BTreeMap<String, String>, public: &BTreeSet<String>) -> bool {
    match filter {
        Filter::Owner(Owner::Amazon) => row.built_in,
        Filter::Owner(Owner::Own) => !row.built_in,
        Filter::Owner(Owner::Public) => row.built_in || public.contains(&row.document_id),
        Filter::Owner(Owner::Others) => false,
        Filter::Name(beginnings) => beginnings.iter().any(|beginning| row.name.starts_with(beginning)),
        Filter::Platform(platforms) => {
            let has = |word: &str| row.platforms.split(',').any(|platform| platform == word);
            platforms.iter().any(|platform| has(platform.as_str()))
        }
        Filter::Type(types) => types.iter().any(|each| each.as_str() == row.document_type),
        Filter::TargetType(types) => types.iter().any(|each| row.target_type.as_ref() == Some(each)),
        Filter::Tag { key, values } => match tags.get(key) {
            Some(value) => values.is_empty() || values.contains(value),
            None => false,
        },
        Filter::Keyword(words) => words.iter().any(|word| row.keywords.contains(word)),
    }
}
