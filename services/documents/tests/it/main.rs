//! The service in this process, with a NATS server and a database of its own, asked by NATS and by gRPC.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod attachments;
mod attachments_s3;
mod built_in;
mod content;
mod lists;
mod nodes;
mod permissions;
mod reviews;
mod scripts;
mod service;
mod surfaces;
mod tags;
mod validation;
mod versions;
