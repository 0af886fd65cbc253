//! Decisions on their way into the audit log, in groups: what comes while one group is written is the next one.
//!
//! Who must not go on before a decision is written waits for it, and fails if it cannot be written. Others only wait
//! when too many are under way; theirs are tried again until they are written. What `access` refuses to write, whoever
//! tries, is told to the log and holds up nobody else.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use muster_proto::access::v1::DecisionRecord;
use muster_wire::Failure;
use prost::Message as _;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::authority::Authority;
use crate::Tasks;

/// Decisions that are written together; the contract takes no more.
const GROUP: usize = 1_000;
/// Bytes of decisions that are sent together: a bus takes messages of 1 MiB.
const BYTES: usize = 512 * 1024;
/// Batches that wait; whoever comes then waits, too.
const WAITING: usize = 1_024;
/// Decisions that could not be written yet; beyond, nothing new is taken.
const LEFT: usize = 8 * GROUP;
/// How long what nobody waits for may wait for more of its kind: under load it costs few transactions then.
const GATHERING: Duration = Duration::from_millis(20);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest time that a call waits for its decision to be written.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that a service which ends waits for what is left.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// Takes decisions.
#[derive(Debug, Clone)]
pub(crate) struct Ledger(mpsc::Sender<Batch>);

#[derive(Debug)]
struct Batch {
    decisions: Vec<DecisionRecord>,
    /// Hears that they are written; dropped if they are not.
    done: Option<oneshot::Sender<()>>,
}

impl Ledger {
    /// Starts writing.
    pub(crate) fn start(authority: Arc<dyn Authority>, tasks: &Tasks) -> Self {
        let (sender, batches) = mpsc::channel(WAITING);
        let stopping = tasks.stopping();
        tasks.spawn("ledger", async move {
            let mut writer = Writer {
                authority,
                batches,
                left: Vec::new(),
            };
            tokio::select! {
                () = writer.run() => {}
                () = stopping.cancelled() => writer.end().await,
            }
            Ok(())
        });
        Self(sender)
    }

    /// Writes decisions; when this returns they are there for good.
    ///
    /// # Errors
    /// If it is not known that they are.
    pub(super) async fn write(&self, decisions: Vec<DecisionRecord>) -> Result<(), Failure> {
        let mut waiting = Vec::new();
        let mut rest = decisions;
        while !rest.is_empty() {
            let after = rest.split_off(rest.len().min(GROUP));
            let (done, written) = oneshot::channel();
            let batch = Batch {
                decisions: rest,
                done: Some(done),
            };
            self.0.send(batch).await.map_err(|_| away())?;
            waiting.push(written);
            rest = after;
        }
        let all = futures::future::try_join_all(waiting);
        match tokio::time::timeout(PATIENCE, all).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(away()),
        }
    }

    /// Takes decisions that may be written a moment later; waits only while too many are under way.
    ///
    /// # Errors
    /// If the service ends.
    pub(super) async fn note(&self, decisions: Vec<DecisionRecord>) -> Result<(), Failure> {
        let batch = Batch { decisions, done: None };
        let taken = tokio::time::timeout(PATIENCE, self.0.send(batch)).await;
        taken.map_err(|_| away())?.map_err(|_| away())
    }

    /// The same for who cannot wait.
    pub(super) fn note_at_once(&self, decisions: Vec<DecisionRecord>) {
        let Err(full) = self.0.try_send(Batch { decisions, done: None }) else {
            return;
        };
        let decisions = full.into_inner().decisions;
        match Handle::try_current() {
            Ok(runtime) => {
                let ledger = self.clone();
                runtime.spawn(async move {
                    let lost = decisions.len();
                    if ledger.note(decisions).await.is_err() {
                        tracing::error!(
                            lost,
                            "decisions on calls nobody waited for never came into the audit log"
                        );
                    }
                });
            }
            Err(_) => tracing::error!(
                lost = decisions.len(),
                "decisions on calls nobody waited for never came into the audit log"
            ),
        }
    }

    /// Waits until what was noted is written, as long as a service that ends may wait.
    pub(crate) async fn settle(&self) {
        let (done, written) = oneshot::channel();
        let marker = Batch {
            decisions: Vec::new(),
            done: Some(done),
        };
        let settled = async {
            if self.0.send(marker).await.is_ok() {
                let _ = written.await;
            }
        };
        // What is not written then is tried once more, and counted in the log, when the task ends.
        let _ = tokio::time::timeout(LAST_PATIENCE, settled).await;
    }
}

fn away() -> Failure {
    Failure::Unavailable {
        what: "the audit log".to_owned(),
    }
}

/// A decision on its way.
#[derive(Debug, Clone)]
struct Entry {
    decision: DecisionRecord,
    /// Who waits for it, by their number in the group; `None` if nobody does.
    waits: Option<usize>,
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Written,
    /// Not now.
    Away,
    /// Never.
    Refused,
}

struct Writer {
    authority: Arc<dyn Authority>,
    batches: mpsc::Receiver<Batch>,
    /// Noted and not written yet.
    left: Vec<DecisionRecord>,
}

impl Writer {
    async fn run(&mut self) {
        loop {
            let mut group = Vec::new();
            if self.left.is_empty() {
                self.gather(&mut group).await;
            }
            self.fill(&mut group);
            if !self.write(group).await {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Waits for the first decisions, and for more until somebody waits for one or the time is over.
    async fn gather(&mut self, group: &mut Vec<Batch>) {
        let Some(first) = self.batches.recv().await else {
            return std::future::pending().await;
        };
        let until = Instant::now() + GATHERING;
        let mut next = Some(first);
        while let Some(batch) = next.take() {
            if batch.done.is_some() {
                group.push(batch);
                return;
            }
            // At once among what must not be lost: this may be cut off at any time.
            self.left.extend(batch.decisions);
            if self.left.len() < GROUP {
                next = tokio::time::timeout_at(until, self.batches.recv()).await.ok().flatten();
            }
        }
    }

    /// Takes what waits, as much as can be written together.
    fn fill(&mut self, group: &mut Vec<Batch>) {
        let mut count: usize = self.left.len() + group.iter().map(|batch| batch.decisions.len()).sum::<usize>();
        while count < LEFT
            && let Ok(batch) = self.batches.try_recv()
        {
            count += batch.decisions.len();
            group.push(batch);
        }
    }

    /// Writes what was left and the group; `false` if something could not be written.
    async fn write(&mut self, group: Vec<Batch>) -> bool {
        // In the order of coming, so that who waits for everything before it waits for the last one.
        let mut done = Vec::new();
        let mut own = Vec::new();
        for batch in group {
            match batch.done {
                Some(waits) => {
                    let number = Some(done.len());
                    let entry = |decision| Entry {
                        decision,
                        waits: number,
                    };
                    own.extend(batch.decisions.into_iter().map(entry));
                    done.push(Some(waits));
                }
                None => self.left.extend(batch.decisions),
            }
        }
        // What is left stays here until it is written: this may be cut off at any time.
        let left = self.left.iter().cloned();
        let mut all: Vec<_> = left.map(|decision| Entry { decision, waits: None }).collect();
        all.extend(own);
        // All at once: access writes what comes together in one transaction.
        let parts = parted(&all).into_iter().map(|part| put(&*self.authority, part));
        let fates = futures::future::join_all(parts).await.concat();
        self.left.clear();
        let mut is_away = false;
        for (entry, fate) in all.into_iter().zip(fates) {
            is_away |= fate == Fate::Away;
            match entry.waits {
                // Who waits hears it from the dropped end, and does not go on.
                Some(number) if fate != Fate::Written => drop(done.get_mut(number).and_then(Option::take)),
                None if fate == Fate::Away => self.left.push(entry.decision),
                _ => {}
            }
        }
        // Who waits for everything that was noted before waits on.
        if !self.left.is_empty() {
            return false;
        }
        for waits in done.into_iter().flatten() {
            // Whoever gave up waiting does not want to know.
            let _ = waits.send(());
        }
        !is_away
    }

    /// Writes what is left, or says that it is lost.
    async fn end(&mut self) {
        self.batches.close();
        loop {
            let mut group = Vec::new();
            self.fill(&mut group);
            if group.is_empty() && self.left.is_empty() {
                return;
            }
            let written = tokio::time::timeout(LAST_PATIENCE, self.write(group)).await;
            if !written.unwrap_or(false) {
                let lost = self.left.len();
                if lost > 0 {
                    tracing::error!(lost, "decisions on reading calls never came into the audit log");
                }
                return;
            }
        }
    }
}

/// Writes what goes together. What is refused is tried in halves, until the one that cannot be written stands alone.
fn put<'a>(authority: &'a dyn Authority, part: &'a [Entry]) -> BoxFuture<'a, Vec<Fate>> {
    Box::pin(async move {
        let decisions = part.iter().map(|entry| entry.decision.clone()).collect();
        match (authority.record(decisions).await, part) {
            (Ok(()), _) => vec![Fate::Written; part.len()],
            (Err(Failure::Refused(refusal)), [entry]) => {
                let DecisionRecord { principal, action, .. } = &entry.decision;
                tracing::error!(
                    principal,
                    action,
                    why = refusal.message,
                    "a decision cannot be written into the audit log and is missing there"
                );
                vec![Fate::Refused]
            }
            (Err(Failure::Refused(_)), _) => {
                let (one, other) = part.split_at(part.len() / 2);
                let mut fates = put(authority, one).await;
                fates.extend(put(authority, other).await);
                fates
            }
            (Err(failure), _) => {
                tracing::error!(
                    error = &failure as &dyn std::error::Error,
                    decisions = part.len(),
                    "decisions are not in the audit log yet"
                );
                vec![Fate::Away; part.len()]
            }
        }
    })
}

/// Parts that the contract and the bus take, in their order.
fn parted(all: &[Entry]) -> Vec<&[Entry]> {
    let mut parts = Vec::new();
    let mut rest = all;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take(GROUP).take_while(|entry| {
            bytes += entry.decision.encoded_len();
            bytes <= BYTES
        });
        // One that is too long alone is a part all the same: it is not for here to lose it.
        let (part, after) = rest.split_at(fits.count().max(1));
        parts.push(part);
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests;
