//! Who vouches for what nodes are told to do (fleet 10, decision 18): whoever controls the bus can withhold work, but
//! cannot make any.
//!
//! - [`Signature`]: what the coordinator puts on a message for a node.
//! - [`WorkKeys`]: the keys that a node has pinned, and how they change.
//! - [`KeyChain`]: all changes from the first keys on, for nodes that come back after a long time.
//! - [`AnswerKey`]: what a service signs answers to running steps with, vouched for by those keys.

mod answers;
mod chain;
mod keys;
mod signature;

pub use answers::{AnswerCertificate, AnswerDistrust, AnswerKey, Answered, NoAnswerKey};
pub use chain::{ChainError, KeyChain, Rotation};
pub use keys::{ChangeError, Distrust, WorkKeys, WorkKeysChange};
pub use signature::{Digest, NoSignature, Signature};
