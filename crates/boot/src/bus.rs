//! The connection to NATS.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};

/// Longest pause between two tries to reconnect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

fn options(name: &str) -> ConnectOptions {
    ConnectOptions::new()
        .name(name)
        .max_reconnects(None)
        .reconnect_delay_callback(|attempt| {
            let doubled = 2_u64.saturating_pow(u32::try_from(attempt).unwrap_or(u32::MAX));
            Duration::from_millis(doubled.saturating_mul(25)).min(LONGEST_PAUSE)
        })
        .connection_timeout(Duration::from_secs(5))
        .ping_interval(Duration::from_secs(20))
        // A burst of ten thousand answers must fit before the reader gets the processor.
        .subscription_capacity(128 * 1024)
        .client_capacity(8 * 1024)
        .event_callback(|event| async move {
            match event {
                Event::Connected => tracing::info!("connected to the bus"),
                Event::Disconnected => tracing::warn!("the bus is away"),
                Event::SlowConsumer(subscription) => {
                    tracing::error!(subscription, "messages were dropped: a subscriber is too slow");
                }
                other => tracing::debug!(event = %other, "the bus says"),
            }
        })
}

/// Connects, or says why not.
///
/// # Errors
/// If no server takes the connection.
pub async fn connect_now(name: &str, url: &str) -> Result<Client, async_nats::ConnectError> {
    options(name).connect(addresses(url)).await
}

/// Connects, and waits for a server as long as it takes.
pub async fn connect(name: &str, url: &str) -> Client {
    let mut pause = Duration::from_millis(50);
    loop {
        match connect_now(name, url).await {
            Ok(client) => return client,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the bus does not answer yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn addresses(url: &str) -> Vec<String> {
    url.split(',').map(|address| address.trim().to_owned()).collect()
}
