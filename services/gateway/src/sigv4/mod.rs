//! Signature version 4: does a request come from who it says it comes from (aws-json-gateway 6)? Pure: no IO, and the
//! time is an argument.
//!
//! - [`authorization`]: the parts of the header `Authorization`.
//! - [`claim`]: a request that names all it must, in a scope that is served: all that can be judged without a key.
//! - [`window`]: how old a request may be.
//! - [`canonical`]: the text that is signed.
//! - [`key`]: secrets and signing keys, which cannot be printed.
//! - [`refused`]: the words and texts of section 2.
//!
//! A request is read in two steps, because between them the key must be looked up and the body must arrive:
//! [`Claim::read`] and [`Claim::prove`].

mod authorization;
mod canonical;
mod claim;
mod key;
mod refused;
mod window;

pub use authorization::{Authorization, Credential};
pub use claim::{Claim, Rules};
pub use key::{Secret, SigningKey};
pub use refused::Refused;

/// The only algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The service in the scope of all operations but those of STS.
pub const SERVICE: &str = "ssm";
/// What every scope ends with.
pub const TERMINATOR: &str = "aws4_request";
