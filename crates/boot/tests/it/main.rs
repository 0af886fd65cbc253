//! What services stand on, against a real NATS server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod credentials;
