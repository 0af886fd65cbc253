//! Log streams (run-command 8.4): a folder with a file for each stream, an OTLP collector, or both.
//!
//! A stream's file is the stream, byte for byte; what it holds tells a node where to go on, so that nothing has to be
//! remembered. A collector gets each event as a log record, before the file does: what it does not take is offered again.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
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

/// Where log streams are kept.
#[derive(Debug, Clone)]
pub(crate) struct LogStreams {
    folder: Option<PathBuf>,
    collector: Option<LogsServiceClient<Channel>>,
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
        Ok(Self { folder, collector })
    }

    /// Whether there is a place at all.
    pub(crate) fn is_configured(&self) -> bool {
        self.folder.is_some() || self.collector.is_some()
    }

    /// Takes what is new of an event; says what the stream holds then.
    pub(crate) async fn append(&self, event: Event<'_>, at: Timestamp) -> Result<u64, AppendError> {
        let end = event.offset + event.data.len() as u64;
        let file = self.folder.as_ref().map(|folder| file(folder, &event));
        let held = match &file {
            None => event.offset,
            Some(path) => match fs::metadata(path) {
                Ok(about) => about.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(AppendError::Write(error)),
            },
        };
        if !(event.offset..end).contains(&held) {
            return Ok(held);
        }
        if let Some(collector) = &self.collector {
            let new = usize::try_from(held - event.offset).unwrap_or_default();
            export(collector.clone(), &event, held, &event.data[new..], at).await?;
        }
        let Some(path) = file else {
            return match self.collector {
                Some(_) => Ok(end),
                None => Err(AppendError::Nowhere),
            };
        };
        let written = tokio::task::spawn_blocking(move || write(&path, event.offset, &event.data)).await;
        written
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            .map_err(AppendError::Write)
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
        let mut streams = Vec::new();
        for node in names(&of_command)? {
            if !nodes.is_empty() && !nodes.contains(&node) {
                continue;
            }
            for step in names(&of_command.join(&node))? {
                for stream in names(&of_command.join(&node).join(&step))? {
                    let name = format!("{command}/{node}/{step}/{stream}");
                    if name.as_str() <= after {
                        continue;
                    }
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
mod tests {
    use super::*;

    const GROUP: &str = "/aws/ssm/Doc";

    fn kept(folder: &Path) -> LogStreams {
        LogStreams::of(&LogStreamSettings {
            folder: folder.display().to_string(),
            otlp: String::new(),
        })
        .unwrap()
    }

    async fn put(streams: &LogStreams, stream: &str, offset: u64, data: &str) -> u64 {
        let event = Event {
            group: GROUP,
            stream,
            offset,
            data: data.as_bytes().to_vec(),
        };
        streams.append(event, Timestamp::UNIX_EPOCH).await.unwrap()
    }

    #[tokio::test]
    async fn repeats_add_nothing_and_a_gap_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let streams = kept(folder.path());
        let stream = "c/mi-1/one/stdout";
        assert_eq!(put(&streams, stream, 5, "late").await, 0);
        assert_eq!(put(&streams, stream, 0, "hello").await, 5);
        assert_eq!(put(&streams, stream, 0, "hello").await, 5);
        assert_eq!(put(&streams, stream, 3, "lo, world").await, 12);
        assert_eq!(put(&streams, stream, 20, "gap").await, 12);
        let read = |offset| streams.read(GROUP, stream, offset).unwrap().unwrap();
        assert_eq!(
            (read(0), read(7), read(12)),
            (b"hello, world".to_vec(), b"world".to_vec(), vec![])
        );
        let file = folder.path().join("aws/ssm/Doc").join(stream);
        let mode = |path: &Path| std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).unwrap()) & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    }

    #[tokio::test]
    async fn streams_are_listed_by_pages_and_forgotten_with_their_command() {
        let folder = tempfile::tempdir().unwrap();
        let streams = kept(folder.path());
        for name in [
            "c/mi-2/one/stdout",
            "c/mi-1/two/stderr",
            "c/mi-1/one/stdout",
            "d/mi-1/one/stdout",
        ] {
            put(&streams, name, 0, "x").await;
        }
        let names = |nodes: &[String], after: &str, limit| -> Vec<String> {
            let listed = streams.list(GROUP, "c", nodes, after, limit).unwrap().unwrap();
            listed.into_iter().map(|stream| stream.log_stream).collect()
        };
        assert_eq!(names(&[], "", 2), ["c/mi-1/one/stdout", "c/mi-1/two/stderr"]);
        assert_eq!(names(&[], "c/mi-1/two/stderr", 2), ["c/mi-2/one/stdout"]);
        assert_eq!(names(&["mi-2".to_owned()], "", 9), ["c/mi-2/one/stdout"]);
        streams.forget(GROUP, "c").unwrap();
        streams.forget(GROUP, "c").unwrap();
        assert!(names(&[], "", 9).is_empty());
        assert_eq!(
            streams.read(GROUP, "d/mi-1/one/stdout", 0).unwrap(),
            Some(b"x".to_vec())
        );
    }

    #[tokio::test]
    async fn without_a_folder_nothing_can_be_read_and_a_bad_address_is_refused() {
        let settings = |otlp: &str| LogStreamSettings {
            folder: String::new(),
            otlp: otlp.to_owned(),
        };
        let only_collector = LogStreams::of(&settings("http://127.0.0.1:1")).unwrap();
        assert_eq!(only_collector.read(GROUP, "c/n/s/stdout", 0).unwrap(), None);
        let event = Event {
            group: GROUP,
            stream: "c/n/s/stdout",
            offset: 0,
            data: b"x".to_vec(),
        };
        let error = only_collector.append(event, Timestamp::UNIX_EPOCH).await.unwrap_err();
        assert!(
            error.to_string().starts_with("the log collector does not take it"),
            "{error}"
        );
        assert!(matches!(
            LogStreams::of(&settings("not an address")),
            Err(LogStreamsError::Otlp(_))
        ));
    }
}
