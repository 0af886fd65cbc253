//! The audit log as its readers see it, and what becomes of it when somebody lays hands on the tables.

use std::str::FromStr as _;

use futures::future::join_all;
use muster_access::{DATABASE, offline};
use muster_harness::until;
use muster_model::{Clock as _, SystemClock};
use muster_proto::access::v1::{
    AuditRecord, Decision, DecisionRecord, ListAuditRecordsRequest, RecordDecisionsRequest, TruncateAuditRequest,
    VerifyAuditRequest, VerifyAuditResult,
};
use muster_proto::aws::v1::Reason;
use muster_store::{Db, transact};
use sqlx::AssertSqlSafe;

use crate::service::{Service, reason, refusal};

fn record(number: usize) -> DecisionRecord {
    let mut record = DecisionRecord {
        principal: Some(format!("arn:aws:iam::000000000000:user/u{}", number % 2)),
        surface: Some("aws-json".to_owned()),
        source_ip: Some("127.0.0.1".to_owned()),
        action: Some("ssm:SendCommand".to_owned()),
        resource: Some("*".to_owned()),
        statements: vec!["operator/RunCommands".to_owned()],
        request_id: Some(number.to_string()),
        details: (0..number % 2).map(|_| "version=3".to_owned()).collect(),
        ..DecisionRecord::default()
    };
    record.set_decision(match number % 3 {
        0 => Decision::ImplicitDeny,
        _ => Decision::Allow,
    });
    record
}

async fn write(service: &Service, numbers: std::ops::Range<usize>) -> i64 {
    let request = RecordDecisionsRequest {
        decisions: numbers.map(record).collect(),
    };
    let answer = service.decisions().record_decisions(request).await.unwrap();
    answer.into_inner().sequence()
}

async fn verify(service: &Service) -> VerifyAuditResult {
    let answer = service.audit().verify_audit(VerifyAuditRequest::default()).await;
    answer.unwrap().into_inner()
}

async fn list(service: &Service, mut request: ListAuditRecordsRequest) -> Vec<AuditRecord> {
    let mut all = Vec::new();
    loop {
        let page = service
            .audit()
            .list_audit_records(request.clone())
            .await
            .unwrap()
            .into_inner();
        all.extend(page.records);
        // Pages of one list may have different sizes.
        request.max_results = request.max_results.map(|size| size + 1);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return all;
        }
    }
}

/// Somebody with a password of the database.
async fn tamper(service: &Service, sql: &str) {
    let db = Db::open(&service.database_url(), DATABASE.schema, DATABASE.migrations)
        .await
        .unwrap();
    let done: Result<(), muster_store::StoreError> = transact!(&db, tx => {
        for statement in sql.split(';') {
            sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *tx).await?;
        }
        Ok(())
    });
    done.unwrap();
    db.close().await;
}

#[tokio::test]
async fn records_are_numbered_without_a_gap_whoever_writes() {
    for service in Service::on_each_database().await {
        let replica = service.replica().await;
        let writers = (0..20).map(|batch| write(&service, batch * 7..batch * 7 + 7));
        let numbers = join_all(writers).await;
        assert_eq!(numbers.iter().max(), Some(&140));
        let verdict = verify(&service).await;
        assert_eq!(
            (verdict.intact(), verdict.records(), verdict.last_sequence()),
            (true, 140, 140),
            "{verdict:?}"
        );
        let all = list(
            &service,
            ListAuditRecordsRequest {
                from_sequence: Some(1),
                ..Default::default()
            },
        )
        .await;
        let numbers: Vec<_> = all.iter().map(|record| record.sequence()).collect();
        assert_eq!(numbers, (1..=140).collect::<Vec<_>>());
        let mut ids: Vec<usize> = all
            .iter()
            .map(|record| usize::from_str(record.request_id()).unwrap())
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..140).collect::<Vec<_>>(), "each was written once");
        replica.stop(std::time::Duration::from_secs(5)).await;
        service.stop().await;
    }
}

#[tokio::test]
async fn lists_are_narrowed_and_come_newest_first() {
    for service in Service::on_each_database().await {
        write(&service, 0..12).await;
        let numbers = async |request| {
            let all = list(&service, request).await;
            all.iter().map(|record| record.sequence()).collect::<Vec<_>>()
        };
        let of = ListAuditRecordsRequest {
            max_results: Some(1),
            ..Default::default()
        };
        assert_eq!(numbers(of.clone()).await, (1..=12).rev().collect::<Vec<_>>());
        let user = ListAuditRecordsRequest {
            principal: Some("arn:aws:iam::000000000000:user/u1".to_owned()),
            ..of.clone()
        };
        assert_eq!(numbers(user).await, [12, 10, 8, 6, 4, 2]);
        let mut denied = ListAuditRecordsRequest {
            from_sequence: Some(2),
            ..of.clone()
        };
        denied.set_decision(Decision::ImplicitDeny);
        assert_eq!(numbers(denied).await, [4, 7, 10]);
        let none = ListAuditRecordsRequest {
            action: Some("ssm:GetParameter".to_owned()),
            ..of.clone()
        };
        assert_eq!(numbers(none).await, Vec::<i64>::new());
        let past = prost_types::Timestamp { seconds: 1, nanos: 0 };
        let early = ListAuditRecordsRequest {
            until: Some(past),
            ..of.clone()
        };
        assert_eq!(numbers(early).await, Vec::<i64>::new());
        let since = ListAuditRecordsRequest {
            since: Some(past),
            ..of
        };
        assert_eq!(numbers(since).await.len(), 12);
        let about = async |name: &str| {
            let resource = Some(format!("arn:aws:ssm:us-east-1:000000000000:{name}"));
            let decisions = vec![DecisionRecord { resource, ..record(1) }];
            let request = RecordDecisionsRequest { decisions };
            let answer = service.decisions().record_decisions(request).await.unwrap();
            answer.into_inner().sequence()
        };
        let (wanted, _) = (
            about("parameter/app/host").await,
            about("parameter/my/parameter/app/host").await,
        );
        for resource in [
            "parameter/app/host",
            "arn:aws:ssm:us-east-1:000000000000:parameter/app/host",
        ] {
            let of_one = ListAuditRecordsRequest {
                resource: Some(resource.to_owned()),
                ..Default::default()
            };
            assert_eq!(numbers(of_one).await, [wanted], "{resource}");
        }
        service.stop().await;
    }
}

#[tokio::test]
async fn a_question_with_a_nul_is_refused() {
    let service = Service::start().await;
    let nul = || Some("x\0".to_owned());
    let questions = [
        ListAuditRecordsRequest {
            principal: nul(),
            ..ListAuditRecordsRequest::default()
        },
        ListAuditRecordsRequest {
            action: nul(),
            ..ListAuditRecordsRequest::default()
        },
        ListAuditRecordsRequest {
            resource: nul(),
            ..ListAuditRecordsRequest::default()
        },
    ];
    for question in questions {
        let (reason, text) = refusal(service.audit().list_audit_records(question).await);
        assert_eq!(reason, Reason::ValidationException);
        assert!(text.contains("holds a NUL character"), "{text}");
    }
    service.stop().await;
}

#[tokio::test]
async fn whatever_is_done_to_the_tables_shows_and_where() {
    for (sql, place, what) in [
        ("update audit_record set principal = 'nobody' where sequence = 5", 5, "record 5 is not what was written"),
        ("update audit_record set recorded_at = recorded_at + 1 where sequence = 12", 12, "record 12 is not what was written"),
        ("update audit_record set statements = '[ ]' where sequence = 7", 7, "record 7 is not what was written"),
        ("update audit_record set details = '[]' where sequence = 8", 8, "record 8 is not what was written"),
        ("update audit_record set details = '[\"version=3\"]' where sequence = 7", 7, "record 7 is not what was written"),
        ("delete from audit_record where sequence = 5", 5, "record 5 is missing: record 6 comes where it belongs"),
        ("delete from audit_record where sequence = 1", 1, "record 1 is missing"),
        ("delete from audit_record where sequence > 9", 10, "record 10 is missing, and all behind it to 12"),
        (
            "update audit_record set sequence = 100 where sequence = 3; update audit_record set sequence = 3 where sequence = 4;
             update audit_record set sequence = 4 where sequence = 100",
            3,
            "record 3 is not what was written",
        ),
        (
            "insert into audit_record select 13, recorded_at, principal, access_key_id, surface, source_ip, action, resource,
             decision, statements, request_id, hash, details from audit_record where sequence = 12",
            13,
            "record 13 was put in behind the last one that was written, 12",
        ),
        (
            "insert into audit_record select 0, recorded_at, principal, access_key_id, surface, source_ip, action, resource,
             decision, statements, request_id, hash, details from audit_record where sequence = 12",
            1,
            "record 1 is missing: record 0 comes where it belongs",
        ),
        (
            "delete from audit_record where sequence > 9;
             update audit_head set sequence = 9, hash = (select hash from audit_record where sequence = 9)",
            9,
            "are not sealed with the key file's key",
        ),
    ] {
        for service in Service::on_each_database().await {
            write(&service, 0..12).await;
            assert!(verify(&service).await.intact());
            tamper(&service, sql).await;
            let verdict = verify(&service).await;
            assert!(!verdict.intact(), "{sql}");
            assert_eq!(verdict.fault_sequence(), place, "{sql}: {verdict:?}");
            assert!(verdict.fault().contains(what), "{sql}: {verdict:?}");
            let offline = offline::verify(&service.database_url(), &service.key_file(), None).await.unwrap();
            assert_eq!(offline.fault.map(|fault| fault.to_string()), verdict.fault, "{sql}");
            service.stop().await;
        }
    }
}

#[tokio::test]
async fn a_log_whose_end_was_replaced_is_not_continued() {
    let service = Service::start().await;
    write(&service, 0..5).await;
    tamper(
        &service,
        "delete from audit_record where sequence = 5;
         update audit_head set sequence = 4, hash = (select hash from audit_record where sequence = 4)",
    )
    .await;
    let request = RecordDecisionsRequest {
        decisions: vec![record(9)],
    };
    let refused = service.decisions().record_decisions(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "a new seal would hide it");
    assert!(!verify(&service).await.intact());
    service.stop().await;
}

#[tokio::test]
async fn an_older_copy_of_everything_lacks_what_an_earlier_verification_saw() {
    let service = Service::start().await;
    write(&service, 0..5).await;
    let seen = verify(&service).await;
    let with = |sequence: i64, hash: &str| VerifyAuditRequest {
        known_sequence: Some(sequence),
        known_hash: Some(hash.to_owned()),
    };
    let again = async |request| service.audit().verify_audit(request).await.unwrap().into_inner();
    write(&service, 5..8).await;
    assert!(again(with(5, seen.last_hash())).await.intact());
    let other = again(with(6, seen.last_hash())).await;
    assert_eq!((other.intact(), other.fault_sequence()), (false, 6));
    let missing = again(with(90, seen.last_hash())).await;
    assert_eq!((missing.intact(), missing.fault_sequence()), (false, 90));
    let half = VerifyAuditRequest {
        known_sequence: Some(1),
        known_hash: None,
    };
    assert_eq!(
        reason(service.audit().verify_audit(half).await),
        Reason::ValidationException
    );
    service.stop().await;
}

#[tokio::test]
async fn what_was_exported_can_be_removed_and_leaves_an_anchor() {
    for service in Service::on_each_database().await {
        write(&service, 0..10).await;
        let all = list(
            &service,
            ListAuditRecordsRequest {
                from_sequence: Some(1),
                ..Default::default()
            },
        )
        .await;
        let until = |sequence: i64, hash: &str| TruncateAuditRequest {
            sequence: Some(sequence),
            hash: Some(hash.to_owned()),
        };
        let mut audit = service.audit();
        assert_eq!(
            reason(audit.truncate_audit(until(6, all[6].hash())).await),
            Reason::ValidationException
        );
        assert_eq!(
            reason(audit.truncate_audit(until(90, all[6].hash())).await),
            Reason::NoSuchEntity
        );
        assert_eq!(verify(&service).await.records(), 10, "nothing was removed");
        let removed = audit
            .truncate_audit(until(6, all[5].hash()))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(removed.removed(), 6);
        let verdict = verify(&service).await;
        assert_eq!(
            (verdict.intact(), verdict.records(), verdict.anchor_sequence()),
            (true, 4, 6)
        );
        assert_eq!(verdict.anchor_hash(), all[5].hash());
        write(&service, 10..12).await;
        assert_eq!(verify(&service).await.last_sequence(), 12);
        let rest = list(
            &service,
            ListAuditRecordsRequest {
                from_sequence: Some(1),
                ..Default::default()
            },
        )
        .await;
        assert_eq!(rest[0].sequence(), 7);
        tamper(&service, "delete from audit_record where sequence = 7").await;
        assert_eq!(verify(&service).await.fault_sequence(), 7);
        service.stop().await;
    }
}

#[tokio::test]
async fn records_that_are_too_old_are_removed_and_the_log_says_so() {
    const DAY: i64 = 86_400;
    for service in Service::on_each_database().await {
        let now = SystemClock.now().as_second();
        // In the order of their writing: one that is old stands behind one that stays.
        let days = [9, 9, 8, 1, 9, 0].map(|days| prost_types::Timestamp {
            seconds: now - days * DAY,
            nanos: 0,
        });
        let decisions = days.into_iter().enumerate().map(|(number, time)| DecisionRecord {
            time: Some(time),
            ..record(number)
        });
        let request = RecordDecisionsRequest {
            decisions: decisions.collect(),
        };
        service.decisions().record_decisions(request).await.unwrap();
        let service = Box::pin(service.restart_with(|settings| settings.audit_retention_days = 7)).await;
        let verdict = until("the old records are gone", async || {
            let verdict = verify(&service).await;
            match verdict.anchor_sequence() {
                3 => Ok(verdict),
                _ => Err(verdict),
            }
        })
        .await;
        assert_eq!((verdict.intact(), verdict.records()), (true, 4));
        let oldest_first = ListAuditRecordsRequest {
            from_sequence: Some(1),
            ..Default::default()
        };
        let rest = list(&service, oldest_first).await;
        let numbers: Vec<i64> = rest.iter().map(AuditRecord::sequence).collect();
        assert_eq!(numbers, [4, 5, 6, 7]);
        assert_eq!(rest[3].action(), "muster:TruncateAudit");
        assert_eq!(rest[3].details, ["until=3", "audit_retention_days=7"]);
        service.stop().await;
    }
}
