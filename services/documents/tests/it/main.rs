//! The service in this process, with a NATS server and a database of its own, asked by NATS and by gRPC.

mod attachments;
mod built_in;
mod content;
mod lists;
mod permissions;
mod reviews;
mod scripts;
mod service;
mod surfaces;
mod tags;
mod validation;
mod versions;
