//! Log streams (run-command.md 8.4): what steps write goes to the service while they write it, every 30 seconds or
//! 200 KB, and the rest when the run ends.
//!
//! A thread beside the steps reads the files that the outputs are written to anyway and asks the service, over the
//! agent's connection, to keep what is new; the answer says how much the stream holds, so that nothing is lost or kept
//! twice. A run never waits for it but for a few seconds at its end. What the service has not taken by then is said in
//! the run's trace, stays as a note in the state directory, and is tried again for a day.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use muster_document::{Plan, Verdict};
use muster_model::{Clock, SystemClock, Timestamp};
use muster_proto::agent::v1::record::Fact as News;
use muster_proto::agent::v1::{LogAppendRequest, LogAppendResult, OutputStored, OutputStream, Record, WorkItem};
use muster_wire::subject;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use super::capture::open_output;
use super::outputs::{LIMIT_US, tell};
use super::step::Workshop;
use crate::courier::{Answer, Question};
use crate::journal::{self, History, RunId};
use crate::state::{StateDir, make_private_directory};

/// Something new waits at most so long.
const EVERY: Duration = Duration::from_secs(30);
/// Or until there are so many bytes of it.
const MUCH: u64 = 200_000;
/// How often it is looked how much there is.
const LOOK: Duration = Duration::from_secs(1);
/// Longest event, in bytes.
const EVENT: usize = 256 * 1024;
/// How long a run waits at its end.
const RUN_PATIENCE: Duration = Duration::from_secs(5);
/// How long a single answer is waited for.
const ANSWER: Duration = Duration::from_secs(15);
/// What the names of notes end with.
const ENDING: &str = ".log-streams.json";

/// The log streams of a run; lies as JSON in the state directory until everything was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    run: String,
    /// When the run began, in microseconds since 1970; counts where its log does not say when it ended.
    since_us: i64,
    sources: Vec<Source>,
}

/// Where the bytes of one stream come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Source {
    /// The step's position in the document.
    index: u32,
    step: String,
    /// `stdout` or `stderr`.
    stream: String,
    /// The files of the step's parts: the stream is one after the other. A part that printed nothing has none.
    files: Vec<PathBuf>,
    /// What the stream holds already.
    arrived: u64,
}

/// The next event of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    offset: u64,
    data: Vec<u8>,
}

impl Source {
    /// Bytes that were written and have not arrived.
    fn left(&self) -> u64 {
        self.written().saturating_sub(self.arrived)
    }

    fn written(&self) -> u64 {
        self.files.iter().map(|file| length(file)).sum()
    }

    /// What is next. `is_final`: nothing will be written any more, so that even half a character is taken.
    fn next(&self, is_final: bool) -> io::Result<Option<Event>> {
        let mut begin = 0;
        for (at, path) in self.files.iter().enumerate() {
            let end = begin + length(path);
            if self.arrived >= end {
                begin = end;
                continue;
            }
            let left = usize::try_from(end - self.arrived).unwrap_or(usize::MAX);
            let mut data = vec![0; left.min(EVENT)];
            let read = open_output(path)?.read_at(&mut data, self.arrived - begin)?;
            data.truncate(read);
            let is_rest = read >= left && (is_final || self.files[at + 1..].iter().any(|file| length(file) > 0));
            data.truncate(if is_rest { read } else { whole(&data) });
            let offset = self.arrived;
            return Ok((!data.is_empty()).then_some(Event { offset, data }));
        }
        Ok(None)
    }
}

fn length(path: &Path) -> u64 {
    let about = fs::symlink_metadata(path);
    about.map_or(0, |about| if about.is_file() { about.len() } else { 0 })
}

/// Bytes from the start that make a good event: whole lines where there are more than fit, whole characters otherwise.
fn whole(data: &[u8]) -> usize {
    if data.len() == EVENT
        && let Some(end) = data.iter().rposition(|byte| *byte == b'\n')
    {
        return end + 1;
    }
    match std::str::from_utf8(data) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => data.len(),
    }
}

impl Note {
    fn path(state: &StateDir, run: &str) -> PathBuf {
        state.uploads().join(format!("{run}{ENDING}"))
    }

    fn write(&self, state: &StateDir) -> io::Result<()> {
        make_private_directory(&state.uploads())?;
        let path = Self::path(state, &self.run);
        // A note that is torn is worse than none.
        let draft = path.with_extension("new");
        fs::write(&draft, serde_json::to_vec(self)?)?;
        fs::rename(&draft, &path)
    }

    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Lets the service take everything there is, until `deadline`; the first trouble of each stream.
    fn send(&mut self, service: &Service, is_final: bool, deadline: Instant) -> Vec<Option<String>> {
        let run = self.run.clone();
        let sources = self.sources.iter_mut();
        sources
            .map(|source| service.take(&run, source, is_final, deadline).err())
            .collect()
    }
}

/// The service, over the agent's connection.
struct Service {
    socket: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Service {
    fn of(state: &StateDir) -> io::Result<Self> {
        Ok(Self {
            socket: state.courier_socket(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// Lets the service take what there is of a stream.
    fn take(&self, run: &str, source: &mut Source, is_final: bool, deadline: Instant) -> Result<(), String> {
        let mut went_back = 0;
        while let Some(event) = source.next(is_final).map_err(|error| error.to_string())? {
            let arrived = self.append(run, source, event, deadline)?;
            if arrived <= source.arrived {
                // Whoever keeps the stream has lost some of it.
                went_back += 1;
                if went_back > 3 {
                    return Err("the service does not keep what it has taken".to_owned());
                }
            }
            source.arrived = arrived;
        }
        Ok(())
    }

    fn append(&self, run: &str, source: &Source, event: Event, deadline: Instant) -> Result<u64, String> {
        let silent = || "the service has not answered".to_owned();
        let patience = deadline.saturating_duration_since(Instant::now()).min(ANSWER);
        let stream = match source.stream.as_str() {
            "stderr" => OutputStream::Stderr,
            _ => OutputStream::Stdout,
        };
        let request = LogAppendRequest {
            run_id: run.to_owned(),
            step: source.step.clone(),
            stream: stream.into(),
            offset: event.offset,
            data: event.data,
        };
        let question = Question {
            operation: subject::RPC_LOG_APPEND.to_owned(),
            payload: request.encode_to_vec(),
        };
        let asked = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            question.write(&mut stream).await?;
            Answer::read(&mut stream).await
        };
        let answered = self
            .runtime
            .block_on(async { tokio::time::timeout(patience, asked).await });
        match answered {
            Ok(Ok(Answer::Given(bytes))) => LogAppendResult::decode(bytes.as_slice())
                .map(|result| result.arrived)
                .map_err(|error| format!("the service's answer is not understood: {error}")),
            Ok(Ok(Answer::Refused(why))) => Err(why),
            Ok(Ok(Answer::Unanswered)) | Err(_) => Err(silent()),
            Ok(Err(_)) => Err("the agent does not answer".to_owned()),
        }
    }
}

enum Order {
    /// A step has ended: what it wrote is complete.
    Send,
    /// The run has ended.
    Finish(mpsc::Sender<Vec<String>>),
}

/// The log streams of the run in hand.
pub(super) struct LogStreams {
    orders: mpsc::Sender<Order>,
    /// For the case that the thread does not answer.
    note: PathBuf,
}

impl LogStreams {
    /// Begins; `None`: the run has none, or there is no way to have them.
    pub(super) fn start(
        state: &StateDir,
        run: RunId,
        work: &WorkItem,
        plan: &Plan,
        workshop: &Workshop<'_>,
        now: Timestamp,
    ) -> Option<Self> {
        if !work.has_log_streams {
            return None;
        }
        let path = Note::path(state, &run.to_string());
        // One that is there is of a runner before us, and knows what has arrived.
        let note = Note::read(&path).unwrap_or_else(|| Note {
            run: run.to_string(),
            since_us: now.as_microsecond(),
            sources: sources(plan, workshop),
        });
        let (orders, inbox) = mpsc::channel();
        let state = state.clone();
        // Should there be no thread, whoever looks for leftovers finds the note.
        let _ = note.write(&state);
        let _ = std::thread::Builder::new()
            .name("log-streams".to_owned())
            .spawn(move || keep_sending(&state, note, &inbox));
        Some(Self { orders, note: path })
    }

    /// A step has ended.
    pub(super) fn step_ended(&self) {
        let _ = self.orders.send(Order::Send);
    }

    /// The run has ended: waits a moment for the rest to be taken, and says what was not.
    pub(super) fn finish(self) -> Vec<String> {
        let (answer, answered) = mpsc::channel();
        let _ = self.orders.send(Order::Finish(answer));
        match answered.recv_timeout(RUN_PATIENCE + LOOK) {
            Ok(unsent) => unsent,
            Err(_) => Note::read(&self.note).map_or_else(Vec::new, |note| {
                let left = note.sources.iter().filter(|source| source.left() > 0);
                left.map(|source| not_yet(source, "the service has not answered"))
                    .collect()
            }),
        }
    }
}

fn not_yet(source: &Source, why: &str) -> String {
    let (step, stream) = (&source.step, &source.stream);
    format!("{step}: {stream} is not in its log stream yet: {why}; it is tried again for 24 hours")
}

fn sources(plan: &Plan, workshop: &Workshop<'_>) -> Vec<Source> {
    let mut sources = Vec::new();
    for step in plan.steps() {
        let Verdict::Run(parts) = step.verdict() else { continue };
        for stream in ["stdout", "stderr"] {
            sources.push(Source {
                index: u32::try_from(step.index()).unwrap_or(u32::MAX),
                step: step.name().to_owned(),
                stream: stream.to_owned(),
                files: parts.iter().map(|part| workshop.file(part, stream)).collect(),
                arrived: 0,
            });
        }
    }
    sources
}

/// The thread beside the steps. Ends with the run, or when the runner ends before it.
fn keep_sending(state: &StateDir, mut note: Note, orders: &mpsc::Receiver<Order>) {
    let Ok(service) = Service::of(state) else { return };
    let mut not_before = Instant::now();
    let mut due: Option<Instant> = None;
    loop {
        let order = match orders.recv_timeout(LOOK) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Some(Order::Finish(answer)) = order {
            let _ = answer.send(finish(state, note, &service));
            return;
        }
        let now = Instant::now();
        let left: u64 = note.sources.iter().map(Source::left).sum();
        if left == 0 {
            due = None;
            continue;
        }
        let is_due = *due.get_or_insert(now + EVERY) <= now;
        if now < not_before || !(is_due || left >= MUCH || order.is_some()) {
            continue;
        }
        due = None;
        let troubles = note.send(&service, false, now + ANSWER);
        if troubles.iter().any(Option::is_some) {
            // The end of the run does not wait for this.
            not_before = Instant::now() + EVERY;
        }
        // Should it not be written, some bytes are offered twice.
        let _ = note.write(state);
    }
}

/// Sends the rest; what could not be sent.
fn finish(state: &StateDir, mut note: Note, service: &Service) -> Vec<String> {
    let troubles = note.send(service, true, Instant::now() + RUN_PATIENCE);
    let pairs = note.sources.iter().zip(troubles);
    let unsent: Vec<String> = pairs
        .filter_map(|(source, trouble)| Some(not_yet(source, &trouble?)))
        .collect();
    // A note that stays means that it is looked at again.
    let _ = match unsent.is_empty() {
        true => fs::remove_file(Note::path(state, &note.run)),
        false => note.write(state),
    };
    unsent
}

/// Whether a note is one of these.
pub(super) fn is_note(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.ends_with(ENDING))
}

/// Whether a note is about log streams of a run that has not ended: whoever looks for leftovers comes again after that.
pub(crate) fn awaits_end_of_run(state: &StateDir, path: &Path) -> bool {
    let found = read_of_run(path).filter(|_| is_note(path));
    found.is_some_and(|(run, _)| history_of(state, run).is_ok_and(|history| !history.is_finished()))
}

fn read_of_run(path: &Path) -> Option<(RunId, Note)> {
    let note = Note::read(path)?;
    Some((note.run.parse().ok()?, note))
}

fn history_of(state: &StateDir, run: RunId) -> io::Result<History> {
    let journal = state.journal();
    journal::read(&journal.done_log(run)).or_else(|_| journal::read(&journal.open_log(run)))
}

/// When a run ended, in microseconds since 1970.
fn ended_us(history: &History) -> Option<i64> {
    let ends = |record: &&Record| matches!(record.fact, Some(News::RunResult(_)));
    let at = history.records.iter().rev().find(ends)?.at.as_ref()?;
    let at = Timestamp::new(at.seconds, at.nanos).ok()?;
    Some(at.as_microsecond())
}

/// Sends what a run has left behind; whether nothing is left to do for now.
///
/// # Errors
/// If the note cannot be removed.
pub(super) fn send_leftovers(state: &StateDir, path: &Path) -> io::Result<bool> {
    let Some((run, mut note)) = read_of_run(path) else {
        // Nobody knows what it was for.
        fs::remove_file(path)?;
        return Ok(true);
    };
    let Ok(history) = history_of(state, run) else {
        fs::remove_file(path)?;
        return Ok(true);
    };
    // Its runner sends, or the next one will.
    if !history.is_finished() || journal::is_locked(&state.journal().open_log(run)).unwrap_or(false) {
        return Ok(true);
    }
    let waiting: Vec<bool> = note
        .sources
        .iter()
        .map(|source| source.left() > 0 || is_lost(source, &history))
        .collect();
    let service = Service::of(state)?;
    let troubles = note.send(&service, true, Instant::now() + 4 * ANSWER);
    let is_late = SystemClock.now().as_microsecond() - ended_us(&history).unwrap_or(note.since_us) > LIMIT_US;
    if troubles.iter().any(Option::is_some) && !is_late {
        note.write(state)?;
        return Ok(false);
    }
    for ((source, trouble), _) in note
        .sources
        .iter()
        .zip(troubles)
        .zip(waiting)
        .filter(|(_, waits)| *waits)
    {
        let trouble = match trouble {
            Some(why) => format!("given up after 24 hours: {why}"),
            None if is_lost(source, &history) => "the disk's quota removed it before it was taken".to_owned(),
            None => String::new(),
        };
        let fate = OutputStored {
            index: source.index,
            name: source.step.clone(),
            stream: source.stream.clone(),
            trouble,
            is_log_stream: true,
        };
        // Without a log there is nobody who could be told.
        let _ = tell(state, run, fate);
    }
    fs::remove_file(path)?;
    Ok(true)
}

/// Whether the files have gone before the service had them.
fn is_lost(source: &Source, history: &History) -> bool {
    let result = history.step_results().find(|result| result.index == source.index);
    let wrote = result.map_or(0, |result| match source.stream.as_str() {
        "stderr" => result.stderr_bytes,
        _ => result.stdout_bytes,
    });
    source.written() == 0 && wrote > source.arrived
}

#[cfg(test)]
mod tests;
