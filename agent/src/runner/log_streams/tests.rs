//! What of a step's files is sent next.

use muster_model::SignedDuration;
use muster_proto::agent::v1::RunResult;

use super::*;
use crate::journal::{Accepted, Fact, Log};
use crate::runner::proto_time;

fn source(folder: &Path, parts: &[&[u8]]) -> Source {
    let files = parts.iter().enumerate().map(|(at, bytes)| {
        let file = folder.join(format!("{at}.stdout"));
        if !bytes.is_empty() {
            fs::write(&file, bytes).unwrap();
        }
        file
    });
    Source {
        index: 0,
        step: "one".into(),
        stream: "stdout".into(),
        files: files.collect(),
        arrived: 0,
    }
}

/// All events from the beginning.
fn events(mut source: Source, is_final: bool) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = source.next(is_final).unwrap() {
        source.arrived += event.data.len() as u64;
        events.push(event);
    }
    events
}

#[test]
fn the_parts_of_a_step_are_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path(), &[b"first\n", b"", b"second\n"]);
    assert_eq!(source.left(), 13);
    let events = events(source, false);
    let found: Vec<_> = events.iter().map(|event| (event.offset, &event.data[..])).collect();
    assert_eq!(found, [(0, &b"first\n"[..]), (6, b"second\n")]);
}

#[test]
fn events_are_no_longer_than_they_may_be_and_hold_whole_lines_where_they_can() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{}\n", "x".repeat(99));
    let text = line.repeat(6_000);
    let events = events(source(folder.path(), &[text.as_bytes()]), true);
    assert_eq!(events.len(), 3);
    assert!(
        events
            .iter()
            .all(|event| event.data.len() <= EVENT && event.data.ends_with(b"\n"))
    );
    let joined: Vec<u8> = events.into_iter().flat_map(|event| event.data).collect();
    assert_eq!(joined, text.as_bytes());
}

#[test]
fn half_a_character_waits_until_nothing_more_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path(), &[&"aä".as_bytes()[..2]]);
    assert_eq!(
        events(source.clone(), false),
        [Event {
            offset: 0,
            data: b"a".to_vec()
        }]
    );
    let all: Vec<u8> = events(source, true).into_iter().flat_map(|event| event.data).collect();
    assert_eq!(all, &"aä".as_bytes()[..2]);
}

#[test]
fn another_user_s_file_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "of somebody else").unwrap();
    let source = source(folder.path(), &[b""]);
    std::os::unix::fs::symlink(folder.path().join("secret"), &source.files[0]).unwrap();
    assert_eq!((source.left(), source.next(true).unwrap()), (0, None));
}

/// The note of a run that began 30 hours ago, with something left; its run has ended so many hours ago.
fn left_behind(folder: &Path, ended_hours_ago: Option<i64>) -> (StateDir, PathBuf) {
    let state = StateDir::at(folder);
    state.journal().prepare().unwrap();
    let run = RunId::random();
    state
        .journal()
        .begin([(run, &Fact::Accepted(Accepted::default()))])
        .unwrap();
    let now = SystemClock.now();
    if let Some(hours) = ended_hours_ago {
        let (mut log, _) = Log::lock(&state.journal().open_log(run)).unwrap().unwrap();
        log.add(Fact::Record(Record {
            sequence: 1,
            at: Some(proto_time(now - SignedDuration::from_hours(hours))),
            fact: Some(News::RunResult(RunResult::default())),
        }));
        log.commit().unwrap();
    }
    let note = Note {
        run: run.to_string(),
        since_us: (now - SignedDuration::from_hours(30)).as_microsecond(),
        sources: vec![source(folder, &[b"left"])],
    };
    note.write(&state).unwrap();
    let path = Note::path(&state, &note.run);
    (state, path)
}

#[test]
fn what_is_left_is_offered_for_a_day_from_the_end_of_the_run_on() {
    // No agent answers here.
    for (hours, stays) in [(1, true), (25, false)] {
        let folder = tempfile::tempdir().unwrap();
        let (state, note) = left_behind(folder.path(), Some(hours));
        assert_eq!(send_leftovers(&state, &note).unwrap(), !stays, "{hours}");
        assert_eq!(note.exists(), stays, "{hours}");
    }
}

#[test]
fn log_streams_of_a_run_that_goes_on_are_not_left_behind() {
    for (ended, awaited) in [(None, true), (Some(1), false)] {
        let folder = tempfile::tempdir().unwrap();
        let (state, note) = left_behind(folder.path(), ended);
        assert_eq!(awaits_end_of_run(&state, &note), awaited);
    }
}
