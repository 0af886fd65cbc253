//! The queries on SQLite, and on PostgreSQL where `MUSTER_TEST_POSTGRES` names a server.

mod lists;
mod puts;
mod rewraps;
mod secrets;

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use muster_boot::Authority;
use muster_harness::{Folder, Postgres};
use muster_model::{SystemClock, Timestamp};
use muster_proto::access::v1::{
    CheckBearerRequest, CheckBearerResult, DecisionRecord, GetPrincipalRequest, GetPrincipalResult,
};
use muster_proto::parameterstore::v1::{ParameterTier, ParameterType};
use muster_store::Db;
use muster_wire::Failure;

use super::put::{Before, Done, Ground, Job, before, put_all};
use super::read::{self, Found};
use crate::domain::asked::Asked;
use crate::domain::name::tests::{name, scope};
use crate::domain::put::{Put, decide};
use crate::domain::tag::Tags;
use crate::domain::value::Value;
use crate::secret::{KeyFile, Keys};
use crate::work::witness::Witness;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn ground() -> Ground {
    Ground {
        scope: scope(),
        default_tier: ParameterTier::Standard,
        max_standard: 0,
        max_advanced: 0,
    }
}

/// Databases of all kinds that this machine can offer, with what keeps them alive.
async fn databases() -> Vec<(Db, Option<Folder>, Option<Postgres>)> {
    let folder = Folder::new("parameter-store");
    let url = format!("sqlite:{}", folder.join("it.db").display());
    let mut all = vec![(
        Db::open(&url, "parameter_store", &crate::MIGRATIONS).await.unwrap(),
        Some(folder),
        None,
    )];
    if let Some(postgres) = Postgres::start().await {
        let db = Db::open(&postgres.url(), "parameter_store", &crate::MIGRATIONS)
            .await
            .unwrap();
        all.push((db, None, Some(postgres)));
    }
    for (db, ..) in &all {
        super::prepare(db).await.unwrap();
        super::prepare(db).await.unwrap();
    }
    all
}

/// An audit log.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<DecisionRecord>>);

impl Log {
    fn witness(self: &Arc<Self>) -> Witness {
        Witness::writing(Arc::clone(self) as Arc<dyn Authority>, Arc::new(SystemClock), scope())
    }

    /// The details of what was written.
    fn details(&self) -> Vec<String> {
        let log = self.0.lock().unwrap();
        log.iter().map(|record| record.details.join(" ")).collect()
    }
}

impl Authority for Log {
    fn principal(&self, _: GetPrincipalRequest) -> BoxFuture<'_, Result<GetPrincipalResult, Failure>> {
        unreachable!("nobody is decided")
    }

    fn bearer(&self, _: CheckBearerRequest) -> BoxFuture<'_, Result<CheckBearerResult, Failure>> {
        unreachable!("nobody is asked for")
    }

    fn record(&self, decisions: Vec<DecisionRecord>) -> BoxFuture<'_, Result<(), Failure>> {
        self.0.lock().unwrap().extend(decisions);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Keys of a file of these lines.
fn keys(lines: &str) -> Arc<Keys> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parameter-store.key");
    std::fs::write(&path, lines).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = KeyFile::load(&path, scope(), &[]).unwrap();
    Arc::new(Keys::of(Arc::new(file)))
}

const OLD: &str = "aws/ssm 1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
const BOTH: &str = "aws/ssm 2 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
aws/ssm 1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

/// A put with `Overwrite`.
fn put(parameter: &str, value: &str, kind: ParameterType) -> Put {
    Put {
        name: name(parameter),
        value: Value::new(value.to_owned()),
        kind: Some(kind),
        description: None,
        key_id: None,
        overwrite: true,
        allowed_pattern: None,
        tags: Tags::new(),
        tier: None,
        policies: None,
        data_type: None,
        by: "arn:aws:iam::000000000000:user/alice".to_owned(),
    }
}

async fn before_put(db: &Db, put: &Put) -> Before {
    let all = before(db, &ground(), &[put.name.path()], NOW.as_microsecond()).await;
    all.unwrap().remove(0)
}

/// What the API does to read one.
async fn find(db: &Db, asked: &Asked, now: i64) -> Found {
    match &asked.selector {
        Some(selector) => read::selected(db, &asked.path, selector, now).await.unwrap(),
        None => {
            let row = read::latest(db, std::slice::from_ref(&asked.path), now)
                .await
                .unwrap()
                .remove(0);
            row.map_or(Found::Nothing, |row| Found::Version(Box::new(row)))
        }
    }
}

/// What the API does before it hands a put on.
async fn job(db: &Db, keys: &Keys, put: Put) -> Job {
    let (head, rules) = before_put(db, &put).await;
    let expected = decide(&put, head.as_ref(), &rules, None).unwrap().attributes;
    let prepared = match &expected.key_id {
        Some(key_id) => Some(keys.prepare(key_id, "").await.unwrap()),
        None => None,
    };
    Job {
        put,
        expected,
        prepared,
    }
}

async fn put_one(db: &Db, keys: &Keys, put: Put) -> Done {
    let job = job(db, keys, put).await;
    put_all(db, &ground(), &[job], NOW).await.unwrap().remove(0)
}

async fn put_string(db: &Db, parameter: &str, value: &str) -> Done {
    put_one(db, &keys(OLD), put(parameter, value, ParameterType::String)).await
}

fn version(version: i64) -> Done {
    Done::Version {
        version,
        tier: ParameterTier::Standard,
    }
}
