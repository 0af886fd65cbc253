//! What of a step's files is sent next.

use super::*;

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
