//! `GetParametersByPath` and `DescribeParameters` (parameter-store 6 and 8).

use std::collections::HashSet;

use muster_boot::{Rights, TagMap};
use muster_proto::parameterstore::v1::{
    DescribeParametersRequest, DescribeParametersResult, GetParametersByPathRequest, GetParametersByPathResult,
};
use muster_wire::{Failure, Principal};

use super::{ParametersApi, Reader, view};
use crate::domain::filter::{self, Filter, Of};
use crate::domain::name::folder;
use crate::error::{ParameterError, from_store};
use crate::store::list::{self, Question};
use crate::store::row::ValueRow;
use crate::store::{tag, timer};

/// Parameters of a page when the caller does not say.
const DEFAULT_PAGE_BY_PATH: i32 = 10;
const DEFAULT_PAGE: i32 = 50;

impl ParametersApi {
    pub(super) async fn by_path(
        &self,
        request: GetParametersByPathRequest,
        rights: Rights,
        asker: &Principal,
    ) -> Result<GetParametersByPathResult, Failure> {
        let reader = Reader::new(request.with_decryption, rights);
        let mut filters = filter::parse(&request.parameter_filters, Of::GetParametersByPath)?;
        filters.push(Filter::Below {
            folders: vec![folder(request.path.as_deref().unwrap_or_default())?],
            recursive: request.recursive.unwrap_or_default(),
        });
        let question = format!("{asker} GetParametersByPath {filters:?}");
        let size = request.max_results.unwrap_or(DEFAULT_PAGE_BY_PATH);
        let asked = self.asked_list(&question, filters, request.next_token.as_deref(), size)?;
        let mut rows = list::values(&self.db, &asked).await.map_err(from_store)?;
        let next_token = self.cut(&question, &mut rows, size, |last| place(last.version, &last.path));
        let hidden = match self.checks_each && !rows.is_empty() {
            true => self.hidden(&rows, &reader.rights).await?,
            false => HashSet::new(),
        };
        let mut parameters = Vec::with_capacity(rows.len());
        for row in rows.into_iter().filter(|row| !hidden.contains(&row.path)) {
            parameters.push(self.shown(row, None, &reader).await?);
        }
        Ok(GetParametersByPathResult { parameters, next_token })
    }

    /// Which of these the caller may not list by themselves (parameter-store 9). A page may be short for that.
    async fn hidden(&self, rows: &[ValueRow], rights: &Rights) -> Result<HashSet<String>, Failure> {
        let mut named = Vec::with_capacity(rows.len());
        for row in rows {
            let tags = match rights.ask_for_tags() {
                true => tag::of_path(&self.db, &row.path).await.map_err(from_store)?,
                false => TagMap::new(),
            };
            named.push((row.path.clone(), tags));
        }
        let refusals = rights.judge("parameter", named).await?;
        let refused = rows.iter().zip(refusals).filter(|(_, refusal)| refusal.is_some());
        Ok(refused.map(|(row, _)| row.path.clone()).collect())
    }

    pub(super) async fn describe(
        &self,
        request: DescribeParametersRequest,
        asker: &Principal,
    ) -> Result<DescribeParametersResult, Failure> {
        if !request.filters.is_empty() && !request.parameter_filters.is_empty() {
            return Err(ParameterError::BothFilters.into());
        }
        let filters = match request.filters.is_empty() {
            true => filter::parse(&request.parameter_filters, Of::DescribeParameters)?,
            false => filter::older(&request.filters)?,
        };
        // Nobody shares parameters with this account.
        if request.shared.unwrap_or_default() {
            return Ok(DescribeParametersResult::default());
        }
        let question = format!("{asker} DescribeParameters {filters:?}");
        let size = request.max_results.unwrap_or(DEFAULT_PAGE);
        let asked = self.asked_list(&question, filters, request.next_token.as_deref(), size)?;
        let mut rows = list::facts(&self.db, &asked).await.map_err(from_store)?;
        let next_token = self.cut(&question, &mut rows, size, |last| place(last.version, &last.path));
        let with_policies = rows
            .iter()
            .filter(|row| row.policies != "[]")
            .map(|row| row.id.as_str());
        let with_policies: Vec<&str> = with_policies.collect();
        let done = match with_policies.is_empty() {
            true => Vec::new(),
            false => timer::done(&self.db, &with_policies).await.map_err(from_store)?,
        };
        let parameters = rows.into_iter().map(|row| view::metadata(row, &done, self.scope()));
        Ok(DescribeParametersResult {
            parameters: parameters.collect::<Result<_, _>>().map_err(from_store)?,
            next_token,
        })
    }

    fn asked_list(
        &self,
        question: &str,
        filters: Vec<Filter>,
        token: Option<&str>,
        size: i32,
    ) -> Result<Question, ParameterError> {
        let after = match self.position(question, token)? {
            None => None,
            Some(position) => {
                let (version, path) = position.split_once(' ').ok_or(ParameterError::NextToken)?;
                let version = version.parse().map_err(|_| ParameterError::NextToken)?;
                Some((path.to_owned(), version))
            }
        };
        Ok(Question {
            filters,
            after,
            limit: i64::from(size) + 1,
            now: self.now().as_microsecond(),
        })
    }
}

fn place(version: i64, path: &str) -> String {
    format!("{version} {path}")
}
