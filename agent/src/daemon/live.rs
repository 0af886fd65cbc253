//! Live output: what steps write is offered to whoever listens (agent.md B4, last line).
//!
//! The files in the run's directory are the source, so that a listener may come late, or again from where it was, and
//! nothing is kept for it in memory. Nobody listening costs nothing; a result never depends on a listener.
//! A listener says what has arrived and how much may be on its way beyond that: a slow one holds up only itself.
//! All listeners together share a rate, so that a script that prints without end leaves room for its result.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use muster_proto::agent::v1::{Listen, OutputOffer, OutputPiece, OutputPosition, OutputStream};
use muster_wire::subject;
use prost::Message as _;

use super::agent::{Agent, Phase};
use crate::journal::RunId;
use crate::runner::open_output as open;

/// Between two looks while there is something new.
const BRISK: Duration = Duration::from_millis(4);
/// Between two looks at a run that is silent.
const CALM: Duration = Duration::from_millis(20);
/// How long after something new a run counts as brisk.
const BRISK_FOR: Duration = Duration::from_secs(1);
/// Longest piece.
const PIECE: usize = 64 * 1024;
/// Listeners at a time; more are not heard.
const MOST: usize = 256;
/// Longest lease.
const LEASE: Duration = Duration::from_secs(60);
/// Bytes per second for all listeners together.
const RATE: f64 = 8.0 * 1024.0 * 1024.0;
/// What may go out at once after a silence.
const BURST: f64 = 1024.0 * 1024.0;

/// One stream of one part of a step.
type Stream = (String, OutputStream);

/// All who listen.
#[derive(Debug)]
pub(crate) struct Live {
    sessions: Vec<Session>,
    allowance: Allowance,
}

/// What all listeners together may still get now.
#[derive(Debug)]
struct Allowance {
    bytes: f64,
    at: Instant,
}

/// One who listens to one run.
#[derive(Debug)]
struct Session {
    run: RunId,
    listener: String,
    /// Bytes offered of each stream, and bytes that have arrived.
    streams: BTreeMap<Stream, Marks>,
    /// Parts in the order in which they were found.
    order: Vec<Stream>,
    window: u64,
    until: Instant,
    due: Instant,
    brisk_until: Instant,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Marks {
    offered: u64,
    arrived: u64,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            sessions: Vec::new(),
            allowance: Allowance {
                bytes: BURST,
                at: Instant::now(),
            },
        }
    }

    /// When there may be something to offer.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.sessions.iter().map(|session| session.due).min()
    }

    /// Somebody listens, or still listens.
    fn listen(&mut self, run: RunId, said: &Listen, now: Instant) {
        let lease = Duration::from_millis(u64::from(said.lease_ms)).min(LEASE);
        let known = self
            .sessions
            .iter()
            .position(|session| session.run == run && session.listener == said.listener);
        let index = match known {
            Some(index) => index,
            None if self.sessions.len() >= MOST => {
                tracing::warn!(run = %run, "too many listeners; one more is not heard");
                return;
            }
            None => {
                self.sessions.push(Session::new(run, &said.listener, now));
                self.sessions.len() - 1
            }
        };
        self.sessions[index].heard(said, known.is_none(), now + lease, now);
    }
}

impl Allowance {
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.bytes = (self.bytes + passed * RATE).min(BURST);
        self.at = now;
    }
}

impl Session {
    fn new(run: RunId, listener: &str, now: Instant) -> Self {
        Self {
            run,
            listener: listener.to_owned(),
            streams: BTreeMap::new(),
            order: Vec::new(),
            window: 0,
            until: now,
            due: now,
            brisk_until: now + BRISK_FOR,
        }
    }

    fn heard(&mut self, said: &Listen, is_new: bool, until: Instant, now: Instant) {
        self.window = said.window_bytes;
        self.until = until;
        self.due = now;
        let rewind = is_new || said.rewind;
        if rewind {
            // Whoever lost something has only what it names.
            self.streams.values_mut().for_each(|marks| *marks = Marks::default());
        }
        for position in &said.arrived {
            let key = (position.part.clone(), position.stream());
            let marks = self.streams.entry(key).or_default();
            marks.arrived = marks.arrived.max(position.offset);
            if rewind {
                marks.offered = marks.arrived;
            }
            // More may have arrived than was offered here: by a former agent.
            marks.offered = marks.offered.max(marks.arrived);
        }
    }

    /// How far each stream was offered.
    fn ends(&self) -> Vec<OutputPosition> {
        let end = |((part, stream), marks): (&Stream, &Marks)| OutputPosition {
            part: part.clone(),
            stream: (*stream).into(),
            offset: marks.offered,
        };
        self.streams.iter().map(end).collect()
    }

    /// Bytes that may go out before more has arrived.
    fn room(&self) -> u64 {
        let on_their_way: u64 = self.streams.values().map(|marks| marks.offered - marks.arrived).sum();
        self.window.saturating_sub(on_their_way)
    }

    /// The next pieces, and whether they are the last ones. `is_over`: the files will not grow any more.
    fn pieces(
        &mut self,
        directory: &Path,
        is_over: bool,
        allowance: &mut Allowance,
    ) -> io::Result<(Vec<OutputPiece>, bool)> {
        for stream in streams_in(directory)? {
            if !self.order.contains(&stream) {
                self.order.push(stream);
            }
        }
        let mut pieces = Vec::new();
        let mut taken = 0;
        let mut is_complete = true;
        for stream in &self.order {
            let length = match fs::symlink_metadata(file(directory, stream)) {
                Ok(metadata) => metadata.len(),
                Err(_) => continue,
            };
            let offered = self.streams.get(stream).map_or(0, |marks| marks.offered);
            if length <= offered {
                continue;
            }
            let left = PIECE.saturating_sub(taken);
            let room = usize::try_from(self.room()).unwrap_or(usize::MAX).min(left);
            if room == 0 || allowance.bytes < 1.0 {
                is_complete = false;
                break;
            }
            let wanted = usize::try_from(length - offered).unwrap_or(usize::MAX).min(room);
            let mut data = vec![0; wanted];
            let read = open(&file(directory, stream))?.read_at(&mut data, offered)?;
            data.truncate(read);
            let is_rest = is_over && offered + data.len() as u64 >= length;
            let whole = if is_rest { data.len() } else { whole_characters(&data) };
            data.truncate(whole);
            is_complete &= is_rest;
            if data.is_empty() {
                continue;
            }
            taken += data.len();
            allowance.bytes -= data.len() as f64;
            let marks = self.streams.entry(stream.clone()).or_default();
            marks.offered += data.len() as u64;
            pieces.push(OutputPiece {
                at: Some(OutputPosition {
                    part: stream.0.clone(),
                    stream: stream.1.into(),
                    offset: offered,
                }),
                data,
            });
        }
        Ok((pieces, is_complete && is_over))
    }
}

/// Bytes from the start that do not end within a UTF-8 sequence; bytes that are no UTF-8 at all are left alone.
fn whole_characters(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let at = bytes.len() - back;
        let needed = match bytes[at] {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => 1,
        };
        return if needed > back { at } else { bytes.len() };
    }
    bytes.len()
}

/// The streams that have files, the oldest part first.
fn streams_in(directory: &Path) -> io::Result<Vec<Stream>> {
    let mut found: Vec<(SystemTime, Stream)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((part, ending)) = name.to_str().and_then(|name| name.rsplit_once('.')) else {
            continue;
        };
        let stream = match ending {
            "stdout" => OutputStream::Stdout,
            "stderr" => OutputStream::Stderr,
            _ => continue,
        };
        let metadata = entry.metadata()?;
        if !metadata.is_file() {
            continue;
        }
        let born = metadata.created().or_else(|_| metadata.modified())?;
        found.push((born, (part.to_owned(), stream)));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, stream)| stream).collect())
}

fn file(directory: &Path, (part, stream): &Stream) -> PathBuf {
    let ending = match stream {
        OutputStream::Stderr => "stderr",
        OutputStream::Stdout | OutputStream::Unset => "stdout",
    };
    directory.join(format!("{part}.{ending}"))
}

/// Where a run stands, as a listener sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its work has not come yet.
    Unknown,
    Going,
    Over,
}

impl Agent {
    /// Somebody listens to a run, also one that has not come yet.
    pub(super) fn listened(&mut self, said: &Listen) {
        let is_plain = !said.listener.is_empty()
            && said.listener.len() <= 64
            && said.listener.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match said.run_id.parse::<RunId>() {
            Ok(run) if is_plain => self.live.listen(run, said, Instant::now()),
            _ => tracing::warn!("a listener that does not say to what"),
        }
    }

    /// Offers what is new.
    pub(super) fn offer_output(&mut self, now: Instant) {
        if self.live.sessions.is_empty() {
            return;
        }
        self.live.allowance.refill(now);
        let mut sessions = std::mem::take(&mut self.live.sessions);
        sessions.retain_mut(|session| session.due > now || self.offer_to(session, now));
        // The next in line comes first when the rate does not suffice for all.
        if !sessions.is_empty() {
            sessions.rotate_left(1);
        }
        self.live.sessions = sessions;
    }

    /// Whether it still listens.
    fn offer_to(&mut self, session: &mut Session, now: Instant) -> bool {
        if session.until <= now {
            return false;
        }
        // Looked at before the files: what is over now has written everything.
        let standing = self.standing(session.run);
        let directory = self.state.run(session.run);
        let is_over = standing == Standing::Over;
        let looked = session.pieces(&directory, is_over, &mut self.live.allowance);
        let mut offer = OutputOffer {
            run_id: session.run.to_string(),
            ..OutputOffer::default()
        };
        match looked {
            Ok((pieces, is_end)) => {
                offer.pieces = pieces;
                offer.is_end = is_end;
                offer.ends = if is_end { session.ends() } else { Vec::new() };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => offer.is_gone = is_over,
            Err(error) => {
                tracing::warn!(%error, run = %session.run, "live output cannot be read");
                offer.is_gone = is_over;
            }
        }
        let is_last = offer.is_end || offer.is_gone;
        if !offer.pieces.is_empty() {
            session.brisk_until = now + BRISK_FOR;
        }
        if !offer.pieces.is_empty() || is_last {
            self.publish(subject::up_output(&self.node, &session.listener), offer.encode_to_vec());
        }
        session.due = now + if now < session.brisk_until { BRISK } else { CALM };
        !is_last
    }

    fn standing(&self, run: RunId) -> Standing {
        match self.runs.get(&run).map(|run| &run.phase) {
            Some(Phase::Over) => Standing::Over,
            Some(_) => Standing::Going,
            None if self.state.journal().done_log(run).exists() => Standing::Over,
            None => Standing::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(window: u64, arrived: &[(&str, u64)], rewind: bool) -> Listen {
        Listen {
            window_bytes: window,
            lease_ms: 1_000,
            rewind,
            arrived: arrived
                .iter()
                .map(|(part, offset)| OutputPosition {
                    part: (*part).to_owned(),
                    stream: OutputStream::Stdout.into(),
                    offset: *offset,
                })
                .collect(),
            ..Listen::default()
        }
    }

    fn session(said: &Listen) -> Session {
        let now = Instant::now();
        let mut session = Session::new(RunId::random(), "someone", now);
        session.heard(said, true, now + LEASE, now);
        session
    }

    fn much() -> Allowance {
        Allowance {
            bytes: BURST,
            at: Instant::now(),
        }
    }

    fn texts(pieces: &[OutputPiece]) -> Vec<(String, u64, String)> {
        let text = |piece: &OutputPiece| {
            let at = piece.at.clone().unwrap();
            (at.part, at.offset, String::from_utf8(piece.data.clone()).unwrap())
        };
        pieces.iter().map(text).collect()
    }

    #[test]
    fn a_piece_ends_with_a_whole_character() {
        for (bytes, whole) in [
            (&b"abc"[..], 3),
            ("ä".as_bytes(), 2),
            (&"ä".as_bytes()[..1], 0),
            (&"a€".as_bytes()[..3], 1),
            ("€".as_bytes(), 3),
            (&"a🦀".as_bytes()[..4], 1),
            ("a🦀".as_bytes(), 5),
            (b"a\xff", 2),
            (b"\x80\x80\x80\x80", 4),
        ] {
            assert_eq!(whole_characters(bytes), whole, "{bytes:?}");
        }
    }

    #[test]
    fn a_listener_gets_what_it_does_not_have_and_no_more_than_its_window() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("sh.one.stdout"), "hello wörld").unwrap();
        fs::write(folder.path().join("sh.one.sh"), "echo").unwrap();
        let mut session = session(&listen(4, &[("sh.one", 6)], false));
        let one = |offset, text: &str| vec![("sh.one".to_owned(), offset, text.to_owned())];
        let (pieces, is_end) = session.pieces(folder.path(), true, &mut much()).unwrap();
        assert_eq!((texts(&pieces), is_end), (one(6, "wör"), false));
        let (pieces, _) = session.pieces(folder.path(), true, &mut much()).unwrap();
        assert!(pieces.is_empty(), "nothing has arrived yet");
        let now = Instant::now();
        session.heard(&listen(4, &[("sh.one", 10)], false), false, now, now);
        let (pieces, is_end) = session.pieces(folder.path(), true, &mut much()).unwrap();
        assert_eq!((texts(&pieces), is_end), (one(10, "ld"), true));
        session.heard(&listen(40, &[("sh.one", 6)], true), false, now, now);
        let (pieces, is_end) = session.pieces(folder.path(), true, &mut much()).unwrap();
        assert_eq!((texts(&pieces), is_end), (one(6, "wörld"), true));
    }

    #[test]
    fn a_run_that_goes_on_has_no_end_and_half_a_character_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sh.one.stdout");
        fs::write(&path, &"aä".as_bytes()[..2]).unwrap();
        let mut session = session(&listen(100, &[], false));
        let (pieces, is_end) = session.pieces(folder.path(), false, &mut much()).unwrap();
        assert_eq!((pieces[0].data.as_slice(), is_end), (&b"a"[..], false));
        let (pieces, _) = session.pieces(folder.path(), false, &mut much()).unwrap();
        assert!(pieces.is_empty());
        let (pieces, is_end) = session.pieces(folder.path(), true, &mut much()).unwrap();
        assert_eq!(pieces[0].data, "ä".as_bytes()[..1]);
        assert!(is_end, "the end of the stream is the end, whatever it holds");
    }

    #[test]
    fn a_script_cannot_make_the_agent_tell_another_user_s_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "of somebody else").unwrap();
        let link = folder.path().join("sh.one.stdout");
        std::os::unix::fs::symlink(folder.path().join("secret"), &link).unwrap();
        let (pieces, is_end) = session(&listen(100, &[], false))
            .pieces(folder.path(), true, &mut much())
            .unwrap();
        assert!(pieces.is_empty() && is_end);
        assert!(open(&link).is_err());
    }

    #[test]
    fn a_rate_that_is_used_up_holds_back_and_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("sh.one.stdout"), "hello").unwrap();
        let mut session = session(&listen(100, &[], false));
        let start = Instant::now();
        let mut allowance = Allowance { bytes: 0.0, at: start };
        let (pieces, is_end) = session.pieces(folder.path(), true, &mut allowance).unwrap();
        assert!(pieces.is_empty() && !is_end);
        allowance.refill(start + Duration::from_secs(1));
        let (pieces, is_end) = session.pieces(folder.path(), true, &mut allowance).unwrap();
        assert!(!pieces.is_empty() && is_end);
    }
}
