//! The contract of Muster: what services, nodes and callers may say to each other.
//!
//! The `.proto` files under `proto/muster/` are the source. This crate holds what is made from them:
//!
//! - one module per package (`runcommand::v1`, `documents::v1`, …) with prost messages and tonic clients and servers;
//! - [`DESCRIPTOR_SET`], the encoded descriptors with all options and comments, and [`pool`] to walk through them;
//! - [`facts`], the options as typed values in tables that are built once: limits, errors, sensitivity, targets;
//! - [`Word`], how an enum value is spelled on AWS's surface and in text everywhere else.
//!
//! The `Debug` of a message leaves out its sensitive fields, so that a secret does not reach a log by accident.
//!
//! There is no logic here beyond reading: the limit checker, the AWS JSON codec and the gateway live in `muster-wire`
//! and `muster-gateway` and find everything they need through these tables.

pub mod facts;
mod packages;

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

pub use packages::*;

/// All files of the contract and their imports as an encoded `google.protobuf.FileDescriptorSet`, custom options and
/// comments included. What gRPC reflection serves.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTOR_SET).expect("the build script decoded the same bytes"));

/// The descriptors, decoded at the first call.
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

/// An enum whose values have a spelling of their own: AWS's words, and those of [`aws::v1::Reason`].
pub trait Word: Sized {
    /// All words, in the order of the values' numbers.
    const WORDS: &'static [&'static str];

    /// The word of the value; empty for the unset value.
    fn word(self) -> &'static str;

    /// The value of a word. Case matters.
    fn from_word(word: &str) -> Option<Self>;
}

mod words {
    //! `Word` for every enum with words.
    include!(concat!(env!("OUT_DIR"), "/words.rs"));
}

mod debug {
    //! `Debug` for the messages that hold sensitive fields: it leaves those out.
    include!(concat!(env!("OUT_DIR"), "/debug.rs"));
}
