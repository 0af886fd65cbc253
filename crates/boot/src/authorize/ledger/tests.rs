use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_proto::access::v1::{CheckBearerRequest, CheckBearerResult, GetPrincipalRequest, GetPrincipalResult};
use muster_wire::{Reason, Refusal};

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
    fn principal(&self, _: GetPrincipalRequest) -> BoxFuture<'_, Result<GetPrincipalResult, Failure>> {
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
            if decisions.iter().any(|each| each.action() == BAD) {
                return Err(Refusal::new(Reason::ValidationException, "too long").into());
            }
            let actions = decisions.into_iter().map(|each| each.action.unwrap_or_default());
            self.calls.lock().unwrap().push(actions.collect());
            Ok(())
        })
    }
}

/// An action that the log does not take.
const BAD: &str = "bad";

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
    let lengths = |action: &str, count| {
        let decision = decision(action).remove(0);
        let all = vec![Entry { decision, waits: None }; count];
        parted(&all).iter().map(|part| part.len()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(&"x".repeat(100_000), 20), [5, 5, 5, 5]);
    assert_eq!(lengths(&"x".repeat(BYTES + 1), 2), [1, 1]);
    assert_eq!(lengths("a", 2_500), [1_000, 1_000, 500]);
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
async fn what_nobody_waits_for_is_written_together_and_soon() {
    let (log, ledger, _tasks) = start();
    for action in ["1", "2", "3"] {
        ledger.note(decision(action)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(log.actions().is_empty());
    tokio::time::sleep(GATHERING).await;
    assert_eq!(log.calls.lock().unwrap().len(), 1, "one group");
    assert_eq!(log.actions(), ["1", "2", "3"]);
    ledger.note(decision("4")).await.unwrap();
    ledger.write(decision("5")).await.unwrap();
    assert_eq!(log.actions(), ["1", "2", "3", "4", "5"], "who waits waits for nobody");
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

#[tokio::test]
async fn what_the_log_never_takes_holds_up_nobody_else_and_is_not_believed() {
    let (log, ledger, _tasks) = start();
    for action in ["1", "2", BAD, "3", BAD, "4"] {
        ledger.note(decision(action)).await.unwrap();
    }
    let writes = ["5", BAD, "6"].map(|action| ledger.write(decision(action)));
    let outcomes = futures::future::join_all(writes).await;
    assert_eq!(
        outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true]
    );
    ledger.settle().await;
    let mut actions = log.actions();
    actions.sort();
    assert_eq!(actions, ["1", "2", "3", "4", "5", "6"], "each once");
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
