//! What goes on beside the calls.

mod admissions;
mod answer;
pub(crate) mod desk;
pub(crate) mod greeter;
pub(crate) mod issuer;
mod metrics;
mod news;
pub(crate) mod pulse;
mod registrar;
pub(crate) mod renewals;
mod roles;
mod rotations;
pub(crate) mod welcome;

pub(crate) use admissions::Admissions;
pub(crate) use metrics::Metrics;
pub(crate) use news::News;
pub(crate) use pulse::Pulse;
pub(crate) use registrar::Registrar;
pub(crate) use roles::RoleBook;
