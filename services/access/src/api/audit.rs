//! `Audit`: the audit log, shown and held against its hashes.

use std::sync::Arc;

use muster_proto::Word as _;
use muster_proto::access::v1::audit_server::Audit;
use muster_proto::access::v1::{
    AuditRecord, Decision, ListAuditRecordsRequest, ListAuditRecordsResult, TruncateAuditRequest, TruncateAuditResult,
    VerifyAuditRequest, VerifyAuditResult,
};
use muster_store::Db;
use muster_wire::{Caller, Failure, Principal};
use tonic::{Request, Response, Status};

use super::{Pages, pages, view};
use crate::domain::audit::{Hash, Link, Record};
use crate::error::{AccessError, from_store, settle};
use crate::key_file::KeyRing;
use crate::store::audit::{self, Place, Question};

/// The audit log.
#[derive(Debug)]
pub(crate) struct AuditApi {
    db: Db,
    pages: Pages,
    keys: Arc<KeyRing>,
}

impl AuditApi {
    pub(crate) fn new(db: Db, pages: Pages, keys: Arc<KeyRing>) -> Self {
        Self { db, pages, keys }
    }

    async fn list(
        &self,
        request: ListAuditRecordsRequest,
        asker: &Principal,
    ) -> Result<ListAuditRecordsResult, Failure> {
        AccessError::refuse_nul("principal", request.principal())?;
        AccessError::refuse_nul("action", request.action())?;
        AccessError::refuse_nul("resource", request.resource())?;
        let mut question = Question {
            decision: match request.decision() {
                Decision::Unset => None,
                decision => Some(decision.word().to_owned()),
            },
            principal: request.principal,
            action: request.action,
            // An ARN is whole; what is no ARN stands behind one's account.
            resource: request.resource.map(|text| match text.starts_with("arn:") {
                true => text,
                false => format!(":{text}"),
            }),
            since: bound("Since", request.since.as_ref())?,
            until: bound("Until", request.until.as_ref())?,
            place: match request.from_sequence {
                Some(from) => Place::After(from - 1),
                None => Place::default(),
            },
            // Not yet: pages of one list may have different sizes.
            limit: 0,
        };
        let size = request.max_results;
        let list = format!("{asker} ListAuditRecords {question:?} {:?}", request.from_sequence);
        let position = self.pages.position(&list, request.next_token.as_deref())?;
        question.limit = pages::limit(size);
        if let Ok(sequence) = position.parse() {
            question.place = match question.place {
                Place::After(_) => Place::After(sequence),
                Place::Before(_) => Place::Before(sequence),
            };
        }
        let ends = audit::ends(&self.db).await.map_err(from_store)?;
        let mut records = audit::list(&self.db, &question).await.map_err(from_store)?;
        let next_token = self
            .pages
            .cut(&list, &mut records, size, |last| last.sequence.to_string());
        Ok(ListAuditRecordsResult {
            records: records.into_iter().map(shown).collect(),
            next_token,
            anchor_hash: ends.map(|ends| ends.anchor.hash.to_string()),
        })
    }

    async fn verify(&self, request: VerifyAuditRequest) -> Result<VerifyAuditResult, Failure> {
        let known = match (request.known_sequence, &request.known_hash) {
            (None, None) => None,
            (Some(sequence), Some(hash)) => Some(link(sequence, hash)?),
            _ => return Err(AccessError::KnownTogether.into()),
        };
        let verdict = audit::verify(&self.db, &self.keys, known).await.map_err(from_store)?;
        if let Some(fault) = &verdict.fault {
            tracing::error!(%fault, "the audit log is not what was written");
        }
        Ok(VerifyAuditResult {
            intact: Some(verdict.fault.is_none()),
            fault_sequence: verdict.fault.map(|fault| fault.sequence()),
            fault: verdict.fault.map(|fault| fault.to_string()),
            records: Some(verdict.records),
            last_sequence: Some(verdict.last.sequence),
            last_hash: Some(verdict.last.hash.to_string()),
            anchor_sequence: Some(verdict.anchor.sequence),
            anchor_hash: Some(verdict.anchor.hash.to_string()),
        })
    }

    async fn truncate(&self, request: TruncateAuditRequest) -> Result<TruncateAuditResult, Failure> {
        let until = link(request.sequence(), request.hash())?;
        let removed = settle(audit::truncate(&self.db, &self.keys, until).await)?;
        tracing::info!(
            removed,
            until = until.sequence,
            "audit records were removed; their hash stays as the anchor"
        );
        Ok(TruncateAuditResult { removed: Some(removed) })
    }
}

fn link(sequence: i64, hash: &str) -> Result<Link, AccessError> {
    let hash = Hash::parse(hash).ok_or_else(|| AccessError::Invalid(format!("{hash:?} is no hash")))?;
    Ok(Link { sequence, hash })
}

fn bound(member: &str, time: Option<&prost_types::Timestamp>) -> Result<Option<i64>, AccessError> {
    match time {
        None => Ok(None),
        Some(time) => match view::micros(time) {
            Some(micros) => Ok(Some(micros)),
            None => Err(AccessError::Invalid(format!("{member} is no time"))),
        },
    }
}

fn shown(record: Record) -> AuditRecord {
    let entry = record.entry;
    let decision = Decision::from_word(&entry.decision).unwrap_or_default();
    let some = |text: String| (!text.is_empty()).then_some(text);
    AuditRecord {
        sequence: Some(record.sequence),
        time: view::time(entry.time),
        principal: some(entry.principal),
        access_key_id: some(entry.access_key_id),
        surface: some(entry.surface),
        source_ip: some(entry.source_ip),
        action: some(entry.action),
        resource: some(entry.resource),
        decision: Some(decision.into()),
        statements: entry.statements,
        request_id: some(entry.request_id),
        hash: Some(record.hash.to_string()),
        time_micros: Some(entry.time),
        details: entry.details,
    }
}

#[tonic::async_trait]
impl Audit for AuditApi {
    async fn list_audit_records(
        &self,
        request: Request<ListAuditRecordsRequest>,
    ) -> Result<Response<ListAuditRecordsResult>, Status> {
        let asker = Caller::of(&request)?.principal.clone();
        Ok(Response::new(self.list(request.into_inner(), &asker).await?))
    }

    async fn verify_audit(&self, request: Request<VerifyAuditRequest>) -> Result<Response<VerifyAuditResult>, Status> {
        Ok(Response::new(self.verify(request.into_inner()).await?))
    }

    async fn truncate_audit(
        &self,
        request: Request<TruncateAuditRequest>,
    ) -> Result<Response<TruncateAuditResult>, Status> {
        Ok(Response::new(self.truncate(request.into_inner()).await?))
    }
}
