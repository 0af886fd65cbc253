//! A client that notices what the server refuses it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, Message, Subscriber};
use futures::StreamExt as _;
use muster_credential::Creds;
use muster_harness::{NatsServer, until};

/// A connection, with what the server said against it.
pub(crate) struct Probe {
    pub(crate) client: Client,
    said: Arc<Mutex<Vec<String>>>,
    marks: AtomicUsize,
}

impl Probe {
    /// Connects with credentials, and hears answers below the inbox of their user.
    pub(crate) async fn of(server: &NatsServer, creds: &Creds) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&said);
        let client = ConnectOptions::with_credentials(&creds.to_text())
            .unwrap()
            .custom_inbox_prefix(creds.inbox())
            .event_callback(move |event| {
                let line = match event {
                    Event::ServerError(error) => Some(error.to_string()),
                    Event::Disconnected | Event::Closed => Some("disconnected".to_owned()),
                    _ => None,
                };
                told.lock().unwrap().extend(line);
                std::future::ready(())
            })
            .connect(server.url())
            .await
            .unwrap();
        Self {
            client,
            said,
            marks: AtomicUsize::new(0),
        }
    }

    /// Waits until the server has said something that holds these words.
    pub(crate) async fn hears(&self, words: &str) {
        until("the server says so", async || {
            let said = self.said.lock().unwrap();
            match said
                .iter()
                .any(|line| line.to_lowercase().contains(&words.to_lowercase()))
            {
                true => Ok(()),
                false => Err(format!("{words:?} is not in {said:?}")),
            }
        })
        .await;
    }

    /// What the server has against everything that was sent so far. It says so in order: after its refusal of a
    /// subject that nobody may use nothing is left to come.
    pub(crate) async fn settle(&self) -> Vec<String> {
        let mark = format!("nobody.{}", self.marks.fetch_add(1, Ordering::Relaxed));
        self.client.publish(mark.clone(), "".into()).await.unwrap();
        let quoted = format!("\"{mark}\"");
        let lines = until("the mark is refused", async || {
            let said = self.said.lock().unwrap().clone();
            match said.iter().any(|line| line.contains(&quoted)) {
                true => Ok(said),
                false => Err(said),
            }
        })
        .await;
        self.said.lock().unwrap().clear();
        lines.into_iter().filter(|line| !line.contains(&quoted)).collect()
    }

    /// Whether the server lets it subscribe.
    pub(crate) async fn may_subscribe(&self, subject: &str) -> bool {
        let mut subscriber = self.client.subscribe(subject.to_owned()).await.unwrap();
        let said = self.settle().await;
        let _ = subscriber.unsubscribe().await;
        judge(&said, subject, "Subscription")
    }

    /// Whether the server lets it publish.
    pub(crate) async fn may_publish(&self, subject: &str) -> bool {
        self.client.publish(subject.to_owned(), "x".into()).await.unwrap();
        let said = self.settle().await;
        judge(&said, subject, "Publish")
    }
}

fn judge(said: &[String], subject: &str, what: &str) -> bool {
    let refused = said.iter().any(|line| {
        let line = line.to_lowercase();
        line.contains("permissions violation") && line.contains(&format!("{} to", what.to_lowercase()))
    });
    assert_eq!(said.is_empty(), !refused, "{subject}: {said:?}");
    !refused
}

/// The next message, which must come.
pub(crate) async fn next(subscriber: &mut Subscriber) -> Message {
    tokio::time::timeout(Duration::from_secs(10), subscriber.next())
        .await
        .expect("a message comes")
        .unwrap()
}
