//! A folder, a collector, and both.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use super::*;

const GROUP: &str = "/aws/ssm/Doc";

fn kept(folder: &Path) -> LogStreams {
    LogStreams::of(&LogStreamSettings {
        folder: folder.display().to_string(),
        max_bytes: 100,
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
async fn a_node_gets_no_more_room_than_the_settings_give_it() {
    let folder = tempfile::tempdir().unwrap();
    let streams = kept(folder.path());
    assert_eq!(put(&streams, "c/mi-1/one/stdout", 0, &"x".repeat(60)).await, 60);
    let event = |stream, offset, bytes| Event {
        group: GROUP,
        stream,
        offset,
        data: vec![b'x'; bytes],
    };
    for (stream, offset, bytes) in [("c/mi-1/one/stdout", 60, 41), ("c/mi-1/two/stdout", 0, 41)] {
        let refused = streams
            .append(event(stream, offset, bytes), Timestamp::UNIX_EPOCH)
            .await;
        assert!(
            matches!(refused, Err(AppendError::TooLong(100))),
            "{stream}: {refused:?}"
        );
    }
    assert!(!folder.path().join("aws/ssm/Doc/c/mi-1/two").exists());
    // What fits is taken, repeats are answered, and other nodes have room of their own.
    assert_eq!(put(&streams, "c/mi-1/two/stdout", 0, &"x".repeat(40)).await, 40);
    assert_eq!(put(&streams, "c/mi-1/one/stdout", 0, &"x".repeat(60)).await, 60);
    assert_eq!(put(&streams, "c/mi-2/one/stdout", 0, &"x".repeat(100)).await, 100);
}

#[tokio::test]
async fn pages_go_through_the_parts_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let streams = kept(folder.path());
    for name in ["c/n/a/stdout", "c/n/a-b/stdout", "c/n-1/a/stdout"] {
        put(&streams, name, 0, "x").await;
    }
    let mut found = Vec::new();
    let mut after = String::new();
    while let Some(next) = streams.list(GROUP, "c", &[], &after, 1).unwrap().unwrap().pop() {
        after.clone_from(&next.log_stream);
        found.push(next.log_stream);
    }
    assert_eq!(found, ["c/n/a/stdout", "c/n/a-b/stdout", "c/n-1/a/stdout"]);
}

/// Counts what it is given.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<usize>>);

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        _: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        *self.0.lock().unwrap() += 1;
        Ok(tonic::Response::new(ExportLogsServiceResponse::default()))
    }
}

async fn collector() -> (Collector, String) {
    let collector = Collector::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let service = LogsServiceServer::new(collector.clone());
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    (collector, address)
}

#[tokio::test]
async fn a_collector_alone_gets_no_more_of_a_node_than_the_settings_say() {
    let (collector, otlp) = collector().await;
    let streams = LogStreams::of(&LogStreamSettings {
        folder: String::new(),
        max_bytes: 100,
        otlp,
    })
    .unwrap();
    assert_eq!(put(&streams, "c/mi-1/one/stdout", 0, &"x".repeat(60)).await, 60);
    // A node that says the same place again and again has no more room than others.
    let event = Event {
        group: GROUP,
        stream: "c/mi-1/two/stderr",
        offset: 0,
        data: vec![b'x'; 41],
    };
    let refused = streams.append(event, Timestamp::UNIX_EPOCH).await;
    assert!(matches!(refused, Err(AppendError::TooLong(100))), "{refused:?}");
    assert_eq!(put(&streams, "c/mi-1/one/stdout", 60, &"x".repeat(40)).await, 100);
    assert_eq!(put(&streams, "c/mi-2/one/stdout", 0, &"x".repeat(100)).await, 100);
    assert_eq!(*collector.0.lock().unwrap(), 3);
}

#[tokio::test]
async fn a_collector_gets_nothing_twice_while_the_folder_takes_nothing() {
    let (collector, otlp) = collector().await;
    let folder = tempfile::tempdir().unwrap();
    let streams = LogStreams::of(&LogStreamSettings {
        folder: folder.path().display().to_string(),
        max_bytes: 100,
        otlp,
    })
    .unwrap();
    // Where the step's folder would be there is a link to nothing.
    let of_node = folder.path().join("aws/ssm/Doc/c/mi-1");
    make_folder(&of_node).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", of_node.join("one")).unwrap();
    for _ in 0..3 {
        let event = Event {
            group: GROUP,
            stream: "c/mi-1/one/stdout",
            offset: 0,
            data: b"hello".to_vec(),
        };
        let refused = streams.append(event, Timestamp::UNIX_EPOCH).await;
        assert!(matches!(refused, Err(AppendError::Write(_))), "{refused:?}");
    }
    assert_eq!(*collector.0.lock().unwrap(), 1);
    fs::remove_file(of_node.join("one")).unwrap();
    assert_eq!(put(&streams, "c/mi-1/one/stdout", 0, "hello").await, 5);
    assert_eq!(*collector.0.lock().unwrap(), 1);
    assert_eq!(put(&streams, "c/mi-1/one/stdout", 5, "more").await, 9);
    assert_eq!(*collector.0.lock().unwrap(), 2);
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
        max_bytes: 100,
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
