//! AWS JSON 1.1: every message of the contract, to text and back, by reflection (aws-json-gateway 1–3).
//!
//! - [`decode`] reads a request body. It is lenient where AWS is: unknown members are ignored, `null` is absent,
//!   the last of two equal members wins, times may be numbers or ISO 8601 text.
//! - [`encode`] writes an answer: absent members and unset words are left out, times are seconds as a number.
//! - [`error_body`] and [`word_and_status`] say how a failure looks.
//!
//! A message that the contract calls transparent stands for its only member.
//! An enum without words (internal ones) is written with the names of its constants.

mod convert;
mod decode;
mod encode;
mod error;
mod time;

pub use decode::{DecodeError, Decoded, decode};
pub use encode::encode;
pub use error::{error_body, word_and_status};
