//! Decisions on their way into the audit log, in groups: what comes while one group is written is the next one.
//!
//! Who must not go on before a decision is written waits for it, and fails if it cannot be written. Others only wait
//! when too many are under way; theirs are tried again until they are written.

use std::sync::Arc;
use std::time::Duration;

use muster_proto::access::v1::DecisionRecord;
use muster_wire::Failure;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};

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
                match self.batches.recv().await {
                    Some(batch) => group.push(batch),
                    None => std::future::pending().await,
                }
            }
            self.fill(&mut group);
            if !self.write(group).await {
                tokio::time::sleep(PAUSE).await;
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
                    own.extend(batch.decisions);
                    done.push(waits);
                }
                None => self.left.extend(batch.decisions),
            }
        }
        // What is left stays here until it is written: this may be cut off at any time.
        let mut all = self.left.clone();
        all.extend(own);
        // All at once: access writes what comes together in one transaction.
        let parts = parted(&all).into_iter().map(|part| self.authority.record(part));
        if let Err(failure) = futures::future::try_join_all(parts).await {
            tracing::error!(
                error = &failure as &dyn std::error::Error,
                decisions = all.len(),
                "decisions are not in the audit log yet"
            );
            // Who waits hears it from the dropped end, and does not go on. A part that was written is written again.
            return false;
        }
        self.left.clear();
        for waits in done {
            // Whoever gave up waiting does not want to know.
            let _ = waits.send(());
        }
        true
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

/// Parts that the contract and the bus take, in their order.
fn parted(decisions: &[DecisionRecord]) -> Vec<Vec<DecisionRecord>> {
    let mut parts: Vec<Vec<DecisionRecord>> = Vec::new();
    let mut bytes = 0;
    for decision in decisions {
        let length = decision.encoded_len();
        match parts.last_mut() {
            Some(part) if part.len() < GROUP && bytes + length <= BYTES => part.push(decision.clone()),
            _ => {
                bytes = 0;
                parts.push(vec![decision.clone()]);
            }
        }
        bytes += length;
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::future::BoxFuture;
    use muster_proto::access::v1::{CheckBearerRequest, CheckBearerResult, GetPrincipalResult};

    use super::*;

    #[derive(Debug, Default)]
    struct Log {
        is_away: AtomicBool,
        /// Actions, by call.
        calls: Mutex<Vec<Vec<String>>>,
    }

    impl Log {
        fn actions(&self) -> Vec<String> {
            self.calls.lock().unwrap().concat()
        }
    }

    impl Authority for Log {
        fn principal<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<GetPrincipalResult, Failure>> {
            unreachable!("nobody is decided")
        }

        fn bearer(&self, _: CheckBearerRequest) -> BoxFuture<'_, Result<CheckBearerResult, Failure>> {
            unreachable!("nobody is asked for")
        }

        fn record(&self, decisions: Vec<DecisionRecord>) -> BoxFuture<'_, Result<(), Failure>> {
            Box::pin(async move {
                tokio::task::yield_now().await;
                if self.is_away.load(Ordering::SeqCst) {
                    return Err(away());
                }
                let actions = decisions.into_iter().map(|each| each.action.unwrap_or_default());
                self.calls.lock().unwrap().push(actions.collect());
                Ok(())
            })
        }
    }

    fn decision(action: &str) -> Vec<DecisionRecord> {
        vec![DecisionRecord {
            action: Some(action.to_owned()),
            ..DecisionRecord::default()
        }]
    }

    fn start() -> (Arc<Log>, Ledger, Tasks) {
        let log = Arc::new(Log::default());
        let (tasks, _failures) = Tasks::new();
        let ledger = Ledger::start(Arc::clone(&log) as Arc<dyn Authority>, &tasks);
        (log, ledger, tasks)
    }

    #[test]
    fn no_part_is_more_than_the_contract_and_the_bus_take() {
        let long = vec![decision(&"x".repeat(100_000)).remove(0); 20];
        let parts = parted(&long);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 5, 5]);
        let many = vec![decision("a").remove(0); 2_500];
        assert_eq!(
            parted(&many).iter().map(Vec::len).collect::<Vec<_>>(),
            [1_000, 1_000, 500]
        );
        assert!(parted(&[]).is_empty());
    }

    #[tokio::test]
    async fn who_waits_hears_when_it_is_written() {
        let (log, ledger, _tasks) = start();
        ledger.write(decision("a")).await.unwrap();
        assert_eq!(log.actions(), ["a"]);
    }

    #[tokio::test]
    async fn many_in_flight_are_few_calls() {
        let (log, ledger, _tasks) = start();
        let writes = (0..100).map(|_| ledger.write(decision("a")));
        futures::future::try_join_all(writes).await.unwrap();
        assert_eq!(log.actions().len(), 100);
        let calls = log.calls.lock().unwrap().len();
        assert!(calls <= 10, "{calls} calls");
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_written_fails_at_once_and_what_was_noted_is_written_later() {
        let (log, ledger, _tasks) = start();
        log.is_away.store(true, Ordering::SeqCst);
        ledger.note(decision("read")).await.unwrap();
        assert!(matches!(
            ledger.write(decision("change")).await,
            Err(Failure::Unavailable { .. })
        ));
        log.is_away.store(false, Ordering::SeqCst);
        ledger.settle().await;
        assert_eq!(log.actions(), ["read"], "the change was never made");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_noted_is_lost_however_long_the_log_is_away() {
        let (log, ledger, _tasks) = start();
        log.is_away.store(true, Ordering::SeqCst);
        for number in 0..100 {
            ledger.note(decision(&number.to_string())).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        log.is_away.store(false, Ordering::SeqCst);
        ledger.settle().await;
        let numbers: Vec<String> = (0..100).map(|number: u32| number.to_string()).collect();
        assert_eq!(log.actions(), numbers);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_when_too_many_wait_waits_too() {
        let (log, ledger, _tasks) = start();
        log.is_away.store(true, Ordering::SeqCst);
        let mut refused = 0;
        for _ in 0..LEFT + WAITING + 10 {
            match tokio::time::timeout(Duration::from_millis(1), ledger.note(decision("read"))).await {
                Ok(taken) => taken.unwrap(),
                Err(_) => {
                    refused += 1;
                    break;
                }
            }
        }
        assert_eq!(refused, 1, "memory is bounded");
    }

    #[tokio::test]
    async fn a_service_that_ends_writes_what_it_has() {
        let (log, ledger, tasks) = start();
        for _ in 0..50 {
            ledger.note(decision("read")).await.unwrap();
        }
        tasks.stop().await;
        assert_eq!(log.actions().len(), 50);
        assert!(ledger.note(decision("late")).await.is_err());
    }
}
