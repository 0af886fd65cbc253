//! The words that three or more parts of Muster share: ids, rates, quotas, target expressions, time.
//!
//! Everything here is a value: it is parsed once at the edge and trusted afterwards.
//! This crate does no IO, starts no task and knows no wire format.

mod account;
mod clock;
mod id;
mod outcome;
mod quota;
mod rate;
mod target;

pub use account::{Account, AccountError};
pub use clock::{Clock, ManualClock, SystemClock};
pub use id::{CommandId, IdError, NodeId, RolloutId};
pub use jiff::{SignedDuration, Timestamp};
pub use outcome::{CommandOutcome, Tally, TargetOutcome};
pub use quota::{Quota, Rate};
pub use rate::{MaxConcurrency, MaxErrors, RateError};
pub use target::{Target, TargetError, TargetKey};
