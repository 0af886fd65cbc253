//! The questions to the database that many callers ask at once.

use std::sync::Arc;

use muster_boot::Parts;
use muster_store::Db;

use super::Publisher;
use super::together::Together;
use crate::store::put::{Before, Done, Ground, Job, before, put_all};
use crate::store::read;
use crate::store::row::ValueRow;

/// Groups of reads of one kind that are under way at once.
const READERS: usize = 2;
/// Groups of puts: each is a transaction, and only one of them can write.
const WRITERS: usize = 1;

/// What goes together with its like.
#[derive(Debug)]
pub(crate) struct Groups {
    /// The latest version of a path, with its value.
    pub(crate) latest: Together<String, Option<ValueRow>>,
    /// What a put to a path is decided on before its turn.
    pub(crate) before: Together<String, Before>,
    /// Puts that were found good. A version that is answered survives everything.
    pub(crate) puts: Together<Job, Done>,
}

impl Groups {
    /// Starts the tasks that do them.
    pub(crate) fn start(parts: &Parts, db: &Db, ground: &Ground, publisher: &Publisher) -> Self {
        // A read sees every write that was answered before it was asked for: the time is taken when its group begins.
        let latest = {
            let (db, clock) = (db.clone(), Arc::clone(&parts.clock));
            move |paths: Vec<String>| {
                let (db, now) = (db.clone(), clock.now().as_microsecond());
                async move { read::latest(&db, &paths, now).await }
            }
        };
        let heads = {
            let (db, ground, clock) = (db.clone(), ground.clone(), Arc::clone(&parts.clock));
            move |paths: Vec<String>| {
                let (db, ground, now) = (db.clone(), ground.clone(), clock.now().as_microsecond());
                async move { before(&db, &ground, &paths, now).await }
            }
        };
        let puts = {
            let (db, ground, clock) = (db.clone(), ground.clone(), Arc::clone(&parts.clock));
            let publisher = publisher.clone();
            move |jobs: Vec<Job>| {
                let (db, ground, now) = (db.clone(), ground.clone(), clock.now());
                let publisher = publisher.clone();
                async move {
                    let done = put_all(&db, &ground, &jobs, now).await?;
                    publisher.wake();
                    Ok(done)
                }
            }
        };
        Self {
            latest: Together::start(&parts.tasks, "latest versions", READERS, latest),
            before: Together::start(&parts.tasks, "heads of parameters", READERS, heads),
            puts: Together::start(&parts.tasks, "puts", WRITERS, puts),
        }
    }
}
