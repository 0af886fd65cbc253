//! NATS keys and claims, and who may do what on the bus (spec: fleet 7 to 9). Pure: no IO, and time is an argument.
//!
//! | Module | What |
//! |---|---|
//! | `key` | keys of operators, accounts and users; seeds that cannot be printed |
//! | `claims` | what NATS servers believe: claims of operators, accounts and users, signed and checked |
//! | `creds` | the file with a user's claims and seed |
//! | `proof` | what a key signs besides claims, so that no signature is good for another purpose |
//! | `sealed` | answers that only whoever asked can read |
//! | `conf` | the server's configuration in operator mode |
//! | `work` | who vouches for what nodes are told to do: pinned keys, signatures, the chain from old keys to new |
//! | `layout` | the accounts of Muster, what each exports and imports, and each user's subjects |
//!
//! An account's JWT holds permissions as a template for everybody whom its scoped key signs.
//! So whoever holds that key can make nodes, any and all of them, but no service and no person.

pub mod claims;
mod conf;
mod creds;
mod key;
pub mod layout;
mod proof;
pub mod sealed;
pub mod work;

pub use claims::{AccountClaims, Claims, ClaimsError, OperatorClaims, UserClaims};
pub use conf::{MAX_CONTROL_LINE, MAX_PAYLOAD, ServerConf, TlsFiles, WebSocket};
pub use creds::{Creds, CredsError};
pub use key::{Key, KeyError, KeyKind, PublicKey, Seed};
pub use proof::{Proof, Purpose};
