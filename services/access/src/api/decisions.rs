//! `Decisions`: what the other services ask.

use std::sync::Arc;

use futures::future::BoxFuture;
use muster_boot::{Authority, Parts};
use muster_model::Clock;
use muster_proto::Word as _;
use muster_proto::access::v1::decisions_server::Decisions;
use muster_proto::access::v1::{
    AssumeRoleRequest, CheckBearerRequest, CheckBearerResult, DecisionRecord, GetPrincipalRequest, GetPrincipalResult,
    GetSigningKeyRequest, GetSigningKeyResult, IssueSessionRequest, IssueSessionResult, KeyState, NoteUseRequest,
    NoteUseResult, PrincipalPolicy, RecordDecisionsRequest, RecordDecisionsResult, SessionBounds,
};
use muster_store::Db;
use muster_wire::Failure;
use tonic::{Request, Response, Status};

use super::view;
use crate::domain::audit::Entry;
use crate::domain::identity::{Account, Kind};
use crate::domain::secret::Secret;
use crate::domain::session::MadeWith;
use crate::domain::signing::signing_key;
use crate::error::{AccessError, from_store};
use crate::key_file::KeyRing;
use crate::store::{access_key, change, principal};
use crate::work::{IdentityProviders, LastUsed, Recorder};

/// Characters of a text in the audit log.
const LONGEST_TEXT: usize = 2048;
const MOST_STATEMENTS: usize = 100;
const MOST_DETAILS: usize = 100;
/// What the other services ask.
#[derive(Debug)]
pub(crate) struct DecisionsApi {
    pub(super) account: Account,
    pub(super) db: Db,
    pub(super) keys: Arc<KeyRing>,
    pub(super) recorder: Recorder,
    pub(super) providers: IdentityProviders,
    pub(super) last_used: LastUsed,
    pub(super) clock: Arc<dyn Clock>,
}

/// An access key that is there.
pub(super) struct Found {
    pub(super) principal: String,
    pub(super) is_active: bool,
    pub(super) secret: Secret,
    /// What it does not outlive; only of a temporary one.
    pub(super) bounds: Option<Bounds>,
}

/// What a temporary access key does not outlive.
pub(super) struct Bounds {
    /// In seconds since 1970.
    pub(super) until: i64,
    pub(super) made_with: MadeWith,
}

impl From<Bounds> for SessionBounds {
    fn from(bounds: Bounds) -> Self {
        let (owner, access_key_id) = match bounds.made_with {
            MadeWith::Key { id, owner } => (owner, Some(id)),
            MadeWith::Token { owner } => (owner, None),
        };
        Self {
            until: Some(bounds.until),
            owner: Some(owner),
            access_key_id,
        }
    }
}

impl DecisionsApi {
    pub(crate) fn new(
        parts: &Parts,
        db: Db,
        keys: Arc<KeyRing>,
        providers: IdentityProviders,
        recorder: Recorder,
        last_used: LastUsed,
    ) -> Self {
        Self {
            account: (&parts.account).into(),
            db,
            keys,
            recorder,
            providers,
            last_used,
            clock: Arc::clone(&parts.clock),
        }
    }

    async fn epoch(&self) -> Result<i64, Failure> {
        change::epoch(&self.db).await.map_err(from_store)
    }

    /// The access key and its secret, in clear.
    pub(super) async fn access_key(&self, id: &str) -> Result<Option<Found>, Failure> {
        let Some(row) = access_key::sealed(&self.db, id).await.map_err(from_store)? else {
            return Ok(None);
        };
        let secret = self
            .keys
            .open(&row.key_id, id, &row.secret)
            .map_err(Failure::internal)?;
        Ok(Some(Found {
            principal: self.account.arn(Kind::User, &row.user_name),
            is_active: row.is_active,
            secret,
            bounds: None,
        }))
    }

    /// Whether an access key is active and a principal's. Temporary ones are not there: nothing is known of them without
    /// their token, and who goes on with one is asked about by what it does not outlive.
    async fn is_in_use(&self, id: &str, principal: &str) -> Result<bool, Failure> {
        let found = self.access_key(id).await?;
        Ok(found.is_some_and(|found| found.is_active && found.principal == principal))
    }

    async fn signing_key(&self, request: GetSigningKeyRequest) -> Result<GetSigningKeyResult, Failure> {
        let epoch = Some(self.epoch().await?);
        let id = request.access_key_id();
        let (state, found) = self.shown(id, request.session_token.as_deref()).await?;
        let until = found.as_ref().and_then(|found| Some(found.bounds.as_ref()?.until));
        let mut result = GetSigningKeyResult {
            state: Some(state.into()),
            epoch,
            until,
            ..GetSigningKeyResult::default()
        };
        if let (KeyState::Active, Some(found)) = (state, found) {
            let key = signing_key(&found.secret, request.day(), request.region(), request.service());
            result.signing_key = Some(key.to_vec());
            result.principal = Some(found.principal);
        }
        Ok(result)
    }

    async fn bearer(&self, request: CheckBearerRequest) -> Result<CheckBearerResult, Failure> {
        let epoch = Some(self.epoch().await?);
        let id = request.access_key_id.unwrap_or_default();
        let given = Secret::given(request.secret_access_key.unwrap_or_default());
        // Only who has the secret learns whether the key is inactive.
        let (state, found) = self.shown(&id, request.session_token.as_deref()).await?;
        let found = found.filter(|found| found.secret.is(&given));
        let state = if found.is_some() { state } else { KeyState::Unknown };
        let found = found.filter(|_| state == KeyState::Active);
        if found.is_some() {
            self.last_used.note(id, self.clock.now().as_microsecond());
        }
        let (principal, bounds) = found.map(|found| (found.principal, found.bounds)).unzip();
        Ok(CheckBearerResult {
            state: Some(state.into()),
            principal,
            epoch,
            session: bounds.flatten().map(SessionBounds::from),
        })
    }

    /// An access key that came with a session token, if it is a temporary one, and its state.
    async fn shown(&self, id: &str, token: Option<&str>) -> Result<(KeyState, Option<Found>), Failure> {
        match token {
            Some(token) => self.session(id, token).await,
            None => {
                let found = self.access_key(id).await?;
                Ok((state(found.as_ref()), found))
            }
        }
    }

    async fn principal(&self, request: GetPrincipalRequest) -> Result<GetPrincipalResult, Failure> {
        if let Some(id) = &request.access_key_id
            && !self.is_in_use(id, request.arn()).await?
        {
            return Ok(GetPrincipalResult {
                known: Some(false),
                epoch: Some(self.epoch().await?),
                ..GetPrincipalResult::default()
            });
        }
        let (epoch, held) = match self.account.principal(request.arn()) {
            Some(who) => principal::holdings(&self.db, &who).await.map_err(from_store)?,
            None => (self.epoch().await?, None),
        };
        let known = Some(held.is_some());
        let held = held.unwrap_or_default();
        let policies = held.policies.into_iter().map(|(name, text)| PrincipalPolicy {
            policy_name: Some(name),
            policy_document: text,
        });
        Ok(GetPrincipalResult {
            known,
            policies: policies.collect(),
            tags: view::tags(held.tags),
            epoch: Some(epoch),
        })
    }

    async fn record(&self, request: RecordDecisionsRequest) -> Result<RecordDecisionsResult, Failure> {
        let now = self.clock.now().as_microsecond();
        let entries = request.decisions.into_iter().map(|record| entry(record, now));
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
        for used in entries.iter().filter(|entry| !entry.access_key_id.is_empty()) {
            self.last_used.note(used.access_key_id.clone(), used.time.min(now));
        }
        let sequence = self.recorder.write(entries).await?;
        Ok(RecordDecisionsResult {
            sequence: Some(sequence),
        })
    }
}

pub(super) fn state(found: Option<&Found>) -> KeyState {
    match found {
        None => KeyState::Unknown,
        Some(found) if found.is_active => KeyState::Active,
        Some(_) => KeyState::Inactive,
    }
}

/// What a service tells of a decision, as it is written.
fn entry(record: DecisionRecord, now: i64) -> Result<Entry, AccessError> {
    let decision = record.decision().word();
    if decision.is_empty() {
        return Err(AccessError::Invalid(
            "Decision is Allow, ExplicitDeny or ImplicitDeny".to_owned(),
        ));
    }
    let text = |text: Option<String>| cut(text.unwrap_or_default());
    Ok(Entry {
        time: record.time.as_ref().and_then(view::micros).unwrap_or(now),
        principal: text(record.principal),
        access_key_id: text(record.access_key_id),
        surface: text(record.surface),
        source_ip: text(record.source_ip),
        action: text(record.action),
        resource: text(record.resource),
        decision: decision.to_owned(),
        statements: record.statements.into_iter().take(MOST_STATEMENTS).map(cut).collect(),
        request_id: text(record.request_id),
        details: record.details.into_iter().take(MOST_DETAILS).map(cut).collect(),
    })
}

/// Callers choose names: no name may be too long or too odd to be written down. PostgreSQL keeps no NUL.
pub(super) fn cut(text: String) -> String {
    let is_fine = text.len() <= LONGEST_TEXT && !text.contains('\0');
    match is_fine {
        true => text,
        false => text
            .chars()
            .take(LONGEST_TEXT)
            .map(|c| if c == '\0' { '\u{fffd}' } else { c })
            .collect(),
    }
}

/// What the layer in front of this service's own operations asks.
impl Authority for DecisionsApi {
    fn principal(&self, asked: GetPrincipalRequest) -> BoxFuture<'_, Result<GetPrincipalResult, Failure>> {
        Box::pin(self.principal(asked))
    }

    fn bearer(&self, bearer: CheckBearerRequest) -> BoxFuture<'_, Result<CheckBearerResult, Failure>> {
        Box::pin(self.bearer(bearer))
    }

    fn record(&self, decisions: Vec<DecisionRecord>) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            self.record(RecordDecisionsRequest { decisions }).await?;
            Ok(())
        })
    }
}

#[tonic::async_trait]
impl Decisions for DecisionsApi {
    async fn get_signing_key(
        &self,
        request: Request<GetSigningKeyRequest>,
    ) -> Result<Response<GetSigningKeyResult>, Status> {
        Ok(Response::new(self.signing_key(request.into_inner()).await?))
    }

    async fn assume_role(&self, request: Request<AssumeRoleRequest>) -> Result<Response<IssueSessionResult>, Status> {
        Ok(Response::new(self.assume(request.into_inner()).await?))
    }

    async fn issue_session(
        &self,
        request: Request<IssueSessionRequest>,
    ) -> Result<Response<IssueSessionResult>, Status> {
        Ok(Response::new(self.issue(request.into_inner()).await?))
    }

    async fn get_principal(
        &self,
        request: Request<GetPrincipalRequest>,
    ) -> Result<Response<GetPrincipalResult>, Status> {
        Ok(Response::new(self.principal(request.into_inner()).await?))
    }

    async fn check_bearer(&self, request: Request<CheckBearerRequest>) -> Result<Response<CheckBearerResult>, Status> {
        Ok(Response::new(self.bearer(request.into_inner()).await?))
    }

    async fn note_use(&self, request: Request<NoteUseRequest>) -> Result<Response<NoteUseResult>, Status> {
        let id = request.into_inner().access_key_id.unwrap_or_default();
        self.last_used.note(id, self.clock.now().as_microsecond());
        Ok(Response::new(NoteUseResult {}))
    }

    async fn record_decisions(
        &self,
        request: Request<RecordDecisionsRequest>,
    ) -> Result<Response<RecordDecisionsResult>, Status> {
        Ok(Response::new(self.record(request.into_inner()).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_name_is_written_down_and_a_missing_decision_is_not() {
        let mut record = DecisionRecord {
            resource: Some("é\0".repeat(3000)),
            statements: vec!["s".to_owned(); 200],
            ..DecisionRecord::default()
        };
        assert!(entry(record.clone(), 7).is_err());
        record.set_decision(muster_proto::access::v1::Decision::Allow);
        let entry = entry(record, 7).unwrap();
        assert_eq!((entry.time, entry.decision.as_str()), (7, "Allow"));
        assert_eq!(entry.resource.chars().count(), 2048);
        assert!(entry.resource.starts_with("é\u{fffd}é"));
        assert_eq!(entry.statements.len(), 100);
    }
}
