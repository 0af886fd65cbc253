//! Log streams (run-command 8.4): a folder with a file for each stream, an OTLP collector, or both.
//!
//! A stream's file is the stream, byte for byte; what it holds tells a node where to go on, so that nothing has to be
//! remembered. A collector gets each event as a log record, before the file does: what it does not take is offered again.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use muster_model::Timestamp;
use muster_proto::runcommand::v1::LogStream;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tonic::transport::{Channel, Endpoint};

use crate::config::LogStreamSettings;
use crate::domain::log_stream;

/// Longest part of a stream that is read at once, in bytes.
const PAGE: usize = 512 * 1024;
/// How long a collector may take.
const COLLECTOR: Duration = Duration::from_secs(5);
/// Most streams of one command on one node: a document of the greatest size has fewer.
const MAX_STREAMS: usize = 4096;
/// Most streams of which it is remembered what only the collector has. Beyond that, it may get something twice.
const AHEAD: usize = 10_000;

/// Where log streams are kept.
#[derive(Debug, Clone)]
pub(crate) struct LogStreams {
    folder: Option<PathBuf>,
    /// Most bytes of one command on one node.
    max_bytes: u64,
    collector: Option<LogsServiceClient<Channel>>,
    /// Up to where the collector has streams whose file could not be written then: what is offered again is for the
    /// file only.
    ahead: Arc<Mutex<HashMap<PathBuf, u64>>>,
    /// Bytes that a collector alone got from a command's node, by `<command>/<node>`.
    collected: Arc<Mutex<HashMap<String, u64>>>,
}

/// Why log streams cannot be kept as configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogStreamsError {
    #[error("log_streams.folder {0:?} cannot be used")]
    Folder(PathBuf, #[source] io::Error),
    #[error("log_streams.otlp must be the address of a collector, as http://127.0.0.1:4317")]
    Otlp(#[source] tonic::transport::Error),
}

/// Why bytes were not taken; the text is for the trace of an invocation and names no path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("log streams cannot be written: {0}")]
    Write(#[source] io::Error),
    #[error("the log collector does not take it: {0}")]
    Collector(String),
    #[error("no place for log streams is configured")]
    Nowhere,
    #[error("the log streams of this command on this node would be longer than {0} bytes (log_streams.max_bytes)")]
    TooLong(u64),
    #[error("this command has {MAX_STREAMS} log streams on this node already")]
    TooMany,
}

/// Bytes for a stream.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) group: &'a str,
    /// `<command>/<node>/<step>/stdout`.
    pub(crate) stream: &'a str,
    /// Place of the first byte.
    pub(crate) offset: u64,
    pub(crate) data: Vec<u8>,
}

impl LogStreams {
    /// As the settings say; the folder is made.
    pub(crate) fn of(settings: &LogStreamSettings) -> Result<Self, LogStreamsError> {
        let folder = match settings.folder.as_str() {
            "" => None,
            path => {
                let folder = PathBuf::from(path);
                make_folder(&folder).map_err(|error| LogStreamsError::Folder(folder.clone(), error))?;
                Some(folder)
            }
        };
        let collector = match settings.otlp.as_str() {
            "" => None,
            address => {
                let endpoint = Endpoint::from_shared(address.to_owned()).map_err(LogStreamsError::Otlp)?;
                let endpoint = endpoint.connect_timeout(COLLECTOR).timeout(COLLECTOR);
                Some(LogsServiceClient::new(endpoint.connect_lazy()))
            }
        };
        Ok(Self {
            folder,
            max_bytes: settings.max_bytes,
            collector,
            ahead: Arc::default(),
            collected: Arc::default(),
        })
    }

    /// Whether there is a place at all.
    pub(crate) fn is_configured(&self) -> bool {
        self.folder.is_some() || self.collector.is_some()
    }

    /// Takes what is new of an event; says what the stream holds then.
    pub(crate) async fn append(&self, event: Event<'_>, at: Timestamp) -> Result<u64, AppendError> {
        let end = event.offset + event.data.len() as u64;
        let Some(path) = self.folder.as_ref().map(|folder| file(folder, &event)) else {
            let collector = self.collector.clone().ok_or(AppendError::Nowhere)?;
            let (of_node, bytes) = self.collected_with(&event)?;
            export(collector, &event, event.offset, &event.data, at).await?;
            self.note_collected(of_node, bytes);
            return Ok(end);
        };
        let (looked, most) = (path.clone(), self.max_bytes);
        let held = blocking(move || look(&looked, end, most)).await?;
        if !(event.offset..end).contains(&held) {
            return Ok(held);
        }
        if let Some(collector) = &self.collector {
            let known = self.exported(&path).max(held);
            if known < end {
                let new = usize::try_from(known - event.offset).unwrap_or_default();
                export(collector.clone(), &event, known, &event.data[new..], at).await?;
            }
        }
        let target = path.clone();
        let written = blocking(move || write(&target, event.offset, &event.data).map_err(AppendError::Write)).await;
        if self.collector.is_some() {
            self.note_exported(path, written.is_err().then_some(end));
        }
        written
    }

    /// What a collector alone would have of a command's node with an event. Nobody asks it how much it has, so that
    /// counting begins anew with the service, and when too many commands and nodes are known.
    fn collected_with(&self, event: &Event<'_>) -> Result<(String, u64), AppendError> {
        let collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        let of_node: Vec<&str> = event.stream.split('/').take(2).collect();
        let of_node = of_node.join("/");
        let known = collected.get(&of_node).copied().unwrap_or_default();
        let bytes = known.saturating_add(event.data.len() as u64);
        match bytes > self.max_bytes {
            true => Err(AppendError::TooLong(self.max_bytes)),
            false => Ok((of_node, bytes)),
        }
    }

    fn note_collected(&self, of_node: String, bytes: u64) {
        let mut collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        if collected.len() >= AHEAD && !collected.contains_key(&of_node) {
            collected.clear();
        }
        collected.insert(of_node, bytes);
    }

    /// Up to where only the collector has a stream.
    fn exported(&self, path: &Path) -> u64 {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        ahead.get(path).copied().unwrap_or_default()
    }

    /// `None`: the file has all that the collector has.
    fn note_exported(&self, path: PathBuf, end: Option<u64>) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(end) = end else {
            ahead.remove(&path);
            return;
        };
        if ahead.len() < AHEAD || ahead.contains_key(&path) {
            let known = ahead.entry(path).or_default();
            *known = end.max(*known);
        }
    }

    /// The streams of a command, by name: at most `limit` after the stream `after`. `None`: there is no folder.
    pub(crate) fn list(
        &self,
        group: &str,
        command: &str,
        nodes: &[String],
        after: &str,
        limit: usize,
    ) -> io::Result<Option<Vec<LogStream>>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let of_command = folder.join(log_stream::folder(group)).join(command);
        // Part by part, as the folders are gone through: `-` sorts before `/`.
        let after: Vec<&str> = after.split('/').skip(1).collect();
        let mut streams = Vec::new();
        for node in names(&of_command)? {
            if !nodes.is_empty() && !nodes.contains(&node) {
                continue;
            }
            for step in names(&of_command.join(&node))? {
                for stream in names(&of_command.join(&node).join(&step))? {
                    if [node.as_str(), &step, &stream].as_slice() <= after.as_slice() {
                        continue;
                    }
                    let name = format!("{command}/{node}/{step}/{stream}");
                    let bytes = fs::metadata(of_command.join(&node).join(&step).join(&stream))?.len();
                    streams.push(LogStream {
                        log_group: group.to_owned(),
                        log_stream: name,
                        instance_id: node.clone(),
                        bytes,
                    });
                    if streams.len() == limit {
                        return Ok(Some(streams));
                    }
                }
            }
        }
        Ok(Some(streams))
    }

    /// Bytes of a stream from an offset. `None`: there is no folder. A stream that is not there is empty.
    pub(crate) fn read(&self, group: &str, stream: &str, offset: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let path = folder.join(log_stream::folder(group)).join(stream);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Vec::new())),
            Err(error) => return Err(error),
        };
        let left = usize::try_from(file.metadata()?.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut data = vec![0; left.min(PAGE)];
        let read = file.read_at(&mut data, offset)?;
        data.truncate(read);
        Ok(Some(data))
    }

    /// Removes the streams of a command.
    pub(crate) fn forget(&self, group: &str, command: &str) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        match fs::remove_dir_all(folder.join(log_stream::folder(group)).join(command)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn file(folder: &Path, event: &Event<'_>) -> PathBuf {
    folder.join(log_stream::folder(event.group)).join(event.stream)
}

/// For the owner only: outputs may hold what others should not read.
fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// What is in a folder, by name; nothing if it is not there.
fn names(path: &Path) -> io::Result<Vec<String>> {
    let listing = match fs::read_dir(path) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in listing {
        names.extend(entry?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AppendError> + Send + 'static,
) -> Result<T, AppendError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(AppendError::Write(io::Error::other(panic))))
}

/// What a stream's file holds. An error if there is no room for the stream up to `end` beside the others of the same
/// command and node.
fn look(path: &Path, end: u64, most: u64) -> Result<u64, AppendError> {
    let length = |path: &Path| match fs::metadata(path) {
        Ok(about) => Ok(about.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(AppendError::Write(error)),
    };
    let held = length(path)?;
    if end <= held {
        return Ok(held);
    }
    let (mut streams, mut bytes) = (1, end);
    let of_node = path.ancestors().nth(2).unwrap_or(path);
    for step in names(of_node).map_err(AppendError::Write)? {
        let of_step = of_node.join(step);
        for stream in names(&of_step).map_err(AppendError::Write)? {
            let other = of_step.join(stream);
            if other != path {
                streams += 1;
                bytes = bytes.saturating_add(length(&other)?);
            }
        }
    }
    if streams > MAX_STREAMS {
        return Err(AppendError::TooMany);
    }
    match bytes > most {
        true => Err(AppendError::TooLong(most)),
        false => Ok(held),
    }
}

/// Appends what the file does not hold yet, whole or not at all; the file's length afterwards.
fn write(path: &Path, offset: u64, data: &[u8]) -> io::Result<u64> {
    make_folder(path.parent().unwrap_or(path))?;
    let mut file = File::options().create(true).append(true).mode(0o600).open(path)?;
    // Another replica may have got a repeat of the same event.
    file.lock()?;
    let held = file.metadata()?.len();
    if held < offset || held >= offset + data.len() as u64 {
        return Ok(held);
    }
    let new = &data[usize::try_from(held - offset).unwrap_or_default()..];
    let written = file.write_all(new).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // A disk that takes no more may have taken a part.
        file.set_len(held)?;
        return Err(error);
    }
    Ok(held + new.len() as u64)
}

async fn export(
    mut collector: LogsServiceClient<Channel>,
    event: &Event<'_>,
    offset: u64,
    data: &[u8],
    at: Timestamp,
) -> Result<(), AppendError> {
    let text = |value: &str| Value::StringValue(value.to_owned());
    let attribute = |key: &str, value: Value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let mut parts = event.stream.split('/');
    let mut part = || parts.next().unwrap_or_default();
    let attributes = vec![
        attribute("muster.log_group", text(event.group)),
        attribute("muster.log_stream", text(event.stream)),
        attribute("muster.command", text(part())),
        attribute("muster.node", text(part())),
        attribute("muster.step", text(part())),
        attribute("log.iostream", text(part())),
        attribute(
            "muster.offset",
            Value::IntValue(i64::try_from(offset).unwrap_or(i64::MAX)),
        ),
    ];
    let body = match std::str::from_utf8(data) {
        Ok(data) => text(data),
        Err(_) => Value::BytesValue(data.to_vec()),
    };
    let nanos = u64::try_from(at.as_nanosecond()).unwrap_or_default();
    let record = LogRecord {
        time_unix_nano: nanos,
        observed_time_unix_nano: nanos,
        body: Some(AnyValue { value: Some(body) }),
        attributes,
        ..LogRecord::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", text("muster"))],
                ..Resource::default()
            }),
            scope_logs: vec![ScopeLogs {
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    let answer = collector.export(request).await;
    let answer = answer.map_err(|status| AppendError::Collector(status.message().to_owned()))?;
    match answer.into_inner().partial_success {
        Some(partial) if partial.rejected_log_records > 0 => Err(AppendError::Collector(partial.error_message)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
