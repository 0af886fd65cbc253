//! What is removed from the disk, in which order, and what never is.

use muster_model::{Clock, SignedDuration, SystemClock};

use super::*;
use crate::journal::{Accepted, Deadline, Fact};

/// A finished run with an output of `bytes`, and when its log says it had to start.
fn finished(state: &StateDir, bytes: usize, deadline: Timestamp) -> RunId {
    let run = RunId::random();
    let clock_ms = deadline.as_millisecond();
    let deadline = Some(Deadline {
        boot_id: "other".into(),
        up_ms: 0,
        clock_ms,
    });
    let accepted = Fact::Accepted(Accepted {
        deadline,
        ..Accepted::default()
    });
    state.journal().begin([(run, &accepted)]).unwrap();
    state.journal().close(run).unwrap();
    fs::create_dir_all(state.run(run).join("a/b")).unwrap();
    fs::write(state.run(run).join("a/b/stdout"), vec![0; bytes]).unwrap();
    run
}

fn state() -> (tempfile::TempDir, StateDir) {
    let root = tempfile::tempdir().unwrap();
    let state = StateDir::at(root.path());
    state.prepare().unwrap();
    (root, state)
}

fn settings(quota_bytes: u64, quota_entries: u64) -> Settings {
    Settings {
        quota_bytes: Some(quota_bytes),
        quota_entries,
        ..Settings::default()
    }
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// Says that an output of the run is still to be stored.
fn awaits_store(state: &StateDir, run: RunId) {
    let notes = state.root().join("uploads");
    fs::create_dir_all(&notes).unwrap();
    fs::write(notes.join(format!("{run}.awsrunShellScript.only.stdout.json")), "{}").unwrap();
}

/// Makes it a run whose end nobody has confirmed.
fn unconfirm(state: &StateDir, run: RunId) {
    state.journal().reopen(run).unwrap();
    let open = state.journal().open_log(run);
    let (mut log, _) = crate::journal::Log::lock(&open).unwrap().unwrap();
    log.add(Fact::Dropped(crate::journal::Dropped { at_us: 1 }));
    log.commit().unwrap();
}

/// Waits until the file system gives another time than it gave to this file: its clock may be a coarse one.
fn wait_for_a_later_time_than(file: &Path) {
    let modified = |about: io::Result<fs::Metadata>| about.unwrap().modified().unwrap();
    let written = modified(fs::metadata(file));
    while modified(tempfile::tempfile().unwrap().metadata()) <= written {}
}

/// The same, for a run's end.
fn wait_for_another_time(state: &StateDir, run: RunId) {
    wait_for_a_later_time_than(&state.journal().done_log(run));
}

#[test]
fn the_oldest_outputs_go_first_and_their_logs_stay() {
    let (_root, state) = state();
    let now = SystemClock.now();
    let [old, new] = [(); 2].map(|()| {
        let run = finished(&state, 10_000, now);
        wait_for_another_time(&state, run);
        run
    });
    let found = tidy(&state, now, &settings(15_000, 1_000), &Ledger::default()).unwrap();
    assert!(!state.run(old).exists() && state.run(new).exists());
    assert_eq!(state.journal().done_runs().unwrap().len(), 2);
    assert!(!found.is_full && found.ledger.is_none());
    assert!(
        found.disk.bytes < 15_000 && found.disk.bytes > 10_000,
        "{:?}",
        found.disk
    );

    tidy(&state, now, &settings(1 << 30, 8), &Ledger::default()).unwrap();
    assert!(!state.run(new).exists(), "entries are bounded too");
}

#[test]
fn too_many_logs_become_lines_of_the_ledger_and_are_still_known() {
    let (_root, state) = state();
    let now = SystemClock.now();
    let runs: Vec<RunId> = (0..40).map(|_| finished(&state, 10, now)).collect();
    let settings = settings(1 << 30, 30);
    let found = tidy(&state, now, &settings, &Ledger::default()).unwrap();
    let ledger = found.ledger.expect("there are too many");
    assert_eq!(
        state.journal().done_runs().unwrap().len(),
        40,
        "logs go only when the agent knows the ledger"
    );
    assert_eq!(Ledger::read(&state.journal().ledger()).unwrap(), ledger);

    let found = tidy(&state, now, &settings, &ledger).unwrap();
    assert!(!found.is_full && found.ledger.is_none(), "{found:?}");
    assert!(found.disk.entries <= 30, "{:?}", found.disk);
    let logs = state.journal().done_runs().unwrap();
    assert!(!logs.is_empty() && logs.len() < 30);
    assert!(runs.iter().all(|run| logs.contains(run) || ledger.get(*run).is_some()));

    let forgotten = tidy(&state, now + days(8), &settings, &ledger).unwrap().ledger.unwrap();
    assert!(runs.iter().all(|run| forgotten.get(*run).is_none()));
}

#[test]
fn a_run_is_forgotten_a_week_after_its_deadline_and_its_end() {
    let (_root, state) = state();
    let now = SystemClock.now();
    let early = finished(&state, 1, now);
    let late = finished(&state, 1, now + days(2));
    let settings = settings(1 << 30, 1_000);
    tidy(&state, now + days(6), &settings, &Ledger::default()).unwrap();
    assert_eq!(state.journal().done_runs().unwrap().len(), 2);
    tidy(&state, now + days(8), &settings, &Ledger::default()).unwrap();
    assert_eq!(state.journal().done_runs().unwrap(), [late]);
    assert!(!state.run(early).exists());
}

#[test]
fn files_are_kept_as_long_as_the_owner_wishes() {
    let (_root, state) = state();
    let now = SystemClock.now();
    let run = finished(&state, 1, now);
    let settings = Settings {
        retention_days: 2,
        ..settings(1 << 30, 1_000)
    };
    tidy(&state, now + days(1), &settings, &Ledger::default()).unwrap();
    assert!(state.run(run).exists());
    tidy(&state, now + days(3), &settings, &Ledger::default()).unwrap();
    assert!(!state.run(run).exists() && state.journal().done_log(run).exists());
}

#[test]
fn what_belongs_to_no_run_is_removed_and_what_is_open_never() {
    let (_root, state) = state();
    let now = SystemClock.now();
    let (stray, open) = (RunId::random(), RunId::random());
    let accepted = Fact::Accepted(Accepted::default());
    state.journal().begin([(open, &accepted)]).unwrap();
    for run in [stray, open] {
        fs::create_dir_all(state.run(run)).unwrap();
        fs::write(state.run(run).join("file"), vec![0; 20_000]).unwrap();
    }
    let found = tidy(&state, now, &settings(10_000, 1_000), &Ledger::default()).unwrap();
    assert!(!state.run(stray).exists() && state.run(open).exists());
    assert!(found.is_full, "nothing may go");
    assert!(found.stale.is_empty());
}

#[test]
fn news_that_nobody_takes_is_given_up_a_week_after_the_run_expired() {
    let (_root, state) = state();
    let now = SystemClock.now();
    let run = finished(&state, 1, now);
    unconfirm(&state, run);
    let settings = settings(1 << 30, 1_000);
    let at = |moment| tidy(&state, moment, &settings, &Ledger::default()).unwrap().stale;
    assert_eq!(at(now + days(6)), []);
    assert_eq!(at(now + days(8)), [run]);
}

#[test]
fn runs_with_something_left_to_do_go_last_and_those_that_go_on_never() {
    let (_root, state) = state();
    let now = SystemClock.now();
    // The older ones have something left to do.
    let [awaited, unconfirmed, old, new] = [(); 4].map(|()| {
        let run = finished(&state, 10_000, now);
        wait_for_another_time(&state, run);
        run
    });
    awaits_store(&state, awaited);
    unconfirm(&state, unconfirmed);
    let running = RunId::random();
    let accepted = Fact::Accepted(Accepted::default());
    state.journal().begin([(running, &accepted)]).unwrap();
    fs::create_dir_all(state.run(running)).unwrap();
    fs::write(state.run(running).join("stdout"), vec![0; 10_000]).unwrap();

    let all = [old, new, unconfirmed, awaited, running];
    for (quota, left) in [
        (48_000, &all[1..]),
        (38_000, &all[2..]),
        (28_000, &all[3..]),
        (18_000, &all[4..]),
        (8_000, &all[4..]),
    ] {
        let found = tidy(&state, now, &settings(quota, 1_000), &Ledger::default()).unwrap();
        let kept: Vec<RunId> = all.into_iter().filter(|run| state.run(*run).exists()).collect();
        assert_eq!(kept, left, "with {quota} bytes");
        assert_eq!(found.is_full, quota == 8_000);
    }
    assert!(
        state.journal().open_log(unconfirmed).exists(),
        "its news is still to be told"
    );
}

#[test]
fn an_output_that_is_to_be_stored_outlasts_the_retention() {
    let (_root, state) = state();
    let now = SystemClock.now();
    let [awaited, other] = [(); 2].map(|()| finished(&state, 10, now));
    awaits_store(&state, awaited);
    let settings = Settings {
        retention_days: 1,
        ..settings(1 << 30, 1_000)
    };
    tidy(
        &state,
        now + SignedDuration::from_hours(25),
        &settings,
        &Ledger::default(),
    )
    .unwrap();
    assert!(state.run(awaited).exists() && !state.run(other).exists());
}

#[test]
fn no_line_of_the_ledger_takes_the_place_of_news_that_is_not_confirmed() {
    let (_root, state) = state();
    let now = SystemClock.now();
    let runs: Vec<RunId> = (0..40).map(|_| finished(&state, 10, now)).collect();
    unconfirm(&state, runs[0]);
    let found = tidy(&state, now, &settings(1 << 30, 30), &Ledger::default()).unwrap();
    let ledger = found.ledger.expect("there are too many");
    assert!(ledger.get(runs[0]).is_none() && state.journal().open_log(runs[0]).exists());
}

#[test]
fn outputs_that_are_stored_here_go_like_the_files_of_their_runs() {
    let (_root, state) = state();
    let now = SystemClock.now();
    let bucket = state.root().join("objects/logs");
    let output = |command: &str| bucket.join(command).join("mi-1/awsrunShellScript/only/stdout");
    let write = |command: &str| {
        fs::create_dir_all(output(command).parent().unwrap()).unwrap();
        fs::write(output(command), vec![0; 10_000]).unwrap();
    };
    write("old");
    wait_for_a_later_time_than(&output("old"));
    let between = finished(&state, 10_000, now);
    wait_for_another_time(&state, between);
    write("new");
    fs::write(bucket.join("tool.zip"), vec![0; 10_000]).unwrap();

    let sweep = |now, bytes, settings: fn(&mut Settings)| {
        let mut all = self::settings(bytes, 1_000);
        settings(&mut all);
        tidy(&state, now, &all, &Ledger::default()).unwrap()
    };
    sweep(now, 39_000, |_| ());
    assert!(!bucket.join("old").exists() && state.run(between).exists() && output("new").exists());
    sweep(now, 29_000, |_| ());
    assert!(!state.run(between).exists() && output("new").exists());
    let elsewhere = |settings: &mut Settings| settings.objects.url = "file:///elsewhere".into();
    sweep(now + days(8), 1 << 30, elsewhere);
    assert!(output("new").exists());
    sweep(now + days(8), 1 << 30, |_| ());
    assert!(!bucket.join("new").exists(), "after the retention");
    assert!(bucket.join("tool.zip").exists(), "nobody of ours has put it there");
}

/// D12 with the bounds of a node that nobody has configured; `it::disk` does the same in small with real runs.
#[test]
fn ten_thousand_small_runs_stay_within_the_default_bounds() {
    const RUNS: usize = 10_000;
    // In memory where there is such a place: ten thousand syncs are not what is measured.
    let memory = Path::new("/dev/shm");
    let root = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    let root = root.unwrap();
    let state = StateDir::at(root.path());
    state.prepare().unwrap();
    let now = SystemClock.now();
    let settings = Settings::default();
    let accepted = Fact::Accepted(Accepted {
        deadline: Some(Deadline {
            boot_id: "other".into(),
            up_ms: 0,
            clock_ms: now.as_millisecond(),
        }),
        ..Accepted::default()
    });
    let runs: Vec<RunId> = (0..RUNS).map(|_| RunId::random()).collect();
    let (mut ledger, mut slowest, mut most) = (Ledger::default(), std::time::Duration::ZERO, 0);
    let mut sweep = |ledger: &mut Ledger| {
        let begun = std::time::Instant::now();
        let found = tidy(&state, now, &settings, ledger).unwrap();
        slowest = slowest.max(begun.elapsed());
        assert!(!found.is_full || found.ledger.is_some(), "{found:?}");
        let has_written = found.ledger.is_some();
        *ledger = found.ledger.unwrap_or_else(|| ledger.clone());
        (found.disk, has_written)
    };
    // So many come between two looks: a twentieth of the entries, four for each run.
    for batch in runs.chunks(250) {
        state
            .journal()
            .begin(batch.iter().map(|run| (*run, &accepted)))
            .unwrap();
        for run in batch {
            state.journal().close(*run).unwrap();
            fs::create_dir_all(state.run(*run)).unwrap();
            for file in ["script.sh", "stdout"] {
                fs::write(state.run(*run).join(file), "echo\n").unwrap();
            }
        }
        let (_, entries) = measure(state.root()).unwrap();
        most = most.max(entries);
        sweep(&mut ledger);
    }
    // As the agent does: once more as soon as it knows the ledger.
    let disk = loop {
        if let (disk, false) = sweep(&mut ledger) {
            break disk;
        }
    };
    println!("at most {most} entries, {disk:?} in the end; the slowest look took {slowest:?}");
    assert!(most <= settings.quota_entries + 1_500, "{most}");
    assert!(
        disk.entries <= disk.quota_entries && disk.bytes <= disk.quota_bytes,
        "{disk:?}"
    );
    assert!(slowest < std::time::Duration::from_secs(5), "{slowest:?}");
    let logs: HashSet<RunId> = state.journal().done_runs().unwrap().into_iter().collect();
    assert!(runs.iter().all(|run| logs.contains(run) || ledger.get(*run).is_some()));
}
