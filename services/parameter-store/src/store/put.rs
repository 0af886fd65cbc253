//! Puts, many in one transaction. What is there is read after the turn was taken; the domain decides on it, put by put;
//! everything is written with a few statements, however many puts there are.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_model::Timestamp;
use muster_proto::Word;
use muster_proto::parameterstore::v1::{ParameterTier, ParameterType};
use muster_store::{Column, Db, StoreError, json, read, transact};
use serde::Serialize;
use uuid::Uuid;

use super::read::distinct;
use super::row::{HEADS, HeadRow};
use super::{setting, tag, take_turn, tell, timer};
use crate::domain::event::{self, Change, Event, Subject};
use crate::domain::name::parent;
use crate::domain::policy;
use crate::domain::put::{Attributes, Decided, Head, Put, Rules, check_room, decide, expires_at};
use crate::domain::scope::Scope;
use crate::domain::setting::Setting;
use crate::domain::tier::Room;
use crate::error::ParameterError;
use crate::secret::{Binding, Prepared};

/// A put that was found good on what was there before its turn.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) put: Put,
    /// What it was found to be.
    pub(crate) expected: Attributes,
    /// The data key of a SecureString.
    pub(crate) prepared: Option<Prepared>,
}

/// What became of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    Version {
        version: i64,
        tier: ParameterTier,
    },
    Refused(ParameterError),
    /// The parameter changed so that the put is another one: it must be prepared again.
    Overtaken,
}

/// The limits of a store, and where its parameters live.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) scope: Scope,
    pub(crate) default_tier: ParameterTier,
    pub(crate) max_standard: i64,
    pub(crate) max_advanced: i64,
}

impl Ground {
    /// `setting` is what somebody made of the default tier.
    fn rules(&self, standard: i64, advanced: i64, setting: Option<&str>) -> Rules {
        Rules {
            default_tier: setting::tier(setting).unwrap_or(self.default_tier),
            room: Room {
                standard,
                advanced,
                max_standard: self.max_standard,
                max_advanced: self.max_advanced,
            },
        }
    }
}

const INSERT_PARAMETERS: &str = "
    insert into parameter (id, path, parent, name, tier, created_at, last_version, expires_at)
    select r.id, r.path, r.parent, r.name, r.tier, r.created_at, r.last_version, r.expires_at from {rows} as r";
const PARAMETER_COLUMNS: [Column; 8] = [
    Column::Text("id"),
    Column::Text("path"),
    Column::Text("parent"),
    Column::Text("name"),
    Column::Text("tier"),
    Column::BigInt("created_at"),
    Column::BigInt("last_version"),
    Column::BigInt("expires_at"),
];
const UPDATE_PARAMETERS: &str = "
    update parameter set tier = r.tier, last_version = r.last_version, expires_at = r.expires_at
    from {rows} as r where parameter.id = r.id";
const UPDATE_COLUMNS: [Column; 4] = [
    Column::Text("id"),
    Column::Text("tier"),
    Column::BigInt("last_version"),
    Column::BigInt("expires_at"),
];
const INSERT_VERSIONS: &str = "
    insert into parameter_version (parameter_id, version, type, data_type, tier, description, allowed_pattern, key_id,
        policies, modified_at, modified_by, value, ciphertext, key_provider, key_name, key_version, wrapped_key)
    select r.parameter_id, r.version, r.type, r.data_type, r.tier, r.description, r.allowed_pattern, r.key_id,
        r.policies, r.modified_at, r.modified_by, r.value, r.ciphertext, r.key_provider, r.key_name, r.key_version,
        r.wrapped_key from {rows} as r";
const VERSION_COLUMNS: [Column; 17] = [
    Column::Text("parameter_id"),
    Column::BigInt("version"),
    Column::Text("type"),
    Column::Text("data_type"),
    Column::Text("tier"),
    Column::Text("description"),
    Column::Text("allowed_pattern"),
    Column::Text("key_id"),
    Column::Text("policies"),
    Column::BigInt("modified_at"),
    Column::Text("modified_by"),
    Column::Text("value"),
    Column::Text("ciphertext"),
    Column::Text("key_provider"),
    Column::Text("key_name"),
    Column::Text("key_version"),
    Column::Text("wrapped_key"),
];
const DROP_VERSIONS: &str = "
    delete from parameter_version
    where (parameter_id, version) in (select r.parameter_id, r.version from {rows} as r)";
const DROP_COLUMNS: [Column; 2] = [Column::Text("parameter_id"), Column::BigInt("version")];
pub(super) const REMOVE: &str = "delete from parameter where id in (select r.id from {rows} as r)";
const RULES: &str = "
    select standard, advanced, (select s.value from service_setting as s where s.id = $1) from catalogue where id = 1";
pub(super) const COUNT: &str = "update catalogue set standard = standard + $1, advanced = advanced + $2 where id = 1";

/// What a put is decided on before its turn: the live parameter of its path, and the rules as they are now.
pub(crate) type Before = (Option<Head>, Rules);

/// What puts to these paths are decided on, in the order of the paths.
pub(crate) async fn before(db: &Db, ground: &Ground, paths: &[String], now: i64) -> Result<Vec<Before>, StoreError> {
    let sql = db.with_rows(HEADS, &[Column::Text("path")]);
    let distinct = json(&distinct(paths));
    let rows: Vec<HeadRow> = read!(db, pool => sqlx::query_as(sql).bind(&distinct).fetch_all(pool).await)?;
    let is_live = |row: &HeadRow| !row.is_expired(now);
    let heads = rows
        .into_iter()
        .filter(is_live)
        .map(|row| Ok((row.path.clone(), row.head()?)));
    let heads: HashMap<String, Head> = heads.collect::<Result<_, StoreError>>()?;
    let (standard, advanced, setting): (i64, i64, Option<String>) = read!(db, pool => {
        sqlx::query_as(RULES).bind(Setting::DefaultTier.id()).fetch_one(pool).await
    })?;
    let rules = ground.rules(standard, advanced, setting.as_deref());
    Ok(paths.iter().map(|path| (heads.get(path).cloned(), rules)).collect())
}

/// Does all puts of a group, in their order.
pub(crate) async fn put_all(db: &Db, ground: &Ground, jobs: &[Job], now: Timestamp) -> Result<Vec<Done>, StoreError> {
    let paths: BTreeSet<String> = jobs.iter().map(|job| job.put.name.path()).collect();
    let paths = json(&paths.iter().map(|path| (path,)).collect::<Vec<_>>());
    let heads = db.with_rows(HEADS, &[Column::Text("path")]);
    transact!(db, tx => {
        let (turn, standard, advanced) = take_turn!(tx);
        let default_tier: Option<String> =
            sqlx::query_scalar(setting::VALUE).bind(Setting::DefaultTier.id()).fetch_optional(&mut *tx).await?;
        let rows: Vec<HeadRow> = sqlx::query_as(heads).bind(&paths).fetch_all(&mut *tx).await?;
        let mut group = Group::new(ground, now, ground.rules(standard, advanced, default_tier.as_deref()));
        let untold = timer::untold!(db, tx, rows, now);
        group.take_in(rows, &untold)?;
        let done: Vec<Done> = jobs.iter().map(|job| group.one(job)).collect();
        let written = group.finish();
        macro_rules! write {
            ($sql:expr, $columns:expr, $rows:expr) => {
                if !$rows.is_empty() {
                    sqlx::query(db.with_rows($sql, &$columns)).bind(json(&$rows)).execute(&mut *tx).await?;
                }
            };
        }
        write!(REMOVE, [Column::Text("id")], written.removed);
        write!(INSERT_PARAMETERS, PARAMETER_COLUMNS, written.made);
        write!(UPDATE_PARAMETERS, UPDATE_COLUMNS, written.changed);
        write!(INSERT_VERSIONS, VERSION_COLUMNS, written.versions);
        write!(DROP_VERSIONS, DROP_COLUMNS, written.dropped);
        write!(timer::CLEAR, [Column::Text("id")], written.touched);
        write!(timer::INSERT, timer::COLUMNS, written.timers);
        write!(tag::UPSERT, tag::COLUMNS, written.tags);
        if written.counted != (0, 0) {
            sqlx::query(COUNT).bind(written.counted.0).bind(written.counted.1).execute(&mut *tx).await?;
        }
        tell!(db, tx, turn, written.events);
        Ok(done)
    })
}

/// A parameter as it stands in the middle of a group.
#[derive(Debug)]
struct Standing {
    head: Head,
    /// It is in the tables.
    is_stored: bool,
    /// Something of it is to be written.
    is_touched: bool,
    expires_at: Option<i64>,
}

/// The puts of a group, while they are decided.
struct Group<'a> {
    ground: &'a Ground,
    now: Timestamp,
    rules: Rules,
    standing: HashMap<String, Standing>,
    written: Written,
}

/// A row of `parameter_version`.
#[derive(Serialize)]
struct VersionRow(
    String,
    i64,
    &'static str,
    &'static str,
    &'static str,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    i64,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

type ParameterRow = (String, String, String, String, &'static str, i64, i64, Option<i64>);

/// What a group writes.
#[derive(Default)]
struct Written {
    removed: Vec<(String,)>,
    made: Vec<ParameterRow>,
    changed: Vec<(String, &'static str, i64, Option<i64>)>,
    versions: Vec<VersionRow>,
    dropped: Vec<(String, i64)>,
    touched: Vec<(String,)>,
    timers: Vec<timer::Row>,
    tags: Vec<(String, String, String)>,
    events: Vec<Event>,
    /// How many more parameters of each tier there are.
    counted: (i64, i64),
}

impl<'a> Group<'a> {
    fn new(ground: &'a Ground, now: Timestamp, rules: Rules) -> Self {
        Self {
            ground,
            now,
            rules,
            standing: HashMap::new(),
            written: Written::default(),
        }
    }

    /// Takes in what is there. What has expired goes, for whoever puts it makes a new one; its policies among `untold`
    /// have their say before.
    fn take_in(&mut self, rows: Vec<HeadRow>, untold: &[(String, i64)]) -> Result<(), StoreError> {
        for row in rows {
            let (path, expires_at) = (row.path.clone(), row.expires_at);
            let is_expired = row.is_expired(self.now.as_microsecond());
            let head = row.head()?;
            if is_expired {
                self.written.removed.push((head.id.clone(),));
                self.count(head.latest.tier, -1);
                self.written
                    .events
                    .extend(timer::farewell(&head, untold, &self.ground.scope, self.now));
                continue;
            }
            let standing = Standing {
                head,
                is_stored: true,
                is_touched: false,
                expires_at,
            };
            self.standing.insert(path, standing);
        }
        Ok(())
    }

    fn count(&mut self, tier: ParameterTier, by: i64) {
        let (counted, room) = (&mut self.written.counted, &mut self.rules.room);
        match tier {
            ParameterTier::Advanced => (counted.1, room.advanced) = (counted.1 + by, room.advanced + by),
            _ => (counted.0, room.standard) = (counted.0 + by, room.standard + by),
        }
    }

    fn one(&mut self, job: &Job) -> Done {
        let path = job.put.name.path();
        let head = self.standing.get(&path).map(|standing| &standing.head);
        let matched = job.expected.allowed_pattern.as_deref();
        let decided = decide(&job.put, head, &self.rules, matched);
        let decided = match decided.and_then(|decided| check_room(&job.put, head).map(|()| decided)) {
            Ok(decided) => decided,
            Err(refused) => return Done::Refused(refused),
        };
        let is_secure = decided.attributes.kind == ParameterType::SecureString;
        // The data key was wrapped for the key that was meant before.
        if is_secure && (job.prepared.is_none() || decided.attributes.key_id != job.expected.key_id) {
            return Done::Overtaken;
        }
        let answer = Done::Version {
            version: decided.version,
            tier: decided.attributes.tier,
        };
        self.write(job, path, decided, is_secure);
        answer
    }

    fn write(&mut self, job: &Job, path: String, decided: Decided, is_secure: bool) {
        let before = self.standing.remove(&path);
        let change = if before.is_some() {
            Change::Update
        } else {
            Change::Create
        };
        let tier_before = before.as_ref().map(|standing| standing.head.latest.tier);
        if tier_before != Some(decided.attributes.tier) {
            if let Some(tier) = tier_before {
                self.count(tier, -1);
            }
            self.count(decided.attributes.tier, 1);
        }
        let (id, name, first_labelled, is_stored) = match before {
            Some(Standing { head, is_stored, .. }) => (head.id, head.name, head.first_labelled, is_stored),
            None => (
                Uuid::new_v4().to_string(),
                job.put.name.spelled().to_owned(),
                None,
                false,
            ),
        };
        if !is_stored && change == Change::Create {
            let tags = job.put.tags.iter();
            self.written
                .tags
                .extend(tags.map(|(key, value)| (id.clone(), key.clone(), value.clone())));
        }
        let row = self.version_row(job, &id, &path, &decided, is_secure);
        self.written.versions.push(row);
        if let Some(oldest) = decided.drops {
            self.written.dropped.push((id.clone(), oldest));
        }
        let of = Subject {
            name: &name,
            kind: decided.attributes.kind,
            data_type: decided.attributes.data_type.word(),
            description: decided.attributes.description.as_deref(),
        };
        self.written
            .events
            .push(event::changed(change, of, &self.ground.scope, self.now));
        let standing = Standing {
            expires_at: expires_at(&decided.attributes),
            head: Head {
                id,
                name,
                last_version: decided.version,
                // Puts move no labels.
                first_labelled,
                latest: decided.attributes,
            },
            is_stored,
            is_touched: true,
        };
        self.standing.insert(path, standing);
    }

    fn version_row(&self, job: &Job, id: &str, path: &str, decided: &Decided, is_secure: bool) -> VersionRow {
        let attributes = &decided.attributes;
        let sealed = job.prepared.as_ref().filter(|_| is_secure).map(|prepared| {
            let binding = Binding {
                scope: &self.ground.scope,
                path,
                version: decided.version,
                kind: attributes.kind,
            };
            prepared.seal(&binding, &job.put.value)
        });
        let key = sealed.as_ref().map(|sealed| &sealed.wrapped.key);
        VersionRow(
            id.to_owned(),
            decided.version,
            attributes.kind.word(),
            attributes.data_type.word(),
            attributes.tier.word(),
            attributes.description.clone(),
            attributes.allowed_pattern.clone(),
            attributes.key_id.clone(),
            policy::written(&attributes.policies),
            self.now.as_microsecond(),
            job.put.by.clone(),
            sealed.is_none().then(|| job.put.value.reveal().to_owned()),
            sealed.as_ref().map(|sealed| STANDARD.encode(&sealed.ciphertext)),
            key.map(|key| key.provider.clone()),
            key.map(|key| key.id.clone()),
            key.map(|key| key.version.clone()),
            sealed.as_ref().map(|sealed| STANDARD.encode(&sealed.wrapped.bytes)),
        )
    }

    /// What is to be written once all puts are decided.
    fn finish(self) -> Written {
        let mut written = self.written;
        let now = self.now.as_microsecond();
        for (path, standing) in self.standing.into_iter().filter(|(_, standing)| standing.is_touched) {
            let Standing { head, expires_at, .. } = standing;
            let tier = head.latest.tier.word();
            written.touched.push((head.id.clone(),));
            written.timers.extend(timer::rows(&head, self.now));
            if standing.is_stored {
                written.changed.push((head.id, tier, head.last_version, expires_at));
            } else {
                let parent = parent(&path).to_owned();
                written.made.push((
                    head.id,
                    path,
                    parent,
                    head.name,
                    tier,
                    now,
                    head.last_version,
                    expires_at,
                ));
            }
        }
        written
    }
}
