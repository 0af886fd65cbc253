//! `GetParameter`, `GetParameters` and `GetParameterHistory` (parameter-store 6).

use std::collections::{HashMap, HashSet};

use muster_boot::{Leave, Rights};
use muster_proto::parameterstore::v1::{
    GetParameterHistoryRequest, GetParameterHistoryResult, GetParameterRequest, GetParameterResult,
    GetParametersRequest, GetParametersResult, Parameter, ParameterType,
};
use muster_wire::{Failure, Principal};

use super::put::from_key;
use super::reader::Seen;
use super::{ParametersApi, Reader, leave, view};
use crate::domain::asked::{Asked, Selector};
use crate::domain::value::Value;
use crate::error::{ParameterError, from_store};
use crate::secret::{Binding, Sealed};
use crate::store::read::{self, Found};
use crate::store::row::{Stored, ValueRow};
use crate::store::timer;

/// Versions of a page when the caller does not say.
const DEFAULT_PAGE: i32 = 50;
/// References to secrets of another store are below it; there is none yet.
const SECRETS: &str = "/aws/reference/secretsmanager/";

impl ParametersApi {
    pub(super) async fn get(
        &self,
        request: GetParameterRequest,
        rights: Rights,
    ) -> Result<GetParameterResult, Failure> {
        let reader = Reader::new(request.with_decryption, rights);
        let given = request.name.unwrap_or_default();
        let asked = self.asked(&given, reader.decrypts)?;
        let row = match self.find(&asked).await? {
            Found::Version(row) => row,
            Found::NoVersion => {
                reader.note_selector(&self.scope().arn(&asked.path), asked.selector_text.as_deref());
                let version = asked.selector_text.as_deref().unwrap_or_default();
                let version = version.trim_start_matches(':').to_owned();
                let name = asked.spelled.unwrap_or(asked.path);
                return Err(ParameterError::MissingVersion { name, version }.into());
            }
            Found::Nothing => return Err(ParameterError::Missing { name: given }.into()),
        };
        Ok(GetParameterResult {
            parameter: Some(self.shown(*row, Some(&asked), &reader).await?),
        })
    }

    pub(crate) async fn get_many(
        &self,
        request: GetParametersRequest,
        rights: Rights,
    ) -> Result<GetParametersResult, Failure> {
        let reader = Reader::new(request.with_decryption, rights);
        self.get_many_for(&request, &reader).await
    }

    /// Whether [`ParametersApi::get_many`] would answer. Nobody is shown anything, so nothing was read.
    ///
    /// # Errors
    /// As it would say it.
    pub(crate) async fn may_get_many(&self, request: &GetParametersRequest, rights: Rights) -> Result<(), Failure> {
        let reader = Reader::asking_only(request.with_decryption, rights);
        self.get_many_for(request, &reader).await.map(drop)
    }

    async fn get_many_for(
        &self,
        request: &GetParametersRequest,
        reader: &Reader,
    ) -> Result<GetParametersResult, Failure> {
        let asked = request.names.iter().map(|name| self.asked(name, reader.decrypts));
        let asked: Vec<Asked> = asked.collect::<Result<_, _>>()?;
        let plain = asked
            .iter()
            .filter(|asked| asked.selector.is_none() && !asked.is_reserved);
        let plain: HashSet<&str> = plain.map(|asked| asked.path.as_str()).collect();
        let plain = plain.into_iter().map(|path| async move {
            let row = self.groups.latest.ask(path.to_owned()).await?;
            Ok::<_, Failure>(row.map(|row| (path, row)))
        });
        let latest = futures::future::try_join_all(plain).await?;
        let mut latest: HashMap<&str, ValueRow> = latest.into_iter().flatten().collect();
        let mut answer = GetParametersResult::default();
        let mut seen: HashSet<(&str, Option<&Selector>)> = HashSet::new();
        for (asked, given) in asked.iter().zip(request.names.iter()) {
            if !seen.insert((&asked.path, asked.selector.as_ref())) {
                continue;
            }
            let found = match asked.selector {
                None => latest.remove(asked.path.as_str()),
                Some(_) => match self.find(asked).await? {
                    Found::Version(row) => Some(*row),
                    Found::NoVersion | Found::Nothing => None,
                },
            };
            match found {
                Some(row) => answer.parameters.push(self.shown(row, Some(asked), reader).await?),
                None => {
                    reader.note_missing(self.scope().arn(&asked.path), asked.selector_text.as_deref());
                    answer.invalid_parameters.push(given.clone());
                }
            }
        }
        answer.parameters.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(answer)
    }

    pub(super) async fn history(
        &self,
        request: GetParameterHistoryRequest,
        rights: Rights,
        asker: &Principal,
    ) -> Result<GetParameterHistoryResult, Failure> {
        let reader = Reader::new(request.with_decryption, rights);
        let given = request.name.unwrap_or_default();
        let asked = self.asked(&given, reader.decrypts)?;
        let missing = || ParameterError::Missing { name: given.clone() };
        if asked.selector.is_some() {
            return Err(ParameterError::Name.into());
        }
        let now = self.now().as_microsecond();
        let id = read::id(&self.db, &asked.path, now).await.map_err(from_store)?;
        let id = id.filter(|_| !asked.is_reserved).ok_or_else(missing)?;
        // A parameter of the same name that was made since the last page is another list.
        let question = format!("{asker} GetParameterHistory {id}");
        let above = match self.position(&question, request.next_token.as_deref())? {
            None => 0,
            Some(position) => position.parse().map_err(|_| ParameterError::NextToken)?,
        };
        let size = request.max_results.unwrap_or(DEFAULT_PAGE);
        let mut rows = read::history(&self.db, &id, above, i64::from(size) + 1)
            .await
            .map_err(from_store)?;
        let next_token = self.cut(&question, &mut rows, size, |last| last.facts.version.to_string());
        let labels = read::labels(&self.db, &id).await.map_err(from_store)?;
        let done = timer::done(&self.db, &[&id]).await.map_err(from_store)?;
        let mut parameters = Vec::with_capacity(rows.len());
        for row in rows {
            let kind = row.facts.parameter_type().map_err(from_store)?;
            let stored = row.stored.stored().map_err(from_store)?;
            let arn = self.scope().arn(&row.facts.path);
            let seen = Seen {
                arn: &arn,
                version: row.facts.version,
                selector: None,
            };
            let value = self.value(stored, &row.facts.path, kind, seen, &reader).await?;
            parameters.push(view::history(row.facts, value, &labels, &done).map_err(from_store)?);
        }
        Ok(GetParameterHistoryResult { parameters, next_token })
    }

    fn asked(&self, given: &str, decrypt: bool) -> Result<Asked, ParameterError> {
        let asked = Asked::parse(given, self.scope())?;
        match asked.path.starts_with(SECRETS) && !decrypt {
            true => Err(ParameterError::ReferenceWithoutDecryption),
            false => Ok(asked),
        }
    }

    async fn find(&self, asked: &Asked) -> Result<Found, Failure> {
        if asked.is_reserved {
            return Ok(Found::Nothing);
        }
        match &asked.selector {
            None => {
                let row = self.groups.latest.ask(asked.path.clone()).await?;
                Ok(row.map_or(Found::Nothing, |row| Found::Version(Box::new(row))))
            }
            Some(selector) => {
                let now = self.now().as_microsecond();
                let found = read::selected(&self.db, &asked.path, selector, now).await;
                found.map_err(from_store)
            }
        }
    }

    /// A version as readers see it.
    pub(super) async fn shown(
        &self,
        row: ValueRow,
        asked: Option<&Asked>,
        reader: &Reader,
    ) -> Result<Parameter, Failure> {
        let kind = row.parameter_type().map_err(from_store)?;
        let mut parameter = view::parameter(&row, asked, self.scope());
        parameter.set_type(kind);
        let (path, version) = (row.path.clone(), row.version);
        let stored = row.stored().map_err(from_store)?;
        let seen = Seen {
            arn: parameter.arn(),
            version,
            selector: asked.and_then(|asked| asked.selector_text.as_deref()),
        };
        parameter.value = Some(self.value(stored, &path, kind, seen, reader).await?);
        Ok(parameter)
    }

    /// A value for an answer: in clear, or as it is stored.
    async fn value(
        &self,
        stored: Stored,
        path: &str,
        kind: ParameterType,
        seen: Seen<'_>,
        reader: &Reader,
    ) -> Result<String, Failure> {
        match stored {
            Stored::Plain(value) => {
                reader.note_plain(seen);
                Ok(value.reveal().to_owned())
            }
            Stored::Sealed { sealed, .. } if !reader.decrypts => {
                reader.note_sealed(seen, &sealed.wrapped.key);
                Ok(Sealed::shown(&sealed.ciphertext))
            }
            Stored::Sealed {
                sealed,
                has_default_key,
            } => {
                let binding = Binding {
                    scope: self.scope(),
                    path,
                    version: seen.version,
                    kind,
                };
                let opened = self
                    .open(&sealed, &binding, leave(has_default_key), &reader.rights)
                    .await;
                let outcome = opened.as_ref().map(drop);
                reader.note_decrypted(seen, &sealed.wrapped.key, outcome);
                Ok(opened?.reveal().to_owned())
            }
        }
    }

    async fn open(
        &self,
        sealed: &Sealed,
        binding: &Binding<'_>,
        leave: Leave,
        rights: &Rights,
    ) -> Result<Value, Failure> {
        let key = &sealed.wrapped.key;
        rights
            .require("kms:Decrypt", &self.scope().key_arn(&key.id), leave)
            .await?;
        self.keys.open(sealed, binding).await.map_err(|error| {
            // The caller is told only that it is so: whoever keeps the keys has to know where.
            let (parameter, version, cause) = (binding.path, binding.version, &error as &dyn std::error::Error);
            tracing::error!(parameter, version, %key, error = cause, "a SecureString is not decrypted");
            from_key(error)
        })
    }
}
