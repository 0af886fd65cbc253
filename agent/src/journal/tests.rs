use muster_proto::agent::v1::{self as proto, Record, RunResult, StepStarted, WorkItem};

use super::*;

fn journal() -> (tempfile::TempDir, Journal) {
    let root = tempfile::tempdir().unwrap();
    let journal = Journal::at(root.path());
    journal.prepare().unwrap();
    (root, journal)
}

fn accepted(run: RunId) -> Fact {
    let work = WorkItem {
        run_id: run.to_string(),
        ..WorkItem::default()
    };
    Fact::Accepted(Accepted {
        work: Some(work),
        at_us: 7,
        ..Accepted::default()
    })
}

fn record(sequence: u64, fact: proto::record::Fact) -> Fact {
    Fact::Record(Record {
        sequence,
        at: None,
        fact: Some(fact),
    })
}

fn started() -> proto::record::Fact {
    proto::record::Fact::StepStarted(StepStarted {
        index: 0,
        name: "a".into(),
        action: "x".into(),
    })
}

fn ended() -> proto::record::Fact {
    proto::record::Fact::RunResult(RunResult::default())
}

#[test]
fn a_run_goes_from_open_to_done_and_back() {
    let (_root, journal) = journal();
    let run = RunId::random();
    journal.begin([(run, &accepted(run))]).unwrap();
    assert_eq!(journal.open_runs().unwrap(), [run]);

    journal.mark_cancelled(run).unwrap();
    journal.close(run).unwrap();
    assert_eq!(journal.done_runs().unwrap(), [run]);
    assert!(journal.open_runs().unwrap().is_empty());
    assert!(!journal.cancel_mark(run).exists());

    assert!(journal.reopen(run).unwrap());
    assert!(!journal.reopen(run).unwrap());
    journal.close(run).unwrap();
    journal.forget(run).unwrap();
    assert!(journal.done_runs().unwrap().is_empty());
}

#[test]
fn what_is_appended_is_read_by_others() {
    let (_root, journal) = journal();
    let run = RunId::random();
    journal.begin([(run, &accepted(run))]).unwrap();

    let (mut log, history) = Log::lock(&journal.open_log(run)).unwrap().unwrap();
    assert_eq!(history.accepted.unwrap().at_us, 7);
    log.add(Fact::Runner(Runner {
        pid: 9,
        boot_id: "b".into(),
    }));
    log.add(record(1, started()));
    log.commit().unwrap();
    log.add(Fact::Process(Process {
        group: 4,
        ..Process::default()
    }));
    log.write().unwrap();

    let seen = read(&journal.open_log(run)).unwrap();
    assert_eq!(seen.runner.as_ref().unwrap().pid, 9);
    assert_eq!(seen.process.as_ref().unwrap().group, 4);
    assert_eq!(seen.open_step().unwrap().name, "a");
    assert!(!seen.is_finished());

    log.add(record(2, ended()));
    log.commit().unwrap();
    let seen = read(&journal.open_log(run)).unwrap();
    assert!(seen.is_finished());
    assert_eq!(seen.records_after(1).len(), 1);
    assert_eq!(seen.records_after(2).len(), 0);
}

#[test]
fn a_log_has_one_writer() {
    let (_root, journal) = journal();
    let run = RunId::random();
    journal.begin([(run, &accepted(run))]).unwrap();
    let path = journal.open_log(run);
    assert!(!is_locked(&path).unwrap());
    let held = Log::lock(&path).unwrap().unwrap();
    assert!(is_locked(&path).unwrap());
    assert!(Log::lock(&path).unwrap().is_none());
    drop(held);
    assert!(Log::lock(&path).unwrap().is_some());
}

#[test]
fn a_torn_tail_is_cut_off_by_the_next_writer() {
    let (_root, journal) = journal();
    let run = RunId::random();
    journal.begin([(run, &accepted(run))]).unwrap();
    let path = journal.open_log(run);
    let intact = fs::read(&path).unwrap();
    for cut in 1..20 {
        let mut torn = intact.clone();
        frame::append(&mut torn, b"never completely written");
        torn.truncate(intact.len() + cut);
        fs::write(&path, &torn).unwrap();

        let (mut log, history) = Log::lock(&path).unwrap().unwrap();
        assert!(history.accepted.is_some() && history.records.is_empty());
        log.add(record(1, ended()));
        log.commit().unwrap();
        assert!(read(&path).unwrap().is_finished(), "cut at {cut}");
    }
}

#[test]
fn an_acceptance_that_was_never_completed_is_begun_anew() {
    let (_root, journal) = journal();
    let run = RunId::random();
    fs::write(journal.open_log(run), b"torn").unwrap();
    assert!(read(&journal.open_log(run)).unwrap().is_empty());
    journal.begin([(run, &accepted(run))]).unwrap();
    assert!(read(&journal.open_log(run)).unwrap().accepted.is_some());
}

#[test]
fn beginning_a_run_again_keeps_what_is_known_about_it() {
    let (_root, journal) = journal();
    let run = RunId::random();
    journal.begin([(run, &record(1, ended()))]).unwrap();
    journal.begin([(run, &accepted(run))]).unwrap();
    let history = read(&journal.open_log(run)).unwrap();
    assert!(history.is_finished() && history.accepted.is_none());
}
