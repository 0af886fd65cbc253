//! Hears heartbeats and writes them down now and then.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use muster_boot::{BoxError, Parts};
use muster_store::Db;
use muster_wire::subject;

use crate::Settings;
use crate::store::ping;
use crate::work::Pulse;

/// Starts hearing.
///
/// # Errors
/// If the bus does not take the subscription.
pub(crate) async fn start(parts: &Parts, db: Db, pulse: Arc<Pulse>, settings: Settings) -> Result<(), BoxError> {
    let subject = subject::up_of_all(subject::UP_HEARTBEAT);
    let mut heartbeats = parts.nats.queue_subscribe(subject, "fleet".to_owned()).await?;
    let (clock, stopping) = (Arc::clone(&parts.clock), parts.tasks.stopping());
    let heard = Arc::clone(&pulse);
    parts.tasks.spawn("heartbeats", async move {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                Some(message) = heartbeats.next() => {
                    // Whoever it claims to be inside, it is who the subject says.
                    if let Ok(node) = subject::node_of(&message.subject) {
                        heard.beat(node.as_str(), clock.now().as_microsecond());
                    }
                }
                else => return Err("the bus ended the subscription to heartbeats".into()),
            }
        }
    });
    let stopping = parts.tasks.stopping();
    let every = Duration::from_secs(u64::from(settings.flush_seconds.max(1)));
    parts.tasks.spawn("flush", async move {
        loop {
            let is_last = tokio::select! {
                () = stopping.cancelled() => true,
                () = tokio::time::sleep(every) => false,
            };
            flush(&db, &pulse).await;
            if is_last {
                return Ok(());
            }
        }
    });
    Ok(())
}

async fn flush(db: &Db, pulse: &Pulse) {
    let pings = pulse.take_unwritten();
    if pings.is_empty() {
        return;
    }
    if let Err(error) = ping::pings(db, &pings).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "heartbeats were not written down yet"
        );
        pulse.give_back(pings);
    }
}
