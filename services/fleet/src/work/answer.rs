//! Answers to messages that are not calls of the contract.

use async_nats::{Client, Message};
use muster_wire::{NatsStatus, reply_of};
use tonic::Status;

/// Answers a message, if its sender waits for an answer.
pub(crate) async fn give(nats: &Client, message: &Message, answer: Vec<u8>) {
    if let Some(reply) = reply_of(message) {
        note_unsent(nats.publish(reply, answer.into()).await);
    }
}

/// An empty body and the headers of a NATS micro error, by which whoever asked can tell why.
pub(crate) async fn refuse(nats: &Client, message: &Message, status: &Status) {
    if let Some(reply) = reply_of(message) {
        let (mut headers, error) = NatsStatus::headers(status);
        headers.insert("Nats-Service-Error", error.status.as_str());
        headers.insert("Nats-Service-Error-Code", error.code.to_string());
        note_unsent(nats.publish_with_headers(reply, headers, Vec::new().into()).await);
    }
}

/// A lost answer is asked for again.
fn note_unsent(sent: Result<(), async_nats::PublishError>) {
    if let Err(error) = sent {
        tracing::debug!(error = &error as &dyn std::error::Error, "an answer was not sent");
    }
}
